//! One room: a deterministic machine over commands and the entries of its log.
//!
//! ```text
//!  join, leave, play ... ──► Room ──► Effects: who is told what, who has to go
//!                             │ ▲
//!                  poll_fact  ▼ │ apply
//!                            its log
//! ```
//!
//! What must be remembered is proposed with `poll_fact` and holds once `apply` brings it back: durable before known. Facts come
//! back in the order in which they were proposed, so commands are judged by what will hold once all of them have.

mod apply;
mod decide;
mod join;
mod leave;
mod play;
mod propose;
mod tell;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::config::RoomConfig;
use super::fact::{Crown, Fact};
use super::id::{Peer, UserId};
use super::message::{Change, Event, ListedRoom, Participant, Snapshot};
use super::name::RoomKind;
use super::quota::{NoteQuota, QuotaParams};
use super::state::State;
use crate::{Now, Timestamp};

pub(super) use apply::notification;
pub use decide::By;
pub use join::Newcomer;
pub use leave::Departure;

/// A connection of a user in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    /// The connection.
    pub peer: Peer,
    /// Whose it is.
    pub user: UserId,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// One connection.
    One(Peer),
    /// Everybody in a room. The list is shared with earlier messages.
    Many {
        /// The connections.
        seats: Arc<[Seat]>,
        /// Whose connections are left out.
        except: Option<UserId>,
    },
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// To whom.
    pub to: Audience,
    /// What.
    pub event: Event,
}

/// Somebody has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evicted {
    /// The connection that is in the room no longer.
    pub seat: Seat,
    /// How long it may not come back, in milliseconds.
    pub length_ms: u64,
}

/// What a call to a room leads to, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effects {
    /// Who is told what.
    pub outgoing: Vec<Outgoing>,
    /// Who has to go.
    pub evicted: Vec<Evicted>,
}

impl Effects {
    pub(super) fn one(&mut self, peer: Peer, event: Event) {
        self.outgoing.push(Outgoing { to: Audience::One(peer), event });
    }
}

/// One room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Room {
    name: Arc<str>,
    /// What holds.
    state: State,
    /// What will hold when everything proposed is committed.
    ahead: State,
    proposed: VecDeque<Fact>,
    /// Proposals that were polled and have not come back.
    sent: VecDeque<Fact>,
    members: BTreeMap<UserId, Member>,
    /// Those without a connection, by the end of their time to come back.
    suspended: BTreeSet<(Timestamp, UserId)>,
    /// How many members there ever were; the lower one's number, the longer he is there.
    arrivals: u64,
    /// Connections that get their snapshot when nothing is proposed any more.
    arriving: Vec<Seat>,
    version: u64,
    /// Changes that the next version has.
    pending: Vec<Change>,
    flush_at: Option<Timestamp>,
    /// When the cursors moved that are told about.
    moved: BTreeMap<UserId, Timestamp>,
    cursors_at: Option<Timestamp>,
    /// Until when the crown waits for a holder who is not there: after a restart of the server.
    reclaim_until: Option<Timestamp>,
    /// Everybody who has got a snapshot; made again after a change.
    seats: Option<Arc<[Seat]>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    participant: Participant,
    number: u64,
    seats: Vec<(Peer, Option<u64>)>,
    suspended_until: Option<Timestamp>,
    online_since: Timestamp,
    quota: NoteQuota,
    /// Whether he knows nothing of crowns.
    is_plain: bool,
}

impl Room {
    /// A room in the state that its log gives, with nobody in it.
    pub fn new(name: Arc<str>, state: State, config: &RoomConfig, now: Now) -> Self {
        let reclaim_until = state.crown.holder.map(|_| now.mono + config.resume_window);
        Self {
            name,
            ahead: state.clone(),
            state,
            proposed: VecDeque::new(),
            sent: VecDeque::new(),
            members: BTreeMap::new(),
            suspended: BTreeSet::new(),
            arrivals: 0,
            arriving: Vec::new(),
            version: 0,
            pending: Vec::new(),
            flush_at: None,
            moved: BTreeMap::new(),
            cursors_at: None,
            reclaim_until,
            seats: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What holds.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How many are there, the suspended included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nobody is there and nothing is under way: it may be forgotten, for its log has everything.
    pub fn is_over(&self) -> bool {
        self.is_empty() && self.is_settled()
    }

    /// Who is there, longest first.
    pub fn participants(&self) -> Vec<Participant> {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_by_key(|member| member.number);
        members.into_iter().map(|member| member.participant.clone()).collect()
    }

    /// Whether `user` is there.
    pub fn has(&self, user: UserId) -> bool {
        self.members.contains_key(&user)
    }

    /// Whether `user` has the crown.
    pub fn is_holder(&self, user: UserId) -> bool {
        self.state.crown.holder == Some(user)
    }

    /// What `user` may play in this room.
    pub fn quota_of(&self, user: UserId) -> QuotaParams {
        match self.state.kind {
            RoomKind::Lobby | RoomKind::Test => QuotaParams::LOBBY,
            RoomKind::Normal if self.is_holder(user) => QuotaParams::HOLDER,
            RoomKind::Normal => QuotaParams::NORMAL,
        }
    }

    /// The room as it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_with(self.state.crown)
    }

    pub(super) fn snapshot_with(&self, crown: Crown) -> Snapshot {
        Snapshot {
            room: Arc::clone(&self.name),
            version: self.version,
            settings: self.state.settings,
            crown: (!self.state.kind.is_special()).then_some(crown),
            participants: self.participants(),
        }
    }

    /// Whether lists may show it, now and when everything proposed holds.
    pub(super) fn is_visible(&self) -> bool {
        self.state.settings.visible && self.ahead.settings.visible
    }

    /// The room as lists have it.
    pub fn listed(&self) -> ListedRoom {
        ListedRoom {
            room: Arc::clone(&self.name),
            count: self.members.len() as u32,
            settings: self.state.settings,
            crown: (!self.state.kind.is_special()).then_some(self.state.crown),
        }
    }

    /// When `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let suspended = self.suspended.first().map(|(until, _)| *until);
        [self.flush_at, self.cursors_at, self.reclaim_until, suspended].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Now, config: &RoomConfig, effects: &mut Effects) {
        self.expire(now, config, effects);
        if self.reclaim_until.is_some_and(|until| until <= now.mono) {
            self.reclaim_until = None;
            if let Some(absent) = self.ahead.crown.holder.filter(|holder| !self.has(*holder)) {
                self.hand_on(now, config, absent);
            }
        }
        if self.flush_at.is_some_and(|at| at <= now.mono) {
            self.flush(effects);
        }
        if self.cursors_at.is_some_and(|at| at <= now.mono) {
            self.tell_cursors(now, effects);
        }
    }
}
