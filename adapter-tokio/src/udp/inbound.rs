//! From the sockets into the machine.

use std::io::{self, IoSliceMut};
use std::task::{Context, Poll};

use driver::{Machine, Path, Shared};
use proto_core::{Ecn, Meta, Now};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta};

use super::Socket;
use super::stats::Counters;

/// Reads of one socket in a turn, so that none starves another, nor the timers, nor the other tasks.
const MAX_READS: usize = 32;
/// Failed reads in a row after which a socket is left alone until the system says that there is something new.
const MAX_FAILURES: usize = 16;
/// The largest datagram, and the longest train of them that the system joins.
const BUFFER: usize = 65_536;

/// The buffers that datagrams are read into.
pub(super) struct Inbound {
    memory: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self { memory: vec![0; BUFFER * BATCH_SIZE], metas: [RecvMeta::default(); BATCH_SIZE] }
    }

    /// Hands in what has arrived on `socket`, up to the work limit; returns whether that was all. If so, the task is woken for more.
    pub(super) fn receive<M: Machine>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared<M>,
        (index, socket): (u16, &Socket),
        counters: &Counters,
    ) -> bool {
        let mut failures = 0;
        for _ in 0..MAX_READS {
            match self.read(socket) {
                Ok(count) => {
                    failures = 0;
                    counters.receives.add(1);
                    counters.packets_received.add(self.hand_in(shared, index, count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match socket.poll_recv_ready(cx) {
                    Poll::Pending => return true,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return true,
                },
                Err(_) => {
                    failures += 1;
                    counters.receive_errors.add(1);
                    if failures >= MAX_FAILURES {
                        socket.clear_recv_ready();
                    }
                }
            }
        }
        false
    }

    fn read(&mut self, socket: &Socket) -> io::Result<usize> {
        let mut chunks = self.memory.chunks_exact_mut(BUFFER);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        socket.try_recv(&mut buffers, &mut self.metas)
    }

    /// Hands in the datagrams of `count` buffers; returns how many they were.
    fn hand_in<M: Machine>(&self, shared: &Shared<M>, socket: u16, count: usize) -> usize {
        shared.turn(|machine, now| {
            let buffers = self.memory.chunks_exact(BUFFER).zip(&self.metas).take(count);
            buffers.map(|(buffer, meta)| hand_in_train(machine, now, socket, buffer, meta)).sum()
        })
    }
}

fn hand_in_train(machine: &mut impl Machine, now: Now, socket: u16, buffer: &[u8], meta: &RecvMeta) -> usize {
    let path = Path { socket, peer: meta.addr };
    let meta_in = Meta { path, ecn: meta.ecn.map(from_codepoint) };
    let mut count = 0;
    for packet in buffer[..meta.len.min(BUFFER)].chunks(meta.stride.max(1)) {
        machine.handle_packet(now, meta_in, packet);
        count += 1;
    }
    count
}

const fn from_codepoint(codepoint: EcnCodepoint) -> Ecn {
    match codepoint {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    }
}
