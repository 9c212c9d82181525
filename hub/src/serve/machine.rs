//! The server's machine, with the store's threads at hand.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use driver::{End, Machine, Path, Wakes};
use proto_core::chat::{PersistFailure, ReadFailure, ReadId};
use proto_core::server::ServerEvent;
use proto_core::{Credentials, Drain, Link, LinkId, Meta, Now, Output, Server, Timestamp, Transmit};

use super::shards::Lines;
use crate::gateway::{Gateway, GatewayConfig, GuestId};
use crate::record::Record;
use crate::store::{Answer, Librarian, Persister, Report};

/// How long clients have to finish what they have begun when the server goes away.
const FINISH: Duration = Duration::from_secs(3);

/// What runs behind the sockets.
pub(crate) struct Hub {
    pub(super) server: Server<Path>,
    /// The ways to the store's threads, from the start to the end of service.
    pub(super) store: Option<(Persister, Librarian)>,
    record: Option<Record>,
    pub(super) gateway: Gateway,
    /// The tasks of guests.
    pub(super) watchers: BTreeMap<GuestId, Waker>,
    /// Why the log cannot be written, if so.
    pub(super) trouble: Option<&'static str>,
    pub(super) started: Now,
    /// Where its connections are in shards.
    lines: Option<Lines>,
}

impl Hub {
    /// Serves once the store is there; what goes in is noted in `record`.
    pub(crate) fn new(
        server: Server<Path>,
        record: Option<Record>,
        gateway: GatewayConfig,
        now: Now,
    ) -> Self {
        Self {
            server,
            store: None,
            record,
            gateway: Gateway::new(gateway),
            watchers: BTreeMap::new(),
            trouble: None,
            started: now,
            lines: None,
        }
    }

    /// The same with its connections in shards.
    pub(super) fn with_lines(self, lines: Option<Lines>) -> Self {
        Self { lines, ..self }
    }

    pub(super) const fn server(&self) -> &Server<Path> {
        &self.server
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
        if let Some(record) = &mut self.record {
            record.report(now, &report);
        }
        reported(&mut self.server, now, report);
    }

    /// A page was read, or could not be.
    pub(super) fn handle_answer(&mut self, now: Now, answer: &Answer) {
        if let Some(record) = &mut self.record {
            record.answer(now, answer);
        }
        answered(&mut self.server, now, answer);
    }

    /// Begins to go away.
    pub(crate) fn drain(&mut self, now: Now) {
        if let Some(record) = &mut self.record {
            record.drain(now);
        }
        self.gateway.drain();
        leave(&mut self.server, now);
    }

    /// Writes down what was recorded.
    pub(crate) fn flush_record(&mut self) {
        self.record.iter_mut().for_each(Record::flush);
    }

    fn ask_store(&mut self, now: Now) {
        let Self { server, store: Some((persister, librarian)), record, .. } = self else { return };
        loop {
            if let Some(record) = record {
                record.persist(now);
            }
            let Some(batch) = server.poll_persist(now) else { break };
            let number = batch.number;
            if let Err(error) = persister.append(batch) {
                tracing::error!("{error}");
                if let Some(record) = record {
                    record.not_taken(now, number);
                }
                not_taken(server, now, number);
            }
        }
        loop {
            if let Some(record) = record {
                record.read(now);
            }
            let Some(read) = server.poll_read() else { break };
            let id = read.id;
            if !librarian.read(read) {
                if let Some(record) = record {
                    record.not_read(now, id.0);
                }
                not_read(server, now, id.0);
            }
        }
    }
}

impl Machine for Hub {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        let Self { server, record, .. } = self;
        match record {
            None => server.handle_packet(now, meta, packet),
            Some(record) => record.packet(now, meta, packet, || server.handle_packet(now, meta, packet)),
        }
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        match self.record {
            None => self.server.handle_packets(now, meta, packets, stride),
            // Inputs are recorded one by one.
            Some(_) => packets.chunks(stride.max(1)).for_each(|packet| self.handle_packet(now, meta, packet)),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let Self { server, record, .. } = self;
        match record {
            None => server.handle_timeout(now),
            Some(record) => record.timeout(now, || server.handle_timeout(now)),
        }
        self.gateway.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        let Self { server, record: Some(record), .. } = self else {
            return self.server.poll_transmit(now, buf);
        };
        let before = buf.len();
        let sent = record.asking(now, || server.poll_transmit(now, buf));
        record.transmit(now, sent, &buf[before..]);
        sent
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let recording = self.record.as_ref().and_then(Record::due);
        let due = [self.server.poll_timeout(), self.gateway.poll_timeout(), recording];
        due.into_iter().flatten().min()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        let Self { server, record, .. } = self;
        let work = || server.link_up(now, path, link, vouched);
        Some(match record {
            None => work(),
            Some(record) => record.link_up(now, path, link, work),
        })
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        let Self { server, record, .. } = self;
        match record {
            None => server.link_down(now, id),
            Some(record) => record.link_down(now, id, || server.link_down(now, id)),
        }
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        let Self { server, record, .. } = self;
        match record {
            None => server.link_broken(now, id, why),
            Some(record) => record.link_broken(now, id, why, || server.link_broken(now, id, why)),
        }
    }

    fn handle_record(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        let Self { server, record, .. } = self;
        match record {
            None => server.handle_record(now, id, bytes),
            Some(record) => record.record(now, id, bytes, || server.handle_record(now, id, bytes)),
        }
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.server.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        let Self { server, record, .. } = self;
        match record {
            None => server.poll_link(),
            Some(record) => record.poll_link(|| server.poll_link()),
        }
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        let Self { server, record: Some(record), .. } = self else {
            return self.server.poll_record(now, id, buf);
        };
        let before = buf.len();
        let output = record.asking_for(now, id, || server.poll_record(now, id, buf));
        record.poll_record(now, id, output, &buf[before..]);
        output
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.server.has_link(id)
    }

    fn attend(&mut self, task: &Waker) {
        if let Some(lines) = &self.lines {
            lines.attend(task);
        }
    }

    fn settle(&mut self, now: Now, wakes: &mut Wakes) {
        if let Some(lines) = &mut self.lines {
            lines.hear(&mut self.server, now);
        }
        self.ask_store(now);
        self.record.iter_mut().for_each(|record| record.settle(now));
        while let Some(event) = self.server.poll_event() {
            log(&event);
            match event {
                ServerEvent::DiskFull => self.trouble = Some("the disk is full"),
                ServerEvent::DiskRecovered => self.trouble = None,
                ServerEvent::Stopped => self.trouble = Some("the log cannot be written"),
                _ => {}
            }
        }
        self.tell_guests(now, wakes);
        if let Some(lines) = &self.lines {
            lines.tell(&mut self.server, wakes);
        }
    }

    fn handle_end(&mut self, _: End, _: &mut Wakes) {
        self.flush_record();
        if let Some(lines) = &self.lines {
            lines.close();
        }
    }

    fn is_over(&self) -> bool {
        self.server.is_drained() && self.gateway.guests() == 0
    }
}

/// Something has become of batches.
pub(crate) fn reported(server: &mut Server<Path>, now: Now, report: Report) {
    match report {
        Report::Persisted { upto } => server.handle_persisted(now, upto),
        Report::Failed { from, failure } => server.handle_persist_failed(now, from, failure),
    }
}

/// A page was read, or could not be.
pub(crate) fn answered(server: &mut Server<Path>, now: Now, answer: &Answer) {
    match &answer.entries {
        Ok(entries) => server.handle_read(now, answer.id, entries),
        Err(failure) => server.handle_read_failed(now, answer.id, *failure),
    }
}

/// The server begins to go away.
pub(crate) fn leave(server: &mut Server<Path>, now: Now) {
    server.drain(now, Drain { timeout: FINISH, ..Drain::default() });
}

/// The store's thread did not take a batch.
pub(crate) fn not_taken(server: &mut Server<Path>, now: Now, batch: u64) {
    server.handle_persist_failed(now, batch, PersistFailure::Broken);
}

/// The store's thread did not take a read.
pub(crate) fn not_read(server: &mut Server<Path>, now: Now, read: u64) {
    server.handle_read_failed(now, ReadId(read), ReadFailure::Busy);
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
