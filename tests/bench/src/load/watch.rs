// SPDX-License-Identifier: GPL-3.0-or-later
//! Watches a run: what processes use while messages count, how far it is, and whether it has come to a halt.

use super::{
    engine::Shared,
    plan::Process,
    report::Used,
    usage::{self, Usage},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal as _},
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(50);

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// When it was over.
    pub until: Instant,
    /// The most messages that were due and had not begun.
    pub backlog_max: u64,
    /// The generator first, then the processes in the plan's order.
    pub used: Vec<Used>,
}

/// Watches until all threads have ended: each drops its end of the channel.
pub fn watch(shared: &Shared<'_>, ended: &Receiver<()>) -> Seen {
    let mut meter = Meter::new(&shared.plan.processes);
    let mut progress = Progress::new(shared);
    let (mut backlog_max, mut began, mut until) = (0, false, None);
    loop {
        let now = Instant::now();
        let running = match ended.recv_timeout(next_look(shared, now)) {
            Ok(()) => continue,
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        let now = Instant::now();
        if let Some(schedule) = shared.schedule.get() {
            backlog_max = backlog_max.max(schedule.backlog(now));
            if !began && now >= schedule.from {
                began = true;
                meter.begin(now);
            }
            if until.is_none() && schedule.until.is_some_and(|until| now >= until) {
                until = schedule.until;
                meter.end();
            }
        }
        if began && until.is_none() {
            meter.look(now);
        }
        progress.look(now, shared.plan.progress);
        if !running {
            let until = until.unwrap_or_else(|| {
                meter.end();
                now
            });
            return Seen { until, backlog_max, used: meter.used() };
        }
    }
}

/// At the start and the end of what counts, and in between often enough.
fn next_look(shared: &Shared<'_>, now: Instant) -> Duration {
    let schedule = shared.schedule.get();
    let marks =
        schedule.map(|schedule| [Some(schedule.from), schedule.until]).into_iter().flatten().flatten();
    let ahead = marks.map(|mark| mark.saturating_duration_since(now)).filter(|left| !left.is_zero());
    ahead.min().map_or(TICK, |left| left.min(TICK))
}

/// What processes use.
struct Meter<'a> {
    processes: &'a [Process],
    from: Vec<Usage>,
    to: Vec<Usage>,
    each_second: Vec<Vec<u64>>,
    next: Instant,
}

impl<'a> Meter<'a> {
    fn new(processes: &'a [Process]) -> Self {
        let each_second = vec![Vec::new(); processes.len() + 1];
        Self { processes, from: Vec::new(), to: Vec::new(), each_second, next: Instant::now() }
    }

    fn now(&self) -> Vec<Usage> {
        [Usage::own()].into_iter().chain(self.processes.iter().map(Usage::of)).collect()
    }

    fn begin(&mut self, now: Instant) {
        self.processes.iter().for_each(usage::forget_peak);
        self.from = self.now();
        self.next = now;
    }

    fn look(&mut self, now: Instant) {
        if now >= self.next {
            self.next += Duration::from_secs(1);
            let usages = self.now();
            self.each_second.iter_mut().zip(usages).for_each(|(all, usage)| all.push(usage.resident));
        }
    }

    fn end(&mut self) {
        self.to = self.now();
        if self.from.is_empty() {
            self.from = self.to.clone();
        }
    }

    fn used(self) -> Vec<Used> {
        let own = "load generator".to_owned();
        let names = [own].into_iter().chain(self.processes.iter().map(|process| process.name.clone()));
        let pairs = self.from.into_iter().zip(self.to).zip(self.each_second);
        names
            .zip(pairs)
            .map(|(name, ((from, to), resident_each_second))| Used {
                name,
                cpu_seconds: to.cpu.saturating_sub(from.cpu).as_secs_f64(),
                cpu_ms_per_message: 0.0,
                resident: to.resident,
                peak: to.peak,
                resident_each_second,
            })
            .collect()
    }
}

/// Says how far a run is: in one line on a terminal, else in one every ten seconds. Gives up where nothing happens any more.
struct Progress<'a> {
    shared: &'a Shared<'a>,
    /// On a terminal.
    line: Option<ProgressBar>,
    every: Duration,
    next: Instant,
    /// Messages at the last line, and when that was.
    said: (u64, Instant),
    /// The same when there was last a new one.
    moved: (u64, Instant),
}

impl<'a> Progress<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        let style = ProgressStyle::with_template("{msg}").expect("the template is one");
        let line = io::stderr().is_terminal().then(|| ProgressBar::no_length().with_style(style));
        let every = Duration::from_secs(if line.is_some() { 1 } else { 10 });
        let now = Instant::now();
        Self { shared, line, every, next: now + every, said: (0, now), moved: (0, now) }
    }

    fn look(&mut self, now: Instant, says: bool) {
        let live = &self.shared.live;
        let messages = live.messages.load(Ordering::Relaxed);
        if messages > self.moved.0 {
            self.moved = (messages, now);
        }
        // Whoever awaits an answer has failed by then, and so has whoever tried again.
        if now > self.moved.1 + 2 * self.shared.plan.timeout + self.time_without_messages() {
            live.given_up.store(true, Ordering::Relaxed);
        }
        if now < self.next {
            return;
        }
        self.next += self.every;
        if says {
            let rate = (messages - self.said.0) as f64 / (now - self.said.1).as_secs_f64();
            let (open, errors) = (live.open.load(Ordering::Relaxed), live.errors.load(Ordering::Relaxed));
            let backlog = self.shared.schedule.get().map_or(0, |schedule| schedule.backlog(now));
            let text = format!(
                "{messages} messages, {rate:.0}/s, {open} connections, {errors} errors, backlog {backlog}"
            );
            match &self.line {
                Some(line) => line.set_message(text),
                None => eprintln!("{text}"),
            }
        }
        self.said = (messages, now);
    }

    /// How long there may be none because none is due.
    fn time_without_messages(&self) -> Duration {
        self.shared.plan.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64((1.0 / rate).min(1e6)))
    }
}
