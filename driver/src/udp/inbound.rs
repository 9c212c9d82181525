//! From the sockets into the machine.

use std::io::{self, IoSliceMut};
use std::task::{Context, Poll, ready};

use proto_core::{Ecn, Meta, Now};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta};

use super::Socket;
use super::stats::Counters;
use crate::handover::Handover;
use crate::{Machine, Path, Peer, Ready};

/// Packets that are handed in before the machine gets a chance to answer: it can hold only so many answers to strangers.
const MAX_HANDED: usize = 64;
/// Failed reads in a row after which a socket is left alone until the system says that there is something new.
const MAX_FAILURES: usize = 16;
/// The largest datagram, and the longest train of them that the system joins.
const BUFFER: usize = 65_536;

/// Datagrams that were read and are not handed in yet.
pub(crate) struct Inbound {
    /// None while nothing comes.
    memory: Vec<u8>,
    /// Something was read since it was last asked about.
    is_used: bool,
    metas: [RecvMeta; BATCH_SIZE],
    /// Buffers that were filled, and how far they were handed in.
    filled: usize,
    buffer: usize,
    offset: usize,
}

impl Inbound {
    pub(crate) fn new() -> Self {
        Self {
            memory: Vec::new(),
            is_used: false,
            metas: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            buffer: 0,
            offset: 0,
        }
    }

    /// Whether there is memory to give back.
    pub(crate) const fn has_memory(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Gives the memory back, unless something was read since it was last asked to.
    pub(crate) fn release(&mut self) {
        if !std::mem::take(&mut self.is_used) && self.is_empty() {
            self.memory = Vec::new();
        }
    }

    /// Reads what has arrived on `socket`; pending when that is nothing, and then the task is woken when there is something.
    /// `ask` asks the system even when the runtime has not heard of anything: some ask only now and then.
    pub(crate) fn read(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket<impl Ready>,
        mut ask: bool,
        counters: &Counters,
    ) -> Poll<()> {
        debug_assert!(self.is_empty(), "what was read before would be lost");
        let mut failures = 0;
        if self.memory.is_empty() {
            if !ask && ready!(socket.poll_recv_ready(cx)).is_err() {
                return Poll::Pending;
            }
            self.memory = vec![0; BUFFER * BATCH_SIZE];
        }
        loop {
            match self.try_read(socket, ask) {
                Ok(filled) => {
                    counters.receives.add(1);
                    self.is_used = true;
                    (self.filled, self.buffer, self.offset) = (filled, 0, 0);
                    return Poll::Ready(());
                }
                // Once more through the runtime, whose own view must become right too.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && ask => ask = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // An error here says that the runtime is shutting down.
                    if ready!(socket.poll_recv_ready(cx)).is_err() {
                        return Poll::Pending;
                    }
                }
                Err(_) => {
                    failures += 1;
                    counters.receive_errors.add(1);
                    if failures >= MAX_FAILURES {
                        ask = false;
                        socket.clear_recv_ready();
                    }
                }
            }
        }
    }

    fn try_read(&mut self, socket: &Socket<impl Ready>, ask: bool) -> io::Result<usize> {
        let mut chunks = self.memory.chunks_exact_mut(BUFFER);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        if ask {
            socket.recv_now(&mut buffers, &mut self.metas)
        } else {
            socket.try_recv(&mut buffers, &mut self.metas)
        }
    }

    /// Whether everything that was read was handed in.
    pub(crate) const fn is_empty(&self) -> bool {
        self.buffer == self.filled
    }

    /// Hands in some of what was read from `socket`; returns how many packets.
    /// What is for another shard goes by `handover`.
    pub(crate) fn hand_in(
        &mut self,
        machine: &mut impl Machine,
        now: Now,
        socket: u16,
        mut handover: Option<&mut Handover>,
        counters: &Counters,
    ) -> usize {
        let mut handed = 0;
        while handed < MAX_HANDED && self.buffer < self.filled {
            let meta = &self.metas[self.buffer];
            let memory = &self.memory[self.buffer * BUFFER..][..meta.len.min(BUFFER)];
            let rest = &memory[self.offset..];
            let stride = meta.stride.clamp(1, BUFFER);
            let packets = &rest[..rest.len().min(stride * (MAX_HANDED - handed))];
            let path = Path { socket, peer: Peer::Udp(meta.addr) };
            let meta = Meta { path, ecn: meta.ecn.map(from_codepoint) };
            match &mut handover {
                None => machine.handle_packets(now, meta, packets, stride),
                Some(handover) => handover.sort(machine, now, meta, packets, stride, counters),
            }
            handed += packets.len().div_ceil(stride).max(1);
            self.offset += packets.len();
            if self.offset >= memory.len() {
                (self.buffer, self.offset) = (self.buffer + 1, 0);
            }
        }
        handed
    }
}

const fn from_codepoint(codepoint: EcnCodepoint) -> Ecn {
    match codepoint {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    }
}
