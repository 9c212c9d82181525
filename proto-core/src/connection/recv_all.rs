//! Messages that are taken one after the other, and whose room is given back at the end.

use super::Connection;
use super::commands::Received;
use crate::channel::Plain;
use crate::{ChannelId, Timestamp};

/// Takes what has arrived on a channel: see [`Channel::recv_all`](super::Channel::recv_all).
#[derive(Debug)]
pub struct RecvAll<'a> {
    conn: &'a mut Connection,
    id: ChannelId,
    /// Where the channel is, if what it has may be taken without a closer look.
    place: Option<usize>,
    /// Reliable messages that were taken so, and the bytes of their payloads.
    taken: (u64, u64),
}

impl<'a> RecvAll<'a> {
    #[inline]
    pub(super) fn new(conn: &'a mut Connection, now: Timestamp, id: ChannelId) -> Self {
        conn.advance(now);
        let is_open = !conn.is_gated() && !conn.is_planted_leak();
        let place = if is_open { conn.channels.place_to_take(id) } else { None };
        Self { conn, id, place, taken: (0, 0) }
    }

    /// Gives the room of what was taken back.
    fn settle(&mut self) {
        let (messages, bytes) = core::mem::take(&mut self.taken);
        if let Some(place) = self.place.filter(|_| messages > 0) {
            self.conn.stats.messages_delivered += messages;
            self.conn.channels.release_at(place, messages, bytes);
        }
    }
}

impl Iterator for RecvAll<'_> {
    type Item = Received;

    #[inline]
    fn next(&mut self) -> Option<Received> {
        if let Some(plain) = self.place.and_then(|place| self.conn.channels.pop_plain(place)) {
            if plain.class.is_reliable() {
                self.taken.0 += 1;
                self.taken.1 += plain.payload.len() as u64;
            } else {
                self.conn.stats.messages_delivered += 1;
            }
            return Some(plain.into());
        }
        self.settle();
        self.conn.receive_other(self.conn.clock, self.id)
    }
}

impl Drop for RecvAll<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

impl From<Plain> for Received {
    #[inline]
    fn from(plain: Plain) -> Self {
        let Plain { class, number, payload, gap } = plain;
        Self { payload, class, number, gap, request: None, cancelled: false, receipt: None, batch: None }
    }
}
