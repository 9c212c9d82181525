//! A bad way between the clients and the server, and those who send junk.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Of a million packets.
const LOST: u64 = 10_000;
const DOUBLED: u64 = 5_000;
const DAMAGED: u64 = 1_000;
const LATE: u64 = 10_000;
/// A stream is cut after so many seconds at most, and so many at least.
const CUT_AFTER: u64 = 600;
const CUT_NOT_BEFORE: u64 = 30;
/// A stream of junk stays open for as long.
const JUNK_STAYS: Duration = Duration::from_secs(2);

/// `SplitMix64`, shared.
struct Dice(AtomicU64);

impl Dice {
    fn throw(&self) -> u64 {
        let state = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn falls(&self, in_a_million: u64) -> bool {
        self.throw() % 1_000_000 < in_a_million
    }

    fn bytes(&self, most: u64) -> Vec<u8> {
        let len = 1 + self.throw() % most;
        (0..len).map(|_| self.throw() as u8).collect()
    }
}

/// A bad way between the clients and the server.
pub(super) struct Way {
    udp: SocketAddr,
    tcp: SocketAddr,
    dice: Dice,
    /// Datagrams and streams of junk, and streams that were cut.
    pub(super) junk: AtomicU64,
    pub(super) junk_streams: AtomicU64,
    pub(super) cuts: AtomicU64,
}

impl Way {
    pub(super) fn new(udp: SocketAddr, tcp: SocketAddr) -> Arc<Self> {
        let count = AtomicU64::default;
        Arc::new(Self {
            udp,
            tcp,
            dice: Dice(AtomicU64::new(1)),
            junk: count(),
            junk_streams: count(),
            cuts: count(),
        })
    }

    /// A packet goes on, or what the way makes of it.
    fn pass(self: &Arc<Self>, from: &Arc<UdpSocket>, to: SocketAddr, mut packet: Vec<u8>) {
        if self.dice.falls(LOST) {
            return;
        }
        if self.dice.falls(DAMAGED) {
            let at = self.dice.throw() as usize % packet.len().max(1);
            packet.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x10);
        }
        if self.dice.falls(DOUBLED) {
            // A full queue loses it.
            let _ = from.try_send_to(&packet, to);
        }
        if self.dice.falls(LATE) {
            let (from, late) = (Arc::clone(from), Duration::from_millis(self.dice.throw() % 200));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let _ = from.try_send_to(&packet, to);
            });
            return;
        }
        let _ = from.try_send_to(&packet, to);
    }

    /// Carries packets both ways, for ever.
    pub(super) async fn carry(self: Arc<Self>, front: Arc<UdpSocket>) {
        let mut behind: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut buf = [0; 2048];
        loop {
            let Ok((len, from)) = front.recv_from(&mut buf).await else { continue };
            let socket = if let Some(socket) = behind.get(&from) {
                Arc::clone(socket)
            } else {
                let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
                let socket = Arc::new(socket);
                behind.insert(from, Arc::clone(&socket));
                tokio::spawn(Arc::clone(&self).answer(Arc::clone(&socket), Arc::clone(&front), from));
                socket
            };
            self.pass(&socket, self.udp, buf[..len].to_vec());
        }
    }

    /// Carries what the server says to one client, for ever.
    async fn answer(self: Arc<Self>, behind: Arc<UdpSocket>, front: Arc<UdpSocket>, client: SocketAddr) {
        let mut buf = [0; 2048];
        loop {
            if let Ok((len, _)) = behind.recv_from(&mut buf).await {
                self.pass(&front, client, buf[..len].to_vec());
            }
        }
    }

    /// Carries streams, and cuts each after a while, for ever.
    pub(super) async fn carry_streams(self: Arc<Self>, front: TcpListener) {
        loop {
            let Ok((client, _)) = front.accept().await else { continue };
            tokio::spawn(Arc::clone(&self).carry_stream(client));
        }
    }

    async fn carry_stream(self: Arc<Self>, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(self.tcp).await else { return };
        // It is a way that is slower, then.
        let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
        let after = CUT_NOT_BEFORE + self.dice.throw() % (CUT_AFTER - CUT_NOT_BEFORE);
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            () = tokio::time::sleep(Duration::from_secs(after)) => {
                self.cuts.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Datagrams of anything, from nobody.
    pub(super) async fn pollute(self: Arc<Self>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let _ = socket.try_send_to(&self.dice.bytes(1400), self.udp);
            self.junk.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Streams of anything, from nobody; some of them do not end by themselves.
    pub(super) async fn pollute_streams(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            ticks.tick().await;
            let way = Arc::clone(&self);
            tokio::spawn(async move {
                // The server may be away.
                let Ok(mut stream) = TcpStream::connect(way.tcp).await else { return };
                let _ = stream.write_all(&way.dice.bytes(1400)).await;
                way.junk_streams.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(JUNK_STAYS).await;
            });
        }
    }
}
