//! A client and a server of each kind, on sockets of their own.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use adapter_tokio::Message;
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::SIZE;
use crate::pair::{MTU, Protection, quinn_configs, quinn_transport, wide_windows};

/// A connected client: messages go in.
#[expect(dead_code, reason = "connections and endpoints are held so that they live")]
pub(super) enum Sender {
    Bowline(adapter_tokio::Connection, adapter_tokio::Endpoint),
    Kcp(Rc<KcpEnd>),
    Quinn(quinn::SendStream, quinn::Connection, quinn::Endpoint),
}

/// A server: messages come out, in order.
#[expect(dead_code, reason = "connections and endpoints are held so that they live")]
pub(super) enum Receiver {
    Bowline(adapter_tokio::Connection, adapter_tokio::Endpoint),
    Kcp(Rc<KcpEnd>),
    Quinn(quinn::RecvStream, quinn::Connection, quinn::Endpoint),
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bowline,
    Kcp,
    QuinnCubic,
    QuinnBbr,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Bowline, Self::Kcp, Self::QuinnCubic, Self::QuinnBbr];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bowline => "bowline",
            Self::Kcp => "kcp",
            Self::QuinnCubic => "quinn-cubic",
            Self::QuinnBbr => "quinn-bbr",
        }
    }
}

impl Sender {
    /// Waits for room; `false` when the connection is lost. `message` has [`SIZE`] bytes.
    pub(super) async fn send(&mut self, message: Vec<u8>) -> bool {
        match self {
            Self::Bowline(conn, _) => conn.send(Message::new(message)).await.is_ok(),
            Self::Kcp(end) => {
                end.send(&message).await;
                true
            }
            Self::Quinn(stream, ..) => stream.write_all(&message).await.is_ok(),
        }
    }
}

impl Receiver {
    /// The next message; `None` when the connection is lost.
    pub(super) async fn recv(&mut self) -> Option<Bytes> {
        match self {
            Self::Bowline(conn, _) => conn.recv().await.map(|received| received.payload),
            Self::Kcp(end) => Some(end.recv().await),
            Self::Quinn(stream, ..) => {
                let mut message = vec![0; SIZE];
                stream.read_exact(&mut message).await.ok()?;
                Some(message.into())
            }
        }
    }
}

/// A server, and how to connect to it through an address that leads to it.
pub(super) enum Server {
    Bowline(adapter_tokio::Endpoint),
    Kcp(StdSocket),
    Quinn(quinn::Endpoint, quinn::ClientConfig),
}

impl Server {
    pub(super) fn start(kind: Kind) -> (Self, SocketAddr) {
        let any: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 0));
        match kind {
            Kind::Bowline => {
                let endpoint =
                    adapter_tokio::Endpoint::bind(any, wide_windows()).expect("a socket on loopback");
                let address = endpoint.local_addr();
                (Self::Bowline(endpoint), address)
            }
            Kind::Kcp => {
                let socket = StdSocket::bind(any).expect("a socket on loopback");
                let address = socket.local_addr().expect("it is bound");
                (Self::Kcp(socket), address)
            }
            Kind::QuinnCubic | Kind::QuinnBbr => {
                let (endpoint, mut server, mut client) = quinn_configs(Protection::None);
                let mut transport = quinn_transport();
                if kind == Kind::QuinnBbr {
                    transport
                        .congestion_controller_factory(Arc::new(quinn::congestion::BbrConfig::default()));
                }
                let transport = Arc::new(transport);
                server.transport_config(Arc::clone(&transport));
                client.transport_config(transport);
                let socket = StdSocket::bind(any).expect("a socket on loopback");
                let address = socket.local_addr().expect("it is bound");
                let runtime = Arc::new(quinn::TokioRuntime);
                let endpoint =
                    quinn::Endpoint::new(endpoint, Some(server), socket, runtime).expect("an endpoint");
                (Self::Quinn(endpoint, client), address)
            }
        }
    }

    /// Connects to `address`, which leads to this server.
    pub(super) async fn connect(self, address: SocketAddr) -> (Sender, Receiver) {
        let any: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 0));
        match self {
            Self::Bowline(server) => {
                let client = adapter_tokio::Endpoint::client(wide_windows()).expect("a socket on loopback");
                let (near, far) = tokio::join!(client.connect(address), server.accept());
                let near = near.expect("a connection");
                (Sender::Bowline(near, client), Receiver::Bowline(far.expect("a connection"), server))
            }
            Self::Kcp(server) => {
                let client = StdSocket::bind(any).expect("a socket on loopback");
                let near = KcpEnd::start(client, Some(address));
                (Sender::Kcp(near), Receiver::Kcp(KcpEnd::start(server, None)))
            }
            Self::Quinn(server, config) => {
                let (endpoint, ..) = quinn_configs(Protection::None);
                let socket = StdSocket::bind(any).expect("a socket on loopback");
                let runtime = Arc::new(quinn::TokioRuntime);
                let client = quinn::Endpoint::new(endpoint, None, socket, runtime).expect("an endpoint");
                let dialed = client.connect_with(config, address, "bench").expect("a sound configuration");
                let accepted =
                    async { server.accept().await.expect("a client").await.expect("a connection") };
                let (near, far) = tokio::join!(dialed, accepted);
                let near = near.expect("a connection");
                let mut send = near.open_uni().await.expect("a stream");
                // The server learns of a stream by its first bytes: a message that nobody looks at.
                send.write_all(&[0; SIZE]).await.expect("the connection lives");
                let mut receive = far.accept_uni().await.expect("a stream");
                receive.read_exact(&mut [0; SIZE]).await.expect("the connection lives");
                (Sender::Quinn(send, near, client), Receiver::Quinn(receive, far, server))
            }
        }
    }
}

/// One end of KCP: a control object, its socket, and a task that runs them.
pub(super) struct KcpEnd {
    kcp: RefCell<kcp::Kcp<Packets>>,
    packets: Packets,
    socket: UdpSocket,
    peer: RefCell<Option<SocketAddr>>,
    start: Instant,
    changed: Notify,
}

/// Packets that wait to be given to the socket.
#[derive(Clone, Default)]
struct Packets(Rc<RefCell<Vec<Vec<u8>>>>);

impl Write for Packets {
    fn write(&mut self, packet: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push(packet.to_vec());
        Ok(packet.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const WINDOW: u16 = 1024;
const TICK: Duration = Duration::from_millis(5);

impl KcpEnd {
    fn start(socket: StdSocket, peer: Option<SocketAddr>) -> Rc<Self> {
        socket.set_nonblocking(true).expect("a socket that does not block");
        let packets = Packets::default();
        let mut kcp = kcp::Kcp::new(7, packets.clone());
        kcp.set_nodelay(true, 10, 2, true);
        kcp.set_wndsize(WINDOW, WINDOW);
        kcp.set_mtu(MTU.into()).expect("a sound MTU");
        kcp.set_maximum_resend_times(u32::MAX);
        kcp.update(0).expect("the first update");
        let end = Rc::new(Self {
            kcp: RefCell::new(kcp),
            packets,
            socket: UdpSocket::from_std(socket).expect("a tokio runtime"),
            peer: RefCell::new(peer),
            start: Instant::now(),
            changed: Notify::new(),
        });
        let running = Rc::downgrade(&end);
        tokio::task::spawn_local(async move {
            let mut buf = [0; 2048];
            while let Some(end) = running.upgrade() {
                tokio::select! {
                    received = end.socket.recv_from(&mut buf) => {
                        let mut next = received;
                        while let Ok((len, peer)) = next {
                            *end.peer.borrow_mut() = Some(peer);
                            let _ = end.kcp.borrow_mut().input(&buf[..len]);
                            next = end.socket.try_recv_from(&mut buf);
                        }
                    }
                    () = sleep(TICK) => {}
                }
                end.flush();
                end.changed.notify_waiters();
            }
        });
        end
    }

    fn flush(&self) {
        let now = self.start.elapsed().as_millis() as u32;
        let mut kcp = self.kcp.borrow_mut();
        kcp.update(now).expect("an update");
        kcp.flush().expect("it was updated");
        let Some(peer) = *self.peer.borrow() else { return };
        for packet in self.packets.0.borrow_mut().drain(..) {
            // A full socket buffer loses it.
            let _ = self.socket.try_send_to(&packet, peer);
        }
    }

    async fn send(&self, message: &[u8]) {
        loop {
            let changed = self.changed.notified();
            if self.kcp.borrow().wait_snd() < WINDOW.into() {
                break;
            }
            changed.await;
        }
        self.kcp.borrow_mut().send(message).expect("room for a message");
        self.flush();
    }

    async fn recv(&self) -> Bytes {
        loop {
            let changed = self.changed.notified();
            let mut message = vec![0; SIZE];
            if let Ok(len) = self.kcp.borrow_mut().recv(&mut message) {
                message.truncate(len);
                return message.into();
            }
            changed.await;
        }
    }
}
