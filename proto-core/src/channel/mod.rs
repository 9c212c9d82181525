//! Channels: independent streams of messages within a connection (docs/spec/channels.md).

mod credit;
mod fragment;
mod inbox;
mod limits;
mod outbox;
mod rate;
mod scheduler;
mod table;

use alloc::boxed::Box;

pub(crate) use self::credit::{ReceiveCredit, SendCredit, cost};
pub(crate) use self::inbox::{Arrival, Delivery, Inbox, Intake, Refused};
pub(crate) use self::limits::channel_credit;
pub(crate) use self::outbox::{Candidate, Outbox, Settled};
pub(crate) use self::scheduler::Share;
pub(crate) use self::table::Channels;
use crate::wire::Rate;
use crate::{ChannelId, Class, Config, MESSAGE_COST, SendError, Timestamp};

/// Bytes of one message that travelled in one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) channel: ChannelId,
    pub(crate) class: Class,
    pub(crate) id: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
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
    assembling: bool,
    throttled: bool,
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
    pub(crate) outboxes: [Outbox; 3],
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
    throttle: limits::ChannelThrottle,
    has_sent: bool,
    receive_rate: Option<Rate>,
    queued_messages: usize,
    queued_bytes: usize,
    /// What the largest message refused as `Full` needs; `Writable` is owed for it.
    wanted: Option<usize>,
}

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
            outboxes: Default::default(),
            inbox: Inbox::default(),
            send_credit,
            receive_credit: channel_credit(now, config),
            readable_queued: false,
            turn: 0,
            share: Share::new(config.default_priority, config.default_weight),
            listed: Listed::default(),
            throttle: None,
            has_sent: false,
            receive_rate: None,
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

    /// Whether a message of `len` bytes can be queued without pushing out another.
    pub(crate) fn has_room(&self, len: usize, config: &Config) -> bool {
        self.fits(config, len + MESSAGE_COST)
    }

    fn fits(&self, config: &Config, cost: usize) -> bool {
        self.queued_messages < config.send_messages && self.queued_bytes + cost <= config.send_bytes
    }

    /// Makes room for a message of `len` bytes. A full queue drops its oldest unwritten unreliable messages for a new
    /// unreliable one, which `dropped` is told; otherwise the call is refused and `Writable` is owed.
    pub(crate) fn admit(
        &mut self,
        class: Class,
        len: usize,
        config: &Config,
        mut dropped: impl FnMut(Settled),
    ) -> Result<(), SendError> {
        let cost = len + MESSAGE_COST;
        let victims = self.victims(class, cost, config);
        let Some(victims) = victims else {
            self.refuse(cost);
            return Err(SendError::Full);
        };
        for _ in 0..victims {
            let oldest = self.outboxes[class as usize].unwritten().next();
            if let Some(settled) = oldest.and_then(|(id, _)| self.settle(class, id)) {
                dropped(settled);
            }
        }
        self.queued_messages += 1;
        self.queued_bytes += cost;
        Ok(())
    }

    /// How many messages must go for one of `class` that costs `cost`; `None` when there would be no room all the same.
    fn victims(&self, class: Class, cost: usize, config: &Config) -> Option<usize> {
        let outbox = &self.outboxes[class as usize];
        let mut unwritten = outbox.unwritten().filter(|_| class == Class::Unreliable);
        let (mut messages, mut bytes, mut victims) = (self.queued_messages, self.queued_bytes, 0);
        while messages >= config.send_messages || bytes + cost > config.send_bytes {
            let (_, len) = unwritten.next()?;
            messages -= 1;
            bytes -= len + MESSAGE_COST;
            victims += 1;
        }
        Some(victims)
    }

    /// Owes `Writable` for a message that costs `cost`.
    pub(crate) fn refuse(&mut self, cost: usize) {
        self.wanted = self.wanted.max(Some(cost));
    }

    pub(crate) fn settle(&mut self, class: Class, id: u64) -> Option<Settled> {
        let settled = self.outboxes[class as usize].settle(id);
        self.account(settled)
    }

    pub(crate) fn on_acked(&mut self, piece: &Piece) -> Option<Settled> {
        let settled = self.outboxes[piece.class as usize].on_acked(piece);
        self.account(settled)
    }

    fn account(&mut self, settled: Option<Settled>) -> Option<Settled> {
        if let Some(settled) = &settled {
            self.queued_messages -= 1;
            self.queued_bytes -= settled.len as usize + MESSAGE_COST;
        }
        settled
    }

    /// Whether `Writable` is owed and there is room: at most half of the queue is in use and the refused message fits. Pays it.
    pub(crate) fn take_writable(&mut self, config: &Config) -> bool {
        let low =
            self.queued_messages * 2 <= config.send_messages && self.queued_bytes * 2 <= config.send_bytes;
        let pays = low && self.wanted.is_some_and(|cost| self.fits(config, cost));
        if pays {
            self.wanted = None;
        }
        pays
    }

    /// Messages that were never written, and those that were and are not settled.
    pub(crate) const fn queued_messages(&self) -> usize {
        self.queued_messages
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.queued_bytes - self.queued_messages * MESSAGE_COST + self.inbox.held_bytes()
    }

    fn shrink(&mut self) {
        for outbox in &mut self.outboxes {
            outbox.shrink();
        }
        self.inbox.shrink();
    }
}

/// Mask of every class that this version knows.
pub(crate) const ALL_CLASSES: u8 = 0b0111;
/// In the middle of 0 to 7.
pub(crate) const DEFAULT_PRIORITY: u8 = 4;
pub(crate) const MAX_PRIORITY: u8 = 7;
