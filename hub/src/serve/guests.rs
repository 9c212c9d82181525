//! Guests of the gateway, at the hub.

use std::net::SocketAddr;
use std::task::Waker;

use bytes::Bytes;
use proto_core::room::hall::HallStats;
use proto_core::{Now, Stats, chat, server};
use tungstenite::Message;

use super::Hub;
use super::house::House;
use crate::gateway::{self, End, GuestId};
use crate::record::{self, Said, kind};

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
        let came = |house: &mut House| house.guest_came(now, address);
        self.house.ask(now, kind::GUEST_CAME, &(address, None::<GuestId>), came, |id| (address, *id))
    }

    /// A guest has said something. Whether it has said hi by now.
    pub(crate) fn guest_said(&mut self, now: Now, id: GuestId, messages: &[Message]) -> bool {
        self.house.tell(now, kind::GUEST_SAID, &Said(id, messages)).guest_said(now, id, messages)
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
        let mut taken = std::mem::take(texts);
        let takes = |house: &mut House| {
            let end = house.guest_takes(now, id, &mut taken);
            (end, taken)
        };
        let noted = |(end, taken): &(Option<End>, Vec<Bytes>)| (id, record::taken(*end, taken));
        let (end, taken) = self.house.ask(now, kind::GUEST_TAKES, &(id, 0_u32), takes, noted);
        *texts = taken;
        end
    }

    /// Whether a guest that takes nothing now is to be sent away.
    pub(crate) fn guest_end(&mut self, id: GuestId, waker: &Waker) -> Option<End> {
        self.watch(id, waker);
        self.house.gateway.end_of(id)
    }

    /// A guest is gone.
    pub(crate) fn guest_gone(&mut self, now: Now, id: GuestId) {
        self.watchers.remove(&id);
        self.house.tell(now, kind::GUEST_GONE, &id).guest_gone(now, id);
    }

    fn watch(&mut self, id: GuestId, waker: &Waker) {
        match self.watchers.get_mut(&id) {
            Some(known) => known.clone_from(waker),
            None => {
                self.watchers.insert(id, waker.clone());
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
        let House { server, gateway } = &*self.house;
        let hall = server.hall();
        Numbers {
            now: adapter_tokio::clock::now(),
            started: self.started,
            trouble: self.trouble(),
            connections: server.connections(),
            endpoint: server.endpoint_stats(),
            chat: *server.chat_stats(),
            server: *server.stats(),
            hall: *hall.stats(),
            rooms: hall.rooms().filter(|room| !room.is_empty()).count(),
            logs: server.logs(),
            participants: hall.rooms().map(proto_core::room::Room::len).sum(),
            gateway: gateway.stats().clone(),
            guests: gateway.guests(),
            guest_queued: gateway.queued_bytes(),
        }
    }
}
