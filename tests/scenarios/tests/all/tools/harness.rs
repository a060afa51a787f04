// SPDX-License-Identifier: GPL-3.0-or-later
//! The harness itself, against a milter of a few lines: what the MTA's side says must arrive, and what the milter
//! answers must be told apart.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::Bytes;
use indymilter::{
    Actions, Callbacks, Context, ContextActions as _, EomContext, ProtoOpts, SetErrorReply as _, Status,
};
use std::{
    ffi::{CStr, CString},
    sync::{Arc, Mutex},
    time::Duration,
};
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Action, Mail, Mta, Offer, Stage},
    postfix::Postfix,
    process::{Program, binary},
    sendmail::Sendmail,
    waiting::PATIENCE,
};
use tokio::{net::TcpListener, process::Command, task::JoinSet};

/// What the milter was told of one message.
#[derive(Clone, Debug, Default)]
struct Seen {
    sender: String,
    recipients: Vec<String>,
    queue_id: Option<String>,
    auth: Option<String>,
    message: Vec<u8>,
    chunks: usize,
}

/// A milter that decides by what stands in the message: HOLD, REFUSE, LATER, SLOW.
struct Milter {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    _running: JoinSet<()>,
}

/// All that a milter can go without replying to, except DATA and BODY.
const NO_REPLIES: ProtoOpts = ProtoOpts::NOREPLY_CONNECT
    .union(ProtoOpts::NOREPLY_HELO)
    .union(ProtoOpts::NOREPLY_MAIL)
    .union(ProtoOpts::NOREPLY_RCPT)
    .union(ProtoOpts::NOREPLY_HEADER)
    .union(ProtoOpts::NOREPLY_EOH);

impl Milter {
    async fn start(wanted: ProtoOpts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let mut running = JoinSet::new();
        let callbacks = callbacks(wanted, Arc::clone(&seen));
        running.spawn(async move {
            indymilter::run(listener, callbacks, Default::default(), std::future::pending::<()>())
                .await
                .unwrap();
        });
        Self { port, seen, _running: running }
    }

    async fn mta(&self, offer: Offer) -> Mta {
        Mta::connect_with(&format!("inet:127.0.0.1:{}", self.port), offer).await.unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn callbacks(wanted: ProtoOpts, seen: Arc<Mutex<Vec<Seen>>>) -> Callbacks<Seen> {
    Callbacks::new()
        .on_negotiate(move |cx, actions, options| {
            Box::pin(async move {
                cx.requested_actions = actions & (Actions::ADD_HEADER | Actions::QUARANTINE);
                cx.requested_opts = options & wanted;
                Status::Continue
            })
        })
        .on_mail(|cx, arguments| {
            Box::pin(async move {
                let auth = macro_of(cx, c"{auth_authen}");
                cx.data = Some(Seen { sender: text(&arguments[0]), auth, ..Seen::default() });
                Status::Continue
            })
        })
        .on_rcpt(|cx, arguments| with(cx, move |seen| seen.recipients.push(text(&arguments[0]))))
        .on_data(|cx| {
            Box::pin(async move {
                let queue_id = macro_of(cx, c"i");
                cx.data.as_mut().unwrap().queue_id = queue_id;
                Status::Continue
            })
        })
        .on_header(|cx, name, value| {
            with(cx, move |seen| {
                let field = [name.as_bytes(), b":", value.as_bytes(), b"\r\n"].concat();
                seen.message.extend(field);
            })
        })
        .on_eoh(|cx| with(cx, |seen| seen.message.extend(b"\r\n")))
        .on_body(|cx, chunk: Bytes| {
            let skip = chunk.starts_with(b"SKIP");
            let told = with(cx, move |seen| {
                seen.chunks += 1;
                seen.message.extend(chunk);
            });
            Box::pin(async move {
                let status = told.await;
                if skip { Status::Skip } else { status }
            })
        })
        .on_eom(move |cx| Box::pin(decide(cx, Arc::clone(&seen))))
}

type Reply<'a> = std::pin::Pin<Box<dyn Future<Output = Status> + Send + 'a>>;

fn with<'a>(cx: &'a mut Context<Seen>, change: impl FnOnce(&mut Seen) + Send + 'a) -> Reply<'a> {
    Box::pin(async move {
        change(cx.data.as_mut().unwrap());
        Status::Continue
    })
}

fn text(bytes: &CStr) -> String {
    bytes.to_str().unwrap().to_owned()
}

fn macro_of(cx: &Context<Seen>, name: &CStr) -> Option<String> {
    cx.macros.get(name).map(text)
}

async fn decide(cx: &mut EomContext<Seen>, all: Arc<Mutex<Vec<Seen>>>) -> Status {
    let seen = cx.data.take().unwrap();
    let has = |word: &str| seen.message.windows(word.len()).any(|window| window == word.as_bytes());
    let (hold, refuse, later, slow) = (has("HOLD"), has("REFUSE"), has("LATER"), has("SLOW"));
    all.lock().unwrap().push(seen);
    if slow {
        cx.actions.progress().await.unwrap();
        cx.actions.progress().await.unwrap();
    }
    if hold {
        cx.actions.quarantine("held for a test").await.unwrap();
    }
    if refuse {
        cx.reply.set_error_reply("550", Some("5.7.1"), ["not wanted here", "really"]).unwrap();
        return Status::Reject;
    }
    if later {
        return Status::Tempfail;
    }
    cx.actions.add_header(CString::new("X-Seen").unwrap(), " yes").await.unwrap();
    Status::Accept
}

fn large() -> Vec<u8> {
    mail()
        .subject("folded\r\n\tsubject")
        .attach("a.bin", "application/octet-stream", noise(1, 200_000))
        .bytes()
}

#[tokio::test]
async fn a_message_arrives_as_it_is_whatever_the_milter_leaves_unanswered() {
    let reading = ProtoOpts::LEADING_SPACE;
    for wanted in [reading, reading | NO_REPLIES, reading | NO_REPLIES | ProtoOpts::NOREPLY_DATA] {
        let milter = Milter::start(wanted).await;
        let mut mta = milter.mta(Offer::default()).await;
        for last_chunk_with_end in [false, true] {
            mta.last_chunk_with_end = last_chunk_with_end;
            let message = Mail { auth: Some("me".to_owned()), ..Mail::of(large()) };
            let reply = mta.send(&message).await.unwrap();
            assert_eq!((&reply.action, reply.stage), (&Action::Accept, Stage::Eom));
            assert_eq!(reply.header("x-seen"), Some(" yes"));
            assert!(reply.delivers());

            let seen = milter.seen().pop().unwrap();
            let expected = String::from_utf8(large()).unwrap().replace("folded\r\n", "folded\n");
            assert_eq!(String::from_utf8(seen.message).unwrap(), expected);
            assert_eq!(seen.chunks, 5);
            assert_eq!(seen.sender, "<sender@example.org>");
            assert_eq!(seen.recipients, ["<recipient@example.net>"]);
            assert_eq!((seen.queue_id, seen.auth), (Some(message.queue_id), Some("me".to_owned())));
        }
        mta.quit().await.unwrap();
    }
}

#[tokio::test]
async fn without_leadspc_one_leading_blank_is_missing() {
    let milter = Milter::start(ProtoOpts::LEADING_SPACE).await;
    let offer = Offer { options: 0, ..Offer::default() };
    milter.mta(offer).await.send(&Mail::of("A: 1\r\nB:  2\r\nC:3\r\n\r\n")).await.unwrap();
    assert_eq!(milter.seen()[0].message, b"A:1\r\nB: 2\r\nC:3\r\n\r\n");
}

#[tokio::test]
async fn every_answer_is_told_apart_and_the_connection_lives_on() {
    let milter = Milter::start(NO_REPLIES | ProtoOpts::SKIP).await;
    let mut mta = milter.mta(Offer::default()).await;
    let mut send = async |subject: &str| mta.send(&Mail::of(mail().subject(subject).bytes())).await.unwrap();

    let held = send("HOLD").await;
    assert_eq!(held.quarantine.as_deref(), Some("held for a test"));
    assert!(!held.delivers());
    let text = "550-5.7.1 not wanted here\r\n550 5.7.1 really";
    assert_eq!(send("REFUSE").await.action, Action::ReplyCode(text.to_owned()));
    assert_eq!(send("LATER").await.action, Action::Tempfail);
    assert_eq!(send("SLOW").await.progress, 2);
    assert!(send("nothing").await.delivers());
}

#[tokio::test]
async fn after_skip_no_more_of_the_body_is_sent() {
    let milter = Milter::start(NO_REPLIES | ProtoOpts::SKIP).await;
    let body = [b"A: 1\r\n\r\nSKIP".to_vec(), vec![b'x'; 300_000]].concat();
    let mut mta = milter.mta(Offer::default()).await;
    assert!(mta.send(&Mail::of(body)).await.unwrap().delivers());
    assert_eq!(milter.seen()[0].chunks, 1);
    mta.abort().await.unwrap();
    assert!(mta.send(&Mail::of(mail().bytes())).await.unwrap().delivers());
}

#[tokio::test]
async fn a_milter_that_breaks_the_connection_is_an_error() {
    let milter = Milter::start(NO_REPLIES).await;
    let mut mta = milter.mta(Offer::default()).await;
    mta.raw(&u32::MAX.to_be_bytes()).await.unwrap();
    assert!(mta.send(&Mail::of(mail().bytes())).await.is_err());
}

#[tokio::test]
async fn postfix_delivers_holds_and_refuses_as_the_milter_says() {
    let milter = Milter::start(NO_REPLIES | ProtoOpts::SKIP | ProtoOpts::LEADING_SPACE).await;
    let postfix = Postfix::start(&[format!("inet:127.0.0.1:{}", milter.port)]).await.unwrap();
    let to = ["a@example.net", "b@example.net"];
    let send = async |subject: &str| {
        let message = mail().subject(subject).text("one\r\n.two\r\n").bytes();
        postfix.submit("s@example.org", &to, &message).await.unwrap()
    };

    assert_eq!(send("fine").await.code, 250);
    eventually(PATIENCE, "the message is delivered", async || !postfix.delivered().is_empty()).await;
    let delivered = postfix.delivered().remove(0);
    assert_eq!(
        (delivered.sender.as_str(), &delivered.recipients[..]),
        ("s@example.org", &to.map(str::to_owned)[..])
    );
    let data = String::from_utf8(delivered.data).unwrap();
    assert!(data.contains("X-Seen: yes\r\n") && data.ends_with("one\r\n.two\r\n"), "{data}");
    assert!(milter.seen()[0].queue_id.is_some());

    let refused = send("REFUSE").await;
    assert_eq!((refused.code, refused.text.as_str()), (550, "5.7.1 not wanted here\n5.7.1 really"));
    assert_eq!(send("LATER").await.code, 451);

    assert_eq!(send("HOLD").await.code, 250);
    let held = postfix.held().await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].recipients, to);
    let message = String::from_utf8(postfix.read_held(&held[0].queue_id).await.unwrap()).unwrap();
    assert!(message.contains("Subject: HOLD\n"), "{message}");
    eventually(PATIENCE, "the log says so", async || postfix.log().contains("milter-hold")).await;
    postfix.release(&held[0].queue_id).await.unwrap();
    eventually(PATIENCE, "the released message is delivered", async || postfix.delivered().len() == 2).await;
}

#[tokio::test]
async fn postfix_refuses_for_now_while_its_milter_is_down() {
    let nobody = format!("inet:127.0.0.1:{}", thundergate_harness::free_port());
    let postfix = Postfix::start(&[nobody]).await.unwrap();
    let reply = postfix.submit("s@example.org", &["a@example.net"], &mail().bytes()).await.unwrap();
    assert_eq!(reply.code, 451);
    assert!(postfix.delivered().is_empty());
}

fn stand_in(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("thunderstorm-stand-in").unwrap());
    command.args(arguments);
    command
}

#[tokio::test]
async fn a_program_says_where_it_is_and_can_be_killed() {
    let mut program = Program::launch(stand_in(&["--listen", "127.0.0.1:0"])).unwrap();
    program.wait_until_ready().await.unwrap();
    let address = program.addresses("url").remove(0).replace("http://", "");
    assert!(tokio::net::TcpStream::connect(&address).await.is_ok());
    assert!(program.wait_for(|event| event["event"] == "ready", PATIENCE).await.is_some());
    assert!(program.wait_for(|event| event["event"] == "never", Duration::from_millis(10)).await.is_none());
    assert!(program.kill9().await.unwrap().code().is_none());
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn a_program_that_does_not_become_ready_is_an_error_with_what_it_wrote() {
    let mut program = Program::launch(stand_in(&["--shape", "round"])).unwrap();
    let error = program.wait_until_ready().await.unwrap_err().to_string();
    assert!(error.contains("--shape"), "{error}");
}

#[tokio::test]
#[should_panic(expected = "not within 10ms: the impossible")]
async fn patience_ends() {
    eventually(Duration::from_millis(10), "the impossible", async || false).await;
}

#[tokio::test]
async fn sendmail_delivers_quarantines_and_refuses_as_the_milter_says() {
    if let Err(reason) = Sendmail::prepare().await {
        eprintln!("skipped: {reason:#}");
        return;
    }
    let milter = Milter::start(NO_REPLIES | ProtoOpts::SKIP | ProtoOpts::LEADING_SPACE).await;
    let sendmail = Sendmail::start(&format!("inet:{}@127.0.0.1", milter.port)).await.unwrap();
    let send = async |subject: &str| {
        let message = mail().subject(subject).bytes();
        sendmail.submit("s@example.org", &["a@example.net"], &message).await.unwrap()
    };

    let accepted = send("fine").await;
    assert_eq!(accepted.code, 250, "{accepted:?} {}", sendmail.log());
    eventually(PATIENCE, "the message is delivered", async || !sendmail.delivered().is_empty()).await;
    assert!(String::from_utf8(sendmail.delivered().remove(0).data).unwrap().contains("X-Seen: yes\r\n"));
    assert_eq!(send("REFUSE").await.code, 550);
    assert_eq!(send("LATER").await.code, 451);
    assert_eq!(send("HOLD").await.code, 250);
    let held = sendmail.held().unwrap();
    assert_eq!((held[0].reason.as_str(), held[0].sender.as_str()), ("held for a test", "s@example.org"));
    assert_eq!(held[0].recipients, ["a@example.net"]);
    assert_eq!(sendmail.read_body(&held[0].queue_id).unwrap(), b"Hello,\nthis is a test.\n");
}
