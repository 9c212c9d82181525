//! What only the holder of the crown may, or the operator.

use alloc::sync::Arc;
use core::time::Duration;

use super::Room;
use crate::Now;
use crate::room::config::RoomConfig;
use crate::room::fact::{Authority, Ban, BanTarget, Crown, Fact};
use crate::room::id::{Position, UserId};
use crate::room::limits::{CLAIM_AFTER, DEFAULT_BAN, MAX_BAN, MAX_WAITING_FACTS};
use crate::room::message::Reason;
use crate::room::settings::SettingsChange;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// A participant, with the epoch of the crown that he knows.
    User(UserId, u64),
    /// Who runs the server.
    Operator,
}

impl Room {
    /// The power that `by` has, judged by what will hold once everything proposed does.
    fn authority(&self, by: By) -> Result<Authority, Reason> {
        if self.waiting_facts() >= MAX_WAITING_FACTS {
            return Err(Reason::Busy);
        }
        let By::User(user, epoch) = by else { return Ok(Authority::Operator) };
        if self.ahead.kind.is_special() {
            return Err(Reason::Special);
        }
        let crown = &self.ahead.crown;
        if crown.holder != Some(user) {
            return Err(if self.is_holder(user) { Reason::StaleEpoch } else { Reason::NotHolder });
        }
        if crown.epoch != epoch {
            return Err(Reason::StaleEpoch);
        }
        Ok(Authority::Crown(epoch))
    }

    /// Changes the settings.
    ///
    /// # Errors
    /// When `by` may not.
    pub fn set(&mut self, now: Now, by: By, change: &SettingsChange) -> Result<(), Reason> {
        let authority = self.authority(by)?;
        let settings = self.ahead.settings.changed(&change.clamped());
        if settings != self.ahead.settings {
            self.propose(now, Fact::Settings(authority, settings));
        }
        Ok(())
    }

    /// Gives the crown to `to`; or `user` takes it, when it lies on the ground and he may.
    ///
    /// # Errors
    /// When he may not, or nobody of that id is there.
    pub fn give_crown(&mut self, now: Now, user: UserId, epoch: u64, to: UserId) -> Result<(), Reason> {
        let crown = self.ahead.crown;
        if crown.holder.is_none() && !self.ahead.kind.is_special() {
            self.may_claim(now, user, epoch, to)?;
        } else {
            self.authority(By::User(user, epoch))?;
        }
        let can_hold = |member: &super::Member| member.suspended_until.is_none() && !member.is_plain;
        let is_there = self.members.get(&to).is_some_and(can_hold);
        if !is_there {
            return Err(Reason::NoSuchUser);
        }
        if crown.holder != Some(to) {
            self.propose(
                now,
                Fact::Crown(Crown { epoch: crown.epoch + 1, holder: Some(to), last: None, ..crown }),
            );
        }
        Ok(())
    }

    fn may_claim(&self, now: Now, user: UserId, epoch: u64, to: UserId) -> Result<(), Reason> {
        let crown = &self.ahead.crown;
        if self.waiting_facts() >= MAX_WAITING_FACTS {
            return Err(Reason::Busy);
        }
        if to != user {
            return Err(Reason::NotHolder);
        }
        if crown.epoch != epoch {
            return Err(Reason::StaleEpoch);
        }
        let lies_for = Duration::from_millis(now.unix_ms.saturating_sub(crown.since_ms));
        let is_reserved = crown.last.is_some_and(|last| last != user) && lies_for < CLAIM_AFTER;
        if is_reserved { Err(Reason::TooEarly) } else { Ok(()) }
    }

    /// Lets the crown fall where its holder's cursor is; clients show it land at `end`.
    ///
    /// # Errors
    /// When `user` may not.
    pub fn drop_crown(&mut self, now: Now, user: UserId, epoch: u64, end: Position) -> Result<(), Reason> {
        self.authority(By::User(user, epoch))?;
        let start = self.members.get(&user).map_or(end, |member| member.participant.position);
        let epoch = self.ahead.crown.epoch + 1;
        let crown = Crown { epoch, holder: None, last: Some(user), since_ms: now.unix_ms, start, end };
        self.propose(now, Fact::Crown(crown));
        Ok(())
    }

    /// Bans a user who is there, for 30 minutes if `ms` does not say otherwise; with his addresses, if the configuration says so.
    ///
    /// # Errors
    /// When `by` may not, nobody of that id is there, or it is for longer than an hour.
    pub fn kick_ban(
        &mut self,
        now: Now,
        config: &RoomConfig,
        by: By,
        user: UserId,
        ms: Option<u32>,
    ) -> Result<(), Reason> {
        let authority = self.authority(by)?;
        let member = self.members.get(&user).ok_or(Reason::NoSuchUser)?;
        let prefixes = member.seats.iter().filter_map(|&(_, prefix)| prefix).filter(|_| config.ban_prefix);
        let targets: alloc::collections::BTreeSet<_> =
            prefixes.map(BanTarget::Prefix).chain([BanTarget::User(user)]).collect();
        let name = Arc::clone(&member.participant.name);
        for target in targets {
            let ban = self.ban(now, authority, by, target, ms, Arc::clone(&name));
            self.propose(now, Fact::Ban(ban));
        }
        Ok(())
    }

    /// Bans whoever it is, there or not: the operator's.
    ///
    /// # Errors
    /// When too much waits to be remembered.
    pub fn ban_any(&mut self, now: Now, target: BanTarget, ms: Option<u32>) -> Result<(), Reason> {
        let authority = self.authority(By::Operator)?;
        let member = match target {
            BanTarget::User(user) => self.members.get(&user),
            BanTarget::Prefix(_) => None,
        };
        let name =
            member.map_or_else(|| Arc::from("Anonymous"), |member| Arc::clone(&member.participant.name));
        let ban = self.ban(now, authority, By::Operator, target, ms, name);
        self.propose(now, Fact::Ban(ban));
        Ok(())
    }

    fn ban(
        &self,
        now: Now,
        authority: Authority,
        by: By,
        target: BanTarget,
        ms: Option<u32>,
        name: Arc<str>,
    ) -> Ban {
        let most = MAX_BAN.as_millis() as u32;
        let length_ms = ms.unwrap_or(DEFAULT_BAN.as_millis() as u32).min(most);
        let (by, by_name) = match by {
            By::User(user, _) => {
                let member = self.members.get(&user);
                (user, member.map_or_else(|| Arc::from("Anonymous"), |m| Arc::clone(&m.participant.name)))
            }
            By::Operator => (UserId([0; 12]), Arc::from("The operator")),
        };
        let until_ms = now.unix_ms.saturating_add(length_ms.into());
        Ban { authority, target, until_ms, length_ms, by, by_name, name }
    }

    /// Lifts a ban, if there is one.
    ///
    /// # Errors
    /// When `by` may not.
    pub fn unban(&mut self, now: Now, by: By, target: BanTarget) -> Result<(), Reason> {
        let authority = self.authority(by)?;
        if self.ahead.bans.contains_key(&target) {
            self.propose(now, Fact::Unban(authority, target));
        }
        Ok(())
    }

    /// Writes down everything that is remembered, so that nobody has to read further back.
    pub fn checkpoint(&mut self, now: Now) {
        if self.is_settled() {
            let checkpoint = self.state.to_checkpoint();
            self.propose(now, Fact::Checkpoint(checkpoint));
        }
    }
}
