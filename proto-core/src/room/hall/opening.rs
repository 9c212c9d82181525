//! A room is opened by reading the end of its log: back to a checkpoint, or to the beginning.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::account::Act;
use super::log::{ChatLine, is_chat, is_of_room};
use super::{Ask, Hall};
use crate::chat::{MAX_PAGE_ENTRIES, ReadFailure, StoredEntry};
use crate::room::fact::{Checkpoint, Fact, ROOM, ROOM_AUTHOR};
use crate::room::id::Peer;
use crate::room::limits::HISTORY;
use crate::room::machine::{Effects, Room};
use crate::room::message::{ListedRoom, Reason};
use crate::room::name::{RoomKind, has_place};
use crate::room::state::State;
use crate::{Now, Timestamp};

/// How long a store that is busy is left alone.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Entries before a checkpoint in which chat is looked for.
const MAX_BEYOND: usize = 1024;

#[derive(Clone, Debug)]
pub(super) enum Place {
    Opening(Opening),
    Open(Box<Open>),
}

#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) room: Room,
    /// What was said last, oldest first.
    pub(super) recent: VecDeque<Arc<ChatLine>>,
    /// Whether all of its log was read, and nothing was said in it.
    pub(super) is_silent: bool,
    pub(super) deadline: Option<Timestamp>,
    /// As lists show it, if they do.
    pub(super) listed: Option<ListedRoom>,
}

/// A room whose log is being read.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    name: Arc<str>,
    pub(super) waiting: Vec<Peer>,
    latest: u64,
    /// What has been read, without a gap up to `latest`; of chat only the place.
    read: VecDeque<StoredEntry>,
    /// The page that is being read: its first part, and what it is to reach.
    page: Vec<StoredEntry>,
    page_from: u64,
    page_upto: u64,
    recent: VecDeque<Arc<ChatLine>>,
    /// The newest checkpoint that was read with all that it does not cover.
    checkpoint: Option<Box<Checkpoint>>,
    /// How much was read before it, in search of chat.
    beyond: usize,
    /// What was committed meanwhile.
    later: Vec<StoredEntry>,
}

impl Place {
    pub(super) fn room(&self) -> Option<&Room> {
        match self {
            Self::Open(open) => Some(&open.room),
            Self::Opening(_) => None,
        }
    }
}

impl Open {
    pub(super) fn say(&mut self, line: Arc<ChatLine>) {
        self.recent.push_back(line);
        if self.recent.len() > HISTORY {
            self.recent.pop_front();
        }
    }
}

impl Opening {
    pub(super) fn new(name: Arc<str>, peer: Peer) -> Self {
        Self {
            name,
            waiting: alloc::vec![peer],
            latest: 0,
            read: VecDeque::new(),
            page: Vec::new(),
            page_from: 0,
            page_upto: 0,
            recent: VecDeque::new(),
            checkpoint: None,
            beyond: 0,
            later: Vec::new(),
        }
    }

    /// Looks for the checkpoint to begin from in what was read.
    fn find_checkpoint(&mut self) {
        let Some(first) = self.read.front().map(|entry| entry.slot) else { return };
        let mut facts = self.read.iter().rev().filter_map(fact);
        self.checkpoint = facts.find_map(|fact| match fact {
            Fact::Checkpoint(checkpoint) if checkpoint.upto + 1 >= first => Some(Box::new(checkpoint)),
            _ => None,
        });
    }

    /// Whether nothing more is to be read: all of it was, or the state is known and what was said last as well, or not worth a longer
    /// search.
    fn has_enough(&self) -> bool {
        let is_first = self.read.front().is_none_or(|entry| entry.slot == 1);
        let has_lines = self.recent.len() == HISTORY || self.beyond >= MAX_BEYOND;
        is_first || self.checkpoint.is_some() && has_lines
    }

    /// Whether all of it was read, and nothing was said in it.
    fn is_silent(&self) -> bool {
        let is_whole = self.latest == 0 || self.read.front().is_some_and(|entry| entry.slot == 1);
        is_whole && self.read.iter().chain(&self.later).all(is_of_room)
    }

    /// The page before what was read.
    fn turn_page(&mut self) {
        self.page_upto = self.read.front().map_or(self.latest, |entry| entry.slot - 1);
        self.page_from = self.page_upto.saturating_sub(MAX_PAGE_ENTRIES as u64 - 1).max(1);
    }

    /// Takes in the beginning of what is still to be read of the page.
    fn take(&mut self, entries: &[StoredEntry]) {
        for entry in entries {
            if entry.slot != self.page_from || entry.slot > self.page_upto {
                return;
            }
            self.page_from += 1;
            self.page.push(entry.clone());
        }
    }

    /// Puts a whole page before what was read.
    fn shelve(&mut self) {
        let page = core::mem::take(&mut self.page);
        let missing = HISTORY - self.recent.len();
        let lines = page.iter().rev().filter(|entry| is_chat(entry)).take(missing);
        for line in lines.filter_map(ChatLine::of) {
            self.recent.push_front(Arc::new(line));
        }
        let count = page.len();
        for entry in page.into_iter().rev() {
            self.read.push_front(stripped(entry));
        }
        match self.checkpoint {
            Some(_) => self.beyond += count,
            None => self.find_checkpoint(),
        }
    }
}

/// Chat takes a slot in a fold, and nothing else.
fn stripped(entry: StoredEntry) -> StoredEntry {
    if entry.kind == ROOM { entry } else { StoredEntry { body: Bytes::new(), name: Arc::from(""), ..entry } }
}

fn fact(entry: &StoredEntry) -> Option<Fact> {
    let is_fact = entry.kind == ROOM && entry.client == ROOM_AUTHOR;
    is_fact.then(|| Fact::decode(&entry.body).ok()).flatten()
}

impl Hall {
    /// Whether a log that was asked for, and that there is not, may be made: whoever has asked for it pays, but for the places where
    /// everybody is sent.
    pub fn may_make(&mut self, now: Now, log: &str) -> bool {
        let now = self.observe(now);
        let Some(Place::Opening(opening)) = self.places.get(log) else { return true };
        if has_place(&opening.name) {
            return true;
        }
        // Nobody waits any more: the room is not wanted.
        let Some(&peer) = opening.waiting.first() else { return false };
        self.may(now, peer, Act::Make)
    }

    /// A log that was asked for is there, and ends at `latest`.
    pub fn handle_opened(&mut self, now: Now, log: &Arc<str>, latest: u64) {
        let now = self.observe(now);
        let Some(Place::Opening(opening)) = self.places.get_mut(log) else { return };
        opening.latest = latest;
        if latest == 0 {
            self.opened(now, log);
        } else {
            opening.turn_page();
            self.read_on(log);
        }
    }

    /// A log that was asked for cannot be had.
    pub fn handle_open_failed(&mut self, now: Now, log: &Arc<str>, reason: Reason) {
        self.observe(now);
        let Some(Place::Opening(opening)) = self.places.get(log) else { return };
        let waiting = opening.waiting.clone();
        self.places.remove(log);
        self.asks.push_back(Ask::Close(Arc::clone(log), None));
        for peer in waiting {
            if let Some(session) = self.sessions.get_mut(&peer) {
                session.entering = None;
            }
            self.refuse(peer, 0x02, reason);
            self.outputs.push_back(super::Output::Refused(peer, reason));
        }
    }

    fn read_on(&mut self, log: &Arc<str>) {
        if let Some(Place::Opening(opening)) = self.places.get(log) {
            let (from, upto) = (opening.page_from, opening.page_upto);
            self.asks.push_back(Ask::Read(Arc::clone(log), from, upto));
        }
    }

    pub(super) fn read_again(&mut self, log: &Arc<str>) {
        self.read_on(log);
    }

    /// Entries that were asked for: those from the first on, at least one.
    pub fn handle_entries(&mut self, now: Now, log: &Arc<str>, entries: &[StoredEntry]) {
        let now = self.observe(now);
        let Some(Place::Opening(opening)) = self.places.get_mut(log) else { return };
        let before = opening.page_from;
        opening.take(entries);
        if opening.page_from == before {
            self.handle_read_failed(now, log, ReadFailure::Unreadable);
            return;
        }
        if opening.page_from <= opening.page_upto {
            self.read_on(log);
            return;
        }
        opening.shelve();
        if opening.has_enough() {
            self.opened(now, log);
        } else {
            opening.turn_page();
            self.read_on(log);
        }
    }

    /// Entries that were asked for could not be read.
    pub fn handle_read_failed(&mut self, now: Now, log: &Arc<str>, failure: ReadFailure) {
        let now = self.observe(now);
        match failure {
            ReadFailure::Busy => {
                self.stats.reads_again += 1;
                self.deadlines.insert((now.mono + READ_AGAIN, Arc::clone(log)));
            }
            ReadFailure::Unreadable => self.handle_open_failed(now, log, Reason::Stopped),
        }
    }

    fn opened(&mut self, now: Now, log: &Arc<str>) {
        let Some(Place::Opening(opening)) = self.places.remove(log) else { return };
        let (kind, is_silent) = (RoomKind::of(&opening.name), opening.is_silent());
        let mut state = opening
            .checkpoint
            .map_or_else(|| State::new(kind), |checkpoint| State::from_checkpoint(kind, *checkpoint));
        let from = state.slot;
        for entry in opening.read.iter().chain(&opening.later).filter(|entry| entry.slot > from) {
            // They follow each other: the pages do, and so does what came later.
            if state.apply(entry).is_err() {
                self.stats.out_of_order += 1;
            }
        }
        let room = Room::new(opening.name, state, &self.config, now);
        let open = Open { room, recent: opening.recent, is_silent, deadline: None, listed: None };
        self.places.insert(Arc::clone(log), Place::Open(Box::new(open)));
        for peer in opening.waiting {
            let entering = self.sessions.get_mut(&peer).and_then(|session| session.entering.take());
            if let Some(entering) = entering {
                self.go(now, peer, entering);
            }
        }
        self.settle(now, log, Effects::default());
    }

    pub(super) fn commit_while_opening(opening: &mut Opening, entry: &StoredEntry) {
        if entry.slot > opening.latest {
            if let Some(line) = ChatLine::of(entry).filter(|_| is_chat(entry)) {
                opening.recent.push_back(Arc::new(line));
                if opening.recent.len() > HISTORY {
                    opening.recent.pop_front();
                }
            }
            opening.later.push(stripped(entry.clone()));
        }
    }
}
