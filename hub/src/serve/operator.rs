//! What who runs the server wants.

use std::collections::BTreeMap;

use proto_core::Now;
use proto_core::room::{Peer, Reason, Room, UserId};
use serde_json::{Value, json};

use super::Hub;
use super::house::Wish;
use crate::record::kind;

fn room(room: &Room) -> Value {
    let state = room.state();
    let people = room.participants();
    let people: Vec<_> = people
        .iter()
        .map(|person| {
            json!({
                "user": person.user.to_hex(),
                "name": &*person.name,
                "suspended": person.suspended,
                "crown": room.is_holder(person.user),
            })
        })
        .collect();
    json!({
        "room": &**room.name(),
        "visible": state.settings.visible,
        "bans": state.bans.len(),
        "participants": people,
    })
}

impl Hub {
    /// Does what who runs the server wants; how many it concerned.
    pub(crate) fn operate(&mut self, now: Now, wish: Wish) -> Result<usize, Reason> {
        self.house.tell(now, kind::WISH, &wish).operate(now, wish)
    }

    /// The rooms, hidden ones included, and who is there.
    pub(crate) fn list_rooms(&self) -> Value {
        let rooms = self.house.server.hall().rooms().filter(|room| !room.is_empty());
        json!({"rooms": rooms.map(room).collect::<Vec<_>>()})
    }

    /// Who is connected: each user, what he is called, and how.
    pub(crate) fn list_clients(&self) -> Value {
        let hall = self.house.server.hall();
        let mut users: BTreeMap<UserId, (u64, u64)> = BTreeMap::new();
        for (peer, user) in hall.connected() {
            let (natives, guests) = users.entry(user).or_default();
            match peer {
                Peer::Native(_) => *natives += 1,
                Peer::Guest(_) => *guests += 1,
            }
        }
        let client = |(user, (natives, guests)): (UserId, (u64, u64))| json!({"user": user.to_hex(), "name": &*hall.profile(user).name, "native": natives, "guest": guests});
        json!({"clients": users.into_iter().map(client).collect::<Vec<_>>()})
    }
}
