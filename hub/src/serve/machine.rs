//! The server's machine, with the store's threads at hand.

use std::collections::BTreeMap;
use std::task::Waker;

use driver::{End, Machine, Path, Wakes};
use proto_core::server::ServerEvent;
use proto_core::{Credentials, Link, LinkId, Meta, Now, Output, Timestamp, Transmit};

use super::house::House;
use super::shards::Lines;
use crate::gateway::GuestId;
use crate::record::{Record, Taped, kind};
use crate::store::{Answer, Librarian, Persister, Report};

/// What runs behind the sockets.
pub(crate) struct Hub {
    pub(super) house: Taped<House>,
    /// The ways to the store's threads, from the start to the end of service.
    pub(super) store: Option<(Persister, Librarian)>,
    /// The tasks of guests.
    pub(super) watchers: BTreeMap<GuestId, Waker>,
    /// Why the log cannot be written, if so.
    pub(super) trouble: Option<&'static str>,
    pub(super) started: Now,
    /// Where its connections are in shards.
    lines: Option<Lines>,
}

impl Hub {
    /// Serves once the store is there.
    pub(crate) const fn new(house: Taped<House>, now: Now) -> Self {
        Self { house, store: None, watchers: BTreeMap::new(), trouble: None, started: now, lines: None }
    }

    /// The same with its connections in shards.
    pub(super) fn with_lines(self, lines: Option<Lines>) -> Self {
        Self { lines, ..self }
    }

    /// Takes the store, or takes leave of it: its threads end when they have done what they were given.
    pub(super) fn set_store(&mut self, store: Option<(Persister, Librarian)>) {
        self.store = store;
    }

    /// Something has become of batches.
    pub(super) fn handle_report(&mut self, now: Now, report: Report) {
        if let Some((persister, _)) = &mut self.store {
            persister.hear(report);
        }
        self.house.tell(now, kind::REPORT, &report).reported(now, report);
    }

    /// A page was read, or could not be.
    pub(super) fn handle_answer(&mut self, now: Now, answer: &Answer) {
        self.house.tell(now, kind::ANSWER, answer).answered(now, answer);
    }

    /// Begins to go away.
    pub(crate) fn drain(&mut self, now: Now) {
        self.house.tell(now, kind::DRAIN, &()).leave(now);
    }

    /// Ends the recording; what is returned is to be dropped where nobody waits.
    pub(crate) fn end_record(&mut self) -> Option<Record> {
        self.house.end_record()
    }

    fn ask_store(&mut self, now: Now) {
        let Self { house, store: Some((persister, librarian)), .. } = self else { return };
        while let Some(batch) = house.tell(now, kind::PERSIST, &()).server.poll_persist(now) {
            let number = batch.number;
            if let Err(error) = persister.append(batch) {
                tracing::error!("{error}");
                house.tell(now, kind::NOT_TAKEN, &number).not_taken(now, number);
            }
        }
        while let Some(read) = house.tell(now, kind::READ, &()).server.poll_read() {
            let id = read.id.0;
            if !librarian.read(read) {
                house.tell(now, kind::NOT_READ, &id).not_read(now, id);
            }
        }
    }
}

impl Machine for Hub {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.house.handle_packet(now, meta, packet);
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.house.handle_packets(now, meta, packets, stride);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.house.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.house.poll_transmit(now, buf)
    }

    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        self.house.poll_packets(now, max, buf, packets)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.house.poll_timeout()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        self.house.link_up(now, path, link, vouched)
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        self.house.link_down(now, id);
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        self.house.link_broken(now, id, why);
    }

    fn handle_record(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        self.house.handle_record(now, id, bytes);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.house.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.house.poll_link()
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.house.poll_record(now, id, buf)
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.house.has_link(id)
    }

    fn attend(&mut self, task: &Waker) {
        if let Some(lines) = &self.lines {
            lines.attend(task);
        }
    }

    fn settle(&mut self, now: Now, wakes: &mut Wakes) {
        if let Some(lines) = &mut self.lines {
            lines.hear(&mut self.house, now);
        }
        self.ask_store(now);
        let house = self.house.tell(now, kind::SETTLE, &());
        while let Some(event) = house.server.poll_event() {
            log(&event);
            match event {
                ServerEvent::DiskFull => self.trouble = Some("the disk is full"),
                ServerEvent::DiskRecovered => self.trouble = None,
                ServerEvent::Stopped => self.trouble = Some("the log cannot be written"),
                _ => {}
            }
        }
        for id in house.tell_guests(now) {
            if let Some(waker) = self.watchers.get(&id) {
                wakes.wake(waker.clone());
            }
        }
        if let Some(lines) = &self.lines {
            lines.tell(&mut self.house, now, wakes);
        }
        self.house.settle(now);
    }

    fn handle_end(&mut self, _: End, wakes: &mut Wakes) {
        if let Some(record) = self.end_record() {
            wakes.drop_later(record);
        }
        if let Some(lines) = &self.lines {
            lines.close();
        }
    }

    fn has_more(&self) -> bool {
        self.house.gateway.has_ready()
    }

    fn is_over(&self) -> bool {
        self.house.is_over()
    }
}

fn log(event: &ServerEvent<Path>) {
    match event {
        ServerEvent::Connected(id, path) => tracing::debug!(connection = %id, peer = %path.peer, "connected"),
        ServerEvent::Disconnected(id, closed) => {
            tracing::debug!(connection = %id, reason = ?closed.reason, "disconnected");
        }
        ServerEvent::Ended(id, reason) => tracing::warn!(connection = %id, %reason, "sent away"),
        ServerEvent::DiskFull => {
            tracing::error!("the disk is full: nothing is acknowledged until there is space");
        }
        ServerEvent::DiskRecovered => tracing::info!("there is space again: appends go on"),
        ServerEvent::Stopped => {
            tracing::error!(
                "the log cannot be written: no append is taken until the server is started on a sound disk"
            );
        }
        event => tracing::debug!(?event, "event"),
    }
}
