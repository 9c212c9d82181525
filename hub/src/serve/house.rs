//! The server's machine and its guests: what is recorded of a hub, and told again in a replay.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use driver::{Machine, Path};
use proto_core::chat::{PersistFailure, ReadFailure, ReadId};
use proto_core::room::fact::BanTarget;
use proto_core::room::{Notification, Peer, Reason, UserId};
use proto_core::{Credentials, Drain, Link, LinkId, Meta, Now, Output, Server, Timestamp, Transmit};
use tungstenite::Message;

use crate::gateway::{End, Gateway, GuestId};
use crate::http::is_control;
use crate::store::{Answer, Report};

/// How long clients have to finish what they have begun when the server goes away.
const FINISH: Duration = Duration::from_secs(3);

/// Guests that are told at once that there is something for them.
const MAX_WOKEN: usize = 16;

/// The server's machine, and the guests of its rooms.
pub(crate) struct House {
    pub(crate) server: Server<Path>,
    pub(crate) gateway: Gateway,
}

/// What who runs the server wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Ban {
        room: String,
        target: BanTarget,
        ms: Option<u32>,
    },
    Unban {
        room: String,
        target: BanTarget,
    },
    /// Everybody in a room is sent to the lobby.
    Close {
        room: String,
    },
    /// All connections of a user end.
    Kick(UserId),
    Notify {
        room: Option<String>,
        words: Notification,
    },
}

impl House {
    /// Somebody has connected; `None`: there is no room.
    pub(crate) fn guest_came(&mut self, now: Now, address: SocketAddr) -> Option<GuestId> {
        self.gateway.open(now, address)
    }

    /// A guest has said something. Whether it has said hi by now.
    pub(crate) fn guest_said(&mut self, now: Now, id: GuestId, messages: &[Message]) -> bool {
        let Self { server, gateway } = self;
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

    /// Hands out what waits for a guest. Says whether it is to be sent away.
    pub(crate) fn guest_takes(&mut self, now: Now, id: GuestId, texts: &mut Vec<Bytes>) -> Option<End> {
        let Self { server, gateway } = self;
        server.with_hall(now, |hall| gateway.take(hall, id, texts))
    }

    /// A guest is gone.
    pub(crate) fn guest_gone(&mut self, now: Now, id: GuestId) {
        let Self { server, gateway } = self;
        server.with_hall(now, |hall| gateway.close(now, hall, id));
    }

    /// Passes on what the rooms say to guests; some of those for whom there is something, so that the others need not wait until
    /// all of them were served.
    pub(crate) fn tell_guests(&mut self, now: Now) -> impl Iterator<Item = GuestId> {
        while let Some(output) = self.server.poll_guest() {
            self.gateway.handle_output(now, self.server.hall(), &output);
        }
        std::iter::from_fn(|| self.gateway.poll_ready()).take(MAX_WOKEN)
    }

    /// Does what who runs the server wants; how many it concerned.
    pub(crate) fn operate(&mut self, now: Now, wish: Wish) -> Result<usize, Reason> {
        let Self { server, gateway } = self;
        match wish {
            Wish::Ban { room, target, ms } => {
                server.with_hall(now, |hall| hall.ban(now, &room, target, ms)).map(|()| 1)
            }
            Wish::Unban { room, target } => {
                server.with_hall(now, |hall| hall.unban(now, &room, target)).map(|()| 1)
            }
            Wish::Close { room } => server.with_hall(now, |hall| {
                let is_open = hall.rooms().any(|one| **one.name() == *room && !one.is_empty());
                hall.close_room(now, &room);
                if is_open { Ok(1) } else { Err(Reason::NotInRoom) }
            }),
            Wish::Kick(user) => {
                let peers: Vec<_> = server.hall().connected().filter(|(_, of)| *of == user).collect();
                for (peer, _) in &peers {
                    match peer {
                        Peer::Native(id) => server.send_away(now, *id),
                        Peer::Guest(id) => gateway.send_away(*id),
                    }
                }
                Ok(peers.len())
            }
            Wish::Notify { room, words } => {
                server.with_hall(now, |hall| hall.notify(room.as_deref(), words));
                Ok(1)
            }
        }
    }

    /// Something has become of batches.
    pub(crate) fn reported(&mut self, now: Now, report: Report) {
        match report {
            Report::Persisted { upto } => self.server.handle_persisted(now, upto),
            Report::Failed { from, failure } => self.server.handle_persist_failed(now, from, failure),
        }
    }

    /// A page was read, or could not be.
    pub(crate) fn answered(&mut self, now: Now, answer: &Answer) {
        match &answer.entries {
            Ok(entries) => self.server.handle_read(now, answer.id, entries),
            Err(failure) => self.server.handle_read_failed(now, answer.id, *failure),
        }
    }

    /// The store's thread did not take a batch.
    pub(crate) fn not_taken(&mut self, now: Now, batch: u64) {
        self.server.handle_persist_failed(now, batch, PersistFailure::Broken);
    }

    /// The store's thread did not take a read.
    pub(crate) fn not_read(&mut self, now: Now, read: u64) {
        self.server.handle_read_failed(now, ReadId(read), ReadFailure::Busy);
    }

    /// Begins to go away.
    pub(crate) fn leave(&mut self, now: Now) {
        self.gateway.drain();
        self.server.drain(now, Drain { timeout: FINISH, ..Drain::default() });
    }
}

impl Machine for House {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.server.handle_packet(now, meta, packet);
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.server.handle_packets(now, meta, packets, stride);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.server.handle_timeout(now);
        self.gateway.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.server.poll_transmit(now, buf)
    }

    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        self.server.poll_packets(now, max, buf, packets)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        [self.server.poll_timeout(), self.gateway.poll_timeout()].into_iter().flatten().min()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        Some(self.server.link_up(now, path, link, vouched))
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        self.server.link_down(now, id);
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        self.server.link_broken(now, id, why);
    }

    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        self.server.handle_record(now, id, record);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.server.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.server.poll_link()
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.server.poll_record(now, id, buf)
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.server.has_link(id)
    }

    fn is_over(&self) -> bool {
        self.server.is_drained() && self.gateway.guests() == 0
    }
}

#[cfg(test)]
mod tests {
    use proto_core::ConfigBuilder;
    use proto_core::chat::ChatConfig;

    use super::*;
    use crate::gateway::GatewayConfig;

    #[test]
    fn guests_are_told_a_few_at_a_time_and_all_in_the_end() {
        let now = adapter_tokio::clock::now();
        let config = ConfigBuilder { accept: true, ..ConfigBuilder::chat() }.build().unwrap();
        let server = Server::new(config, adapter_tokio::LINK, ChatConfig::default(), [7; 32], now);
        let mut house = House { server, gateway: Gateway::new(GatewayConfig::default()) };
        let address = "192.0.2.1:5000".parse().unwrap();
        let came: Vec<_> = (0..MAX_WOKEN + 3).filter_map(|_| house.guest_came(now, address)).collect();

        let first: Vec<_> = house.tell_guests(now).collect();
        assert!(house.gateway.has_ready());
        let second: Vec<_> = house.tell_guests(now).collect();
        assert!(!house.gateway.has_ready());
        assert_eq!((first.len(), [first, second].concat()), (MAX_WOKEN, came));
    }
}
