//! What came to another shard than its own: datagrams of connections that it does not have, and streams whose first record claims
//! a session of another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use proto_core::{Endpoint, Meta, Now, Shard};

use crate::link::Moved;
use crate::mailbox::{Mailbox, Unposted};
use crate::{Machine, Path, udp};

/// Letters that wait for one shard at most; what finds no room is dropped and counted, as by a socket that is full.
const MAX_LETTERS: usize = 4096;

/// What one shard hands to another.
pub(crate) enum Letter {
    Datagrams(Datagrams),
    Stream(Box<Moved>),
}

/// Datagrams that came together and the same way.
pub(crate) struct Datagrams {
    pub(crate) meta: Meta<Path>,
    pub(crate) stride: usize,
    pub(crate) bytes: Vec<u8>,
}

/// The way of one shard to the others.
pub(crate) struct Handover {
    me: u8,
    boxes: Arc<[Mailbox<Letter>]>,
    /// The next shard that gets a stream which may go to any.
    next: u8,
    /// Whom to wake once no lock is held.
    wakers: Vec<Waker>,
}

impl Handover {
    /// One for each of so many shards.
    pub(crate) fn all(shards: u8) -> impl Iterator<Item = Self> {
        let boxes: Arc<[_]> = (0..shards).map(|_| Mailbox::new(MAX_LETTERS)).collect();
        (0..shards).map(move |me| Self { me, boxes: Arc::clone(&boxes), next: me, wakers: Vec::new() })
    }

    /// The other shard that a packet, or the first record of a stream, is for. What is for one that has ended is dealt with here.
    pub(crate) fn shard_of(&self, packet: &[u8]) -> Option<Shard> {
        let Shard(shard) = Endpoint::<Path>::route(packet).filter(|shard| shard.0 != self.me)?;
        let is_open = self.boxes.get(usize::from(shard)).is_some_and(Mailbox::is_open);
        is_open.then_some(Shard(shard))
    }

    /// The other shard that is to have a stream which may go to any; `None`: this one.
    pub(crate) fn next(&mut self) -> Option<Shard> {
        let shard = self.next;
        self.next = (self.next + 1) % self.boxes.len() as u8;
        let is_open = self.boxes[usize::from(shard)].is_open();
        (shard != self.me && is_open).then_some(Shard(shard))
    }

    /// Hands something to another shard; `false`: it finds no room there.
    pub(crate) fn post(&mut self, Shard(shard): Shard, letter: Letter) -> bool {
        match self.boxes[usize::from(shard)].post(letter) {
            Ok(waker) => {
                self.wakers.extend(waker);
                true
            }
            Err(Unposted::Full(_) | Unposted::Closed(_)) => false,
        }
    }

    /// Hands datagrams that came together to the shards that have their connections, and to `machine` what is this one's.
    pub(crate) fn sort(
        &mut self,
        machine: &mut impl Machine,
        now: Now,
        meta: Meta<Path>,
        mut packets: &[u8],
        stride: usize,
        counters: &udp::Counters,
    ) {
        loop {
            let mut end = stride.min(packets.len());
            let to = self.shard_of(&packets[..end]);
            let mut count = 1;
            while end < packets.len() {
                let next = &packets[end..][..stride.min(packets.len() - end)];
                if self.shard_of(next) != to {
                    break;
                }
                end += next.len();
                count += 1;
            }
            let (run, rest) = packets.split_at(end);
            match to {
                None => machine.handle_packets(now, meta, run, stride),
                Some(shard) => {
                    let datagrams = Datagrams { meta, stride, bytes: run.to_vec() };
                    let is_posted = self.post(shard, Letter::Datagrams(datagrams));
                    let counter = if is_posted { &counters.handed_over } else { &counters.handover_drops };
                    counter.add(count);
                }
            }
            if rest.is_empty() {
                return;
            }
            packets = rest;
        }
    }

    /// Wakes whoever got something. No lock may be held.
    pub(crate) fn deliver(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// From here on `task` is woken for what others hand to this shard.
    pub(crate) fn attend(&self, task: &Waker) {
        self.mine().attend(task);
    }

    /// Moves what others have handed to this shard to `letters`.
    pub(crate) fn take(&self, letters: &mut VecDeque<Letter>) {
        self.mine().take(letters);
    }

    fn mine(&self) -> &Mailbox<Letter> {
        &self.boxes[usize::from(self.me)]
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.mine().close();
    }
}
