//! What each of the server's messages does.

use alloc::string::ToString;

use bytes::Bytes;

use super::{Client, ClientEvent, Entry, Phase};
use crate::Now;
use crate::chat::message::{
    Message, RejectReason, ServerAck, ServerEntry, ServerJoined, ServerReject, ServerReply, WireEntry,
};

impl Client {
    /// A message of the server has arrived. Whatever it is, the answer is an event, a message or a counter.
    pub fn handle_message(&mut self, now: Now, payload: &Bytes) {
        let now = self.observe(now);
        if !self.is_ready() {
            self.stats.overruns += 1;
            return;
        }
        match Message::decode(payload) {
            Ok(Message::ServerJoined(joined)) => self.handle_joined(now, &joined),
            Ok(Message::ServerAck(ack)) => self.handle_ack(now, &ack),
            Ok(Message::ServerReply(reply)) => self.handle_reply(now, payload, &reply),
            Ok(Message::ServerEntry(entry)) => self.handle_entry(now, payload, &entry),
            Ok(Message::ServerReject(reject)) => self.handle_reject(now, &reject),
            _ => self.stats.malformed += 1,
        }
    }

    fn handle_joined(&mut self, now: Now, joined: &ServerJoined<'_>) {
        if self.phase != Phase::Joining || *joined.room != *self.config.room {
            self.stats.misplaced += 1;
            return;
        }
        let first = self.log.epoch == 0;
        let resumed = joined.epoch == self.log.epoch && self.log.has <= joined.latest;
        let reset = !first && !resumed;
        if reset {
            self.stats.resets += 1;
            self.events.push_back(ClientEvent::LogReset { epoch: joined.epoch });
        }
        if !resumed {
            self.log.has = joined.latest.saturating_sub(self.last());
        }
        self.log.epoch = joined.epoch;
        self.log.latest = joined.latest;
        self.max_body = joined.limits.max_body as usize;
        self.phase = Phase::Joined;
        self.stalled = false;
        self.unreadable = false;
        self.events.push_back(ClientEvent::Joined {
            epoch: joined.epoch,
            latest: joined.latest,
            next: self.log.has + 1,
            resumed,
            author: joined.author,
        });
        let absent = self.last_joined.map_or(0, |then| now.mono.since(then).as_millis());
        let long_absent = absent >= u128::from(joined.limits.remember_ms);
        self.last_joined = Some(now.mono);
        for sequence in self.appends.rejoin(joined.last_sequence, reset, long_absent) {
            self.events.push_back(ClientEvent::Rejected { sequence, reason: RejectReason::Unknown });
        }
        self.log.joined(now.mono, self.config.sync_after);
        self.note_live();
    }

    fn handle_ack(&mut self, now: Now, ack: &ServerAck<'_>) {
        if !self.is_ours(ack.room, ack.epoch) {
            return;
        }
        self.log.news(now.mono, self.config.sync_after);
        self.stalled = false;
        let Some(sequence) = self.appends.settle(ack.sequence) else {
            self.stats.stale_answers += 1;
            return;
        };
        self.appends.note_acknowledged();
        let (slot, duplicate) = (ack.slot, ack.duplicate);
        self.events.push_back(ClientEvent::Acked { sequence, slot, duplicate });
    }

    fn handle_reply(&mut self, now: Now, payload: &Bytes, reply: &ServerReply<'_>) {
        if !self.is_ours(reply.room, reply.epoch) {
            return;
        }
        self.log.latest = self.log.latest.max(reply.latest);
        let had = self.log.has;
        for (slot, entry) in (reply.first..).zip(&reply.entries) {
            self.take(payload, slot, entry);
        }
        self.log.answered(now.mono, self.config.sync_after, self.log.has > had);
        self.note_live();
    }

    fn handle_entry(&mut self, now: Now, payload: &Bytes, message: &ServerEntry<'_>) {
        if !self.is_ours(message.room, message.epoch) {
            return;
        }
        self.stalled = false;
        self.log.latest = self.log.latest.max(message.slot);
        self.take(payload, message.slot, &message.entry);
        if self.log.has < self.log.latest {
            self.note_behind();
            self.log.ask(now.mono, self.config.sync_after);
        } else {
            self.log.news(now.mono, self.config.sync_after);
            self.note_live();
        }
    }

    /// Delivers an entry if it is the next one.
    fn take(&mut self, payload: &Bytes, slot: u64, entry: &WireEntry<'_>) {
        if slot <= self.log.has {
            self.stats.repeated += 1;
            return;
        }
        if slot > self.log.has + 1 && !self.delivers_over_gaps() {
            self.stats.early += 1;
            return;
        }
        self.log.has = slot;
        self.unreadable = false;
        self.stats.delivered += 1;
        self.events.push_back(ClientEvent::Entry(Entry {
            epoch: self.log.epoch,
            slot,
            author: entry.author,
            sequence: entry.sequence,
            name: entry.name.to_string(),
            author_ms: entry.author_ms,
            commit_ms: entry.commit_ms,
            kind: entry.kind,
            body: payload.slice_ref(entry.body),
        }));
    }

    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the planted build looks at the configuration")]
    fn delivers_over_gaps(&self) -> bool {
        false
    }

    #[cfg(planted)]
    fn delivers_over_gaps(&self) -> bool {
        self.config.planted == Some(crate::chat::Planted::DeliverOverGap)
    }

    fn note_behind(&mut self) {
        if self.log.live {
            self.log.live = false;
            self.stats.gaps += 1;
            let (next, latest) = (self.log.has + 1, self.log.latest);
            self.events.push_back(ClientEvent::Behind { next, latest });
        }
    }

    fn note_live(&mut self) {
        if !self.log.live && self.log.has >= self.log.latest {
            self.log.live = true;
            self.events.push_back(ClientEvent::Live { latest: self.log.latest });
        }
    }

    fn handle_reject(&mut self, now: Now, reject: &ServerReject<'_>) {
        if !matches!(self.phase, Phase::Joining | Phase::Joined) || *reject.room != *self.config.room {
            self.stats.misplaced += 1;
            return;
        }
        match reject.reason {
            RejectReason::Full => {
                if !self.stalled {
                    self.stalled = true;
                    self.events.push_back(ClientEvent::Stalled);
                }
            }
            RejectReason::Unreadable => {
                self.log.refused(now.mono, self.config.sync_after);
                if !self.unreadable {
                    self.unreadable = true;
                    self.events.push_back(ClientEvent::Unreadable { next: self.log.has + 1 });
                }
            }
            reason if reject.sequence > 0 && reason.is_final() => {
                let Some(sequence) = self.appends.settle(reject.sequence) else {
                    self.stats.stale_answers += 1;
                    return;
                };
                self.events.push_back(ClientEvent::Rejected { sequence, reason });
            }
            reason => {
                self.phase = Phase::Refused;
                self.log.stop();
                self.events.push_back(ClientEvent::Refused { reason });
            }
        }
    }

    fn is_ours(&mut self, room: &str, epoch: u64) -> bool {
        let ours = self.phase == Phase::Joined && *room == *self.config.room && epoch == self.log.epoch;
        if !ours {
            self.stats.misplaced += 1;
        }
        ours
    }
}
