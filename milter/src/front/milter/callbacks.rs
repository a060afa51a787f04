// SPDX-License-Identifier: GPL-3.0-or-later
//! The stages of the milter protocol, one thin function each: convert, call the session, give a status.
//!
//! Negotiation asks for no more than the MTA offers, or the session would end: header values with their leading blank
//! (so that the message can be rebuilt byte for byte), SKIP, and no replies to CONNECT, HELO, MAIL, RCPT, header fields
//! and the end of the header, which nearly triples the rate of small mails. DATA and BODY keep their replies: Postfix
//! stalls 40 ms a message without the first, and hangs on an answer that never comes without the second.

use super::{
    connection::Link,
    reply::{self, Marks},
    session::Session,
};
use crate::mail::repeated::STALWART;
use futures_util::FutureExt;
use indymilter::{
    Actions, Callbacks, Context, EomContext, NegotiateContext, ProtoOpts, SetErrorReply, SocketInfo, Status,
};
use std::{ffi::CString, net::IpAddr, sync::Arc};

/// What a message's actions need: tag, remove forged tags, quarantine.
pub(super) const ACTIONS: Actions =
    Actions::ADD_HEADER.union(Actions::CHANGE_HEADER).union(Actions::QUARANTINE);

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

/// The callbacks of the one connection behind `link`.
pub(super) fn callbacks(link: Link) -> Callbacks<Link> {
    Callbacks::new()
        .on_negotiate(move |cx, actions, options| {
            let status = negotiate(cx, link.clone(), actions, options);
            async move { status }.boxed()
        })
        .on_connect(|cx, name, socket| {
            let mta = cx.macros.get(c"j").map(|name| name.to_bytes().to_vec()).unwrap_or_default();
            let whole = cx.macros.get(c"{daemon_name}").is_some_and(|name| name.to_bytes() == STALWART);
            let connect = |session: &mut Session| {
                session.connect(&mta, name.as_bytes(), address(&socket));
                session.gets_whole_messages(whole);
            };
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
            if let Some(link) = &cx.data {
                link.lock().session.abort();
            }
            async { Status::Continue }.boxed()
        })
        .on_close(|cx| {
            if let Some(link) = cx.data.take() {
                link.lock().session.abort();
            }
            async { Status::Continue }.boxed()
        })
}

fn negotiate(cx: &mut NegotiateContext<Link>, link: Link, actions: Actions, options: ProtoOpts) -> Status {
    let options = OPTIONS & options;
    cx.requested_actions = ACTIONS & actions;
    cx.requested_opts = options;
    link.lock().options = options;
    cx.data = Some(link);
    Status::Continue
}

/// A stage without a decision: no reply where that was negotiated, else "continue".
fn quiet(cx: &mut Context<Link>, noreply: ProtoOpts, stage: impl FnOnce(&mut Session)) -> Status {
    let Some(link) = &cx.data else { return Status::Tempfail };
    let mut connection = link.lock();
    stage(&mut connection.session);
    if connection.options.contains(noreply) { Status::Noreply } else { Status::Continue }
}

fn address(socket: &SocketInfo) -> Option<IpAddr> {
    match socket {
        SocketInfo::Inet(address) => Some(address.ip()),
        SocketInfo::Unix(_) | SocketInfo::Unknown => None,
    }
}

fn mail(cx: &mut Context<Link>, arguments: &[CString]) -> Status {
    let authenticated = cx.macros.get(c"{auth_authen}").map(|name| name.to_bytes().to_vec());
    if let Some(link) = &cx.data {
        let mut connection = link.lock();
        (connection.skipping, connection.taken) = (false, None);
    }
    quiet(cx, ProtoOpts::NOREPLY_MAIL, |session| {
        session.mail(arguments.iter().map(|argument| argument.as_bytes()), authenticated.as_deref());
    })
}

fn data(cx: &mut Context<Link>) -> Status {
    if cx.data.as_ref().is_some_and(|link| link.lock().session.data()) {
        return Status::Continue;
    }
    let text = ["Mail filter is being restarted, try again later"];
    let _ = cx.reply.set_error_reply("451", Some("4.3.2"), text);
    Status::Tempfail
}

/// Once a message is lost the MTA may skip the rest of it. Only a full chunk can be answered so: the last one may come
/// with the end of the message, and that must be answered with a decision.
fn body(cx: &mut Context<Link>, chunk: &[u8]) -> Status {
    let Some(link) = &cx.data else { return Status::Tempfail };
    let mut connection = link.lock();
    let length = connection.taken.take().unwrap_or_else(|| {
        connection.session.body(chunk);
        chunk.len()
    });
    let skip = !connection.session.wants_more() && !connection.skipping && length == FULL_CHUNK;
    if skip && connection.options.contains(ProtoOpts::SKIP) {
        connection.skipping = true;
        return Status::Skip;
    }
    Status::Continue
}

/// Inspects the message and keeps the MTA waiting politely. An MTA that has gone is noticed by a failing write; the
/// scans it caused go on, and their verdicts are stored.
async fn end_of_message(cx: &mut EomContext<Link>) -> Status {
    let queue_id = cx.macros.get(c"i").map(|id| id.to_bytes().to_vec()).unwrap_or_default();
    let Some(link) = cx.data.clone() else { return Status::Tempfail };
    let Some(message) = link.lock().session.end_of_message(&queue_id) else { return Status::Tempfail };
    let (gate, authserv_id, options) = {
        let connection = link.lock();
        (Arc::clone(connection.session.gate()), connection.session.authserv_id(), connection.options)
    };
    let inspection = {
        let inspected = message.inspect();
        tokio::pin!(inspected);
        loop {
            match tokio::time::timeout(gate.settings.wait.progress, &mut inspected).await {
                Ok(inspection) => break inspection,
                Err(_) => {
                    link.hear(); // it is we whom the MTA waits for
                    if reply::progress(&cx.actions).await.is_err() {
                        tracing::info!(queue.id = %String::from_utf8_lossy(&queue_id), "the MTA has gone while its message was inspected");
                        return Status::Tempfail;
                    }
                }
            }
        }
    };
    let blank = if options.contains(ProtoOpts::LEADING_SPACE) { " " } else { "" };
    let marks = Marks { tag: &gate.settings.tag.header, authserv_id: &authserv_id, blank };
    reply::give(cx, marks, &inspection).await
}
