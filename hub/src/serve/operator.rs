//! What who runs the server wants.

use std::collections::BTreeMap;

use proto_core::Now;
use proto_core::room::hall::Hall;
use proto_core::room::{Peer, Room, UserId};
use serde_json::{Value, json};

use super::Hub;

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
    /// Does something with the rooms.
    pub(crate) fn with_hall<R>(&mut self, now: Now, what: impl FnOnce(&mut Hall) -> R) -> R {
        self.server.with_hall(now, what)
    }

    /// The rooms, hidden ones included, and who is there.
    pub(crate) fn list_rooms(&self) -> Value {
        let rooms = self.server.hall().rooms().filter(|room| !room.is_empty());
        json!({"rooms": rooms.map(room).collect::<Vec<_>>()})
    }

    /// Who is connected: each user, what he is called, and how.
    pub(crate) fn list_clients(&self) -> Value {
        let hall = self.server.hall();
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

    /// Sends everybody in a room to the lobby; says whether anybody was there.
    pub(crate) fn close_room(&mut self, now: Now, name: &str) -> bool {
        let is_open = self.server.hall().rooms().any(|room| **room.name() == *name && !room.is_empty());
        self.server.with_hall(now, |hall| hall.close_room(now, name));
        is_open
    }

    /// Ends all connections of a user; how many they were.
    pub(crate) fn kick(&mut self, now: Now, user: UserId) -> usize {
        let peers: Vec<_> = self.server.hall().connected().filter(|(_, of)| *of == user).collect();
        for (peer, _) in &peers {
            match peer {
                Peer::Native(id) => self.server.send_away(now, *id),
                Peer::Guest(id) => self.gateway.send_away(*id),
            }
        }
        peers.len()
    }
}
