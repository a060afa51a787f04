// SPDX-License-Identifier: GPL-3.0-or-later
//! A milter that reads everything and accepts everything: what the library alone costs, to compare ours with. It
//! negotiates what ours does, and sets TCP_NODELAY as ours does.

use anyhow::Context as _;
use clap::Parser;
use indymilter::{Actions, Callbacks, Config, EitherStream, Listener, ProtoOpts, Status};
use std::{
    io,
    task::{Context, Poll, ready},
};
use thundergate_milter::front::milter::Listen;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
};

const QUIET: ProtoOpts = ProtoOpts::NOREPLY_CONNECT
    .union(ProtoOpts::NOREPLY_HELO)
    .union(ProtoOpts::NOREPLY_MAIL)
    .union(ProtoOpts::NOREPLY_RCPT)
    .union(ProtoOpts::NOREPLY_HEADER)
    .union(ProtoOpts::NOREPLY_EOH);
const ACTIONS: Actions = Actions::ADD_HEADER.union(Actions::CHANGE_HEADER).union(Actions::QUARANTINE);
const OPTIONS: ProtoOpts = ProtoOpts::LEADING_SPACE.union(ProtoOpts::SKIP).union(ProtoOpts::NO_UNKNOWN);

/// Reads every message and accepts it.
#[derive(Parser)]
struct Arguments {
    /// Where to listen, in Postfix's spelling.
    #[arg(long, default_value = "inet:127.0.0.1:11337", value_parser = address)]
    listen: Listen,
    /// Answer every stage, as a milter does that negotiates nothing.
    #[arg(long)]
    replies: bool,
    /// Connections at the same time.
    #[arg(long, default_value_t = 20_000)]
    connections: usize,
}

fn address(text: &str) -> Result<Listen, String> {
    Listen::try_from(text.to_owned()).map_err(|error| error.to_string())
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Inet { host, port, .. } => TcpListener::bind((host.as_str(), *port)).await.map(Self::Tcp),
            Listen::Unix(path) => UnixListener::bind(path).map(Self::Unix),
        }
    }

    fn address(&self, listen: &Listen) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(format!("inet:{}", listener.local_addr()?)),
            Self::Unix(_) => Ok(listen.to_string()),
        }
    }
}

impl Listener for Socket {
    type Io = EitherStream<TcpStream, UnixStream>;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Io>> {
        Poll::Ready(match self {
            Self::Tcp(listener) => {
                let (stream, _) = ready!(TcpListener::poll_accept(listener, cx))?;
                stream.set_nodelay(true)?;
                Ok(EitherStream::Tcp(stream))
            }
            Self::Unix(listener) => {
                let (stream, _) = ready!(UnixListener::poll_accept(listener, cx))?;
                Ok(EitherStream::Unix(stream))
            }
        })
    }
}

fn callbacks(replies: bool) -> Callbacks<()> {
    let options = if replies { OPTIONS } else { OPTIONS.union(QUIET) };
    let quiet = if replies { Status::Continue } else { Status::Noreply };
    Callbacks::new()
        .on_negotiate(move |cx, actions, offered| {
            Box::pin(async move {
                cx.requested_actions = ACTIONS & actions;
                cx.requested_opts = options & offered;
                Status::Continue
            })
        })
        .on_connect(move |_, _, _| Box::pin(async move { quiet }))
        .on_helo(move |_, _| Box::pin(async move { quiet }))
        .on_mail(move |_, _| Box::pin(async move { quiet }))
        .on_rcpt(move |_, _| Box::pin(async move { quiet }))
        .on_data(|_| Box::pin(async { Status::Continue }))
        .on_header(move |_, _, _| Box::pin(async move { quiet }))
        .on_eoh(move |_| Box::pin(async move { quiet }))
        .on_body(|_, _| Box::pin(async { Status::Continue }))
        .on_eom(|_| Box::pin(async { Status::Accept }))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let socket = Socket::bind(&arguments.listen).await.context("cannot listen")?;
    let listen = [socket.address(&arguments.listen)?];
    println!("{}", serde_json::json!({ "event": "ready", "listen": listen }));
    let config = Config { max_connections: arguments.connections, ..Config::default() };
    let mut terminated = signal(SignalKind::terminate())?;
    let end = async move {
        tokio::select! {
            _ = terminated.recv() => (),
            _ = tokio::signal::ctrl_c() => (),
        }
    };
    indymilter::run(socket, callbacks(arguments.replies), config, end).await?;
    if let Listen::Unix(path) = &arguments.listen {
        std::fs::remove_file(path).ok();
    }
    Ok(())
}
