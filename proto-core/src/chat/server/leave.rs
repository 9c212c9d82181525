//! Out of a room, and into another one on the same connection.

use alloc::sync::Arc;

use super::Server;
use super::connection::Phase;
use super::output::{Delivery, EndReason};
use crate::ConnectionId;
use crate::chat::message::{ClientLeave, Message, RejectReason, ServerLeft, cut_name};

impl Server {
    /// Whether or not the connection was in that room, it is told that it is not any more.
    pub(super) fn handle_leave(&mut self, from: ConnectionId, leave: &ClientLeave<'_>) {
        let key = self.names.get(leave.room).copied();
        let membership = self.connections.get(&from).and_then(|state| state.membership());
        if membership.is_some_and(|membership| Some(membership.room) == key) {
            self.leave(from);
        }
        self.send(from, &Message::ServerLeft(ServerLeft { room: leave.room }), Delivery::Essential);
    }

    /// The room that a connection is in, or is about to be.
    pub fn room_of(&self, connection: ConnectionId) -> Option<Arc<str>> {
        let membership = self.connections.get(&connection)?.membership()?;
        Some(Arc::clone(&self.rooms[membership.room.0].name))
    }

    /// What the entries of this connection's client are signed with from now on. Cut to what a name may have.
    pub fn rename(&mut self, connection: ConnectionId, name: &str) {
        let phase = self.connections.get_mut(&connection).map(|state| &mut state.phase);
        if let Some(Phase::Joined(membership) | Phase::Entering(membership, _)) = phase {
            membership.name = Arc::from(cut_name(name));
        }
    }

    /// Takes a connection out of its room: it hears nothing more of it. What its client has queued is committed all the same.
    pub fn expel(&mut self, connection: ConnectionId) {
        if self.connections.contains_key(&connection) {
            self.leave(connection);
            self.refresh_ready(connection);
        }
    }

    /// Sends a connection away that may not be in the room which it is in, or wants to be in.
    pub fn bar(&mut self, connection: ConnectionId, room: &str) {
        self.connections.entry(connection).or_default();
        self.leave(connection);
        self.reject(connection, room, 0, RejectReason::Barred);
        self.end(connection, EndReason::Barred);
    }

    /// Refuses a connection's place in a room. It may ask for another one.
    pub fn refuse_join(&mut self, connection: ConnectionId, room: &str, reason: RejectReason) {
        self.connections.entry(connection).or_default();
        self.reject(connection, room, 0, reason);
    }
}
