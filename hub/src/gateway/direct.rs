//! What guests tell each other past the room's log: words for one, and messages that only programs understand. Neither is remembered.

use std::collections::BTreeSet;

use proto_core::Now;
use proto_core::room::hall::Hall;
use proto_core::room::{UserId, is_sayable};
use serde_json::Value;

use super::guest::Weight;
use super::json::Text;
use super::limits::{CUSTOM, CUSTOM_UNIT, DIRECT, MAX_TARGETS};
use super::parse::{self, Object};
use super::stats::Ignored;
use super::{Gateway, GuestId};

/// Whom a custom message is for.
enum Target {
    /// Whoever has asked for such messages.
    Subscribed,
    /// These of them.
    Users(BTreeSet<UserId>),
}

fn target(message: &Object) -> Option<(Target, bool)> {
    let target = parse::object(message, "target")?;
    let is_global = target.get("global").and_then(Value::as_bool).unwrap_or(false);
    let whom = match parse::text(target, "mode")? {
        "subscribed" => Target::Subscribed,
        "id" => Target::Users(BTreeSet::from([parse::user(target.get("id"))?])),
        "ids" => {
            let ids = target.get("ids")?.as_array().filter(|ids| ids.len() <= MAX_TARGETS)?;
            Target::Users(ids.iter().map(|id| parse::user(Some(id))).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some((whom, is_global))
}

impl Gateway {
    /// Words for one who is in the same room; the sender is shown them as well.
    pub(super) fn direct(
        &mut self,
        now: Now,
        hall: &Hall,
        id: GuestId,
        message: &Object,
    ) -> Result<(), Ignored> {
        let text =
            parse::text(message, "message").filter(|text| is_sayable(text)).ok_or(Ignored::BadField)?;
        let to = parse::user(message.get("_id")).ok_or(Ignored::BadField)?;
        let sender = self.guests.get_mut(&id).ok_or(Ignored::Late)?;
        let (Some(from), Some(place)) = (sender.user, sender.place.clone()) else {
            return Err(Ignored::Nobody);
        };
        if self.config.limits && !sender.direct.take(now.mono, DIRECT) {
            return Err(Ignored::TooOften);
        }
        let in_room = self.places.get(&place).into_iter().flat_map(|here| &here.guests);
        let (mut ids, mut is_there) = (Vec::new(), false);
        for &id in in_room {
            let user = self.guests.get(&id).and_then(|guest| guest.user);
            is_there |= user == Some(to);
            if user == Some(to) || user == Some(from) {
                ids.push(id);
            }
        }
        if !is_there {
            return Err(Ignored::Nobody);
        }
        let text = Text::of(|json| json.direct(now.unix_ms, &hall.profile(from), &hall.profile(to), text));
        for id in ids {
            self.push(now, id, &text, Weight::State);
        }
        Ok(())
    }

    /// Whether a guest wants custom messages.
    pub(super) fn subscribe(&mut self, id: GuestId, on: bool) {
        if on {
            self.subscribed.insert(id);
        } else {
            self.subscribed.remove(&id);
        }
    }

    /// Something for programs, as it is.
    pub(super) fn custom(&mut self, now: Now, id: GuestId, message: &Object) -> Result<(), Ignored> {
        let data = message.get("data").ok_or(Ignored::BadField)?.to_string();
        let (target, is_global) = target(message).ok_or(Ignored::BadField)?;
        let sender = self.guests.get_mut(&id).ok_or(Ignored::Late)?;
        let (Some(from), place) = (sender.user, sender.place.clone()) else { return Err(Ignored::Late) };
        if self.config.limits {
            let units = data.len().div_ceil(CUSTOM_UNIT).max(1);
            if !(0..units).all(|_| sender.custom.take(now.mono, CUSTOM)) {
                return Err(Ignored::TooOften);
            }
        }
        let is_meant = |other: GuestId| {
            let Some(guest) = self.guests.get(&other).filter(|_| other != id) else { return false };
            match (&target, guest.user) {
                (Target::Subscribed, _) => true,
                (Target::Users(users), Some(user)) => users.contains(&user),
                (Target::Users(_), None) => false,
            }
        };
        let ids: Vec<_> = if is_global {
            self.subscribed.iter().copied().filter(|other| is_meant(*other)).collect()
        } else {
            let near =
                place.and_then(|place| self.places.get(&place)).into_iter().flat_map(|here| &here.guests);
            near.copied().filter(|other| self.subscribed.contains(other) && is_meant(*other)).collect()
        };
        let text = Text::of(|json| json.custom(from, &data));
        for id in ids {
            self.push(now, id, &text, Weight::Play);
        }
        Ok(())
    }
}
