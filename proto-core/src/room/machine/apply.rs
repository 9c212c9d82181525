//! What the log brings back comes to hold.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Effects, Evicted, Room, Seat};
use crate::Now;
use crate::chat::{OutOfOrder, StoredEntry};
use crate::room::config::RoomConfig;
use crate::room::fact::{Ban, BanTarget, ROOM, ROOM_AUTHOR};
use crate::room::id::UserId;
use crate::room::message::{Change, Event, Notification, NotificationClass};
use crate::room::state::Applied;

impl Room {
    /// The next entry of the room's log is committed.
    ///
    /// # Errors
    /// When it is not for the next slot; nothing has changed then.
    pub fn apply(
        &mut self,
        now: Now,
        config: &RoomConfig,
        entry: &StoredEntry,
        effects: &mut Effects,
    ) -> Result<(), OutOfOrder> {
        let before = self.state.crown.holder;
        let applied = self.state.apply(entry)?;
        if entry.kind == ROOM && entry.client == ROOM_AUTHOR {
            self.sent.pop_front();
        }
        if self.is_settled() {
            self.ahead = self.state.clone();
        }
        match applied {
            Applied::Nothing | Applied::Unbanned => {}
            Applied::Settings => self.note(Change::Settings(self.state.settings), effects),
            Applied::Crown => self.crown_moved(now, before, effects),
            Applied::Reset => {
                self.note(Change::Settings(self.state.settings), effects);
                self.crown_moved(now, before, effects);
            }
            Applied::Banned(ban) => self.banish(now, config, &ban, effects),
        }
        if self.is_settled() {
            self.greet_arriving(effects);
        }
        Ok(())
    }

    fn crown_moved(&mut self, now: Now, before: Option<UserId>, effects: &mut Effects) {
        self.note(Change::Crown(self.state.crown), effects);
        let after = self.state.crown.holder;
        let both: Vec<_> = before.into_iter().chain(after).filter(|_| before != after).collect();
        for user in both {
            let params = self.quota_of(user);
            if let Some(member) = self.members.get_mut(&user) {
                member.quota.set_params(now.mono, params);
            }
            self.tell_user(user, &Event::Quota(params), effects);
        }
    }

    fn banish(&mut self, now: Now, config: &RoomConfig, ban: &Ban, effects: &mut Effects) {
        let concerned = |(user, member): (&UserId, &super::Member)| {
            let is_concerned = match ban.target {
                BanTarget::User(banned) => banned == *user,
                BanTarget::Prefix(banned) => member.seats.iter().any(|&(_, prefix)| prefix == Some(banned)),
            };
            is_concerned.then_some(*user)
        };
        let users: Vec<_> = self.members.iter().filter_map(concerned).collect();
        // A ban of no length is a kick.
        let (minutes, is_kick) = (ban.length_ms / 60_000, ban.length_ms == 0);
        if let BanTarget::User(user) = ban.target {
            let (title, text) = if user == ban.by {
                let text = format!("Let it be known that {} kickbanned him/her self.", ban.by_name);
                ("Certificate of Award", text)
            } else if is_kick {
                ("Notice", format!("{} kicked {} from the channel.", ban.by_name, ban.name))
            } else {
                let text =
                    format!("{} banned {} from the channel for {minutes} minutes.", ban.by_name, ban.name);
                ("Notice", text)
            };
            self.tell(None, notification(title, &text), effects);
        }
        for user in users {
            let seats = self.members.get(&user).map_or_else(Vec::new, |member| member.seats.clone());
            self.remove(now, config, user, effects);
            for (peer, _) in seats {
                let text = if is_kick {
                    format!("Kicked from \"{}\".", self.name)
                } else {
                    format!("Banned from \"{}\" for {minutes} minutes.", self.name)
                };
                effects.one(peer, notification("Notice", &text));
                let seat = Seat { peer, user };
                effects.evicted.push(Evicted { seat, length_ms: ban.length_ms.into() });
            }
        }
    }
}

/// Words about a ban, which the original shows for 7 s.
pub(in crate::room) fn notification(title: &str, text: &str) -> Event {
    Event::Notification(Arc::new(Notification {
        title: title.into(),
        text: text.into(),
        duration_ms: 7000,
        class: NotificationClass::Short,
    }))
}
