//! The server's machine, with the store's threads at hand.

use std::time::Duration;

use driver::{Machine, Path, Wakes};
use proto_core::chat::{PersistFailure, ReadFailure, RoomState};
use proto_core::server::ServerEvent;
use proto_core::{Drain, Meta, Now, Server, Timestamp, Transmit};

use crate::store::{Answer, Librarian, Persister, Report};

/// How long clients have to finish what they have begun when the server goes away.
const FINISH: Duration = Duration::from_secs(3);

/// What runs behind the sockets.
pub(super) struct Hub {
    server: Server<Path>,
    /// The ways to the store's threads, from the start to the end of service.
    store: Option<(Persister, Librarian)>,
}

impl Hub {
    /// Serves `rooms` once the store is there.
    pub(super) fn new(
        mut server: Server<Path>,
        rooms: Vec<RoomState>,
    ) -> Result<Self, proto_core::chat::RestoreError> {
        rooms.into_iter().try_for_each(|room| server.restore(room))?;
        Ok(Self { server, store: None })
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
        match report {
            Report::Persisted { upto } => self.server.handle_persisted(now, upto),
            Report::Failed { from, failure } => self.server.handle_persist_failed(now, from, failure),
        }
    }

    /// A page was read, or could not be.
    pub(super) fn handle_answer(&mut self, now: Now, answer: &Answer) {
        match &answer.entries {
            Ok(entries) => self.server.handle_read(now, answer.id, entries),
            Err(failure) => self.server.handle_read_failed(now, answer.id, *failure),
        }
    }

    /// Begins to go away.
    pub(super) fn drain(&mut self, now: Now) {
        self.server.drain(now, Drain { timeout: FINISH, ..Drain::default() });
    }

    fn ask_store(&mut self, now: Now) {
        let Some((persister, librarian)) = &self.store else { return };
        while let Some(batch) = self.server.poll_persist(now) {
            let number = batch.number;
            if let Err(error) = persister.append(batch) {
                tracing::error!("{error}");
                self.server.handle_persist_failed(now, number, PersistFailure::Broken);
            }
        }
        while let Some(read) = self.server.poll_read() {
            let id = read.id;
            if !librarian.read(read) {
                self.server.handle_read_failed(now, id, ReadFailure::Busy);
            }
        }
    }
}

impl Machine for Hub {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.server.handle_packet(now, meta, packet);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.server.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.server.poll_transmit(now, buf)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.server.poll_timeout()
    }

    fn settle(&mut self, now: Now, _: &mut Wakes) {
        self.ask_store(now);
        while let Some(event) = self.server.poll_event() {
            log(&event);
        }
    }

    fn is_over(&self) -> bool {
        self.server.is_drained()
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
