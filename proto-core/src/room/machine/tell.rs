//! Who hears of what: versions, snapshots, cursors.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Audience, Effects, Outgoing, Room, Seat};
use crate::Now;
use crate::room::id::{Peer, UserId};
use crate::room::limits::{BATCH_ABOVE, BATCH_EVERY, CURSORS_EVERY, CURSORS_FOR};
use crate::room::message::{Change, CursorAt, Diff, Event};

/// Changes that wait for a batch before it goes out early.
const MAX_PENDING: usize = 1024;

impl Room {
    /// Every connection, those too that wait for their snapshots.
    pub(in crate::room) fn seats(&self) -> Vec<Seat> {
        let of = |(&user, member): (&UserId, &super::Member)| {
            member.seats.iter().map(|&(peer, _)| Seat { peer, user }).collect::<Vec<_>>()
        };
        self.members.iter().flat_map(of).collect()
    }

    /// Everybody who has got a snapshot.
    pub fn audience(&mut self) -> Arc<[Seat]> {
        let (members, arriving) = (&self.members, &self.arriving);
        let list = || {
            let seats = members
                .iter()
                .flat_map(|(&user, member)| member.seats.iter().map(move |&(peer, _)| Seat { peer, user }));
            seats.filter(|seat| !arriving.contains(seat)).collect::<Vec<_>>().into()
        };
        self.seats.get_or_insert_with(list).clone()
    }

    pub(super) fn tell(&mut self, except: Option<UserId>, event: Event, effects: &mut Effects) {
        let seats = self.audience();
        if !seats.is_empty() {
            effects.outgoing.push(Outgoing { to: Audience::Many { seats, except }, event });
        }
    }

    pub(super) fn tell_user(&self, user: UserId, event: &Event, effects: &mut Effects) {
        let seats = self.members.get(&user).map_or(&[][..], |member| &member.seats);
        for &(peer, _) in seats.iter().filter(|&&(peer, _)| !self.arriving.contains(&Seat { peer, user })) {
            effects.one(peer, event.clone());
        }
    }

    /// Somebody has come, gone or become another: at once, or with others in a large room.
    pub(super) fn note_presence(&mut self, now: Now, change: Change, effects: &mut Effects) {
        self.pending.push(change);
        if self.members.len() <= BATCH_ABOVE || self.pending.len() >= MAX_PENDING {
            self.flush(effects);
        } else {
            self.flush_at = self.flush_at.or(Some(now.mono + BATCH_EVERY));
        }
    }

    /// Anything else: at once, after what waits.
    pub(super) fn note(&mut self, change: Change, effects: &mut Effects) {
        self.pending.push(change);
        self.flush(effects);
    }

    pub(super) fn flush(&mut self, effects: &mut Effects) {
        self.flush_at = None;
        if self.pending.is_empty() {
            return;
        }
        self.version += 1;
        let changes = core::mem::take(&mut self.pending);
        let diff = Diff { version: self.version, changes };
        self.tell(None, Event::Diff(Arc::new(diff)), effects);
    }

    /// What a connection gets when it is in, and again when it has missed something.
    pub fn greet(&self, seat: Seat, effects: &mut Effects) {
        // Planted: a crown that is not durable is shown.
        #[cfg(planted)]
        let snapshot =
            if self.proposed.is_empty() { self.snapshot() } else { self.snapshot_with(self.ahead.crown) };
        #[cfg(not(planted))]
        let snapshot = self.snapshot();
        effects.one(seat.peer, Event::Snapshot(Arc::new(snapshot)));
        effects.one(seat.peer, Event::Quota(self.quota_of(seat.user)));
    }

    /// Whether this connection is in, and has its snapshot or will get it.
    pub fn seat_of(&self, user: UserId, peer: Peer) -> Option<Seat> {
        let member = self.members.get(&user)?;
        member.seats.iter().any(|&(other, _)| other == peer).then_some(Seat { peer, user })
    }

    /// Whether this connection waits for its snapshot.
    pub fn is_arriving(&self, seat: Seat) -> bool {
        self.arriving.contains(&seat)
    }

    /// Those who wait get their snapshots: nothing is proposed any more, or it will take its time.
    pub fn greet_arriving(&mut self, effects: &mut Effects) {
        if self.arriving.is_empty() {
            return;
        }
        // What they have not heard of is in their snapshots.
        self.flush(effects);
        self.seats = None;
        for seat in core::mem::take(&mut self.arriving) {
            self.greet(seat, effects);
        }
    }

    pub(super) fn note_cursor(&mut self, now: Now, user: UserId) {
        self.moved.insert(user, now.mono);
        self.cursors_at = self.cursors_at.or(Some(now.mono + CURSORS_EVERY));
    }

    pub(super) fn tell_cursors(&mut self, now: Now, effects: &mut Effects) {
        self.cursors_at = None;
        let members = &self.members;
        self.moved.retain(|user, moved| members.contains_key(user) && now.mono.since(*moved) < CURSORS_FOR);
        if self.moved.is_empty() {
            return;
        }
        let at = |user: &UserId| {
            let member = members.get(user)?;
            Some(CursorAt { user: *user, at: member.participant.position })
        };
        let cursors: Vec<_> = self.moved.keys().filter_map(at).collect();
        self.tell(None, Event::Cursors(cursors.into()), effects);
        self.cursors_at = Some(now.mono + CURSORS_EVERY);
    }
}
