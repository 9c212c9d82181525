//! Into a room (spec: chat.md, section 4).

use alloc::sync::Arc;

use super::Server;
use super::connection::{Membership, Phase, Position};
use super::output::{Delivery, EndReason};
use super::room::{Member, Room, RoomKey};
use crate::chat::identity::{ClientId, RoomSalt};
use crate::chat::message::{ClientJoin, Limits, Message, RejectReason, ServerJoined};
use crate::{ConnectionId, Now};

impl Server {
    pub(super) fn handle_join(&mut self, now: Now, from: ConnectionId, join: &ClientJoin<'_>) {
        if let Err(reason) = self.join(now, from, join) {
            self.reject(from, join.room, 0, reason);
            if reason == RejectReason::Fenced {
                self.end(from, EndReason::Fenced);
            }
        }
    }

    fn join(&mut self, now: Now, from: ConnectionId, join: &ClientJoin<'_>) -> Result<(), RejectReason> {
        if self.disk.is_broken() {
            self.stats.stopped += 1;
            return Err(RejectReason::Stopped);
        }
        if self.connections.get(&from).is_some_and(|state| state.membership().is_some()) {
            self.stats.already_joined += 1;
            return Err(RejectReason::AlreadyJoined);
        }
        let key = self.room(join.room, false)?;
        let client = ClientId::of(&join.secret);
        if client.is_within() {
            self.stats.not_let_in += 1;
            return Err(RejectReason::Barred);
        }
        self.make_place(now, key, client)?;

        let other = self.rooms[key.0].members.get(&client).filter(|member| member.connection.is_some());
        if let Some(other) = other {
            self.stats.fenced += 1;
            // A join may be overtaken by that of the client's next connection.
            let is_stale = join.incarnation <= other.incarnation;
            #[cfg(planted)]
            let is_stale = is_stale && self.config.planted != Some(crate::chat::Planted::StaleIncarnation);
            if is_stale {
                return Err(RejectReason::Fenced);
            }
            if let Some(older) = other.connection {
                self.end(older, EndReason::Fenced);
            }
        }
        let room = &mut self.rooms[key.0];
        let member = room.members.entry(client).or_default();
        member.connection = Some(from);
        member.incarnation = join.incarnation;
        let durable = room.durable;
        let membership = Membership { room: key, client, name: Arc::from(join.name), refused: 0 };
        let position = Position { epoch: join.epoch, has: join.has, last: join.last };
        self.connections.entry(from).or_default().phase = Phase::Entering(membership, position);
        self.budgets.joins(client, from);
        if durable {
            self.admit(from);
        }
        if self.disk.is_full() {
            self.reject(from, join.room, 0, RejectReason::Full);
        }
        Ok(())
    }

    /// The room of that name, which is created when there is none.
    pub(super) fn room(&mut self, name: &str, has_place: bool) -> Result<RoomKey, RejectReason> {
        if let Some(&key) = self.names.get(name) {
            return Ok(key);
        }
        if self.names.len() >= self.config.max_rooms && !has_place {
            self.stats.too_many_rooms += 1;
            return Err(RejectReason::TooManyRooms);
        }
        let epoch = self.rng.u64().max(1);
        let salt = RoomSalt(self.rng.bytes());
        let key = self.add_room(Room::new(Arc::from(name), epoch, salt));
        self.disk.create(key);
        Ok(key)
    }

    /// Sees to it that `client` may be remembered in the room.
    pub(super) fn make_place(
        &mut self,
        now: Now,
        key: RoomKey,
        client: ClientId,
    ) -> Result<(), RejectReason> {
        let remember_ms = self.remember_ms();
        let limit = self.config.max_clients_per_room;
        let room = &mut self.rooms[key.0];
        self.stats.forgotten += u64::from(room.forget(client, now.unix_ms, remember_ms));
        if room.members.contains_key(&client) || room.members.len() < limit {
            return Ok(());
        }
        self.stats.forgotten += room.forget_idle(now.unix_ms, remember_ms) as u64;
        if room.members.len() < limit {
            return Ok(());
        }
        self.stats.too_many_clients += 1;
        Err(RejectReason::TooManyClients)
    }

    /// Lets in who waits for the room to become durable.
    pub(super) fn admit_all(&mut self, key: RoomKey) {
        let waiting = self.rooms[key.0].members.values().filter_map(|member| member.connection);
        for connection in waiting.collect::<alloc::vec::Vec<_>>() {
            self.admit(connection);
        }
    }

    fn admit(&mut self, connection: ConnectionId) {
        let remember_ms = self.remember_ms();
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let (membership, position) = match core::mem::take(&mut state.phase) {
            Phase::Entering(membership, position) => (membership, position),
            other => {
                state.phase = other;
                return;
            }
        };
        let Membership { room: key, client, .. } = membership;
        state.phase = Phase::Joined(membership);
        let room = &mut self.rooms[key.0];
        room.admit(client);
        let (name, latest) = (room.name.clone(), room.latest);
        let joined = ServerJoined {
            room: &name,
            epoch: room.epoch,
            latest,
            last_sequence: room.members.get(&client).map_or(0, Member::last_accepted),
            author: room.salt.author(client),
            limits: Limits { max_body: self.config.max_body as u64, remember_ms },
        };
        let knows = position.epoch == room.epoch && position.has <= latest;
        let has = if knows { position.has } else { latest.saturating_sub(position.last) };
        self.send(connection, &Message::ServerJoined(joined), Delivery::Essential);
        if has < latest {
            self.page(connection, key, has + 1, latest);
        }
    }
}
