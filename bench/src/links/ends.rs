//! Connections of those stacks that run on tokio, under one interface.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use adapter_tokio::{
    Address, Class, Close, ConfigBuilder, Message as BowlineMessage, Options, Policy, Scheme,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::stack::Stack;
use crate::pair::{Protection, quinn_configs, quinn_transport, wide_windows};

/// What the others gather before they write.
const GATHERED: usize = 60 * 1024;
/// Bowline's messages that are sent in one call, and received in one at most.
const TOGETHER: usize = 256;

/// One end of a connection.
pub(super) enum End {
    Bowline(Box<BowlineEnd>),
    Codec(Box<Framed<TcpStream, LengthDelimitedCodec>>),
    WebSocket(Box<WebSocketStream<TcpStream>>),
    Quinn(Box<QuinnEnd>),
}

/// What is sent together, and what came together.
pub(super) struct BowlineEnd {
    pub(super) conn: adapter_tokio::Connection,
    endpoint: adapter_tokio::Endpoint,
    gathered: VecDeque<BowlineMessage>,
    arrived: VecDeque<Bytes>,
}

/// A stream of messages with a length before each.
pub(super) struct QuinnEnd {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    conn: quinn::Connection,
    _endpoint: quinn::Endpoint,
    gathered: BytesMut,
    arrived: BytesMut,
}

/// Who takes connections.
pub(super) enum Listener {
    Bowline(adapter_tokio::Endpoint),
    Codec(TcpListener),
    WebSocket(TcpListener),
    Quinn(quinn::Endpoint),
}

/// Who makes them: many from one socket, where the stack can.
pub(super) enum Dialer {
    Bowline(adapter_tokio::Endpoint),
    Codec,
    WebSocket,
    Quinn(quinn::Endpoint, quinn::ClientConfig),
}

fn config() -> Options {
    let builder = ConfigBuilder {
        max_connections: 20_000,
        max_pending: 2000,
        // A sender of unreliable messages waits for room instead of dropping them.
        policy: Some(Policy::FailFast),
        ..adapter_tokio::config(wide_windows())
    };
    builder.into()
}

fn scheme(stack: Stack) -> Scheme {
    match stack {
        Stack::BowlineTcp => Scheme::Tcp,
        Stack::BowlineUds => Scheme::Uds,
        Stack::BowlineWs => Scheme::Ws,
        _ => Scheme::Udp,
    }
}

fn quinn_endpoint(is_server: bool) -> (quinn::Endpoint, quinn::ClientConfig) {
    let (endpoint, mut server, mut client) = quinn_configs(Protection::None);
    let mut transport = quinn_transport();
    // With 10,000 connections the first ones wait for longer than its 30 s.
    transport.max_idle_timeout(Some(quinn::VarInt::from_u32(120_000).into()));
    let transport = Arc::new(transport);
    server.transport_config(Arc::clone(&transport));
    client.transport_config(transport);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint = quinn::Endpoint::new(endpoint, is_server.then_some(server), socket, runtime);
    (endpoint.expect("an endpoint"), client)
}

fn bowline(conn: adapter_tokio::Connection, endpoint: &adapter_tokio::Endpoint) -> End {
    let (gathered, arrived) = (VecDeque::new(), VecDeque::new());
    End::Bowline(Box::new(BowlineEnd { conn, endpoint: endpoint.clone(), gathered, arrived }))
}

async fn web_socket(stream: TcpStream, is_client: bool) -> End {
    let config = WebSocketConfig::default().write_buffer_size(GATHERED);
    let socket = if is_client {
        let shaken = tokio_tungstenite::client_async_with_config("ws://localhost/", stream, Some(config));
        shaken.await.expect("a handshake").0
    } else {
        tokio_tungstenite::accept_async_with_config(stream, Some(config)).await.expect("a handshake")
    };
    End::WebSocket(Box::new(socket))
}

fn codec(stream: TcpStream) -> End {
    stream.set_nodelay(true).expect("an option");
    let mut framed =
        Framed::new(stream, LengthDelimitedCodec::builder().max_frame_length(1 << 20).new_codec());
    framed.set_backpressure_boundary(GATHERED);
    End::Codec(Box::new(framed))
}

impl Listener {
    /// A listener, and where it listens.
    pub(super) async fn bind(stack: Stack) -> (Self, String) {
        let tcp = || async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("it is bound").to_string();
            (listener, address)
        };
        match stack {
            Stack::Codec => {
                let (listener, address) = tcp().await;
                (Self::Codec(listener), address)
            }
            Stack::Tungstenite => {
                let (listener, address) = tcp().await;
                (Self::WebSocket(listener), address)
            }
            Stack::Quinn => {
                let (endpoint, _) = quinn_endpoint(true);
                let address = endpoint.local_addr().expect("it is bound").to_string();
                (Self::Quinn(endpoint), address)
            }
            _ => {
                let address = match scheme(stack) {
                    Scheme::Uds => format!("uds:///tmp/bench-{}.sock", std::process::id()),
                    scheme => format!("{scheme}://127.0.0.1:0"),
                };
                let address: Address = address.parse().expect("an address");
                let endpoint = adapter_tokio::Endpoint::listen(&[address], config()).expect("a listener");
                let address = endpoint.addresses()[0].to_string();
                (Self::Bowline(endpoint), address)
            }
        }
    }

    pub(super) async fn accept(&self) -> End {
        match self {
            Self::Bowline(endpoint) => bowline(endpoint.accept().await.expect("a client"), endpoint),
            Self::Codec(listener) => codec(listener.accept().await.expect("a client").0),
            Self::WebSocket(listener) => {
                let (stream, _) = listener.accept().await.expect("a client");
                stream.set_nodelay(true).expect("an option");
                web_socket(stream, false).await
            }
            Self::Quinn(endpoint) => {
                let conn = endpoint.accept().await.expect("a client").await.expect("a connection");
                let (send, recv) = conn.accept_bi().await.expect("a stream");
                let mut end = QuinnEnd::new(send, recv, conn, endpoint.clone());
                // A stream is there from its first message on, which says nothing else.
                end.recv().await.expect("a message");
                End::Quinn(Box::new(end))
            }
        }
    }
}

impl Dialer {
    pub(super) fn new(stack: Stack) -> Self {
        match stack {
            Stack::Codec => Self::Codec,
            Stack::Tungstenite => Self::WebSocket,
            Stack::Quinn => {
                let (endpoint, config) = quinn_endpoint(false);
                Self::Quinn(endpoint, config)
            }
            _ => Self::Bowline(adapter_tokio::Endpoint::client(config()).expect("a socket")),
        }
    }

    pub(super) async fn connect(&self, address: &str) -> End {
        match self {
            Self::Bowline(endpoint) => {
                let address: Address = address.parse().expect("an address");
                let conn = endpoint.connect_to(&[address]).await.expect("a connection");
                bowline(conn, endpoint)
            }
            Self::Codec => codec(TcpStream::connect(address).await.expect("a server")),
            Self::WebSocket => {
                let stream = TcpStream::connect(address).await.expect("a server");
                stream.set_nodelay(true).expect("an option");
                web_socket(stream, true).await
            }
            Self::Quinn(endpoint, config) => {
                let address: SocketAddr = address.parse().expect("an address");
                let dialed =
                    endpoint.connect_with(config.clone(), address, "bench").expect("a configuration");
                let conn = dialed.await.expect("a connection");
                let (send, recv) = conn.open_bi().await.expect("a stream");
                let mut end = QuinnEnd::new(send, recv, conn, endpoint.clone());
                end.feed(b"here").await;
                end.flush().await;
                End::Quinn(Box::new(end))
            }
        }
    }
}

impl BowlineEnd {
    async fn feed(&mut self, message: BowlineMessage) {
        self.gathered.push_back(message);
        if self.gathered.len() >= TOGETHER {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        self.conn.send_all(&mut self.gathered).await.expect("a connection");
    }

    async fn recv(&mut self) -> Option<Bytes> {
        if self.arrived.is_empty() {
            let received = self.conn.recv_many(TOGETHER).await;
            self.arrived.extend(received.into_iter().map(|received| received.payload));
        }
        self.arrived.pop_front()
    }
}

impl QuinnEnd {
    fn new(
        send: quinn::SendStream,
        recv: quinn::RecvStream,
        conn: quinn::Connection,
        endpoint: quinn::Endpoint,
    ) -> Self {
        let (gathered, arrived) = (BytesMut::new(), BytesMut::new());
        Self { send, recv, conn, _endpoint: endpoint, gathered, arrived }
    }

    async fn feed(&mut self, message: &[u8]) {
        self.gathered.put_u32(message.len() as u32);
        self.gathered.put_slice(message);
        if self.gathered.len() >= GATHERED {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        let gathered = self.gathered.split().freeze();
        self.send.write_chunk(gathered).await.expect("a stream");
    }

    async fn recv(&mut self) -> Option<Bytes> {
        loop {
            if let Some(head) = self.arrived.first_chunk() {
                let len = u32::from_be_bytes(*head) as usize;
                if self.arrived.len() >= 4 + len {
                    self.arrived.advance(4);
                    return Some(self.arrived.split_to(len).freeze());
                }
            }
            let chunk = self.recv.read_chunk(GATHERED, true).await.ok()??;
            self.arrived.extend_from_slice(&chunk.bytes);
        }
    }
}

impl End {
    /// Sends a message, or puts it to others that wait to be written.
    pub(super) async fn feed(&mut self, message: Bytes) {
        match self {
            Self::Bowline(end) => end.feed(BowlineMessage::new(message)).await,
            Self::Codec(framed) => framed.feed(message).await.expect("a stream"),
            Self::WebSocket(socket) => socket.feed(Message::Binary(message)).await.expect("a stream"),
            Self::Quinn(end) => end.feed(&message).await,
        }
    }

    /// Sends one that may be lost.
    pub(super) async fn feed_unreliable(&mut self, message: Bytes) {
        match self {
            Self::Bowline(end) => end.feed(BowlineMessage::new(message).class(Class::Unreliable)).await,
            Self::Quinn(end) => end.conn.send_datagram_wait(message).await.expect("a connection"),
            Self::Codec(_) | Self::WebSocket(_) => unreachable!("they lose nothing"),
        }
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self) {
        match self {
            Self::Bowline(end) => end.flush().await,
            Self::Codec(framed) => SinkExt::<Bytes>::flush(framed).await.expect("a stream"),
            Self::WebSocket(socket) => socket.flush().await.expect("a stream"),
            Self::Quinn(end) => end.flush().await,
        }
    }

    pub(super) async fn recv(&mut self) -> Option<Bytes> {
        match self {
            Self::Bowline(end) => end.recv().await,
            Self::Codec(framed) => framed.next().await?.ok().map(BytesMut::freeze),
            Self::WebSocket(socket) => match socket.next().await?.ok()? {
                Message::Binary(message) => Some(message),
                _ => None,
            },
            Self::Quinn(end) => end.recv().await,
        }
    }

    pub(super) async fn recv_unreliable(&mut self) -> Option<Bytes> {
        match self {
            Self::Quinn(end) => end.conn.read_datagram().await.ok(),
            other => other.recv().await,
        }
    }

    /// Gives back the room for what is sent together and came together, which is not the connection's.
    pub(super) fn rest(&mut self) {
        match self {
            Self::Bowline(end) => (end.gathered, end.arrived) = Default::default(),
            Self::Quinn(end) => (end.gathered, end.arrived) = Default::default(),
            Self::Codec(_) | Self::WebSocket(_) => {}
        }
    }

    /// Everything arrives, and then it is over.
    pub(super) async fn finish(&mut self) {
        self.flush().await;
        match self {
            Self::Bowline(end) => {
                end.conn.close(Close::default());
                end.conn.closed().await;
                end.endpoint.wait_idle().await;
            }
            Self::Codec(framed) => SinkExt::<Bytes>::close(framed).await.expect("a stream"),
            Self::WebSocket(socket) => SinkExt::close(&mut **socket).await.expect("a stream"),
            Self::Quinn(end) => {
                end.send.finish().expect("a stream");
                let _ = end.send.stopped().await;
                end.conn.close(0_u8.into(), &[]);
            }
        }
    }
}
