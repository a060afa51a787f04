// SPDX-License-Identifier: GPL-3.0-or-later
//! A TCP proxy for one link between two parties, so that the link can fail while both live.
//!
//! It listens on a port of its own and connects every client to its target. [`Mode`] says what passes; it holds for
//! connections that are open, too. TCP hides lost packets from programs: what they see of loss is a connection that
//! stalls or breaks, so that is what the proxy does. An [`Observer`] may read along.

use std::{
    io::Result,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What is read at once; with [`Mode::Latency`] also what passes within one delay.
const CHUNK: usize = 64 << 10;
/// What [`Mode::Trickle`] lets through in each of its pauses.
const DROPLET: usize = 1 << 10;
const DROPLET_PAUSE: Duration = Duration::from_millis(5);

/// What a link does with bytes and connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    #[default]
    Pass,
    /// Nothing passes, nothing breaks: a partition. New connections are accepted and lead nowhere until it ends.
    Stall,
    /// Nobody listens, and open connections were reset.
    Refuse,
    /// Everything passes so much later, in each direction.
    Latency(Duration),
    /// A kilobyte passes every five milliseconds, in each direction.
    Trickle,
}

/// Reads what passes over a link.
pub trait Observer: Send + Sync + 'static {
    /// A client has connected.
    fn opened(&self) -> Box<dyn Conversation>;
}

/// One connection as an [`Observer`] sees it; dropped at its end.
pub trait Conversation: Send {
    /// The client sent this.
    fn sent(&mut self, bytes: &[u8]);
    /// The client was given this.
    fn answered(&mut self, bytes: &[u8]);
}

/// A link. Dropping it closes everything.
pub struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    _running: JoinSet<()>,
}

/// The mode, and how often all connections were reset.
#[derive(Clone, Copy, Default)]
struct Control {
    mode: Mode,
    resets: u64,
}

type Shared = Option<Arc<Mutex<Box<dyn Conversation>>>>;

impl Proxy {
    /// A link to `target`, on a free port of 127.0.0.1.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        Self::start_with(target, None).await
    }

    /// The same with somebody who reads along.
    pub async fn start_with(target: SocketAddr, observer: Option<Arc<dyn Observer>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let control = watch::Sender::new(Control::default());
        let mut running = JoinSet::new();
        running.spawn(serve(listener, target, observer, control.subscribe()));
        Ok(Self { address, control, _running: running })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.control.send_modify(|control| {
            control.mode = mode;
            control.resets += u64::from(mode == Mode::Refuse);
        });
    }

    /// Breaks every open connection, with a reset on both sides.
    pub fn reset(&self) {
        self.control.send_modify(|control| control.resets += 1);
    }
}

async fn serve(
    mut listener: TcpListener,
    target: SocketAddr,
    observer: Option<Arc<dyn Observer>>,
    mut control: watch::Receiver<Control>,
) {
    let Ok(address) = listener.local_addr() else { return };
    let mut links = JoinSet::new();
    loop {
        let linking = |client| {
            let conversation = observer.as_ref().map(|observer| Arc::new(Mutex::new(observer.opened())));
            links.spawn(link(client, target, conversation, control.clone()));
        };
        tokio::select! {
            () = accept(&listener, linking) => (),
            () = reached(control.clone(), |control| control.mode == Mode::Refuse) => (),
        }
        while links.try_join_next().is_some() {}
        drop(listener);
        if control.wait_for(|control| control.mode != Mode::Refuse).await.is_err() {
            return;
        }
        // The port is ours: nobody else was given it in the meantime, short of bad luck.
        listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, %address, "a proxy cannot listen again");
                return;
            }
        };
    }
}

async fn accept(listener: &TcpListener, mut linking: impl FnMut(TcpStream)) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            linking(client);
        }
    }
}

/// Comes back when `wanted` holds, or at the proxy's end.
async fn reached(mut control: watch::Receiver<Control>, wanted: impl FnMut(&Control) -> bool) {
    control.wait_for(wanted).await.ok();
}

async fn link(
    mut client: TcpStream,
    target: SocketAddr,
    conversation: Shared,
    mut control: watch::Receiver<Control>,
) {
    let resets = control.borrow().resets;
    let reset = reached(control.clone(), move |control| control.resets != resets);
    tokio::pin!(reset);
    let connect = async {
        control.wait_for(|control| control.mode != Mode::Stall).await.ok()?;
        TcpStream::connect(target).await.ok()
    };
    let server = tokio::select! {
        server = connect => server,
        () = &mut reset => None,
    };
    let Some(mut server) = server else {
        client.set_zero_linger().ok();
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok();
    }
    let in_peace = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let sent = told(&conversation, |conversation, bytes| conversation.sent(bytes));
        let answered = told(&conversation, |conversation, bytes| conversation.answered(bytes));
        let both = async {
            tokio::join!(
                pump(from_client, to_server, control.clone(), sent),
                pump(from_server, to_client, control.clone(), answered),
            )
        };
        tokio::select! {
            _ = both => true,
            () = &mut reset => false,
        }
    };
    if !in_peace {
        client.set_zero_linger().ok();
        server.set_zero_linger().ok();
    }
}

fn told(conversation: &Shared, tell: impl Fn(&mut dyn Conversation, &[u8])) -> impl Fn(&[u8]) {
    move |bytes| {
        if let Some(conversation) = conversation {
            tell(&mut **conversation.lock().unwrap_or_else(PoisonError::into_inner), bytes);
        }
    }
}

/// One direction, until its end or an error on either side. An error ends the other direction, too, by its own reads.
/// The observer is told before the receiver: what follows from bytes never comes before them.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut control: watch::Receiver<Control>,
    tell: impl Fn(&[u8]),
) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let passing = next(rest, &mut control).await;
            tell(&rest[..passing]);
            if passing == 0 || to.write_all(&rest[..passing]).await.is_err() {
                return;
            }
            rest = &rest[passing..];
        }
    }
    to.shutdown().await.ok();
}

/// Waits as the mode demands; how many bytes may pass then, none at the proxy's end.
async fn next(bytes: &[u8], control: &mut watch::Receiver<Control>) -> usize {
    let mode = control.borrow().mode;
    let passing = match mode {
        Mode::Trickle => {
            tokio::time::sleep(DROPLET_PAUSE).await;
            bytes.len().min(DROPLET)
        }
        Mode::Latency(delay) => {
            tokio::time::sleep(delay).await;
            bytes.len()
        }
        Mode::Pass | Mode::Stall | Mode::Refuse => bytes.len(),
    };
    // Bytes that were on their way when a partition began do not arrive.
    match control.wait_for(|control| control.mode != Mode::Stall).await {
        Ok(_) => passing,
        Err(_) => 0,
    }
}
