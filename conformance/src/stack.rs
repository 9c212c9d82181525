//! What an adapter offers, in calls that block.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use driver::{
    Address, BindError, Channel, ConnectError, Connection, Counters, Endpoint, Incoming, Options, Peer,
    Received, RequestError, Status, Undecided,
};
use proto_core::{
    ChannelOptions, Close, Closed, Drain, Fate, Message, MessageId, OpenError, RequestId, SendError,
    SessionId, Stats,
};

use crate::world::World;

/// Nothing that a case waits for takes nearly that long.
pub const WAIT: Duration = Duration::from_secs(30);

/// A request that waits for its answer.
pub type Asked = Box<dyn FnOnce() -> Result<Bytes, RequestError> + Send>;

/// Whether a connection has a link, or has none, as `wanted`; `None` while it may come to that. A connection that is over never does.
pub fn is_reached(status: Option<&Status>, wanted: bool) -> Option<bool> {
    match status {
        Some(Status::Established) => wanted.then_some(true),
        Some(Status::Suspended { .. }) => (!wanted).then_some(true),
        Some(Status::Closed(_)) | None => Some(false),
        Some(_) => None,
    }
}

/// An adapter, in calls that block. `None` where a call did not end in time.
pub trait Stack: 'static {
    /// What is around its endpoints.
    type World: World;
    /// A handle of an endpoint.
    type Endpoint: Clone + Send + Sync + 'static;
    /// A handle of a connection.
    type Connection: Clone + Send + Sync + 'static;
    /// A handle of a channel.
    type Channel: Clone + Send + Sync + 'static;
    /// What becomes of a message.
    type Receipt: Send + 'static;

    /// An endpoint that listens.
    fn listen(addresses: &[Address], options: Options) -> Result<Self::Endpoint, BindError>;
    /// An endpoint that only connects.
    fn client(options: Options) -> Self::Endpoint;
    /// Where it listens.
    fn addresses(endpoint: &Self::Endpoint) -> Vec<Address>;
    /// Connects.
    fn connect(
        endpoint: &Self::Endpoint,
        to: &[Address],
        wait: Duration,
    ) -> Option<Result<Self::Connection, ConnectError>>;
    /// Accepts.
    fn accept(endpoint: &Self::Endpoint, wait: Duration) -> Option<Option<Self::Connection>>;
    /// The next peer that wants to come in.
    fn undecided(endpoint: &Self::Endpoint, wait: Duration) -> Option<Option<Undecided>>;
    /// Goes away in good order.
    fn drain(endpoint: &Self::Endpoint, how: Drain);
    /// Closes everything.
    fn close_all(endpoint: &Self::Endpoint);
    /// Waits for the end of everything.
    fn wait_idle(endpoint: &Self::Endpoint, wait: Duration) -> Option<()>;
    /// Totals.
    fn stats(endpoint: &Self::Endpoint) -> Stats;
    /// What its handles did.
    fn counters(endpoint: &Self::Endpoint) -> Counters;
    /// What its streams did.
    fn link_stats(endpoint: &Self::Endpoint) -> driver::link::Stats;

    /// Sends.
    fn send(connection: &Self::Connection, message: Message, wait: Duration)
    -> Option<Result<(), SendError>>;
    /// Sends at once, or not.
    fn send_now(connection: &Self::Connection, message: Message) -> Result<(), SendError>;
    /// Waits for room.
    fn writable(connection: &Self::Connection, wait: Duration) -> Option<Result<(), SendError>>;
    /// Sends with a receipt.
    fn send_receipt(
        connection: &Self::Connection,
        message: Message,
        wait: Duration,
    ) -> Option<Result<Self::Receipt, SendError>>;
    /// The fate of a message.
    fn fate(receipt: &mut Self::Receipt, wait: Duration) -> Option<Fate>;
    /// Receives.
    fn recv(connection: &Self::Connection, wait: Duration) -> Option<Option<Received>>;
    /// Sends what is in a queue.
    fn send_all(
        connection: &Self::Connection,
        messages: &mut VecDeque<Message>,
        wait: Duration,
    ) -> Option<Result<(), SendError>>;
    /// Receives several.
    fn recv_many(connection: &Self::Connection, limit: usize, wait: Duration) -> Option<Vec<Received>>;
    /// What comes next.
    fn incoming(connection: &Self::Connection, wait: Duration) -> Option<Option<Incoming>>;
    /// Whether the connection has a link, or has none, in time, as `wanted`.
    fn is_linked(connection: &Self::Connection, wanted: bool, wait: Duration) -> bool;
    /// Which link it is.
    fn incarnation(connection: &Self::Connection) -> Option<u32>;
    /// What takes its place, established.
    fn next(connection: &Self::Connection, wait: Duration) -> Option<Option<Self::Connection>>;
    /// The receipt of a message that it took over.
    fn receipt(connection: &Self::Connection, message: MessageId) -> Option<Self::Receipt>;
    /// Begins to ask.
    fn ask(connection: &Self::Connection, message: Message, timeout: Duration) -> Asked;
    /// Whether a question is given up by whoever drops it.
    const GIVES_UP: bool;
    /// Waits until nobody waits for the answer any more.
    fn cancelled(connection: &Self::Connection, request: RequestId, wait: Duration) -> Option<()>;
    /// Answers.
    fn reply(connection: &Self::Connection, request: RequestId, payload: Bytes) -> Result<(), SendError>;
    /// Answers with an error.
    fn reply_error(
        connection: &Self::Connection,
        request: RequestId,
        code: u64,
        payload: Bytes,
    ) -> Result<(), SendError>;
    /// Opens a channel.
    fn open_channel(
        connection: &Self::Connection,
        options: &ChannelOptions,
    ) -> Result<Self::Channel, OpenError>;
    /// The next channel that the peer opened.
    fn accept_channel(connection: &Self::Connection, wait: Duration) -> Option<Option<Self::Channel>>;
    /// The name of a channel.
    fn channel_name(channel: &Self::Channel) -> Option<String>;
    /// Sends on a channel.
    fn channel_send(
        channel: &Self::Channel,
        message: Message,
        wait: Duration,
    ) -> Option<Result<(), SendError>>;
    /// Receives on a channel.
    fn channel_recv(channel: &Self::Channel, wait: Duration) -> Option<Option<Received>>;
    /// Closes.
    fn close(connection: &Self::Connection, close: Close);
    /// Waits for the end.
    fn closed(connection: &Self::Connection, wait: Duration) -> Option<Closed>;
    /// The peer.
    fn peer(connection: &Self::Connection) -> Peer;
    /// The session.
    fn session(connection: &Self::Connection) -> Option<SessionId>;
}

/// A runtime that can run the futures of `driver`'s handles.
pub trait Runs: 'static {
    /// What is around its endpoints.
    type World: World;

    /// Runs a future, at most for a while.
    fn within<T>(wait: Duration, future: impl Future<Output = T>) -> Option<T>;
    /// An endpoint that listens.
    fn listen(addresses: &[Address], options: Options) -> Result<Endpoint, BindError>;
    /// An endpoint that only connects.
    fn client(options: Options) -> Result<Endpoint, BindError>;
}

/// An async adapter.
#[derive(Debug)]
pub struct Async<R>(PhantomData<R>);

impl<R: Runs> Stack for Async<R> {
    type World = R::World;
    type Endpoint = Endpoint;
    type Connection = Connection;
    type Channel = Channel;
    type Receipt = Pin<Box<driver::Receipt>>;

    fn listen(addresses: &[Address], options: Options) -> Result<Endpoint, BindError> {
        R::listen(addresses, options)
    }

    fn client(options: Options) -> Endpoint {
        R::client(options).expect("a port is free")
    }

    fn addresses(endpoint: &Endpoint) -> Vec<Address> {
        endpoint.addresses().to_vec()
    }

    fn connect(
        endpoint: &Endpoint,
        to: &[Address],
        wait: Duration,
    ) -> Option<Result<Connection, ConnectError>> {
        R::within(wait, endpoint.connect_to(to))
    }

    fn accept(endpoint: &Endpoint, wait: Duration) -> Option<Option<Connection>> {
        R::within(wait, endpoint.accept())
    }

    fn undecided(endpoint: &Endpoint, wait: Duration) -> Option<Option<Undecided>> {
        R::within(wait, endpoint.undecided())
    }

    fn drain(endpoint: &Endpoint, how: Drain) {
        endpoint.drain(how);
    }

    fn close_all(endpoint: &Endpoint) {
        endpoint.close(&Close::default());
    }

    fn wait_idle(endpoint: &Endpoint, wait: Duration) -> Option<()> {
        R::within(wait, endpoint.wait_idle())
    }

    fn stats(endpoint: &Endpoint) -> Stats {
        endpoint.stats()
    }

    fn counters(endpoint: &Endpoint) -> Counters {
        endpoint.counters()
    }

    fn link_stats(endpoint: &Endpoint) -> driver::link::Stats {
        endpoint.link_stats()
    }

    fn send(connection: &Connection, message: Message, wait: Duration) -> Option<Result<(), SendError>> {
        R::within(wait, connection.send(message))
    }

    fn send_now(connection: &Connection, message: Message) -> Result<(), SendError> {
        connection.send_now(message)
    }

    fn writable(connection: &Connection, wait: Duration) -> Option<Result<(), SendError>> {
        R::within(wait, connection.writable())
    }

    fn send_receipt(
        connection: &Connection,
        message: Message,
        wait: Duration,
    ) -> Option<Result<Self::Receipt, SendError>> {
        R::within(wait, connection.send_receipt(message)).map(|sent| sent.map(Box::pin))
    }

    fn fate(receipt: &mut Self::Receipt, wait: Duration) -> Option<Fate> {
        R::within(wait, receipt)
    }

    fn recv(connection: &Connection, wait: Duration) -> Option<Option<Received>> {
        R::within(wait, connection.recv())
    }

    fn send_all(
        connection: &Connection,
        messages: &mut VecDeque<Message>,
        wait: Duration,
    ) -> Option<Result<(), SendError>> {
        R::within(wait, connection.send_all(messages))
    }

    fn recv_many(connection: &Connection, limit: usize, wait: Duration) -> Option<Vec<Received>> {
        R::within(wait, connection.recv_many(limit))
    }

    fn incoming(connection: &Connection, wait: Duration) -> Option<Option<Incoming>> {
        R::within(wait, connection.incoming())
    }

    fn is_linked(connection: &Connection, wanted: bool, wait: Duration) -> bool {
        let mut watch = connection.watch();
        let reached = async {
            loop {
                if let Some(is_linked) = is_reached(watch.changed().await.as_ref(), wanted) {
                    return is_linked;
                }
            }
        };
        R::within(wait, reached).unwrap_or(false)
    }

    fn incarnation(connection: &Connection) -> Option<u32> {
        connection.incarnation()
    }

    fn next(connection: &Connection, wait: Duration) -> Option<Option<Connection>> {
        let Some(next) = connection.next() else { return Some(None) };
        R::within(wait, next).map(Result::ok)
    }

    fn receipt(connection: &Connection, message: MessageId) -> Option<Self::Receipt> {
        connection.receipt(message).map(Box::pin)
    }

    fn ask(connection: &Connection, message: Message, timeout: Duration) -> Asked {
        let connection = connection.clone();
        let mut future = Box::pin(async move { connection.request(message, timeout).await });
        // It is sent by the first poll; the answer may take until somebody waits for it.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(answer) => Box::new(move || answer),
            std::task::Poll::Pending => Box::new(move || R::within(WAIT, future).expect("the request hangs")),
        }
    }

    const GIVES_UP: bool = true;

    fn cancelled(connection: &Connection, request: RequestId, wait: Duration) -> Option<()> {
        R::within(wait, connection.cancelled(request))
    }

    fn reply(connection: &Connection, request: RequestId, payload: Bytes) -> Result<(), SendError> {
        R::within(WAIT, connection.reply(request, payload)).expect("the reply hangs")
    }

    fn reply_error(
        connection: &Connection,
        request: RequestId,
        code: u64,
        payload: Bytes,
    ) -> Result<(), SendError> {
        R::within(WAIT, connection.reply_error(request, code, payload)).expect("the reply hangs")
    }

    fn open_channel(connection: &Connection, options: &ChannelOptions) -> Result<Channel, OpenError> {
        connection.open_channel(options)
    }

    fn accept_channel(connection: &Connection, wait: Duration) -> Option<Option<Channel>> {
        R::within(wait, connection.accept_channel())
    }

    fn channel_name(channel: &Channel) -> Option<String> {
        channel.name()
    }

    fn channel_send(channel: &Channel, message: Message, wait: Duration) -> Option<Result<(), SendError>> {
        R::within(wait, channel.send(message))
    }

    fn channel_recv(channel: &Channel, wait: Duration) -> Option<Option<Received>> {
        R::within(wait, channel.recv())
    }

    fn close(connection: &Connection, close: Close) {
        connection.close(close);
    }

    fn closed(connection: &Connection, wait: Duration) -> Option<Closed> {
        R::within(wait, connection.closed())
    }

    fn peer(connection: &Connection) -> Peer {
        connection.peer()
    }

    fn session(connection: &Connection) -> Option<SessionId> {
        connection.session()
    }
}
