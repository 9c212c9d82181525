//! Who is connected, what they are called, and what they may still do.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::Hall;
use crate::chat::MAX_UNACKNOWLEDGED;
use crate::room::config::RoomConfig;
use crate::room::id::{Color, Peer, Position, UserId};
use crate::room::limits::{MAX_DEPARTED, REMEMBER_QUOTA};
use crate::room::machine::Newcomer;
use crate::room::message::{Event, Participant, Reason};
use crate::room::name::participant_name;
use crate::room::quota::{Allowed, Bucket, NoteQuota, QuotaParams};
use crate::room::settings::SettingsChange;
use crate::{Now, Timestamp};

/// Somebody who connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The user.
    pub user: UserId,
    /// What its address shares with its neighbours', for limits; `None`: nothing that counts.
    pub prefix: Option<u64>,
    /// What to be called; where it cannot be, as before, or `Anonymous`.
    pub name: Arc<str>,
    /// In which colour; `None`: as before, or the one that follows from the id.
    pub color: Option<Color>,
    /// Whether it knows nothing of rooms but their chat: then it is never moved to another one, but sent away.
    pub is_plain: bool,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) user: UserId,
    pub(super) prefix: Option<u64>,
    pub(super) online_since: Timestamp,
    pub(super) is_plain: bool,
    /// The log of the room it is in.
    pub(super) place: Option<Arc<str>>,
    /// The room that it is about to enter.
    pub(super) entering: Option<Entering>,
    budget: Budget,
}

#[derive(Clone, Debug)]
pub(super) struct Entering {
    pub(super) room: Arc<str>,
    pub(super) set: Option<SettingsChange>,
}

/// What there are limits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Chat,
    Cursor,
    Enter,
    Make,
    Profile,
    Crown,
    Ban,
    Settings,
    List,
}

#[derive(Clone, Debug)]
struct Budget {
    buckets: [Bucket; 9],
    notes: NoteQuota,
}

impl Budget {
    fn new(now: Timestamp, notes: QuotaParams) -> Self {
        Self { buckets: [Bucket::default(); 9], notes: NoteQuota::new(now, notes) }
    }
}

#[derive(Clone, Debug)]
struct Account {
    /// Connections.
    sessions: usize,
    /// Without any: until when it is remembered.
    until: Timestamp,
    /// Whether it is among those who have departed.
    is_listed: bool,
    name: Arc<str>,
    color: Color,
    budget: Budget,
    /// The numbers of the lines said last, oldest first.
    said: VecDeque<u64>,
}

/// Numbers of lines that are remembered of a user: as many as may wait in the log.
const MAX_SAID: usize = MAX_UNACKNOWLEDGED;

impl Account {
    /// Whether nobody is connected, and connecting anew would fill a budget.
    fn owes(&self, now: Timestamp) -> bool {
        self.sessions == 0 && self.budget.buckets.iter().any(|bucket| !bucket.is_full(now))
    }
}

/// Whose account it is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    User(UserId),
    Prefix(u64),
}

/// Users and prefixes, as long as they have connections and a little longer.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    users: BTreeMap<UserId, Account>,
    prefixes: BTreeMap<u64, Account>,
    /// The connections of each user.
    peers: BTreeSet<(UserId, Peer)>,
    /// Those without connections, each once however often he comes and goes, and perhaps some who are back.
    departed: VecDeque<(Timestamp, Owner)>,
}

impl Accounts {
    #[cfg(test)]
    pub(super) fn knows(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    fn get_mut(&mut self, owner: Owner) -> Option<&mut Account> {
        match owner {
            Owner::User(user) => self.users.get_mut(&user),
            Owner::Prefix(prefix) => self.prefixes.get_mut(&prefix),
        }
    }

    fn remove(&mut self, owner: Owner) {
        match owner {
            Owner::User(user) => drop(self.users.remove(&user)),
            Owner::Prefix(prefix) => drop(self.prefixes.remove(&prefix)),
        }
    }

    /// The connections of `user`.
    pub(super) fn peers_of(&self, user: UserId) -> impl Iterator<Item = Peer> {
        let from = (user, Peer::FIRST);
        self.peers.range(from..).map_while(move |&(other, peer)| (other == user).then_some(peer))
    }

    pub(super) fn release(&mut self, now: Timestamp, peer: Peer, user: UserId, prefix: Option<u64>) {
        self.peers.remove(&(user, peer));
        for owner in [Some(Owner::User(user)), prefix.map(Owner::Prefix)].into_iter().flatten() {
            let Some(account) = self.get_mut(owner) else { continue };
            account.sessions -= 1;
            account.until = now + REMEMBER_QUOTA;
            if account.sessions == 0 && !core::mem::replace(&mut account.is_listed, true) {
                self.departed.push_back((now + REMEMBER_QUOTA, owner));
            }
        }
        self.forget(now);
    }

    /// Forgets those whose time is over and who owe nothing any more.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some(&(until, owner)) = self.departed.front()
            && (until <= now || self.departed.len() > MAX_DEPARTED)
        {
            self.departed.pop_front();
            let Some(account) = self.get_mut(owner) else { continue };
            account.is_listed = false;
            if account.sessions > 0 {
                continue;
            }
            if account.owes(now) {
                account.until = account.until.max(now + REMEMBER_QUOTA);
            }
            if until <= now && account.until > now {
                account.is_listed = true;
                let until = account.until;
                self.departed.push_back((until, owner));
            } else {
                self.remove(owner);
            }
        }
    }
}

impl Hall {
    /// A peer is there.
    ///
    /// # Errors
    /// `NotNow` when it is there already, `Busy` when there are as many as there may be.
    pub fn open(&mut self, now: Now, peer: Peer, who: Who) -> Result<(), Reason> {
        let now = self.observe(now);
        if self.sessions.contains_key(&peer) {
            return Err(Reason::NotNow);
        }
        if self.sessions.len() >= self.config.max_peers {
            self.stats.peers_refused += 1;
            return Err(Reason::Busy);
        }
        let Who { user, prefix, name, color, is_plain } = who;
        let name = participant_name(&name).map(Arc::from);
        let new = |notes| Account {
            sessions: 0,
            until: now.mono,
            is_listed: false,
            name: Arc::from("Anonymous"),
            color: user.color(),
            budget: Budget::new(now.mono, notes),
            said: VecDeque::new(),
        };
        let account = self.accounts.users.entry(user).or_insert_with(|| new(QuotaParams::HOLDER));
        account.sessions += 1;
        account.name = name.unwrap_or_else(|| Arc::clone(&account.name));
        account.color = color.unwrap_or(account.color);
        if let Some(prefix) = prefix {
            let shared = QuotaParams::HOLDER.times(self.config.prefix_factor);
            self.accounts.prefixes.entry(prefix).or_insert_with(|| new(shared)).sessions += 1;
        }
        let session = Session {
            user,
            prefix,
            online_since: now.mono,
            is_plain,
            place: None,
            entering: None,
            budget: Budget::new(now.mono, QuotaParams::LOBBY),
        };
        self.sessions.insert(peer, session);
        self.accounts.peers.insert((user, peer));
        self.tell(peer, Event::Welcome(self.participant(user)));
        Ok(())
    }

    /// The id of a guest with this address: by the salt, or by chance.
    pub fn guest_id(&mut self, address: &[u8]) -> UserId {
        match &self.config.salt {
            Some(salt) => UserId::of_address(salt, address),
            None => UserId(self.rng.bytes()),
        }
    }

    /// A user as others see it outside of rooms.
    pub(super) fn participant(&self, user: UserId) -> Participant {
        let account = self.accounts.users.get(&user);
        let name = account.map_or_else(|| Arc::from("Anonymous"), |account| Arc::clone(&account.name));
        let color = account.map_or_else(|| user.color(), |account| account.color);
        Participant { user, name, color, position: Position::default(), suspended: false }
    }

    pub(super) fn rename_account(&mut self, user: UserId, name: Option<&Arc<str>>, color: Option<Color>) {
        let Some(account) = self.accounts.users.get_mut(&user) else { return };
        account.name = name.cloned().unwrap_or_else(|| Arc::clone(&account.name));
        account.color = color.unwrap_or(account.color);
    }

    pub(super) fn has_said(&self, user: UserId, number: u64) -> bool {
        self.accounts.users.get(&user).is_some_and(|account| account.said.contains(&number))
    }

    pub(super) fn note_said(&mut self, user: UserId, number: u64) {
        let Some(account) = self.accounts.users.get_mut(&user) else { return };
        account.said.push_back(number);
        if account.said.len() > MAX_SAID {
            account.said.pop_front();
        }
    }

    pub(super) fn forget_said(&mut self, user: UserId, number: u64) {
        if let Some(account) = self.accounts.users.get_mut(&user) {
            account.said.retain(|said| *said != number);
        }
    }

    pub(super) fn newcomer(&self, peer: Peer) -> Option<Newcomer> {
        let session = self.sessions.get(&peer)?;
        let Participant { user, name, color, .. } = self.participant(session.user);
        Some(Newcomer {
            peer,
            user,
            prefix: session.prefix,
            name,
            color,
            online_since: session.online_since,
            is_plain: session.is_plain,
        })
    }

    /// Whether `peer` may do this once more: as a connection, as a user, and as one of many at its addresses. All three pay, or none.
    pub(super) fn may(&mut self, now: Now, peer: Peer, act: Act) -> bool {
        let allowed = self.allowed(peer, act);
        let Some(session) = self.sessions.get_mut(&peer) else { return false };
        let index = act as usize;
        let shared = allowed.shared(self.config.prefix_factor);
        let user = self.accounts.users.get_mut(&session.user);
        let prefix = session.prefix.and_then(|prefix| self.accounts.prefixes.get_mut(&prefix));
        let mut buckets: alloc::vec::Vec<(&mut Bucket, Allowed)> =
            alloc::vec![(&mut session.budget.buckets[index], allowed)];
        buckets.extend(user.map(|account| (&mut account.budget.buckets[index], allowed)));
        buckets.extend(prefix.map(|account| (&mut account.budget.buckets[index], shared)));
        let can = buckets.iter().all(|(bucket, allowed)| bucket.can_take(now.mono, *allowed));
        if can {
            for (bucket, allowed) in buckets {
                bucket.take(now.mono, allowed);
            }
        }
        can
    }

    fn allowed(&self, peer: Peer, act: Act) -> Allowed {
        let limits = &self.config.allowed;
        match act {
            Act::Chat if matches!(peer, Peer::Native(_)) => limits.chat_native,
            Act::Chat if self.is_holder(peer) => limits.chat_holder,
            Act::Chat => limits.chat,
            Act::Cursor => limits.cursor,
            Act::Enter => limits.enter,
            Act::Make => limits.make,
            Act::Profile => limits.profile,
            Act::Crown => limits.crown,
            Act::Ban => limits.ban,
            Act::Settings => limits.settings,
            Act::List => limits.list,
        }
    }

    fn is_holder(&self, peer: Peer) -> bool {
        let session = self.sessions.get(&peer);
        let place = session.and_then(|session| Some((session.user, session.place.as_ref()?)));
        place.and_then(|(user, log)| Some(self.room(log)?.is_holder(user))).unwrap_or(false)
    }

    /// Whether this connection, its user over all rooms, and its addresses can pay for `notes`; the participant pays in the room.
    pub(super) fn may_play(&mut self, now: Now, peer: Peer, params: QuotaParams, notes: u32) -> bool {
        if !is_limited(&self.config) {
            return true;
        }
        let Some(session) = self.sessions.get_mut(&peer) else { return false };
        session.budget.notes.set_params(now.mono, params);
        let user = self.accounts.users.get_mut(&session.user);
        let can_user = user.is_none_or(|account| account.budget.notes.can_spend(now.mono, notes));
        let prefix = session.prefix.and_then(|prefix| self.accounts.prefixes.get_mut(&prefix));
        let can_prefix = prefix.is_none_or(|account| account.budget.notes.can_spend(now.mono, notes));
        can_user && can_prefix && session.budget.notes.can_spend(now.mono, notes)
    }

    pub(super) fn pay_for_notes(&mut self, now: Now, peer: Peer, notes: u32) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        session.budget.notes.spend(now.mono, notes);
        if let Some(account) = self.accounts.users.get_mut(&session.user) {
            account.budget.notes.spend(now.mono, notes);
        }
        if let Some(account) = session.prefix.and_then(|prefix| self.accounts.prefixes.get_mut(&prefix)) {
            account.budget.notes.spend(now.mono, notes);
        }
    }
}

#[cfg(not(planted))]
pub(super) const fn is_limited(config: &RoomConfig) -> bool {
    config.note_quota
}

#[cfg(planted)]
pub(super) fn is_limited(config: &RoomConfig) -> bool {
    config.note_quota && config.planted != Some(crate::room::config::Planted::QuotaOff)
}
