//! Channels: independent streams of messages within a connection (docs/spec/channels.md).

mod accept;
mod answers;
mod arrival;
mod credit;
mod expand;
mod fragment;
mod held;
mod inbox;
mod keys;
mod limits;
mod meter;
mod outbox;
mod outboxes;
mod rate;
mod ready;
mod receipts;
mod resume;
mod run;
mod scheduler;
mod settled;
mod short;
mod table;
mod terms;
mod throttle;
mod window;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

pub(crate) use self::accept::Accepted;
pub(crate) use self::arrival::{Arrival, Delivery, Gone, Intake, Refused};
pub(crate) use self::credit::{ReceiveCredit, SendCredit, cost};
pub(crate) use self::held::Admission;
pub(crate) use self::inbox::Inbox;
pub(crate) use self::limits::Limits;
use self::meter::Meter;
pub(crate) use self::outbox::{Candidate, Settled};
use self::outboxes::Outboxes;
pub(crate) use self::rate::{Bucket, Shared};
pub(crate) use self::ready::Plain;
pub(crate) use self::receipts::Receipts;
pub(crate) use self::resume::Impossible;
pub(crate) use self::run::{Position, Room, Run};
pub(crate) use self::scheduler::Share;
pub(crate) use self::table::{Channels, Next};
pub(crate) use self::terms::{Says, Terms};
use self::throttle::{ChannelThrottle, channel_credit};
use crate::lazy::Lazy;
use crate::wire::{Kind, Rate};
use crate::{
    Cancel, ChannelId, ChannelStats, Class, Config, Fate, MESSAGE_COST, Phase, Policy, ReceiptKind,
    SendError, Timestamp,
};

/// Bytes of one message that travelled in one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) channel: ChannelId,
    pub(crate) class: Class,
    /// How often these bytes were lost before.
    pub(crate) tries: u8,
    pub(crate) id: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// Messages of one class that travelled whole, and for the first time, in one packet: so many from `first` on, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Messages {
    pub(crate) channel: ChannelId,
    pub(crate) class: Class,
    pub(crate) count: u32,
    pub(crate) first: u64,
}

/// How far the peer knows of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announce {
    /// It knows: it opened the channel, or has acknowledged that this side did.
    Known,
    /// OPEN_CHANNEL must go out even without a message.
    Due,
    /// OPEN_CHANNEL is under way.
    InFlight,
}

/// The lists of its connection that a channel is in.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each list is one")]
struct Listed {
    credit_due: bool,
    starved: bool,
    throttled: bool,
    metered: bool,
    control_due: bool,
}

/// A message to be queued.
pub(crate) struct Entry {
    pub(crate) payload: Bytes,
    pub(crate) kind: Kind,
    pub(crate) receipt: ReceiptKind,
    pub(crate) terms: Option<Box<Terms>>,
}

/// One channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    pub(crate) name: Box<str>,
    pub(crate) classes: u8,
    /// As it was announced.
    pub(crate) priority: u8,
    pub(crate) announce: Announce,
    pub(crate) outboxes: Outboxes,
    pub(crate) inbox: Inbox,
    pub(crate) send_credit: SendCredit,
    pub(crate) receive_credit: ReceiveCredit,
    /// `Event::Readable` waits to be polled.
    pub(crate) readable_queued: bool,
    /// The class that sends next, when several can.
    pub(crate) turn: u8,
    /// Its part of the sending: at first as it was announced, then as this side likes.
    pub(crate) share: Share,
    listed: Listed,
    /// What it may send by rate, and a limit of its own on what it takes in.
    throttle: ChannelThrottle,
    has_sent: bool,
    receive_rate: Option<Box<Rate>>,
    pub(crate) limits: Limits,
    meter: Meter,
    pub(crate) extra: Option<Box<Extra>>,
    pub(crate) stats: Lazy<ChannelStats>,
    /// When its connection looks at the lifetimes of its messages.
    lapses_at: Option<Timestamp>,
    queued_messages: usize,
    queued_bytes: usize,
    /// What the largest message refused as `Full` needs; `Writable` is owed for it.
    wanted: Option<usize>,
}

/// What only some channels need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// The newest message of each key.
    keys: BTreeMap<u64, (Class, u64)>,
    /// Messages of which a part is out that no FRAG_ABORT has named.
    pub(crate) aborts: Vec<(Class, u64)>,
    pub(crate) receipts: Receipts,
}

impl Extra {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.aborts.is_empty() && self.receipts.len() == 0
    }
}

/// A FRAG_ABORT saves its receiver memory, and nothing depends on it: more than this many are not kept.
const MAX_ABORTS: usize = 16;

/// Messages that one call settled, with their fates.
pub(crate) type Ends = Vec<(Class, Settled, Fate)>;

impl Channel {
    pub(crate) fn new(
        now: Timestamp,
        id: ChannelId,
        config: &Config,
        send_credit: SendCredit,
        announce: Announce,
    ) -> Self {
        Self {
            id,
            name: Box::default(),
            classes: ALL_CLASSES,
            priority: config.default_priority,
            announce,
            outboxes: Outboxes::default(),
            inbox: Inbox::default(),
            send_credit,
            receive_credit: channel_credit(now, &Limits::of(config), config),
            readable_queued: false,
            turn: 0,
            share: Share::new(config.default_priority, config.default_weight),
            listed: Listed::default(),
            throttle: None,
            has_sent: false,
            receive_rate: None,
            limits: Limits::of(config),
            meter: Meter::default(),
            extra: None,
            stats: Lazy::default(),
            lapses_at: None,
            queued_messages: 0,
            queued_bytes: 0,
            wanted: None,
        }
    }

    pub(crate) const fn allows(&self, class: Class) -> bool {
        self.classes & 1 << class as u8 != 0
    }

    /// How replies travel on this channel.
    pub(crate) const fn reply_class(&self) -> Class {
        if self.allows(Class::ReliableUnordered) { Class::ReliableUnordered } else { Class::ReliableOrdered }
    }

    /// Takes over other limits, before anything was received.
    pub(crate) fn set_limits(&mut self, now: Timestamp, limits: Limits, config: &Config) {
        self.limits = limits;
        self.receive_credit = channel_credit(now, &limits, config);
    }

    /// Whether SKIP, FRAG_ABORT or MSG_ACK must go out.
    pub(crate) fn is_control_due(&self) -> bool {
        let extra = self.extra.as_ref();
        extra.is_some_and(|extra| !extra.aborts.is_empty() || extra.receipts.is_due())
            || self.outboxes.iter().any(outbox::Outbox::has_skips)
    }

    /// Whether nothing is left to deliver that must be, and no receipt to wait for or to give.
    pub(crate) fn is_flushed(&self) -> bool {
        let is_sent = |class: Class| {
            let outbox = &self.outboxes[class as usize];
            if self.repeats(class) { outbox.is_empty() } else { !outbox.awaits_word() }
        };
        let has_answered = self.extra.as_ref().is_none_or(|extra| extra.receipts.is_settled());
        Class::ALL.into_iter().all(is_sent) && has_answered
    }

    /// Whether lost pieces of `class` are written again.
    pub(crate) const fn repeats(&self, class: Class) -> bool {
        class.is_reliable() || matches!(class, Class::Sequenced) && self.inbox.reliable_sequenced
    }

    /// Whether a message of `len` bytes can be queued without pushing out another.
    pub(crate) const fn has_room(&self, len: usize) -> bool {
        self.fits(len + MESSAGE_COST)
    }

    const fn fits(&self, cost: usize) -> bool {
        self.queued_messages < self.limits.send_messages && self.queued_bytes + cost <= self.limits.send_bytes
    }

    /// Whether a message that asks for nothing can be queued and neither pushes out nor outdates another.
    #[inline]
    pub(crate) fn takes(&self, class: Class, len: usize) -> bool {
        self.has_room(len)
            && self.limits.policy(class) != Policy::Replace
            && !(class == Class::Sequenced && self.inbox.reliable_sequenced)
    }

    /// Queues one that [`Self::takes`] allows.
    #[expect(clippy::inline_always, reason = "the message would be moved once more")]
    #[inline(always)]
    pub(crate) fn push_plain(
        &mut self,
        now: Timestamp,
        class: Class,
        payload: Bytes,
        kind: Kind,
        receipt: ReceiptKind,
    ) -> u64 {
        if self.outboxes[class as usize].unsent() == 0 && self.unsent() == 0 {
            self.meter.start(now);
        }
        self.queued_messages += 1;
        self.queued_bytes += payload.len() + MESSAGE_COST;
        self.outboxes.get_or_make(class).push(payload, kind, receipt, None)
    }

    /// Queues a message, pushing out others where its class's policy or its key says so: those are appended to `ends`. A call that
    /// finds no room is refused, and `Writable` is owed.
    pub(crate) fn push(
        &mut self,
        now: Timestamp,
        class: Class,
        entry: Entry,
        ends: &mut Ends,
    ) -> Result<u64, SendError> {
        let Entry { payload, kind, receipt, terms } = entry;
        let cost = payload.len() + MESSAGE_COST;
        let key = terms.as_ref().and_then(|terms| terms.key);
        let older = key.and_then(|key| self.extra.as_ref()?.keys.get(&key).copied());
        let older = older.filter(|&(class, id)| self.outboxes[class as usize].is_unwritten(id) == Some(true));
        // What answers a request is told to nobody when it is dropped, and those who wait for it would wait for ever.
        let policy = if kind.is_answer() { Policy::FailFast } else { self.limits.policy(class) };
        let victims = match policy {
            Policy::Replace => self.victims(class, cost, policy, older),
            _ if self.fits(cost) => Some(0),
            _ => self.victims(class, cost, policy, older),
        };
        if victims.is_none() && policy != Policy::DropNew {
            self.refuse(cost);
            return Err(SendError::Full);
        }
        let fate = match policy {
            Policy::Replace => Fate::Superseded,
            Policy::FailFast | Policy::DropNew | Policy::DropOld => Fate::Dropped { policy },
        };
        let overtook = victims.and_then(|_| self.supersede_key(now, key, ends));
        for _ in 0..victims.unwrap_or(0) {
            let oldest = self.outboxes[class as usize].replaceable().next();
            if let Some((id, _)) = oldest {
                self.give_up(now, class, id, fate, ends);
            }
        }
        if self.unsent() == 0 {
            self.meter.start(now);
        }
        self.queued_messages += 1;
        self.queued_bytes += cost;
        let id = self.outboxes[class as usize].push(payload, kind, receipt, terms);
        if victims.is_none() {
            self.give_up(now, class, id, fate, ends);
            return Ok(id);
        }
        if let Some(key) = key {
            self.extra.get_or_insert_default().keys.insert(key, (class, id));
            self.outboxes[class as usize].set_overtook(id, overtook);
        }
        if class == Class::Sequenced && self.inbox.reliable_sequenced {
            while let Some(stale) = self.outboxes[class as usize].oldest_stale() {
                self.give_up(now, class, stale, Fate::Superseded, ends);
            }
        }
        Ok(id)
    }

    /// How many of the oldest messages must go for one of `class` that costs `cost`, if `older` goes as well; `None` when there
    /// would be no room all the same.
    fn victims(
        &self,
        class: Class,
        cost: usize,
        policy: Policy,
        older: Option<(Class, u64)>,
    ) -> Option<usize> {
        let limits = &self.limits;
        let (mut messages, mut bytes) = (self.queued_messages, self.queued_bytes);
        if let Some((class, id)) = older {
            let unwritten = self.outboxes[class as usize].len_of(id);
            messages -= 1;
            bytes -= unwritten + MESSAGE_COST;
        }
        let is_enough =
            |messages, bytes| messages < limits.send_messages && bytes + cost <= limits.send_bytes;
        let mut victims = 0;
        if matches!(policy, Policy::DropOld | Policy::Replace) {
            let others = self.outboxes[class as usize].replaceable();
            for (_, len) in others.filter(|&(id, _)| older != Some((class, id))) {
                if policy == Policy::DropOld && is_enough(messages, bytes) {
                    break;
                }
                messages -= 1;
                bytes -= len + MESSAGE_COST;
                victims += 1;
            }
        }
        is_enough(messages, bytes).then_some(victims)
    }

    /// Ends the life of a message that is not settled, wherever it is, and tells the peer where it must know.
    pub(crate) fn give_up(&mut self, now: Timestamp, class: Class, id: u64, fate: Fate, ends: &mut Ends) {
        let Some(abandoned) = self.outboxes[class as usize].abandon(id, class.is_reliable()) else { return };
        let outbox::Abandoned { settled, part, overtook } = abandoned;
        if let Some(number) = part
            && !class.is_reliable()
        {
            let aborts = &mut self.extra.get_or_insert_default().aborts;
            if aborts.len() < MAX_ABORTS {
                aborts.push((class, number));
            }
        }
        self.meter.on_left(now, 0, self.unsent() == 0);
        let settled = self.account(class, settled);
        if fate != Fate::Superseded {
            self.restore_key(class, &settled, overtook);
        }
        ends.push((class, settled, fate));
    }

    /// Gives up the messages whose lifetimes are over.
    pub(crate) fn expire(&mut self, now: Timestamp, ends: &mut Ends) {
        for class in Class::ALL {
            while let Some(id) = self.outboxes.get_mut(class).and_then(|outbox| outbox.next_expired(now)) {
                let is_unwritten = self.outboxes[class as usize].is_unwritten(id) == Some(true);
                let phase = if is_unwritten { Phase::Queued } else { Phase::Sent };
                self.give_up(now, class, id, Fate::Expired { phase }, ends);
            }
        }
    }

    /// When the next lifetime of a message ends.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.outboxes.iter().filter_map(outbox::Outbox::next_deadline).min()
    }

    pub(crate) fn cancel(&mut self, now: Timestamp, class: Class, id: u64, ends: &mut Ends) -> Cancel {
        let is_unwritten = self.outboxes[class as usize].is_unwritten(id);
        if is_unwritten.is_some() && self.outboxes[class as usize].doom(id, Fate::Cancelled) {
            self.give_up(now, class, id, Fate::Cancelled, ends);
        }
        if is_unwritten == Some(true) { Cancel::Cancelled } else { Cancel::TooLate }
    }

    /// The fate of `piece`'s message if the piece is lost; `None` when it would be written again.
    pub(crate) fn verdict(&self, now: Timestamp, piece: &Piece) -> Option<Fate> {
        let is_stale = piece.class == Class::Sequenced;
        let verdict = self.outboxes[piece.class as usize].verdict(
            piece,
            now,
            is_stale && self.inbox.reliable_sequenced,
        );
        verdict.or((!self.repeats(piece.class)).then_some(Fate::Lost))
    }

    /// Owes `Writable` for a message that costs `cost`.
    pub(crate) fn refuse(&mut self, cost: usize) {
        self.wanted = self.wanted.max(Some(cost));
    }

    pub(crate) fn settle(&mut self, class: Class, id: u64) -> Option<Settled> {
        let settled = self.outboxes[class as usize].settle(id)?;
        Some(self.account(class, settled))
    }

    /// Ends the life of the oldest message of `class` that has no fate.
    pub(crate) fn settle_oldest(&mut self, class: Class) -> Option<Settled> {
        let settled = self.outboxes.get_mut(class)?.settle_oldest()?;
        Some(self.account(class, settled))
    }

    pub(crate) fn on_acked(&mut self, piece: &Piece) -> Option<Settled> {
        let settled = self.outboxes[piece.class as usize].on_acked(piece)?;
        Some(self.account(piece.class, settled))
    }

    /// The peer has `messages`: settles those that nobody wants to be told of, and returns how many they are.
    #[inline]
    fn settle_messages(&mut self, messages: &Messages) -> usize {
        let Some(outbox) = self.outboxes.get_mut(messages.class) else { return 0 };
        let (settled, bytes) = outbox.settle_messages(messages.first, messages.count);
        self.queued_messages -= settled;
        self.queued_bytes -= bytes + settled * MESSAGE_COST;
        settled
    }

    /// `len` bytes were written for the first time.
    pub(crate) fn on_written(&mut self, now: Timestamp, len: usize) {
        self.meter.on_left(now, len, self.unsent() == 0);
    }

    fn unsent(&self) -> usize {
        self.outboxes.iter().map(outbox::Outbox::unsent).sum()
    }

    /// How long a message that is queued now will wait for the bytes before it.
    pub(crate) fn queue_time(&self, now: Timestamp) -> Duration {
        self.meter.predict(now, self.unsent())
    }

    pub(crate) fn account(&mut self, class: Class, settled: Settled) -> Settled {
        self.queued_messages -= 1;
        self.queued_bytes -= settled.len as usize + MESSAGE_COST;
        if let Some(key) = settled.key
            && let Some(extra) = &mut self.extra
            && extra.keys.get(&key) == Some(&(class, settled.id))
        {
            extra.keys.remove(&key);
        }
        settled
    }

    pub(crate) const fn owes_writable(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether `Writable` is owed and there is room: the queue is at its low-water mark and the refused message fits. Pays it.
    pub(crate) fn take_writable(&mut self) -> bool {
        let low = !self.limits.is_above_low_water(self.queued_messages, self.queued_bytes);
        let pays = low && self.wanted.is_some_and(|cost| self.fits(cost));
        if pays {
            self.wanted = None;
        }
        pays
    }

    /// Messages that were never written, and those that were and are not settled.
    pub(crate) const fn queued_messages(&self) -> usize {
        self.queued_messages
    }

    pub(crate) fn drop_unread(&mut self) -> u64 {
        self.inbox.drop_incomplete();
        core::iter::from_fn(|| self.inbox.pop_ready()).count() as u64
    }

    /// What everything that it has queued costs.
    pub(crate) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.queued_bytes - self.queued_messages * MESSAGE_COST + self.inbox.held_bytes()
    }

    pub(crate) fn shrink(&mut self) {
        self.outboxes.shrink();
        self.inbox.shrink();
        self.extra.take_if(|extra| extra.is_empty());
    }
}

/// Mask of every class that this version knows.
pub(crate) const ALL_CLASSES: u8 = 0b1111;
/// In the middle of 0 to 7.
pub(crate) const DEFAULT_PRIORITY: u8 = 4;
pub(crate) const MAX_PRIORITY: u8 = 7;

crate::sleep::saved!(Listed { credit_due, starved, throttled, metered, control_due });

crate::sleep::saved!(Channel {
    id,
    name,
    classes,
    priority,
    announce,
    outboxes,
    inbox,
    send_credit,
    receive_credit,
    readable_queued,
    turn,
    share,
    listed,
    throttle,
    has_sent,
    receive_rate,
    limits,
    meter,
    extra,
    stats,
    lapses_at,
    queued_messages,
    queued_bytes,
    wanted
});

crate::sleep::awake!(Extra);
crate::sleep::rests_as!(Announce, Announce::Known);

#[cfg(test)]
mod tests {
    use super::Channel;

    #[test]
    fn an_idle_channel_is_small() {
        assert!(size_of::<Channel>() <= 640, "{} bytes", size_of::<Channel>());
        assert!(size_of::<crate::Connection>() <= 2400, "{} bytes", size_of::<crate::Connection>());
    }
}
