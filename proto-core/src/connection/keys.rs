//! The keys of an encrypted attachment: which one seals, which one opens, and when the next ones take their place
//! (RFC 9001, section 6; docs/spec/wire.md, section 2.5).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::transmit::pad;
use crate::crypto::{Key, Session};
use crate::secret::wipe;
use crate::sleep::{Loader, Saved, Saver};
use crate::wire::{Cid, sealed};
use crate::{Config, Timestamp};

/// Packets that a used-up key still seals: those that say so, which are at most eight, and their answers.
const RESERVE: u64 = 64;

#[derive(Clone, Debug)]
pub(super) struct Keys {
    session: Box<dyn Session>,
    /// Times that the keys were replaced.
    updates: u64,
    /// The lowest bit of that, which packets say.
    phase: bool,
    /// Packets sealed with the present key.
    sent: u64,
    /// The key is to be replaced after so many packets, or then.
    update_after: u64,
    update_at: Timestamp,
    /// The first number sealed with the present key.
    first_sent: u64,
    /// The least number that the peer's present key has opened.
    first_received: Option<u64>,
    /// The peer's previous key is kept, from the first packet of the present one on until then.
    has_previous: bool,
    previous_until: Option<Timestamp>,
    /// Packets that did not open.
    forged: u64,
}

/// A packet that was opened.
pub(super) struct Opened {
    pub(super) number: u64,
    /// Where its record is.
    pub(super) record: Range<usize>,
    /// Reserved bits are set.
    pub(super) has_reserved: bool,
    /// It was sealed with a previous key: by that time its sender had no packet of this side's present one, the first of which has
    /// this number.
    pub(super) before: Option<u64>,
}

impl Keys {
    pub(super) fn new(now: Timestamp, session: Box<dyn Session>, config: &Config) -> Option<Self> {
        let crypto = config.crypto.as_ref()?;
        Some(Self {
            update_after: crypto.update_packets.min(session.limits().sealed / 2),
            update_at: now + crypto.update_interval,
            session,
            updates: 0,
            phase: false,
            sent: 0,
            first_sent: 0,
            first_received: None,
            has_previous: false,
            previous_until: None,
            forged: 0,
        })
    }

    pub(super) fn handshake_hash(&self) -> [u8; 32] {
        self.session.handshake_hash()
    }

    pub(super) const fn updates(&self) -> u64 {
        self.updates
    }

    /// Whether they must not be used any more.
    pub(super) fn are_used_up(&self) -> bool {
        let limits = self.session.limits();
        self.sent >= limits.sealed.saturating_sub(RESERVE) || self.forged >= limits.forged
    }

    /// Seals the packet `number` that begins at `start` of `buf`; `acked` is the largest number that is known to have arrived.
    #[inline(never)]
    pub(super) fn seal(
        &mut self,
        now: Timestamp,
        config: &Config,
        (number, acked): (u64, Option<u64>),
        (buf, start): (&mut Vec<u8>, usize),
    ) {
        if (self.sent >= self.update_after || now >= self.update_at) && self.may_update(now, acked) {
            self.session.update_received();
            self.session.update_sent();
            self.begin_phase(now, config, number);
            self.first_received = None;
            self.previous_until = None;
        }
        if buf.len() < start + sealed::least() {
            let record = start + 1 + Cid::LEN + usize::from(buf[start] >> 3 & 3) + 1;
            pad(buf, record, start + sealed::least());
        }
        sealed::finish(buf, start, number, self.phase, &*self.session);
        self.sent += 1;
    }

    /// Whether the peer is known to have the present key, and nothing late can be sealed with the one before.
    fn may_update(&self, now: Timestamp, acked: Option<u64>) -> bool {
        let is_known = self.first_received.is_some() && acked.is_some_and(|acked| acked >= self.first_sent);
        is_known && (!self.has_previous || self.previous_until.is_some_and(|until| until <= now))
    }

    fn begin_phase(&mut self, now: Timestamp, config: &Config, first_sent: u64) {
        self.updates += 1;
        self.phase = self.updates % 2 == 1;
        self.sent = 0;
        self.first_sent = first_sent;
        self.has_previous = true;
        if let Some(crypto) = &config.crypto {
            self.update_at = now + crypto.update_interval;
        }
    }

    /// Opens `packet` where it is; `expand` makes whole numbers of truncated ones, `pto` says how long packets may be late, `next` is
    /// the number of the next packet that goes out. `None`: it is not the peer's.
    pub(super) fn open(
        &mut self,
        now: Timestamp,
        config: &Config,
        packet: &mut [u8],
        expand: impl Fn(u32, u8) -> u64,
        pto: impl Fn() -> Duration,
        next: u64,
    ) -> Option<Opened> {
        if self.has_previous && self.previous_until.is_some_and(|until| until <= now) {
            self.session.forget_previous();
            self.has_previous = false;
        }
        let header = sealed::unmask(packet, &*self.session)?;
        let number = expand(header.number, header.number_len);
        let is_before = self.has_previous && self.first_received.is_none_or(|first| number < first);
        let key = match header.phase == self.phase {
            true => Key::Current,
            false if is_before => Key::Previous,
            false => Key::Next,
        };
        let len = packet.len();
        let (head, sealed) = packet.split_at_mut(header.len);
        if !self.session.open(key, number, head, sealed) {
            self.forged += 1;
            return None;
        }
        match key {
            Key::Current if self.first_received.is_none_or(|first| number < first) => {
                self.first_received = Some(number);
                if self.has_previous && self.previous_until.is_none() {
                    self.previous_until = Some(now + pto() * 3);
                }
            }
            Key::Next => {
                self.session.update_received();
                #[cfg(planted)]
                let forgets = config.planted == Some(crate::planted::Planted::UpdateForgetsSide);
                #[cfg(not(planted))]
                let forgets = false;
                if !forgets {
                    self.session.update_sent();
                }
                self.begin_phase(now, config, next);
                self.first_received = Some(number);
                self.previous_until = Some(now + pto() * 3);
            }
            Key::Current | Key::Previous => {}
        }
        Some(Opened {
            number,
            record: header.len..len - crate::crypto::TAG_LEN,
            has_reserved: header.has_reserved,
            before: (key == Key::Previous).then_some(self.first_sent),
        })
    }

    /// The number that a packet says it has, proven or not.
    #[cfg(planted)]
    pub(super) fn number_of(&self, packet: &[u8], expand: impl Fn(u32, u8) -> u64) -> Option<u64> {
        let header = sealed::unmask(&mut packet.to_vec(), &*self.session)?;
        Some(expand(header.number, header.number_len))
    }
}

impl Saved for Keys {
    /// Once the peer's present key has opened something and nothing is under way, nothing comes that the one before would open.
    fn is_at_rest(&self) -> bool {
        !self.has_previous || self.previous_until.is_some()
    }

    fn save(&self, to: &mut Saver<'_>) {
        let mut secrets = Vec::with_capacity(256);
        self.session.save(&mut secrets);
        secrets.save(to);
        wipe(&mut secrets);
        for number in [self.updates, self.sent, self.update_after, self.first_sent, self.forged] {
            number.save(to);
        }
        self.update_at.save(to);
        self.first_received.save(to);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        let mut secrets = Vec::<u8>::load(from)?;
        let session = from.config.crypto.as_ref().and_then(|crypto| crypto.identity.load(&secrets));
        wipe(&mut secrets);
        let session = session?;
        let updates = u64::load(from)?;
        Some(Self {
            session,
            updates,
            phase: updates % 2 == 1,
            sent: Saved::load(from)?,
            update_after: Saved::load(from)?,
            first_sent: Saved::load(from)?,
            forged: Saved::load(from)?,
            update_at: Saved::load(from)?,
            first_received: Saved::load(from)?,
            has_previous: false,
            previous_until: None,
        })
    }
}
