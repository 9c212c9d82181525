//! How far the log has been read, and when to ask for more (spec: chat.md, section 8).

use core::time::Duration;

use crate::Timestamp;

#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The epoch of the log; 0 before the first join.
    pub(super) epoch: u64,
    /// The highest slot delivered, or not wanted.
    pub(super) has: u64,
    /// The highest slot that is known to exist.
    pub(super) latest: u64,
    /// Whether the user has been told that nothing is missing.
    pub(super) live: bool,
    update: Update,
    /// When to ask, or to ask again.
    deadline: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Update {
    #[default]
    Idle,
    /// To be sent.
    Due,
    /// A page is on its way.
    Outstanding,
}

impl Log {
    /// A join was answered. The server sends the first page by itself if there is one.
    pub(super) fn joined(&mut self, now: Timestamp, sync_after: Duration) {
        self.update = if self.has < self.latest { Update::Outstanding } else { Update::Idle };
        self.live = false;
        self.news(now, sync_after);
    }

    /// Nothing is sent or expected until the next join.
    pub(super) fn stop(&mut self) {
        self.update = Update::Idle;
        self.deadline = None;
    }

    /// Something new has come: if more was lost on the way, asking a little later shows it.
    pub(super) fn news(&mut self, now: Timestamp, sync_after: Duration) {
        self.deadline = Some(now + sync_after);
    }

    /// Entries are missing: asks for them unless that has been done.
    pub(super) fn ask(&mut self, now: Timestamp, sync_after: Duration) {
        if self.update == Update::Idle {
            self.update = Update::Due;
        }
        self.news(now, sync_after);
    }

    /// A page has come. `progress`: it brought something.
    pub(super) fn answered(&mut self, now: Timestamp, sync_after: Duration, progress: bool) {
        self.update = Update::Idle;
        let behind = self.has < self.latest;
        match (behind, progress) {
            (true, true) => self.ask(now, sync_after),
            // Asking at once could go on for ever with a server that has nothing to give.
            (true, false) | (false, true) => self.news(now, sync_after),
            (false, false) => self.deadline = None,
        }
    }

    /// A page cannot be had now.
    pub(super) fn refused(&mut self, now: Timestamp, sync_after: Duration) {
        self.update = Update::Idle;
        self.news(now, sync_after);
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp, sync_after: Duration) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.update = Update::Due;
            self.news(now, sync_after);
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// Whether an update is to be sent now; it counts as sent.
    pub(super) fn take_due(&mut self) -> bool {
        let due = self.update == Update::Due;
        if due {
            self.update = Update::Outstanding;
        }
        due
    }
}
