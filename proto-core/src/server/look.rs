//! Logs that the store had at the start and that nobody has come to since: those in which nothing was said end as others do (spec:
//! chat.md, section 10).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;

use super::Server;
use super::expiry::is_kept;
use crate::chat::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Read, ReadFailure, ReadId, StoredEntry};
use crate::room::fact::{Fact, ROOM};
use crate::{Address, Now, Timestamp};

/// Ids of these reads have this bit, which no others have.
const LOOK_READ: u64 = 1 << 62;
/// When a store that is busy is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads these logs from their ends, one page at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// When it begins: by then those who were there at the stop have come back.
    begin: Option<Timestamp>,
    waiting: VecDeque<Arc<str>>,
    page: Option<Page>,
    /// Whether the page is to be asked for now, or later.
    is_wanted: bool,
    due: Option<Timestamp>,
    last_read: u64,
}

#[derive(Clone, Debug)]
struct Page {
    log: Arc<str>,
    epoch: u64,
    first: u64,
    /// What is to be read of it.
    from: u64,
    upto: u64,
    /// When the last ban ends of which was read; as if none were ever lifted.
    banned_ms: u64,
}

impl Page {
    /// The page that ends at `upto`; there must be one.
    fn turn_to(&mut self, upto: u64) {
        self.upto = upto;
        self.first = upto.saturating_sub(MAX_PAGE_ENTRIES as u64 - 1).max(1);
        self.from = self.first;
    }

    /// Takes in the beginning of what is to be read; false if somebody said something there, or it is not what was asked for.
    fn take(&mut self, entries: &[StoredEntry]) -> bool {
        for entry in entries {
            if entry.slot != self.from || entry.kind != ROOM {
                return false;
            }
            self.from += 1;
            let until_ms = match Fact::decode(&entry.body) {
                Ok(Fact::Ban(ban)) => ban.until_ms,
                Ok(Fact::Checkpoint(checkpoint)) => checkpoint.bans.into_values().max().unwrap_or(0),
                _ => 0,
            };
            self.banned_ms = self.banned_ms.max(until_ms);
        }
        !entries.is_empty()
    }
}

impl Look {
    /// Begins at that time.
    pub(super) fn from(begin: Timestamp) -> Self {
        Self { begin: Some(begin), ..Self::default() }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.begin.or(self.due)
    }

    pub(super) const fn is_of(id: ReadId) -> bool {
        id.0 & LOOK_READ != 0 && id.0 >> 63 == 0
    }
}

impl<A: Address> Server<A> {
    /// Begins, if it is time.
    pub(super) fn look(&mut self, now: Now) {
        if self.look.begin.is_some_and(|begin| begin <= now.mono) {
            self.look.begin = None;
            self.look.waiting = self.chat.untouched().filter(|log| !is_kept(log)).cloned().collect();
            self.look_further(now);
        }
        if self.look.due.is_some_and(|due| due <= now.mono) {
            self.look.due = None;
            self.look.is_wanted = true;
        }
    }

    /// To the next log.
    fn look_further(&mut self, now: Now) {
        self.look.page = None;
        while let Some(log) = self.look.waiting.pop_front() {
            let Some((epoch, latest)) = self.chat.end_of(&log) else { continue };
            let mut page = Page { log, epoch, first: 1, from: 1, upto: 0, banned_ms: 0 };
            if latest == 0 {
                self.found_silent(now, &page);
                continue;
            }
            page.turn_to(latest);
            self.look.page = Some(page);
            self.look.is_wanted = true;
            return;
        }
    }

    fn found_silent(&mut self, now: Now, page: &Page) {
        if self.chat.end_of(&page.log).is_some_and(|(epoch, _)| epoch == page.epoch)
            && self.chat.age_from(now, &page.log)
        {
            let banned = Duration::from_millis(page.banned_ms.saturating_sub(now.unix_ms));
            self.expiry.is_silent(now.mono + banned, Arc::clone(&page.log));
        }
    }

    pub(super) fn poll_look_read(&mut self) -> Option<Read> {
        let page = self.look.page.as_ref().filter(|_| self.look.is_wanted)?;
        self.look.is_wanted = false;
        self.look.last_read += 1;
        let id = ReadId(LOOK_READ | self.look.last_read);
        let Page { epoch, from, upto, .. } = *page;
        Some(Read { id, room: Arc::clone(&page.log), epoch, from, upto, max_bytes: MAX_PAGE_BYTES })
    }

    pub(super) fn handle_look(&mut self, now: Now, entries: &[StoredEntry]) {
        let Some(mut page) = self.look.page.take() else { return };
        if !page.take(entries) {
            return self.look_further(now);
        }
        if page.from > page.upto {
            if page.first == 1 {
                self.found_silent(now, &page);
                return self.look_further(now);
            }
            page.turn_to(page.first - 1);
        }
        self.look.page = Some(page);
        self.look.is_wanted = true;
    }

    pub(super) fn handle_look_failed(&mut self, now: Now, failure: ReadFailure) {
        match failure {
            ReadFailure::Busy => self.look.due = self.look.page.is_some().then(|| now.mono + AGAIN),
            ReadFailure::Unreadable => self.look_further(now),
        }
    }
}
