//! quinn-proto: two endpoints, one stream each way with a length before each message, or datagrams.

pub(crate) mod crypto;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event,
    ServerConfig, StreamEvent, StreamId, TransportConfig, VarInt,
};

use self::crypto::{NoKey, Protection};
use super::{Class, MTU, Pair};
use crate::messages::Check;

/// Datagrams that one `poll_transmit` may build, as the driver of quinn asks for.
const BATCH: usize = 10;
/// More than any batch of messages.
const WINDOW: u32 = 64 << 20;

/// Two endpoints.
pub(crate) struct Quinn {
    now: Instant,
    client: End,
    server: End,
    packets: Vec<u8>,
}

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    conn: Option<(ConnectionHandle, Connection)>,
    stream: Option<StreamId>,
    is_connected: bool,
    /// Messages that wait for room in the stream, with their lengths before them.
    buf: Vec<u8>,
    frames: Frames,
}

/// Finds the messages in a stream: lengths of 4 bytes, each before its message.
#[derive(Default)]
struct Frames {
    head: Vec<u8>,
    rest: usize,
}

impl Frames {
    fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8], bool)) {
        while !bytes.is_empty() {
            if self.rest == 0 {
                if self.head.is_empty()
                    && let Some((head, tail)) = bytes.split_first_chunk()
                {
                    self.rest = u32::from_be_bytes(*head) as usize;
                    bytes = tail;
                    continue;
                }
                let (head, tail) = bytes.split_at(bytes.len().min(4 - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = tail;
                if let Ok(head) = <[u8; 4]>::try_from(&self.head[..]) {
                    self.rest = u32::from_be_bytes(head) as usize;
                    self.head.clear();
                }
                continue;
            }
            let (part, tail) = bytes.split_at(bytes.len().min(self.rest));
            self.rest -= part.len();
            each(part, self.rest == 0);
            bytes = tail;
        }
    }
}

/// The same for both ends, and for W8.
pub(crate) fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .mtu_discovery_config(None)
        .initial_mtu(MTU)
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into())
        .datagram_send_buffer_size(WINDOW as usize)
        .datagram_receive_buffer_size(Some(WINDOW as usize));
    transport
}

/// Configurations of an endpoint, its servers and its clients.
pub(crate) fn configs(protection: Protection) -> (EndpointConfig, ServerConfig, ClientConfig) {
    let transport = Arc::new(transport());
    let mut server = ServerConfig::new(Arc::new(protection), Arc::new(NoKey));
    server.transport_config(Arc::clone(&transport));
    let mut client = ClientConfig::new(Arc::new(protection));
    client.transport_config(transport);
    (EndpointConfig::new(Arc::new(NoKey)), server, client)
}

impl Quinn {
    pub(crate) fn new(protection: Protection) -> Self {
        let now = Instant::now();
        let (endpoint, server, client) = configs(protection);
        let (endpoint, server) = (Arc::new(endpoint), Arc::new(server));
        let end = |is_server: bool| End {
            endpoint: Endpoint::new(
                Arc::clone(&endpoint),
                is_server.then(|| Arc::clone(&server)),
                false,
                Some([u8::from(is_server); 32]),
            ),
            address: SocketAddr::from(([127, 0, 0, 1], 1 + u16::from(is_server))),
            conn: None,
            stream: None,
            is_connected: false,
            buf: Vec::new(),
            frames: Frames::default(),
        };
        let mut pair = Self { now, client: end(false), server: end(true), packets: Vec::new() };
        let dialed = pair.client.endpoint.connect(now, client, pair.server.address, "bench");
        pair.client.conn = Some(dialed.expect("a sound configuration"));
        while !pair.client.is_connected {
            pair.exchange();
        }
        let conn = pair.client.conn();
        pair.client.stream = conn.streams().open(Dir::Bi);
        pair
    }
}

impl End {
    fn conn(&mut self) -> &mut Connection {
        &mut self.conn.as_mut().expect("it was made").1
    }

    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: BytesMut) {
        let mut answer = Vec::new();
        match self.endpoint.handle(now, from, None, None, datagram, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => self.conn().handle_event(event),
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                self.conn = Some(accepted.expect("a sound client"));
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
    }

    /// Sends all that there is to `other`; whether there was anything.
    fn transmit(&mut self, now: Instant, packets: &mut Vec<u8>, other: &mut Self) -> bool {
        let mut moved = false;
        let Some((handle, conn)) = &mut self.conn else { return false };
        while let Some(event) = conn.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                conn.handle_event(event);
            }
        }
        while let Some(transmit) = conn.poll_transmit(now, BATCH, packets) {
            let mut batch = BytesMut::from(&packets[..transmit.size]);
            let segment = transmit.segment_size.unwrap_or(transmit.size);
            while !batch.is_empty() {
                let datagram = batch.split_to(segment.min(batch.len()));
                other.handle(now, self.address, datagram);
            }
            packets.clear();
            moved = true;
        }
        moved
    }

    fn poll_events(&mut self) {
        let Some((_, conn)) = &mut self.conn else { return };
        while let Some(event) = conn.poll() {
            match event {
                Event::Connected => self.is_connected = true,
                Event::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                    self.stream = conn.streams().accept(Dir::Bi);
                }
                Event::ConnectionLost { reason } => panic!("the connection was lost: {reason}"),
                _ => {}
            }
        }
    }

    fn send(&mut self, message: &[u8]) {
        self.buf.extend_from_slice(&(message.len() as u32).to_be_bytes());
        self.buf.extend_from_slice(message);
    }

    /// Gives the stream what waits. Messages are written together: one by one, quinn's search for segments takes longer.
    fn write(&mut self) {
        let Some(stream) = self.stream.filter(|_| !self.buf.is_empty()) else { return };
        let Some((_, conn)) = &mut self.conn else { return };
        let written = conn.send_stream(stream).write(&self.buf).expect("the window is large");
        assert_eq!(written, self.buf.len(), "the window is large");
        self.buf.clear();
    }

    fn read(&mut self, mut each: impl FnMut(&mut Frames, &[u8])) {
        let (Some((_, conn)), Some(stream)) = (&mut self.conn, self.stream) else { return };
        let mut stream = conn.recv_stream(stream);
        let Ok(mut chunks) = stream.read(true) else { return };
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            each(&mut self.frames, &chunk.bytes);
        }
        let _ = chunks.finalize();
    }

    fn receive(&mut self, check: &mut Check<'_>) {
        while let Some(datagram) = self.conn().datagrams().recv() {
            check.part(&datagram, true);
        }
        self.read(|frames, bytes| frames.push(bytes, |part, last| check.part(part, last)));
    }
}

impl Pair for Quinn {
    fn send(&mut self, class: Class, message: &Bytes) -> bool {
        match class {
            Class::Reliable => self.client.send(message),
            Class::Unreliable => {
                self.client.conn().datagrams().send(message.clone(), false).expect("room for a datagram");
            }
        }
        true
    }

    fn exchange(&mut self) {
        let Self { now, client, server, packets } = self;
        client.write();
        server.write();
        while client.transmit(*now, packets, server) | server.transmit(*now, packets, client) {}
        client.poll_events();
        server.poll_events();
        *now += Duration::from_millis(1);
        for end in [client, server] {
            if let Some((_, conn)) = &mut end.conn
                && conn.poll_timeout().is_some_and(|at| at <= *now)
            {
                conn.handle_timeout(*now);
            }
        }
    }

    fn receive(&mut self, check: &mut Check<'_>) {
        self.server.receive(check);
    }

    fn answer(&mut self) {
        let mut answers = std::mem::take(&mut self.server.buf);
        self.server.read(|_, bytes| answers.extend_from_slice(bytes));
        self.server.buf = answers;
    }

    fn receive_answers(&mut self, check: &mut Check<'_>) {
        self.client.receive(check);
    }
}
