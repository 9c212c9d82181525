//! What comes in by streams, and what is asked of them.

use driver::Path;
use proto_core::{Link, LinkId, Now, Output};

use super::{NOBODY, Record, UNANSWERED, encode, kind};

impl Record {
    /// A stream was accepted, and gets the id by which the server knows it; noted without one if that panics.
    pub(crate) fn link_up(
        &mut self,
        now: Now,
        path: Path,
        link: Link,
        work: impl FnOnce() -> LinkId,
    ) -> LinkId {
        self.is_fresh = true;
        let path = self.path(now, path).to_le_bytes();
        let largest = link.max_packet().to_le_bytes();
        let id = self.recorder.asking(now, kind::LINK_UP, &[&path, &largest, NOBODY], work);
        self.recorder.note(now, kind::LINK_UP, &[&path, &largest, &id.number().to_le_bytes()]);
        id
    }

    pub(crate) fn link_down(&mut self, now: Now, id: LinkId, work: impl FnOnce()) {
        self.is_fresh = true;
        self.recorder.note(now, kind::LINK_DOWN, &[&id.number().to_le_bytes()]);
        self.recorder.guarded(work);
    }

    pub(crate) fn link_broken(&mut self, now: Now, id: LinkId, why: &str, work: impl FnOnce()) {
        self.is_fresh = true;
        self.recorder.note(now, kind::LINK_BROKEN, &[&id.number().to_le_bytes(), why.as_bytes()]);
        self.recorder.guarded(work);
    }

    /// Notes a record, and writes everything down if taking it in panics.
    pub(crate) fn record(&mut self, now: Now, id: LinkId, record: &[u8], work: impl FnOnce()) {
        self.is_fresh = true;
        self.recorder.note(now, kind::RECORD, &[&id.number().to_le_bytes(), record]);
        self.recorder.guarded(work);
    }

    /// The server says which stream may have something to write; noted with none that there is if that panics.
    pub(crate) fn poll_link(&mut self, work: impl FnOnce() -> Option<LinkId>) -> Option<LinkId> {
        let id = self.recorder.asking_at_once(kind::POLL_LINK, &[NOBODY], work);
        match id {
            Some(id) => self.recorder.note_at_once(kind::POLL_LINK, &[&id.number().to_le_bytes()]),
            None => self.recorder.note_at_once(kind::POLL_LINK, &[]),
        }
        id
    }

    /// Asks for a record; noted without an answer if that panics.
    pub(crate) fn asking_for<T>(&mut self, now: Now, id: LinkId, work: impl FnOnce() -> T) -> T {
        let parts: [&[u8]; 2] = [&id.number().to_le_bytes(), UNANSWERED];
        self.recorder.asking(now, kind::POLL_RECORD, &parts, work)
    }

    /// A record was asked for; `output` and `bytes` are what came of it.
    pub(crate) fn poll_record(&mut self, now: Now, id: LinkId, output: Output, bytes: &[u8]) {
        let output = encode::output(output, bytes);
        self.recorder.note(now, kind::POLL_RECORD, &[&id.number().to_le_bytes(), &output]);
    }
}
