//! Trains, and what becomes of them when a socket has no room or fails.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use proto_core::{Meta, Now, Timestamp, Transmit};

use super::outbound::{Outbound, Outlet};
use super::stats::Counters;
use crate::{Machine, Path};

/// Sends packets that were laid out before: (peer, length), each filled with its number.
struct Source(VecDeque<(u16, usize)>, u8);

impl Source {
    fn new(packets: impl IntoIterator<Item = (u16, usize)>) -> Self {
        Self(packets.into_iter().collect(), 0)
    }
}

fn path(port: u16) -> Path {
    Path { socket: port / 1000, peer: SocketAddr::from(([127, 0, 0, 1], port)).into() }
}

impl Machine for Source {
    fn handle_packet(&mut self, _: Now, _: Meta<Path>, _: &[u8]) {}

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_transmit(&mut self, _: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        let (port, len) = self.0.pop_front()?;
        buf.resize(buf.len() + len, self.1);
        self.1 += 1;
        Some(Transmit { path: path(port), ecn: None, len })
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }
}

/// A socket that answers as it was told to, and otherwise records what was sent.
struct Script {
    answers: RefCell<VecDeque<Option<io::ErrorKind>>>,
    segments: Cell<usize>,
    sent: RefCell<Vec<(u16, Vec<u8>)>>,
    calls: Cell<usize>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Option<io::ErrorKind>>) -> Self {
        let answers = RefCell::new(answers.into_iter().collect());
        Self { answers, segments: Cell::new(64), sent: RefCell::default(), calls: Cell::new(0) }
    }
}

impl Outlet for Script {
    fn max_segments(&self) -> usize {
        self.segments.get()
    }

    fn try_send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        self.calls.set(self.calls.get() + 1);
        match self.answers.borrow_mut().pop_front().flatten() {
            // How a network card that knows no trains shows it.
            Some(io::ErrorKind::Unsupported) => {
                self.segments.set(1);
                return Err(io::ErrorKind::Unsupported.into());
            }
            Some(kind) => return Err(kind.into()),
            None => {}
        }
        for packet in transmit.contents.chunks(transmit.segment_size.unwrap_or(usize::MAX)) {
            self.sent.borrow_mut().push((transmit.destination.port(), packet.to_vec()));
        }
        Ok(())
    }

    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

fn flush(outbound: &mut Outbound, socket: &Script, counters: &Counters) -> bool {
    outbound.flush(&mut Context::from_waker(Waker::noop()), std::slice::from_ref(socket), counters).is_ready()
}

/// What is sent for `packets`, and in how many calls, until nothing is left.
fn send_all(packets: &[(u16, usize)], socket: &Script) -> Counters {
    let counters = Counters::default();
    let mut outbound = Outbound::default();
    let mut source = Source::new(packets.iter().copied());
    loop {
        while !flush(&mut outbound, socket, &counters) {}
        if outbound.fill(&mut source, Now::default()) && outbound.is_empty() {
            return counters;
        }
    }
}

fn expected(packets: &[(u16, usize)]) -> Vec<(u16, Vec<u8>)> {
    packets.iter().zip(0..).map(|(&(port, len), number)| (port, vec![number; len])).collect()
}

#[test]
fn equal_sizes_to_one_peer_go_together_and_a_shorter_one_ends_the_train() {
    let packets = [(1, 1200), (1, 1200), (1, 700), (1, 700), (1, 900), (2, 900), (2, 900), (1, 900)];
    let socket = Script::new([]);
    let counters = send_all(&packets, &socket).get();
    assert_eq!(*socket.sent.borrow(), expected(&packets));
    // 1200 1200 700 | 700 | 900 | 900 900 | 900
    assert_eq!((counters.sends, counters.packets_sent), (5, 8));
}

#[test]
fn trains_end_at_the_limits_of_the_system() {
    let packets = vec![(1, 1200); 120];
    let socket = Script::new([]);
    let counters = send_all(&packets, &socket).get();
    assert_eq!(*socket.sent.borrow(), expected(&packets));
    // 64 packets are built at a time; 54 of them fit into 65,000 bytes.
    assert_eq!(counters.sends, 4);
    let socket = Script::new([]);
    socket.segments.set(10);
    assert_eq!(send_all(&packets, &socket).get().sends, 13);
}

#[test]
fn a_full_socket_keeps_the_train_and_its_order() {
    let packets = [(1, 1200), (1, 1200), (2, 1200), (1, 100)];
    let blocked = Some(io::ErrorKind::WouldBlock);
    let socket = Script::new([blocked, blocked, None, blocked, None, blocked]);
    let counters = send_all(&packets, &socket).get();
    assert_eq!(*socket.sent.borrow(), expected(&packets));
    assert_eq!((counters.blocked, counters.packets_sent, counters.sends), (4, 4, 3));
}

#[test]
fn where_trains_cannot_go_the_same_packets_go_one_by_one() {
    let packets = [(1, 1200), (1, 1200), (1, 1200)];
    let socket = Script::new([Some(io::ErrorKind::Unsupported)]);
    let counters = send_all(&packets, &socket).get();
    assert_eq!(*socket.sent.borrow(), expected(&packets));
    assert_eq!((counters.sends, counters.send_errors), (3, 0));
}

#[test]
fn what_cannot_be_sent_is_counted_and_the_rest_goes_on() {
    let packets = [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)];
    let socket = Script::new([
        Some(io::ErrorKind::ConnectionRefused),
        Some(io::ErrorKind::NetworkUnreachable),
        None,
        Some(io::ErrorKind::PermissionDenied),
    ]);
    let counters = send_all(&packets, &socket).get();
    let ports: Vec<_> = socket.sent.borrow().iter().map(|&(port, _)| port).collect();
    assert_eq!(ports, [3, 5]);
    assert_eq!(
        (counters.refused, counters.unreachable, counters.send_errors, counters.packets_sent),
        (1, 1, 1, 2)
    );
}

#[test]
fn a_path_without_a_socket_is_counted() {
    let socket = Script::new([]);
    let counters = send_all(&[(1001, 10), (1, 10)], &socket).get();
    assert_eq!((socket.calls.get(), counters.send_errors, counters.packets_sent), (1, 1, 1));
}
