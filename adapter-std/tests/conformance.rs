//! What every adapter passes.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use adapter_std::{
    Address, BindError, Channel, ChannelOptions, Close, Closed, ConnectError, Connection, Counters, Drain,
    Endpoint, Error, Fate, Incoming, Message, MessageId, Peer, Receipt, Received, RequestId, SendError,
    Stats, TimedOut, Undecided,
};
use bytes::Bytes;
use conformance::os::Os;
use conformance::{Asked, Stack, WAIT, is_reached, suite};
use proto_core::{OpenError, SessionId};

struct Threads;

fn in_time<T, E>(result: Result<T, Error<E>>) -> Option<Result<T, E>> {
    match result {
        Ok(done) => Some(Ok(done)),
        Err(Error::TimedOut) => None,
        Err(Error::Failed(error)) => Some(Err(error)),
    }
}

fn done<T>(result: Result<T, TimedOut>) -> Option<T> {
    result.ok()
}

fn options(options: driver::Options) -> adapter_std::Options {
    let mut own = adapter_std::Options::from(options.config);
    own.links = options.links;
    own.plain_streams = options.plain_streams;
    own.shards = options.shards;
    own.record = options.record;
    own
}

impl Stack for Threads {
    type World = Os;
    type Endpoint = Endpoint;
    type Connection = Connection;
    type Channel = Channel;
    type Receipt = Receipt;

    fn listen(addresses: &[Address], set: driver::Options) -> Result<Endpoint, BindError> {
        Endpoint::listen(addresses, options(set))
    }

    fn client(set: driver::Options) -> Endpoint {
        Endpoint::client(options(set)).expect("a port is free")
    }

    fn addresses(endpoint: &Endpoint) -> Vec<Address> {
        endpoint.addresses().to_vec()
    }

    fn connect(
        endpoint: &Endpoint,
        to: &[Address],
        wait: Duration,
    ) -> Option<Result<Connection, ConnectError>> {
        in_time(endpoint.connect_to(to, wait))
    }

    fn accept(endpoint: &Endpoint, wait: Duration) -> Option<Option<Connection>> {
        done(endpoint.accept(wait))
    }

    fn close_all(endpoint: &Endpoint) {
        endpoint.close(&Close::default());
    }

    fn undecided(endpoint: &Endpoint, wait: Duration) -> Option<Option<Undecided>> {
        done(endpoint.undecided(wait))
    }

    fn drain(endpoint: &Endpoint, how: Drain) {
        endpoint.drain(how);
    }

    fn wait_idle(endpoint: &Endpoint, wait: Duration) -> Option<()> {
        done(endpoint.wait_idle(wait))
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
        in_time(connection.send(message, wait))
    }

    fn send_now(connection: &Connection, message: Message) -> Result<(), SendError> {
        connection.send_now(message)
    }

    fn writable(connection: &Connection, wait: Duration) -> Option<Result<(), SendError>> {
        in_time(connection.writable(wait))
    }

    fn send_receipt(
        connection: &Connection,
        message: Message,
        wait: Duration,
    ) -> Option<Result<Receipt, SendError>> {
        in_time(connection.send_receipt(message, wait))
    }

    fn fate(receipt: &mut Receipt, wait: Duration) -> Option<Fate> {
        done(receipt.wait(wait))
    }

    fn recv(connection: &Connection, wait: Duration) -> Option<Option<Received>> {
        done(connection.recv(wait))
    }

    fn send_all(
        connection: &Connection,
        messages: &mut VecDeque<Message>,
        wait: Duration,
    ) -> Option<Result<(), SendError>> {
        in_time(connection.send_all(messages, wait))
    }

    fn recv_many(connection: &Connection, limit: usize, wait: Duration) -> Option<Vec<Received>> {
        done(connection.recv_many(limit, wait))
    }

    fn incoming(connection: &Connection, wait: Duration) -> Option<Option<Incoming>> {
        done(connection.incoming(wait))
    }

    fn is_linked(connection: &Connection, wanted: bool, wait: Duration) -> bool {
        let mut watch = connection.watch();
        let told = std::iter::from_fn(|| watch.changed(wait).ok());
        told.take(1000).find_map(|status| is_reached(status.as_ref(), wanted)).unwrap_or(false)
    }

    fn incarnation(connection: &Connection) -> Option<u32> {
        connection.incarnation()
    }

    fn next(connection: &Connection, wait: Duration) -> Option<Option<Connection>> {
        let Some(next) = connection.next() else { return Some(None) };
        in_time(next.wait(wait)).map(Result::ok)
    }

    fn receipt(connection: &Connection, message: MessageId) -> Option<Receipt> {
        connection.receipt(message)
    }

    fn ask(connection: &Connection, message: Message, timeout: Duration) -> Asked {
        let connection = connection.clone();
        let asks = thread::spawn(move || connection.request(message, timeout));
        Box::new(move || asks.join().expect("it does not panic"))
    }

    /// It is asked by a call.
    const GIVES_UP: bool = false;

    fn cancelled(connection: &Connection, request: RequestId, wait: Duration) -> Option<()> {
        done(connection.cancelled(request, wait))
    }

    fn reply(connection: &Connection, request: RequestId, payload: Bytes) -> Result<(), SendError> {
        in_time(connection.reply(request, payload, WAIT)).expect("the reply hangs")
    }

    fn reply_error(
        connection: &Connection,
        request: RequestId,
        code: u64,
        payload: Bytes,
    ) -> Result<(), SendError> {
        in_time(connection.reply_error(request, code, payload, WAIT)).expect("the reply hangs")
    }

    fn open_channel(connection: &Connection, options: &ChannelOptions) -> Result<Channel, OpenError> {
        connection.open_channel(options)
    }

    fn accept_channel(connection: &Connection, wait: Duration) -> Option<Option<Channel>> {
        done(connection.accept_channel(wait))
    }

    fn channel_name(channel: &Channel) -> Option<String> {
        channel.name()
    }

    fn channel_send(channel: &Channel, message: Message, wait: Duration) -> Option<Result<(), SendError>> {
        in_time(channel.send(message, wait))
    }

    fn channel_recv(channel: &Channel, wait: Duration) -> Option<Option<Received>> {
        done(channel.recv(wait))
    }

    fn close(connection: &Connection, close: Close) {
        connection.close(close);
    }

    fn closed(connection: &Connection, wait: Duration) -> Option<Closed> {
        done(connection.closed(wait))
    }

    fn peer(connection: &Connection) -> Peer {
        connection.peer()
    }

    fn session(connection: &Connection) -> Option<SessionId> {
        connection.session()
    }
}

suite!(Threads; udp Udp, tcp Tcp streams, tls Tls streams encrypted, ws Ws streams web, wss Wss streams encrypted);
#[cfg(unix)]
suite!(Threads; uds Uds streams);
