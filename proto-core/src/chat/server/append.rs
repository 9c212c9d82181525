//! Appends: each is committed once, however often it is repeated (spec: chat.md, section 6).

use bytes::Bytes;

use super::output::{Delivery, EndReason};
use super::room::{Member, RoomKey, Waiting};
use super::sequencer::effective_time;
use super::{Guard, Server};
use crate::chat::identity::{BodyHash, ClientId};
use crate::chat::message::{ClientAppend, MAX_UNACKNOWLEDGED, Message, RejectReason, ServerAck};
use crate::{ConnectionId, Now};

/// What an append is to a room that remembers its client.
enum Verdict {
    New,
    /// Committed at this slot before.
    Committed(u64),
    /// Waiting to be committed; answered when it is.
    Pending,
    Conflict,
    /// Neither new nor remembered.
    Unknown,
}

impl Member {
    fn judge(&self, sequence: u64, hash: BodyHash, first: u64) -> Verdict {
        if let Some(committed) = self.table.find(sequence) {
            return if committed.body_hash == hash {
                Verdict::Committed(committed.slot)
            } else {
                Verdict::Conflict
            };
        }
        if let Some(waiting) = self.waiting.iter().find(|waiting| waiting.sequence == sequence) {
            return if waiting.body_hash == hash { Verdict::Pending } else { Verdict::Conflict };
        }
        match self.last_accepted() {
            0 if sequence != first => Verdict::Unknown,
            last if sequence <= last => Verdict::Unknown,
            _ => Verdict::New,
        }
    }
}

impl Server {
    pub(super) fn handle_append(
        &mut self,
        now: Now,
        from: ConnectionId,
        append: &ClientAppend<'_>,
        guard: &mut Guard<'_>,
    ) {
        #[cfg(planted)]
        assert!(
            append.sequence != 3 || self.config.planted != Some(crate::chat::Planted::Panics),
            "the third append of a client"
        );
        if let Err(reason) = self.append(now, from, append, guard) {
            self.reject(from, append.room, append.sequence, reason);
        }
    }

    fn append(
        &mut self,
        now: Now,
        from: ConnectionId,
        append: &ClientAppend<'_>,
        guard: &mut Guard<'_>,
    ) -> Result<(), RejectReason> {
        if self.disk.is_broken() {
            self.stats.stopped += 1;
            return Err(RejectReason::Stopped);
        }
        let joined = self.connections.get(&from).and_then(|state| state.joined()).cloned();
        let membership = joined.filter(|membership| *self.rooms[membership.room.0].name == *append.room);
        let Some(membership) = membership else {
            self.stats.not_joined += 1;
            return Err(RejectReason::NotJoined);
        };
        let (key, client) = (membership.room, membership.client);
        let room = &self.rooms[key.0];
        if append.seen > room.latest {
            self.stats.seen_too_high += 1;
            return Err(RejectReason::EpochChanged);
        }
        // A client that is not known starts with 1, or after what was refused to it on this very connection.
        let first = membership.refused + 1;
        let body_hash = BodyHash::of(append.kind, append.body);
        let Some(member) = room.members.get(&client) else { return Err(RejectReason::NotJoined) };
        match self.judge(member, append.sequence, body_hash, first) {
            Verdict::Committed(slot) => {
                self.stats.duplicates += 1;
                self.acknowledge(key, client, append.sequence, slot, true);
                return Ok(());
            }
            Verdict::Pending => {
                self.stats.repeated += 1;
                return Ok(());
            }
            Verdict::Conflict => {
                self.stats.conflicts += 1;
                return Err(RejectReason::Conflict);
            }
            Verdict::Unknown => {
                self.stats.unknown_sequences += 1;
                return Err(RejectReason::Unknown);
            }
            Verdict::New => {}
        }
        if append.body.len() > self.config.max_body {
            self.stats.too_large += 1;
            self.note_refused(from, append.sequence, first);
            return Err(RejectReason::TooLarge);
        }
        if member.waiting.len() >= MAX_UNACKNOWLEDGED {
            self.stats.overruns += 1;
            self.end(from, EndReason::Overrun);
            return Ok(());
        }
        if let Err(reason) = guard(append.room, append.kind) {
            self.stats.not_let_in += 1;
            self.note_refused(from, append.sequence, first);
            return Err(reason);
        }
        let effective = effective_time(now, append.author_ms, self.config.overtake, member.previous);
        let waiting = Waiting {
            sequence: append.sequence,
            body_hash,
            name: membership.name,
            author_ms: append.author_ms,
            kind: append.kind,
            // A copy, so that a small body does not hold on to the buffer that it was received in.
            body: Bytes::copy_from_slice(append.body),
            effective,
        };
        self.enqueue(key, client, waiting);
        self.charge(from, client);
        self.refresh_ready(from);
        self.tell_full(key);
        Ok(())
    }

    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the planted build looks at the configuration")]
    fn judge(&self, member: &Member, sequence: u64, hash: BodyHash, first: u64) -> Verdict {
        member.judge(sequence, hash, first)
    }

    #[cfg(planted)]
    fn judge(&self, member: &Member, sequence: u64, hash: BodyHash, first: u64) -> Verdict {
        if self.config.planted == Some(crate::chat::Planted::DedupOff) {
            return Verdict::New;
        }
        member.judge(sequence, hash, first)
    }

    pub(super) fn enqueue(&mut self, key: RoomKey, client: ClientId, append: Waiting) {
        let Some(member) = self.rooms[key.0].members.get_mut(&client) else { return };
        member.previous = append.effective;
        member.waiting.push_back(append);
        self.stats.accepted += 1;
        self.file_head(key, client);
    }

    fn note_refused(&mut self, from: ConnectionId, sequence: u64, first: u64) {
        if let Some(super::connection::Phase::Joined(membership)) =
            self.connections.get_mut(&from).map(|state| &mut state.phase)
            && sequence == first
        {
            membership.refused = sequence;
        }
    }

    /// Tells the client, on whatever connection speaks for it now. Without one it learns on its next.
    pub(super) fn acknowledge(
        &mut self,
        key: RoomKey,
        client: ClientId,
        sequence: u64,
        slot: u64,
        duplicate: bool,
    ) {
        let room = &self.rooms[key.0];
        let member = room.members.get(&client).filter(|member| member.joined);
        let Some(connection) = member.and_then(|member| member.connection) else { return };
        let name = room.name.clone();
        let ack = ServerAck { room: &name, epoch: room.epoch, sequence, slot, duplicate };
        self.send(connection, &Message::ServerAck(ack), Delivery::Essential);
    }
}
