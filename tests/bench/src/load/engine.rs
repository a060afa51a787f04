// SPDX-License-Identifier: GPL-3.0-or-later
//! One thread that drives its share of the connections: epoll, no task and no copy for a message.

use super::{
    connection::{Connection, Decision, Done, Failure},
    message::{Slot, with_attachments},
    plan::Plan,
    schedule::{Content, Job, Next, Preparation, Schedule},
    script::Script,
    socket::Address,
    tally::Tally,
    timer::Timer,
};
use mio::{Events, Poll, Token, event::Event};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Barrier, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use thundergate_harness::{
    mails::base64_lines,
    mta::{Mail, Offer},
};

/// How long to wait before a lost connection is opened again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often to look for answers that do not come.
const TICK: Duration = Duration::from_millis(100);
const BUFFER: usize = 16 << 10;
/// The timer's token; connections have theirs from 0 on.
const TIMER: Token = Token(usize::MAX);

/// What all threads share.
pub struct Shared<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// Where the milter is.
    pub address: Address,
    /// What is sent.
    pub scripts: Scripts,
    /// What is sent first.
    pub preparation: Preparation,
    /// What is sent then; there once all threads are prepared.
    pub schedule: OnceLock<Schedule>,
    /// Where threads wait for each other, and the one that watches for them.
    pub prepared: Barrier,
    /// What has happened so far.
    pub live: Live,
    /// Tells the new attachments of this run from those of all others.
    pub salt: u64,
}

/// What is sent, rendered.
pub struct Scripts {
    agreed: Offer,
    negotiation: Script,
    greeting: Script,
    messages: Vec<Script>,
    abort: Script,
    quit: Script,
}

/// What has happened so far, for whoever watches.
#[derive(Debug, Default)]
pub struct Live {
    /// Messages with an answer.
    pub messages: AtomicU64,
    /// Lost connections.
    pub errors: AtomicU64,
    /// Open connections, negotiated.
    pub open: AtomicU64,
    /// There is no point in going on.
    pub given_up: AtomicBool,
}

impl Scripts {
    /// Those of a plan, as negotiated.
    pub fn new(plan: &Plan, agreed: Offer) -> Self {
        let mails: Vec<Mail> = match &plan.mix.message {
            Some(file) => vec![super::message::from_file(file)],
            None => plan.mix.sizes.iter().map(|size| with_attachments(&plan.mix.look, *size)).collect(),
        };
        Self {
            agreed,
            negotiation: Script::negotiation(Offer::default()),
            greeting: Script::greeting(&mails[0], agreed),
            messages: mails.iter().map(|mail| Script::message(mail, agreed)).collect(),
            abort: Script::abort(),
            quit: Script::quit(),
        }
    }
}

/// What a connection is at.
#[derive(Debug)]
enum Doing {
    Negotiating,
    Greeting,
    Waiting,
    Sending { job: Job, begun: Instant },
    Aborting,
}

enum Place<'a> {
    Open(Box<Connection<'a>>, Doing),
    /// Opened again at this time.
    Closed(Instant),
}

/// One thread's connections.
pub struct Engine<'a> {
    shared: &'a Shared<'a>,
    poll: Poll,
    timer: Timer,
    places: Vec<Place<'a>>,
    idle: VecDeque<usize>,
    /// How many are sending.
    busy: usize,
    /// Nothing new is sent any more, in this phase.
    over: bool,
    buffer: Vec<u8>,
    random: fastrand::Rng,
    queue_id: u64,
    tally: Tally,
}

impl<'a> Engine<'a> {
    /// For so many connections.
    pub fn new(shared: &'a Shared<'a>, connections: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let mut random = fastrand::Rng::new();
        let queue_id = random.u64(..);
        Ok(Self {
            shared,
            poll,
            timer,
            places: (0..connections).map(|_| Place::Closed(Instant::now())).collect(),
            idle: VecDeque::new(),
            busy: 0,
            over: false,
            buffer: vec![0; BUFFER],
            random,
            queue_id,
            tally: Tally::default(),
        })
    }

    /// Prepares, sends, ends its connections.
    pub fn run(mut self) -> io::Result<Tally> {
        let prepared = self.phase();
        if self.shared.prepared.wait().is_leader() {
            let schedule = Schedule::new(self.shared.plan, Instant::now());
            self.shared.schedule.set(schedule).expect("there is one leader");
        }
        self.shared.prepared.wait();
        prepared?;
        self.phase()?;
        for place in self.places {
            if let Place::Open(connection, _) = place {
                connection.quit(&self.shared.scripts.quit);
            }
        }
        Ok(self.tally)
    }

    fn phase(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut checked = Instant::now();
        self.over = false;
        loop {
            let wake = self.feed_idle();
            if self.over && self.busy == 0 || self.shared.live.given_up.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.timer.set(wake)?;
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => events.iter().for_each(|event| self.on_event(event)),
            }
            let now = Instant::now();
            if checked + TICK <= now || checked == now {
                checked = now;
                self.check(now);
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        if event.token() == TIMER {
            return;
        }
        let index = event.token().0;
        if let Place::Open(connection, _) = &mut self.places[index] {
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                connection.readable(event.is_read_closed() || event.is_error());
            }
            self.drive(index);
        }
    }

    /// Opens what is closed, closes what is late.
    fn check(&mut self, now: Instant) {
        for index in 0..self.places.len() {
            match &self.places[index] {
                Place::Closed(at) if *at <= now => self.open(index),
                Place::Open(connection, doing)
                    if !matches!(doing, Doing::Waiting)
                        && connection.since + self.shared.plan.timeout < now =>
                {
                    self.fail(index, Failure::Late);
                }
                _ => (),
            }
        }
    }

    fn open(&mut self, index: usize) {
        let Shared { address, scripts, plan, .. } = self.shared;
        let (parts, registry) = (plan.mix.look.attachments, self.poll.registry());
        match Connection::open(address, &scripts.negotiation, parts, registry, Token(index)) {
            Ok(connection) => {
                self.places[index] = Place::Open(Box::new(connection), Doing::Negotiating);
                self.drive(index);
            }
            Err(failure) => self.fail(index, failure),
        }
    }

    /// Goes on with one connection as far as it can.
    fn drive(&mut self, index: usize) {
        loop {
            let Place::Open(connection, _) = &mut self.places[index] else { return };
            match connection.go_on(&mut self.buffer, self.poll.registry(), Token(index)) {
                Ok(None) => return,
                Ok(Some(done)) => match self.done(index, done) {
                    Ok(true) => (),
                    Ok(false) => return,
                    Err(failure) => return self.fail(index, failure),
                },
                Err(failure) => return self.fail(index, failure),
            }
        }
    }

    /// What comes after a script. False: nothing for now.
    fn done(&mut self, index: usize, done: Done) -> Result<bool, Failure> {
        let scripts = &self.shared.scripts;
        let Place::Open(connection, doing) = &mut self.places[index] else { return Ok(false) };
        let now = Instant::now();
        match (std::mem::replace(doing, Doing::Waiting), done) {
            (Doing::Negotiating, Done::Agreed(agreed)) if agreed == scripts.agreed => {
                *doing = Doing::Greeting;
                connection.begin(&scripts.greeting, scripts.greeting.steps.len(), now);
                Ok(true)
            }
            (Doing::Negotiating, _) => {
                Err(Failure::Protocol("the milter negotiates otherwise than before".to_owned()))
            }
            (Doing::Greeting, Done::Written) => {
                self.shared.live.open.fetch_add(1, Ordering::Relaxed);
                Ok(self.feed(index, now))
            }
            (Doing::Greeting, _) => Err(Failure::Protocol("the milter wants none of this client".to_owned())),
            (Doing::Sending { job, begun }, done) => Ok(self.sent(index, job, begun, done, now)),
            (Doing::Aborting, _) => {
                self.busy -= 1;
                Ok(self.next(index, now))
            }
            (Doing::Waiting, _) => Err(Failure::Protocol("an answer to nothing".to_owned())),
        }
    }

    /// A message is decided or given up.
    fn sent(&mut self, index: usize, job: Job, begun: Instant, done: Done, now: Instant) -> bool {
        let abort = match done {
            Done::Decided { decision, after_end } => {
                self.decided(index, job, begun, decision, after_end, now);
                // Before its end the MTA gives up a message that is refused.
                after_end.is_none() && decision != Decision::Accept || self.shared.plan.abort_between
            }
            Done::Written | Done::Agreed(_) => {
                self.tally.aborted += 1;
                true
            }
        };
        let Place::Open(connection, doing) = &mut self.places[index] else { return false };
        connection.messages += 1;
        if abort {
            *doing = Doing::Aborting;
            connection.begin(&self.shared.scripts.abort, 1, now);
            return true;
        }
        self.busy -= 1;
        self.next(index, now)
    }

    fn decided(
        &mut self,
        index: usize,
        job: Job,
        begun: Instant,
        decision: Decision,
        after_end: Option<Duration>,
        now: Instant,
    ) {
        let shared = self.shared;
        shared.live.messages.fetch_add(1, Ordering::Relaxed);
        self.tally.new += u64::from(matches!(job.content, Content::New(_)));
        let Some(schedule) = shared.schedule.get() else {
            self.tally.outside += 1;
            if decision != Decision::Tempfail {
                shared.preparation.done();
            } else if !shared.preparation.again(job, now) {
                shared.live.given_up.store(true, Ordering::Relaxed);
            }
            return;
        };
        if schedule.counts(&job, now) {
            let since = if shared.plan.rate.is_some() { job.due } else { begun };
            self.tally.count(decision, after_end, now.saturating_duration_since(since));
            if let Place::Open(connection, _) = &self.places[index] {
                self.tally.bytes += connection.written() as u64;
            }
            self.tally.last = Some(now);
        } else {
            self.tally.outside += 1;
        }
    }

    /// What a connection does behind a message. False: nothing for now.
    fn next(&mut self, index: usize, now: Instant) -> bool {
        let most = self.shared.plan.messages_per_connection;
        let Place::Open(connection, _) = &self.places[index] else { return false };
        if most == 0 || connection.messages < most {
            return self.feed(index, now);
        }
        self.shared.live.open.fetch_sub(1, Ordering::Relaxed);
        let place = std::mem::replace(&mut self.places[index], Place::Closed(now));
        if let Place::Open(connection, _) = place {
            connection.quit(&self.shared.scripts.quit);
        }
        self.tally.reconnects += 1;
        self.open(index);
        false
    }

    /// Gives a connection its next message. False: there is none for now.
    fn feed(&mut self, index: usize, now: Instant) -> bool {
        match self.upcoming(now) {
            Next::Send(job) => {
                self.begin(index, job, now);
                true
            }
            Next::At(_) => {
                self.idle.push_back(index);
                false
            }
            Next::Over => {
                self.idle.push_back(index);
                self.over = true;
                false
            }
        }
    }

    /// Gives idle connections what is due. When there will be more, if it is known.
    fn feed_idle(&mut self) -> Option<Instant> {
        while !self.over
            && let Some(index) = self.idle.pop_front()
        {
            if !matches!(&self.places[index], Place::Open(_, Doing::Waiting)) {
                continue; // lost while it was idle
            }
            let now = Instant::now();
            match self.upcoming(now) {
                Next::Send(job) => {
                    self.begin(index, job, now);
                    self.drive(index);
                }
                Next::At(at) => {
                    self.idle.push_front(index);
                    return Some(at);
                }
                Next::Over => {
                    self.idle.push_front(index);
                    self.over = true;
                }
            }
        }
        if !self.over && self.busy == 0 {
            // No connection takes the messages there are, and none may be left.
            self.over = self.shared.schedule.get().is_some_and(|schedule| schedule.is_over(Instant::now()));
        }
        None
    }

    fn upcoming(&mut self, now: Instant) -> Next {
        match self.shared.schedule.get() {
            None => self.shared.preparation.next(now),
            Some(schedule) => schedule.next(now, &mut self.random),
        }
    }

    fn begin(&mut self, index: usize, job: Job, now: Instant) {
        let script = &self.shared.scripts.messages[job.size];
        let steps = if job.abort { script.given_up_after() + 1 } else { script.steps.len() };
        self.queue_id = self.queue_id.wrapping_add(1);
        let (queue_id, salt) = (self.queue_id & 0xff_ffff_ffff, self.shared.salt);
        let Place::Open(connection, doing) = &mut self.places[index] else { return };
        let values = &mut connection.values;
        values.queue_id.copy_from_slice(format!("{queue_id:010X}").as_bytes());
        let parts = values.numbers.len() as u64;
        for (part, (digits, name)) in (0..parts).zip(values.numbers.iter_mut().zip(&mut values.names)) {
            let (kind, number) = match job.content {
                Content::Known(number) => (0, number * parts + part),
                Content::New(number) => (1, salt.wrapping_add(number * parts + part)),
            };
            let mut bytes = [kind; super::message::NUMBER_BYTES];
            bytes[1..].copy_from_slice(&number.to_be_bytes());
            digits.copy_from_slice(&base64_lines(&bytes).as_bytes()[..Slot::Number(0).width()]);
            name.copy_from_slice(format!("{:010x}", (queue_id + part) & 0xff_ffff_ffff).as_bytes());
        }
        connection.begin(script, steps, now);
        *doing = Doing::Sending { job, begun: now };
        self.busy += 1;
    }

    /// A connection is lost, and with it the message that was under way.
    fn fail(&mut self, index: usize, failure: Failure) {
        let now = Instant::now();
        let live = &self.shared.live;
        let mut failure = failure;
        match std::mem::replace(&mut self.places[index], Place::Closed(now + PAUSE)) {
            Place::Open(_, Doing::Sending { job, .. }) => {
                self.busy -= 1;
                live.open.fetch_sub(1, Ordering::Relaxed);
                if self.shared.schedule.get().is_none() && !self.shared.preparation.again(job, now) {
                    live.given_up.store(true, Ordering::Relaxed);
                }
            }
            Place::Open(_, Doing::Aborting) => {
                self.busy -= 1;
                live.open.fetch_sub(1, Ordering::Relaxed);
            }
            Place::Open(_, Doing::Waiting) => {
                live.open.fetch_sub(1, Ordering::Relaxed);
            }
            Place::Open(_, Doing::Negotiating) if matches!(failure, Failure::Lost(_)) => {
                let Failure::Lost(error) = failure else { unreachable!("just matched") };
                failure = Failure::Connect(error);
            }
            Place::Open(..) | Place::Closed(_) => (),
        }
        live.errors.fetch_add(1, Ordering::Relaxed);
        self.tally.errors.count(&failure);
        self.tally.reconnects += 1;
    }
}
