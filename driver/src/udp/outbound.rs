//! From the machine to the sockets.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use proto_core::{Ecn, Now, Transmit};
use quinn_udp::EcnCodepoint;

use super::stats::Counters;
use crate::{Machine, Path, Peer};

/// Packets that are built before any is sent.
const MAX_PACKETS: usize = 64;
/// The longest train in bytes: what fits into one IP packet before it is cut, with room for headers.
const MAX_TRAIN: usize = 65_000;

/// What packets are sent through.
pub(crate) trait Outlet {
    /// Datagrams that one system call may send. It falls to 1 when a call shows that the network cannot do it.
    fn max_segments(&self) -> usize;

    /// Sends, if there is room.
    fn try_send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()>;

    /// Waits for room.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Packets that were built and are not sent yet. They count as sent for the machine, so they are kept until they are.
#[derive(Default)]
pub(crate) struct Outbound {
    bytes: Vec<u8>,
    packets: Vec<Transmit<Path>>,
    /// Packets, and bytes, that are gone.
    sent: usize,
    sent_bytes: usize,
}

/// Packets that one system call sends: the same way, of equal size, only the last may be shorter.
#[derive(Debug, PartialEq, Eq)]
struct Train {
    packets: usize,
    bytes: usize,
    segment: usize,
}

impl Outbound {
    pub(crate) const fn is_empty(&self) -> bool {
        self.sent == self.packets.len()
    }

    /// Builds what the machine has to send, up to the limit; returns whether that was all.
    pub(crate) fn fill(&mut self, machine: &mut impl Machine, now: Now) -> bool {
        debug_assert!(self.is_empty());
        self.bytes.clear();
        self.packets.clear();
        (self.sent, self.sent_bytes) = (0, 0);
        machine.poll_packets(now, MAX_PACKETS, &mut self.bytes, &mut self.packets) < MAX_PACKETS
    }

    /// Sends what was built; pending while a socket has no room.
    pub(crate) fn flush(
        &mut self,
        cx: &mut Context<'_>,
        sockets: &[impl Outlet],
        counters: &Counters,
    ) -> Poll<()> {
        while let Some(packet) = self.packets.get(self.sent).copied() {
            let socket = sockets.get(usize::from(packet.path.socket));
            let (Some(socket), Peer::Udp(peer)) = (socket, packet.path.peer) else {
                counters.send_errors.add(1);
                self.advance(&Train { packets: 1, bytes: packet.len, segment: packet.len });
                continue;
            };
            let train = self.next_train(socket.max_segments());
            match self.send(socket, peer, packet.ecn, &train) {
                Ok(()) => {
                    counters.sends.add(1);
                    counters.packets_sent.add(train.packets);
                    self.advance(&train);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    counters.blocked.add(1);
                    if socket.poll_send_ready(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                // The socket has just learned that it can send no trains: the same packets go one by one.
                Err(_) if train.packets > socket.max_segments() => {}
                Err(error) => {
                    counters.on_send_error(&error, train.packets);
                    self.advance(&train);
                }
            }
        }
        Poll::Ready(())
    }

    fn send(
        &self,
        socket: &impl Outlet,
        peer: SocketAddr,
        ecn: Option<Ecn>,
        train: &Train,
    ) -> io::Result<()> {
        socket.try_send(&quinn_udp::Transmit {
            destination: peer,
            ecn: ecn.map(to_codepoint),
            contents: &self.bytes[self.sent_bytes..self.sent_bytes + train.bytes],
            segment_size: (train.packets > 1).then_some(train.segment),
            src_ip: None,
        })
    }

    /// The longest train that the packets to be sent begin with.
    fn next_train(&self, max_packets: usize) -> Train {
        let waiting = &self.packets[self.sent..];
        let first = waiting[0];
        let mut train = Train { packets: 1, bytes: first.len, segment: first.len };
        for packet in &waiting[1..] {
            let fits = train.packets < max_packets && train.bytes + packet.len <= MAX_TRAIN;
            let goes_along = packet.path == first.path && packet.ecn == first.ecn && packet.len <= first.len;
            if !fits || !goes_along {
                break;
            }
            train.packets += 1;
            train.bytes += packet.len;
            if packet.len < first.len {
                break;
            }
        }
        train
    }

    fn advance(&mut self, train: &Train) {
        self.sent += train.packets;
        self.sent_bytes += train.bytes;
    }
}

const fn to_codepoint(ecn: Ecn) -> EcnCodepoint {
    match ecn {
        Ecn::Ect0 => EcnCodepoint::Ect0,
        Ecn::Ect1 => EcnCodepoint::Ect1,
        Ecn::Ce => EcnCodepoint::Ce,
    }
}
