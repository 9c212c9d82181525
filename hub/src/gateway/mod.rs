//! The Multiplayer Piano protocol for the rooms of a server: JSON text in, JSON text out. Knows no sockets and no clock.
//!
//! ```text
//!  web sockets ── handle_text ──► Gateway ── commands ──► Hall
//!              ◄── take ─────────         ◄─ handle_output ─
//! ```
//!
//! Each guest has a queue with a limit. What only must be fast is dropped when it is full; of anything else the guest gets the
//! whole state once the queue is empty, and who does not empty it for 10 s is sent away.

mod act;
mod direct;
pub(crate) mod fuzzing;
mod guest;
mod json;
mod limits;
mod parse;
mod stats;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use proto_core::room::hall::Hall;
use proto_core::room::{Departure, Peer};
use proto_core::{Address as _, Now, Timestamp};

pub(crate) use guest::End;
use guest::{Guest, Weight};
pub(crate) use limits::{MAX_BEFORE_HI, MAX_TEXT};
use limits::{MAX_SILENCE, SLOW_FOR};
pub(crate) use stats::{Dropped, Ignored, Stats};

/// The number of a guest: the same as in [`Peer::Guest`], and never given twice.
pub(crate) type GuestId = u64;

/// What a gateway says and limits.
#[derive(Clone, Debug)]
pub(crate) struct GatewayConfig {
    /// Shown to who says hi; empty: nothing.
    pub(crate) motd: String,
    /// Guests at once.
    pub(crate) max_guests: usize,
    /// Whether a guest may only say so much; what is done with it is limited by the rooms.
    pub(crate) limits: bool,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { motd: String::new(), max_guests: 60_000, limits: true }
    }
}

/// Every guest, and what waits for each.
#[derive(Debug)]
pub(crate) struct Gateway {
    config: GatewayConfig,
    guests: BTreeMap<GuestId, Guest>,
    last: GuestId,
    places: tell::Places,
    deadlines: BTreeSet<(Timestamp, GuestId)>,
    /// Guests that are to hear that there is something for them.
    ready: VecDeque<GuestId>,
    /// Guests that want what programs tell each other.
    subscribed: BTreeSet<GuestId>,
    is_draining: bool,
    stats: Stats,
}

impl Gateway {
    /// A gateway without guests.
    pub(crate) fn new(config: GatewayConfig) -> Self {
        Self {
            config,
            guests: BTreeMap::new(),
            last: 0,
            places: tell::Places::default(),
            deadlines: BTreeSet::new(),
            ready: VecDeque::new(),
            subscribed: BTreeSet::new(),
            is_draining: false,
            stats: Stats::default(),
        }
    }

    /// Counters since its creation.
    pub(crate) const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many guests there are.
    pub(crate) fn guests(&self) -> usize {
        self.guests.len()
    }

    /// Bytes that wait for guests.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.guests.values().map(Guest::queued).sum()
    }

    /// Somebody has connected; `None`: there are as many as there may be.
    pub(crate) fn open(&mut self, now: Now, address: SocketAddr) -> Option<GuestId> {
        if self.is_draining || self.guests.len() >= self.config.max_guests {
            self.stats.refused += 1;
            return None;
        }
        self.last += 1;
        let (id, ip) = (self.last, address.ip().to_canonical());
        let deadline = now.mono + MAX_SILENCE;
        self.guests.insert(id, Guest::new(ip, address.prefix(), now.mono, deadline));
        self.deadlines.insert((deadline, id));
        self.stats.opened += 1;
        self.push(now, id, &json::hello(), Weight::State);
        Some(id)
    }

    /// A guest's web socket is gone.
    pub(crate) fn close(&mut self, now: Now, hall: &mut Hall, id: GuestId) {
        let Some(guest) = self.guests.remove(&id) else { return };
        self.deadlines.remove(&(guest.deadline, id));
        self.subscribed.remove(&id);
        self.leaves(id, guest.place.as_ref());
        self.stats.dropped(Dropped::Gone, guest.frames() as u64);
        hall.close(now, Peer::Guest(id), Departure::Left);
    }

    /// Everybody is sent away, and nobody is taken any more.
    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
        let ids: Vec<_> = self.guests.keys().copied().collect();
        for id in ids {
            self.end(id, End::SERVER_CLOSES);
        }
    }

    /// The operator sends a guest away.
    pub(crate) fn send_away(&mut self, id: GuestId) {
        self.end(id, End::SENT_AWAY);
    }

    /// Whether a guest has said hi.
    pub(crate) fn has_greeted(&self, id: GuestId) -> bool {
        self.guests.get(&id).is_some_and(|guest| guest.user.is_some())
    }

    /// A guest's web socket has shown a sign of life.
    pub(crate) fn handle_alive(&mut self, now: Now, id: GuestId) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.heard = now.mono;
        if self.config.limits
            && let Err(end) = guest.pay_message(now.mono)
        {
            self.end(id, end);
        }
    }

    /// The next guest that is to hear that there is something to take, or that it is to be sent away. Of what comes before it has
    /// taken that, it need not hear.
    pub(crate) fn poll_ready(&mut self) -> Option<GuestId> {
        self.ready.pop_front()
    }

    /// Whether anybody is to hear so.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Appends the texts that wait for a guest to `texts`. When none do any more and it has missed something, it gets the whole
    /// state. Says why it is to be sent away, if it is: behind these texts.
    pub(crate) fn take(&mut self, hall: &mut Hall, id: GuestId, texts: &mut Vec<Bytes>) -> Option<End> {
        let Some(guest) = self.guests.get_mut(&id) else { return Some(End::GONE) };
        guest.is_told = false;
        self.stats.frames_sent += guest.take(texts);
        if guest.behind.is_some() && guest.end.is_none() {
            if guest.place.is_none() {
                guest.behind = None;
            }
            hall.resync(Peer::Guest(id));
        }
        self.guests.get(&id).and_then(|guest| guest.end)
    }

    /// Why a guest is to be sent away, if it is.
    pub(crate) fn end_of(&self, id: GuestId) -> Option<End> {
        self.guests.get(&id).map_or(Some(End::GONE), |guest| guest.end)
    }

    /// When `handle_timeout` has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Sends away who is silent or slow.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some(&(at, id)) = self.deadlines.first().filter(|(at, _)| *at <= now.mono) {
            self.deadlines.remove(&(at, id));
            let Some(guest) = self.guests.get_mut(&id) else { continue };
            let silent = guest.heard + MAX_SILENCE;
            let due = guest.behind.map_or(silent, |behind| silent.min(behind + SLOW_FOR));
            if due > now.mono || guest.end.is_some() {
                guest.deadline = due.max(now.mono + MAX_SILENCE.min(SLOW_FOR));
                self.deadlines.insert((guest.deadline, id));
            } else {
                guest.deadline = now.mono + MAX_SILENCE;
                self.deadlines.insert((guest.deadline, id));
                let end = if silent <= now.mono { End::SILENT } else { End::SLOW };
                self.end(id, end);
            }
        }
    }

    fn push(&mut self, now: Now, id: GuestId, text: &Bytes, weight: Weight) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        match guest.push(now.mono, text, weight) {
            Ok(()) => {
                if !std::mem::replace(&mut guest.is_told, true) {
                    self.ready.push_back(id);
                }
            }
            Err(why) => {
                self.stats.dropped(why, 1);
                let due = now.mono + SLOW_FOR;
                if guest.behind == Some(now.mono) && guest.deadline > due {
                    self.deadlines.remove(&(guest.deadline, id));
                    guest.deadline = due;
                    self.deadlines.insert((due, id));
                }
            }
        }
    }

    fn end(&mut self, id: GuestId, end: End) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        if guest.end.is_none() {
            guest.end = Some(end);
            self.stats.ended(end);
            // It may be one that takes nothing.
            self.ready.push_back(id);
        }
    }
}
