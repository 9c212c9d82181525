//! What guests ask for, done.

use std::net::IpAddr;
use std::sync::Arc;

use proto_core::Now;
use proto_core::room::fact::BanTarget;
use proto_core::room::hall::{Hall, Who};
use proto_core::room::limits::MAX_BAN;
use proto_core::room::{Command, LOBBY, Peer, UserId, is_room_name, participant_name};
use serde_json::Value;

use super::guest::{End, Weight};
use super::json::Text;
use super::limits::{MAX_TOKEN, MIN_TOKEN};
use super::parse::{self, Object};
use super::stats::Ignored;
use super::{Gateway, GuestId};

impl Gateway {
    /// Takes in a text of a guest: an array of messages. Whatever makes no sense is ignored, and counted.
    pub(crate) fn handle_text(&mut self, now: Now, hall: &mut Hall, id: GuestId, text: &str) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.heard = now.mono;
        self.stats.bytes_received += text.len() as u64;
        let paid = guest.pay_bytes(now.mono, text.len()).and_then(|()| guest.pay_message(now.mono));
        if let Err(end) = paid.or_else(|end| if self.config.limits { Err(end) } else { Ok(()) }) {
            self.end(id, end);
        }
        let messages = match serde_json::from_str(text) {
            Ok(Value::Array(messages)) => messages,
            Ok(_) => return self.stats.ignore(Ignored::NotMessages),
            Err(_) => return self.stats.ignore(Ignored::NotJson),
        };
        for message in &messages {
            self.stats.messages_received += 1;
            if let Err(why) = self.message(now, hall, id, message) {
                self.stats.ignore(why);
            }
        }
    }

    /// A binary message of a guest: nothing is said so.
    pub(crate) fn handle_binary(&mut self, now: Now, id: GuestId, len: usize) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.heard = now.mono;
        let paid = guest.pay_bytes(now.mono, len).and_then(|()| guest.pay_message(now.mono));
        self.stats.ignore(Ignored::Binary);
        if let Err(end) = paid.or_else(|end| if self.config.limits { Err(end) } else { Ok(()) }) {
            self.end(id, end);
        }
    }

    fn message(&mut self, now: Now, hall: &mut Hall, id: GuestId, message: &Value) -> Result<(), Ignored> {
        let guest = self.guests.get_mut(&id).filter(|guest| guest.end.is_none()).ok_or(Ignored::Late)?;
        if self.config.limits
            && let Err(end) = guest.pay_message(now.mono)
        {
            self.end(id, end);
            return Err(Ignored::Late);
        }
        let message = message.as_object().ok_or(Ignored::NotMessages)?;
        let name = parse::text(message, "m").ok_or(Ignored::NotMessages)?;
        let is_known = guest.user.is_some();
        match name {
            "t" => {
                let echo = match message.get("e") {
                    Some(Value::Number(echo)) => Some(echo),
                    _ => None,
                };
                self.push(now, id, &Text::of(|text| text.time(now.unix_ms, echo)), Weight::Play);
                Ok(())
            }
            "hi" if is_known => Err(Ignored::Again),
            "hi" => {
                self.greet(now, hall, id, message);
                Ok(())
            }
            "bye" => {
                self.end(id, End::BYE);
                Ok(())
            }
            _ if !is_known => Err(Ignored::BeforeHi),
            _ => self.command(now, hall, id, name, message),
        }
    }

    /// Answers `hi`: who has shown a token is its holder; others are who their addresses make them, or anybody.
    fn greet(&mut self, now: Now, hall: &mut Hall, id: GuestId, message: &Object) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        let token = parse::text(message, "token").filter(|token| is_token(token));
        let user = match (token, hall.config().salt.is_some()) {
            (Some(token), false) => user_of_token(token),
            _ => hall.guest_id(&octets(guest.ip)),
        };
        let who = Who { user, prefix: guest.prefix, name: "".into(), color: None, is_plain: false };
        if hall.open(now, Peer::Guest(id), who).is_ok() {
            guest.user = Some(user);
        } else {
            self.end(id, End::FULL);
        }
    }

    fn command(
        &mut self,
        now: Now,
        hall: &mut Hall,
        id: GuestId,
        name: &str,
        message: &Object,
    ) -> Result<(), Ignored> {
        let peer = Peer::Guest(id);
        // The crown's epoch is that of this moment: what the guest has seen cannot be older than its queue.
        let room = hall.place_of(peer).and_then(|log| hall.room(log));
        let epoch = room.map_or(0, |room| room.state().crown.epoch);
        let command = match name {
            "ch" => {
                let room = parse::text(message, "_id").ok_or(Ignored::BadField)?;
                let room = if is_room_name(room) { room } else { LOBBY };
                let set = parse::object(message, "set").map(parse::settings);
                Command::Enter { room: Arc::from(room), set }
            }
            "a" => {
                let text = parse::text(message, "message").ok_or(Ignored::BadField)?;
                let number = message.get("nr").and_then(Value::as_u64);
                let meant = parse::text(message, "room");
                if meant.is_some_and(|meant| room.is_some_and(|room| **room.name() != *meant)) {
                    if let Some(number) = number {
                        self.said_elsewhere(now, id, number);
                    }
                    return Err(Ignored::Elsewhere);
                }
                // Why it is not heard is counted there.
                if let (Err(reason), Some(number)) = (hall.say(now, peer, text, number), number) {
                    self.unsaid(now, id, number, reason);
                }
                return Ok(());
            }
            "n" => Command::Notes(parse::notes(message).ok_or(Ignored::BadField)?),
            "m" => Command::Cursor(parse::position(message).ok_or(Ignored::BadField)?),
            "userset" => return userset(now, hall, peer, message),
            "chset" => {
                let set = parse::object(message, "set").ok_or(Ignored::BadField)?;
                Command::Settings { epoch, change: parse::settings(set) }
            }
            "chown" => {
                let to = parse::user(message.get("id")).filter(|to| room.is_some_and(|room| room.has(*to)));
                to.map_or(Command::DropCrown { epoch }, |to| Command::GiveCrown { epoch, to })
            }
            "kickban" => {
                let user = parse::user(message.get("_id")).ok_or(Ignored::BadField)?;
                let most = MAX_BAN.as_millis() as u32;
                let ms = message.get("ms").and_then(|ms| parse::millis(ms, most));
                Command::KickBan { epoch, user, ms }
            }
            "unban" => {
                let user = parse::user(message.get("_id")).ok_or(Ignored::BadField)?;
                Command::Unban { epoch, target: BanTarget::User(user) }
            }
            "+ls" | "-ls" => Command::ListRooms(name == "+ls"),
            "dm" => return self.direct(now, hall, id, message),
            "custom" => return self.custom(now, id, message),
            "+custom" | "-custom" => {
                self.subscribe(id, name == "+custom");
                return Ok(());
            }
            // Clients tell of their instruments, which is nobody's business.
            "devices" => return Ok(()),
            _ => return Err(Ignored::Unknown),
        };
        hall.handle(now, peer, None, command);
        Ok(())
    }
}

fn userset(now: Now, hall: &mut Hall, peer: Peer, message: &Object) -> Result<(), Ignored> {
    let set = parse::object(message, "set").ok_or(Ignored::BadField)?;
    let name = parse::text(set, "name").and_then(participant_name);
    let color = set.get("color").and_then(parse::color);
    if name.is_none() && color.is_none() {
        return Err(Ignored::BadField);
    }
    // Why it may not is counted there.
    let _ = hall.change_profile(now, peer, name, color);
    Ok(())
}

fn is_token(token: &str) -> bool {
    (MIN_TOKEN..=MAX_TOKEN).contains(&token.len())
}

/// Who holds a token is the same user everywhere and always.
pub(super) fn user_of_token(token: &str) -> UserId {
    let hash = blake3::derive_key("bowline gateway v1 user of token", token.as_bytes());
    let mut user = [0; 12];
    user.copy_from_slice(&hash[..12]);
    UserId(user)
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
