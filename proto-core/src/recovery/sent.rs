//! What is in flight. Packets are never sent again: what a lost one carried is looked at anew.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::delivery::Snapshot;
use crate::channel::{Messages, Piece};
use crate::wire::RateScope;
use crate::{ChannelId, Class, Timestamp};

/// Something that a packet carried and whose arrival matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// An ACK up to this packet number.
    Ack(u64),
    /// Credit of the channel; of the connection when `None`.
    Credit(Option<u32>),
    /// A channel's announcement.
    OpenChannel(u32),
    /// A limit on what the peer sends.
    Rate(RateScope),
    /// That a request was cancelled.
    Cancel(u64),
    Confirm,
    /// A part of what is told of a session that goes on.
    State(u64),
    GoAway,
    /// An id of this side, by its number.
    NewCid(u64),
    /// That an id of the peer's is given back.
    RetireCid(u64),
    Piece(Piece),
    Messages(Messages),
    /// Padding, to see whether so large a packet arrives.
    MtuProbe(u16),
    /// A message that a SKIP named, by its number in its queue.
    Skip {
        channel: ChannelId,
        class: Class,
        id: u64,
    },
    /// Receipts for messages from `first` on.
    MsgAck {
        channel: ChannelId,
        class: Class,
        first: u64,
        len: u32,
    },
}

impl Carried {
    /// Goes behind the others; messages join those before them.
    #[inline]
    pub(crate) fn append_to(&self, list: &mut Vec<Self>) {
        if let Self::Messages(messages) = self
            && let Some(Self::Messages(last)) = list.last_mut()
            && last.join(messages)
        {
            return;
        }
        list.push(*self);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InFlight,
    /// Declared lost; its acknowledgement would show that this was wrong.
    Lost,
    /// Acknowledged.
    Settled,
}

/// What sets a packet apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// It went out ECN-capable.
    pub(crate) ecn: bool,
    /// It looks for a larger packet size: its loss says nothing about congestion.
    pub(crate) mtu_probe: bool,
}

/// A packet whose fate is open.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) number: u64,
    pub(crate) sent: Timestamp,
    pub(crate) size: u32,
    state: State,
    pub(crate) mark: Mark,
    pub(crate) snapshot: Snapshot,
    /// Index of the first thing carried, counted since the beginning.
    first: u64,
    count: u32,
}

/// What [`Sent::lose`] came upon.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    /// When the oldest was sent that is not lost yet.
    pub(crate) oldest: Option<Timestamp>,
    /// The longest time between two of the lost that had none between them arrive.
    pub(crate) longest: Duration,
}

/// Ack-eliciting packets whose fate is open, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// Ascending by number. Only those that were followed: a peer cannot make this grow by what it makes this side acknowledge.
    packets: VecDeque<Packet>,
    carried: VecDeque<Carried>,
    /// Index of the first element of `carried`, counted since the beginning.
    carried_base: u64,
    bytes_in_flight: u64,
    packets_in_flight: u32,
}

impl Sent {
    pub(crate) const fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.packets_in_flight == 0
    }

    /// The newest of them.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.packets.back().filter(|packet| packet.state == State::InFlight).map(|packet| packet.number)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Records the ack-eliciting packet `number`, the largest so far.
    #[inline]
    pub(crate) fn push(
        &mut self,
        number: u64,
        sent: Timestamp,
        size: u32,
        mark: Mark,
        snapshot: Snapshot,
        carried: &[Carried],
    ) {
        let first = self.carried_base + self.carried.len() as u64;
        self.packets.push_back(Packet {
            number,
            sent,
            size,
            state: State::InFlight,
            mark,
            snapshot,
            first,
            count: carried.len() as u32,
        });
        if let [carried] = carried {
            self.carried.push_back(*carried);
        } else {
            self.carried.extend(carried);
        }
        self.bytes_in_flight += u64::from(size);
        self.packets_in_flight += 1;
    }

    /// Settles what is in flight or thought lost among `numbers`: appends to `out` what it carried, and calls `each`, which is told whether the packet had been declared lost before. The work is proportional to this map, not to the range.
    #[inline]
    pub(crate) fn acknowledge(
        &mut self,
        numbers: &RangeInclusive<u64>,
        out: &mut Vec<Carried>,
        mut each: impl FnMut(&Packet, bool),
    ) {
        let first = self.packets.partition_point(|packet| packet.number < *numbers.start());
        for packet in self.packets.range_mut(first..).take_while(|packet| packet.number <= *numbers.end()) {
            if packet.state == State::Settled {
                continue;
            }
            let was_lost = packet.state == State::Lost;
            packet.state = State::Settled;
            if !was_lost {
                self.bytes_in_flight -= u64::from(packet.size);
                self.packets_in_flight -= 1;
            }
            each(packet, was_lost);
            let first = (packet.first - self.carried_base) as usize;
            if packet.count == 1 {
                self.carried[first].append_to(out);
            } else {
                let carried = self.carried.range(first..first + packet.count as usize);
                carried.for_each(|carried| carried.append_to(out));
            }
        }
    }

    /// The packet `number`, if it is still known.
    pub(crate) fn get(&self, number: u64) -> Option<&Packet> {
        let at = self.packets.partition_point(|packet| packet.number < number);
        self.packets.get(at).filter(|packet| packet.number == number)
    }

    /// Declares lost what is in flight below `largest` and either `threshold` numbers behind it or sent at `sent_before` or
    /// earlier; appends what it carried to `out` and calls `each`.
    pub(crate) fn lose(
        &mut self,
        largest: u64,
        threshold: u64,
        sent_before: Timestamp,
        out: &mut Vec<Carried>,
        mut each: impl FnMut(&Packet),
    ) -> Losses {
        let mut losses = Losses::default();
        let mut run = None;
        for packet in self.packets.iter_mut().take_while(|packet| packet.number < largest) {
            if packet.state != State::InFlight {
                run = run.filter(|_| packet.state == State::Lost);
                continue;
            }
            if packet.number + threshold > largest && packet.sent > sent_before {
                losses.oldest = Some(packet.sent);
                break;
            }
            packet.state = State::Lost;
            self.bytes_in_flight -= u64::from(packet.size);
            self.packets_in_flight -= 1;
            each(packet);
            let began = *run.get_or_insert(packet.sent);
            losses.longest = losses.longest.max(packet.sent.since(began));
            let first = (packet.first - self.carried_base) as usize;
            out.extend(self.carried.range(first..first + packet.count as usize));
        }
        losses
    }

    /// What all packets carry that are not acknowledged, nor thought lost.
    pub(crate) fn all_carried(&self) -> impl Iterator<Item = Carried> + '_ {
        self.packets.iter().filter(|packet| packet.state == State::InFlight).flat_map(|packet| {
            let first = (packet.first - self.carried_base) as usize;
            self.carried.range(first..first + packet.count as usize).copied()
        })
    }

    /// What the oldest packet in flight carries, to be sent again by a probe.
    pub(crate) fn oldest_carried(&self) -> impl Iterator<Item = Carried> + '_ {
        let packet = self.packets.iter().find(|packet| packet.state == State::InFlight);
        packet.into_iter().flat_map(|packet| {
            let first = (packet.first - self.carried_base) as usize;
            self.carried.range(first..first + packet.count as usize).copied()
        })
    }

    /// Forgets the settled packets at the front, and the lost ones that were sent before `horizon`.
    pub(crate) fn forget(&mut self, horizon: Timestamp) {
        let is_over = |packet: &&Packet| match packet.state {
            State::InFlight => false,
            State::Lost => packet.sent < horizon,
            State::Settled => true,
        };
        let (mut packets, mut carried) = (0, 0);
        for packet in self.packets.iter().take_while(is_over) {
            packets += 1;
            carried += packet.count as usize;
        }
        self.packets.drain(..packets);
        self.carried.drain(..carried);
        self.carried_base += carried as u64;
    }
}
