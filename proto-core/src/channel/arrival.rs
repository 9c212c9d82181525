//! Messages on their way from a packet to the application.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::limits::Limits;
use crate::arena::Arena;
use crate::wire::{Batch, Extras, Kind};
use crate::{Class, Config, Refusal, Timestamp};

/// A message as it came in, or a piece of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) class: Class,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) extras: Extras<'a>,
    /// Length of the whole message, and where this piece of it starts.
    pub(crate) total: u64,
    pub(crate) offset: u64,
    pub(crate) payload: &'a [u8],
}

/// What the parts of a connection lend while an arrival is taken in.
pub(crate) struct Intake<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a Config,
    pub(crate) limits: Limits,
    pub(crate) arena: &'a mut Arena,
    /// Gets the messages that the arrival completes or sets free, in order.
    pub(crate) out: &'a mut Vec<Delivery>,
    /// Gets those that are dropped unseen.
    pub(crate) gone: &'a mut Vec<Gone>,
}

/// What a message said beside its payload, when it said anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// When its lifetime ends here.
    pub(crate) deadline: Option<Timestamp>,
    /// It asks for a MSG_ACK.
    pub(crate) receipt: bool,
    pub(crate) batch: Option<Batch>,
}

impl Said {
    pub(super) fn new(extras: &Extras<'_>, now: Timestamp) -> Option<Box<Self>> {
        (*extras != Extras::default()).then(|| {
            Box::new(Self {
                deadline: extras.ttl.map(|ttl| now + Duration::from_millis(ttl.into())),
                receipt: extras.receipt,
                batch: extras.options.batch(),
            })
        })
    }

    /// Another piece of the same message: it can only shorten the lifetime.
    pub(super) fn merge(&mut self, other: &Self) {
        self.deadline = self.deadline.into_iter().chain(other.deadline).min();
        self.receipt |= other.receipt;
    }
}

/// A message that is dropped before the application has seen it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) class: Class,
    pub(crate) id: u64,
    pub(crate) total: u64,
    /// It asked for a MSG_ACK.
    pub(crate) receipt: bool,
    /// Why; `None` when its sender said so.
    pub(crate) reason: Option<Refusal>,
    /// The request that it is, when the application owes a reply to it.
    pub(crate) request: Option<u64>,
}

/// A whole message.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) class: Class,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
    /// Ordered messages before it that will never come.
    pub(crate) gap: u32,
    pub(crate) said: Option<Box<Said>>,
}

impl Delivery {
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.said.as_ref().and_then(|said| said.deadline).is_some_and(|deadline| deadline <= now)
    }

    /// Whether it is a message that says nothing beside its payload, and none of those of which only the newest counts.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.class != Class::Sequenced && self.said.is_none() && self.kind == Kind::OneWay
    }

    /// Whether it asks for a MSG_ACK.
    pub(super) fn asks(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.receipt)
    }

    /// What its owner must account for when it is dropped.
    pub(crate) fn gone(&self, reason: Refusal) -> Gone {
        Gone {
            class: self.class,
            id: self.id,
            total: self.payload.len() as u64,
            receipt: self.asks(),
            reason: Some(reason),
            request: match self.kind {
                Kind::Request(request) => Some(request),
                _ => None,
            },
        }
    }
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// It is dropped.
    Dropped(Refusal),
    /// The peer broke a rule.
    Violation(u64, &'static str),
}

#[cfg(planted)]
pub(super) fn is_planted_over_gap(config: &Config) -> bool {
    config.planted == Some(crate::planted::Planted::DeliverOverGap)
}

#[cfg(not(planted))]
pub(super) const fn is_planted_over_gap(_: &Config) -> bool {
    false
}

#[cfg(planted)]
pub(super) fn is_planted_any_sequence(config: &Config) -> bool {
    config.planted == Some(crate::planted::Planted::AnySequence)
}

#[cfg(not(planted))]
pub(super) const fn is_planted_any_sequence(_: &Config) -> bool {
    false
}

#[cfg(planted)]
pub(super) fn is_planted_immortal(config: &Config) -> bool {
    config.planted == Some(crate::planted::Planted::Immortal)
}

#[cfg(not(planted))]
pub(super) const fn is_planted_immortal(_: &Config) -> bool {
    false
}

crate::sleep::awake!(Delivery);
