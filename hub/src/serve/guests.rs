//! Guests of the gateway, at the hub.

use std::net::SocketAddr;
use std::task::Waker;

use bytes::Bytes;
use driver::Wakes;
use proto_core::room::hall::HallStats;
use proto_core::{Now, Stats, chat, server};
use tungstenite::Message;

use super::Hub;
use crate::gateway::{self, End, GuestId};
use crate::http::is_control;

/// Everything that is counted, but for sockets.
pub(crate) struct Numbers {
    pub(crate) now: Now,
    pub(crate) started: Now,
    pub(crate) trouble: Option<&'static str>,
    pub(crate) connections: usize,
    pub(crate) endpoint: Stats,
    pub(crate) chat: chat::ServerStats,
    pub(crate) server: server::ServerStats,
    pub(crate) hall: HallStats,
    pub(crate) rooms: usize,
    pub(crate) logs: usize,
    pub(crate) participants: usize,
    pub(crate) gateway: gateway::Stats,
    pub(crate) guests: usize,
    pub(crate) guest_queued: usize,
}

impl Hub {
    /// Somebody has connected; `None`: there is no room.
    pub(crate) fn guest_came(&mut self, now: Now, address: SocketAddr) -> Option<GuestId> {
        self.gateway.open(now, address)
    }

    /// A guest has said something. Whether it has said hi by now.
    pub(crate) fn guest_said(&mut self, now: Now, id: GuestId, messages: &[Message]) -> bool {
        let Self { server, gateway, .. } = self;
        server.with_hall(now, |hall| {
            for message in messages {
                match message {
                    Message::Text(text) => gateway.handle_text(now, hall, id, text),
                    Message::Binary(bytes) => gateway.handle_binary(now, id, bytes.len()),
                    message if is_control(message) => gateway.handle_alive(now, id),
                    _ => {}
                }
            }
            gateway.has_greeted(id)
        })
    }

    /// Hands out what waits for a guest; `waker` is woken when there is more. Says whether it is to be sent away.
    pub(crate) fn guest_takes(
        &mut self,
        now: Now,
        id: GuestId,
        texts: &mut Vec<Bytes>,
        waker: &Waker,
    ) -> Option<End> {
        self.watch(id, waker);
        let Self { server, gateway, .. } = self;
        server.with_hall(now, |hall| gateway.take(hall, id, texts))
    }

    /// Whether a guest that takes nothing now is to be sent away.
    pub(crate) fn guest_end(&mut self, id: GuestId, waker: &Waker) -> Option<End> {
        self.watch(id, waker);
        self.gateway.end_of(id)
    }

    /// A guest is gone.
    pub(crate) fn guest_gone(&mut self, now: Now, id: GuestId) {
        self.watchers.remove(&id);
        let Self { server, gateway, .. } = self;
        server.with_hall(now, |hall| gateway.close(now, hall, id));
    }

    fn watch(&mut self, id: GuestId, waker: &Waker) {
        match self.watchers.get_mut(&id) {
            Some(known) => known.clone_from(waker),
            None => {
                self.watchers.insert(id, waker.clone());
            }
        }
    }

    /// Passes on what the rooms say to guests, and wakes those for whom there is something.
    pub(super) fn tell_guests(&mut self, now: Now, wakes: &mut Wakes) {
        while let Some(output) = self.server.poll_guest() {
            self.gateway.handle_output(now, self.server.hall(), &output);
        }
        while let Some(id) = self.gateway.poll_ready() {
            if let Some(waker) = self.watchers.get(&id) {
                wakes.wake(waker.clone());
            }
        }
    }

    /// Why nobody should be sent here, if so.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        match &self.store {
            None => Some("the log is closed"),
            Some(_) => self.trouble,
        }
    }

    /// Everything that is counted.
    pub(crate) fn numbers(&self) -> Numbers {
        let hall = self.server.hall();
        Numbers {
            now: adapter_tokio::clock::now(),
            started: self.started,
            trouble: self.trouble(),
            connections: self.server.connections(),
            endpoint: self.server.endpoint_stats(),
            chat: *self.server.chat_stats(),
            server: *self.server.stats(),
            hall: *hall.stats(),
            rooms: hall.rooms().filter(|room| !room.is_empty()).count(),
            logs: self.server.logs(),
            participants: hall.rooms().map(proto_core::room::Room::len).sum(),
            gateway: self.gateway.stats().clone(),
            guests: self.gateway.guests(),
            guest_queued: self.gateway.queued_bytes(),
        }
    }
}
