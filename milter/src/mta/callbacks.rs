// SPDX-License-Identifier: GPL-3.0-or-later
//! The stages of the milter protocol, one thin function each: convert, call the session, give a status.
//!
//! Negotiation asks for no more than the MTA offers, or the session would end: header values with their leading blank
//! (so that the message can be rebuilt byte for byte), SKIP, and no replies to CONNECT, HELO, MAIL, RCPT, header fields
//! and the end of the header, which nearly triples the rate of small mails. DATA and BODY keep their replies: Postfix
//! stalls 40 ms a message without the first, and hangs on an answer that never comes without the second.

use super::reply::{self, Marks};
use crate::{inspect::Gate, session::Session};
use futures_util::FutureExt;
use indymilter::{
    Actions, Callbacks, Context, EomContext, NegotiateContext, ProtoOpts, SetErrorReply, SocketInfo, Status,
};
use std::{ffi::CString, net::IpAddr, sync::Arc};
use tokio_util::task::TaskTracker;

/// What a message's actions need: tag, remove forged tags, quarantine.
pub const ACTIONS: Actions = Actions::ADD_HEADER.union(Actions::CHANGE_HEADER).union(Actions::QUARANTINE);

const OPTIONS: ProtoOpts = ProtoOpts::LEADING_SPACE
    .union(ProtoOpts::SKIP)
    .union(ProtoOpts::NO_UNKNOWN)
    .union(ProtoOpts::NOREPLY_CONNECT)
    .union(ProtoOpts::NOREPLY_HELO)
    .union(ProtoOpts::NOREPLY_MAIL)
    .union(ProtoOpts::NOREPLY_RCPT)
    .union(ProtoOpts::NOREPLY_HEADER)
    .union(ProtoOpts::NOREPLY_EOH);

/// The largest chunk of a body, and the length of all but the last one.
const FULL_CHUNK: usize = 65_535;

/// A session and what was negotiated for it.
pub struct Connection {
    session: Session,
    options: ProtoOpts,
    skipping: bool,
}

/// The callbacks of a milter that asks `gate`; `open` counts the messages under way.
pub fn callbacks(gate: Arc<Gate>, open: TaskTracker) -> Callbacks<Connection> {
    Callbacks::new()
        .on_negotiate(move |cx, actions, options| {
            let session = Session::new(Arc::clone(&gate), open.clone());
            let status = negotiate(cx, session, actions, options);
            async move { status }.boxed()
        })
        .on_connect(|cx, name, socket| {
            let mta = cx.macros.get(c"j").map(|name| name.to_bytes().to_vec()).unwrap_or_default();
            let connect = |session: &mut Session| session.connect(&mta, name.as_bytes(), address(&socket));
            let status = quiet(cx, ProtoOpts::NOREPLY_CONNECT, connect);
            async move { status }.boxed()
        })
        .on_helo(|cx, name| {
            let status = quiet(cx, ProtoOpts::NOREPLY_HELO, |session| session.helo(name.as_bytes()));
            async move { status }.boxed()
        })
        .on_mail(|cx, arguments| {
            let status = mail(cx, &arguments);
            async move { status }.boxed()
        })
        .on_rcpt(|cx, arguments| {
            let first = arguments.into_iter().next().unwrap_or_default();
            let status = quiet(cx, ProtoOpts::NOREPLY_RCPT, |session| session.rcpt(first.as_bytes()));
            async move { status }.boxed()
        })
        .on_data(|cx| {
            let status = data(cx);
            async move { status }.boxed()
        })
        .on_header(|cx, name, value| {
            let status = quiet(cx, ProtoOpts::NOREPLY_HEADER, |session| {
                session.header(name.as_bytes(), value.as_bytes())
            });
            async move { status }.boxed()
        })
        .on_eoh(|cx| {
            let status = quiet(cx, ProtoOpts::NOREPLY_EOH, Session::end_of_header);
            async move { status }.boxed()
        })
        .on_body(|cx, chunk| {
            let status = body(cx, &chunk);
            async move { status }.boxed()
        })
        .on_eom(|cx| end_of_message(cx).boxed())
        .on_abort(|cx| {
            if let Some(connection) = &mut cx.data {
                connection.session.abort();
            }
            async { Status::Continue }.boxed()
        })
        .on_close(|cx| {
            cx.data = None;
            async { Status::Continue }.boxed()
        })
}

fn negotiate(
    cx: &mut NegotiateContext<Connection>,
    session: Session,
    actions: Actions,
    options: ProtoOpts,
) -> Status {
    let options = OPTIONS & options;
    cx.requested_actions = ACTIONS & actions;
    cx.requested_opts = options;
    cx.data = Some(Connection { session, options, skipping: false });
    Status::Continue
}

/// A stage without a decision: no reply where that was negotiated, else "continue".
fn quiet(cx: &mut Context<Connection>, noreply: ProtoOpts, stage: impl FnOnce(&mut Session)) -> Status {
    let Some(connection) = &mut cx.data else { return Status::Tempfail };
    stage(&mut connection.session);
    if connection.options.contains(noreply) { Status::Noreply } else { Status::Continue }
}

fn address(socket: &SocketInfo) -> Option<IpAddr> {
    match socket {
        SocketInfo::Inet(address) => Some(address.ip()),
        SocketInfo::Unix(_) | SocketInfo::Unknown => None,
    }
}

fn mail(cx: &mut Context<Connection>, arguments: &[CString]) -> Status {
    let authenticated = cx.macros.get(c"{auth_authen}").map(|name| name.to_bytes().to_vec());
    if let Some(connection) = &mut cx.data {
        connection.skipping = false;
    }
    quiet(cx, ProtoOpts::NOREPLY_MAIL, |session| {
        session.mail(arguments.iter().map(|argument| argument.as_bytes()), authenticated.as_deref());
    })
}

fn data(cx: &mut Context<Connection>) -> Status {
    if cx.data.as_ref().is_some_and(|connection| connection.session.data()) {
        return Status::Continue;
    }
    let text = ["Mail filter is being restarted, try again later"];
    let _ = cx.reply.set_error_reply("451", Some("4.3.2"), text);
    Status::Tempfail
}

/// Once a message is lost the MTA may skip the rest of it. Only a full chunk can be answered so: the last one may come
/// with the end of the message, and that must be answered with a decision.
fn body(cx: &mut Context<Connection>, chunk: &[u8]) -> Status {
    let Some(connection) = &mut cx.data else { return Status::Tempfail };
    let enough = !connection.session.body(chunk);
    let skip = enough && !connection.skipping && chunk.len() == FULL_CHUNK;
    if skip && connection.options.contains(ProtoOpts::SKIP) {
        connection.skipping = true;
        return Status::Skip;
    }
    Status::Continue
}

/// Inspects the message and keeps the MTA waiting politely. An MTA that has gone is noticed by a failing write; the
/// scans it caused go on, and their verdicts are stored.
async fn end_of_message(cx: &mut EomContext<Connection>) -> Status {
    let Some(connection) = &mut cx.data else { return Status::Tempfail };
    let gate = Arc::clone(connection.session.gate());
    let blank = if connection.options.contains(ProtoOpts::LEADING_SPACE) { " " } else { "" };
    let authserv_id = connection.session.authserv_id();
    let queue_id = cx.macros.get(c"i").map(|id| id.to_bytes().to_vec()).unwrap_or_default();
    let inspection = {
        let inspected = connection.session.end_of_message(&queue_id);
        tokio::pin!(inspected);
        loop {
            match tokio::time::timeout(gate.progress, &mut inspected).await {
                Ok(inspection) => break inspection,
                Err(_) => {
                    if reply::progress(&cx.actions).await.is_err() {
                        tracing::info!(queue.id = %String::from_utf8_lossy(&queue_id), "the MTA has gone while its message was inspected");
                        return Status::Tempfail;
                    }
                }
            }
        }
    };
    match inspection {
        Some(inspection) => {
            let marks = Marks { tag: &gate.tag.header, authserv_id: &authserv_id, blank };
            reply::give(cx, marks, &inspection).await
        }
        None => Status::Tempfail,
    }
}
