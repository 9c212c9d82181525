//! What a room remembers: the fold of its log.

use alloc::collections::BTreeMap;

use super::fact::{Authority, BanTarget, Checkpoint, Crown, Fact, ROOM, ROOM_AUTHOR};
use super::id::UserId;
use super::limits::MAX_BANS;
use super::name::RoomKind;
use super::settings::Settings;
use crate::chat::{OutOfOrder, StoredEntry};

/// The lasting part of a room. Two that have folded the same log are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What its name makes of it.
    pub kind: RoomKind,
    /// The highest slot that is in it; 0: none.
    pub slot: u64,
    /// The slot of the latest checkpoint, or 0.
    pub checkpoint: u64,
    /// How the room is.
    pub settings: Settings,
    /// Where the crown is.
    pub crown: Crown,
    /// Until when who is banned: milliseconds since 1970.
    pub bans: BTreeMap<BanTarget, u64>,
}

/// What an entry has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing that is remembered: chat, or a fact that is void.
    Nothing,
    /// The settings are others.
    Settings,
    /// The crown is elsewhere.
    Crown,
    /// Somebody is banned.
    Banned(super::fact::Ban),
    /// A ban is lifted.
    Unbanned,
    /// All is as at first but the bans.
    Reset,
}

impl State {
    /// A room of which nothing is remembered.
    pub fn new(kind: RoomKind) -> Self {
        let (settings, crown) = (Settings::new(kind), Crown::default());
        Self { kind, slot: 0, checkpoint: 0, settings, crown, bans: BTreeMap::new() }
    }

    /// The state that a checkpoint gives; entries from slot `upto + 1` on continue it.
    pub fn from_checkpoint(kind: RoomKind, checkpoint: Checkpoint) -> Self {
        let Checkpoint { upto, settings, crown, bans } = checkpoint;
        Self { kind, slot: upto, checkpoint: 0, settings, crown, bans }
    }

    /// The checkpoint of this state.
    pub fn to_checkpoint(&self) -> Checkpoint {
        Checkpoint { upto: self.slot, settings: self.settings, crown: self.crown, bans: self.bans.clone() }
    }

    /// The state after the next entry of the log, and what that has changed. A fact that is malformed or void changes nothing.
    ///
    /// # Errors
    /// When the entry is not for the next slot; nothing has changed then.
    pub fn apply(&mut self, entry: &StoredEntry) -> Result<Applied, OutOfOrder> {
        let expected = self.slot + 1;
        if entry.slot != expected {
            return Err(OutOfOrder { expected, found: entry.slot });
        }
        self.slot = entry.slot;
        let is_fact = entry.kind == ROOM && entry.client == ROOM_AUTHOR;
        let fact = is_fact.then(|| Fact::decode(&entry.body).ok()).flatten();
        if let Some(Fact::Checkpoint(_)) = fact {
            self.checkpoint = entry.slot;
        }
        Ok(fact.map_or(Applied::Nothing, |fact| self.fold(fact, entry.commit_ms)))
    }

    /// The state after a fact, committed at `commit_ms`.
    pub(super) fn fold(&mut self, fact: Fact, commit_ms: u64) -> Applied {
        self.bans.retain(|_, until_ms| *until_ms > commit_ms);
        match fact {
            Fact::Settings(authority, settings) if self.allows(authority) => {
                self.settings = settings;
                Applied::Settings
            }
            Fact::Crown(crown) if !self.kind.is_special() && crown.epoch == self.crown.epoch + 1 => {
                self.crown = Crown { since_ms: commit_ms, ..crown };
                Applied::Crown
            }
            Fact::Ban(ban) if self.allows(ban.authority) => {
                self.bans.insert(ban.target, ban.until_ms);
                if self.bans.len() > MAX_BANS
                    && let Some((&first, _)) = self.bans.iter().min_by_key(|(_, until_ms)| **until_ms)
                {
                    self.bans.remove(&first);
                }
                Applied::Banned(ban)
            }
            Fact::Unban(authority, target) if self.allows(authority) => {
                self.bans.remove(&target);
                Applied::Unbanned
            }
            Fact::Reset if !self.kind.is_special() => {
                self.settings = Settings::new(self.kind);
                self.crown = Crown { epoch: self.crown.epoch + 1, since_ms: commit_ms, ..Crown::default() };
                Applied::Reset
            }
            _ => Applied::Nothing,
        }
    }

    /// Whether something decided by this power holds now.
    fn allows(&self, authority: Authority) -> bool {
        match authority {
            Authority::Crown(epoch) => {
                !self.kind.is_special() && epoch == self.crown.epoch && self.crown.holder.is_some()
            }
            Authority::Operator => true,
        }
    }

    /// How long `user` with an address of `prefix` is still banned at `unix_ms`, in milliseconds; `None`: he is not.
    pub fn banned_for(&self, user: UserId, prefix: Option<u64>, unix_ms: u64) -> Option<u64> {
        let targets = [Some(BanTarget::User(user)), prefix.map(BanTarget::Prefix)];
        let until = targets.into_iter().flatten().filter_map(|target| self.bans.get(&target)).max()?;
        until.checked_sub(unix_ms).filter(|&left| left > 0)
    }

    /// Whether a reset would change nothing that anybody sees.
    pub(super) fn is_fresh(&self) -> bool {
        self.crown.holder.is_none() && self.crown.last.is_none() && self.settings == Settings::new(self.kind)
    }
}
