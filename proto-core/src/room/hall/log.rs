//! What the hall and the logs have to do with each other.

use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use super::account::Act;
use super::opening::Place;
use super::{Hall, Output};
use crate::Now;
use crate::chat::{ClientId, Kind, StoredEntry};
use crate::room::fact::{Fact, ROOM};
use crate::room::id::{Peer, UserId};
use crate::room::limits::MAX_CHAT_CHARS;
use crate::room::machine::Effects;
use crate::room::message::Reason;
use crate::room::name::is_sayable;

/// Something that the hall asks of a log, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Make it, if there is none and [`Hall::may_make`] says so; from now on tell what is committed to it; answer by `handle_opened` or `handle_open_failed`.
    Open(Arc<str>),
    /// Read slots from this to that; answer by `handle_entries` or `handle_read_failed`.
    Read(Arc<str>, u64, u64),
    /// Append this fact; it comes back by `handle_committed`, or by `handle_fact_refused`.
    Fact(Arc<str>, Fact),
    /// Append what a guest says.
    Say(Arc<str>, Said),
    /// Nobody wants to hear of it any more. After that long, if ever, the room is as if it had never been: nothing was said in it before it was
    /// opened or has been told since, and nobody is banned from it then.
    Close(Arc<str>, Option<Duration>),
}

/// What a guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// On which connection.
    pub peer: Peer,
    /// The author's id in the log.
    pub client: ClientId,
    /// His name.
    pub name: Arc<str>,
    /// The words.
    pub text: Bytes,
    /// What his program calls this line, if it does.
    pub number: Option<u64>,
}

/// A chat message as guests get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// Its place in the log.
    pub slot: u64,
    /// Who said it.
    pub user: UserId,
    /// What he was called.
    pub name: Arc<str>,
    /// When it was committed: milliseconds since 1970.
    pub at_ms: u64,
    /// The words: what is beyond 512 characters, which only native clients can say, is cut.
    pub text: Arc<str>,
}

pub(super) fn is_chat(entry: &StoredEntry) -> bool {
    entry.kind == Kind::TEXT
}

/// Whether the room itself has written it.
pub(super) fn is_of_room(entry: &StoredEntry) -> bool {
    entry.kind == ROOM
}

/// As much as a guest could say.
fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_CHAT_CHARS).map_or(text, |(at, _)| &text[..at])
}

impl ChatLine {
    pub(super) fn of(entry: &StoredEntry) -> Option<Self> {
        is_chat(entry).then(|| Self {
            slot: entry.slot,
            user: UserId::of_client(entry.client),
            name: Arc::clone(&entry.name),
            at_ms: entry.commit_ms,
            text: cut(&String::from_utf8_lossy(&entry.body)).into(),
        })
    }
}

impl Hall {
    /// A log has grown by an entry, which is durable.
    pub fn handle_committed(&mut self, now: Now, log: &Arc<str>, entry: &StoredEntry) {
        let now = self.observe(now);
        let open = match self.places.get_mut(log) {
            Some(Place::Open(open)) => open,
            Some(Place::Opening(opening)) => return Self::commit_while_opening(opening, entry),
            None => return,
        };
        let mut effects = Effects::default();
        if open.room.apply(now, &self.config, entry, &mut effects).is_err() {
            self.stats.out_of_order += 1;
            return;
        }
        open.is_silent &= is_of_room(entry);
        if let Some(line) = ChatLine::of(entry) {
            let line = Arc::new(line);
            open.say(Arc::clone(&line));
            let seats = open.room.audience();
            if seats.iter().any(|seat| matches!(seat.peer, Peer::Guest(_))) {
                self.outputs.push_back(Output::Chat(seats, line));
            }
        }
        self.settle(now, log, effects);
    }

    /// The store has no room: who enters does not wait for what is not durable.
    pub fn handle_stalled(&mut self, now: Now, is_stalled: bool) {
        let now = self.observe(now);
        self.is_stalled = is_stalled;
        self.settle_all(now);
    }

    /// The store is broken: nothing is remembered any more, and nobody enters.
    pub fn handle_stopped(&mut self, now: Now) {
        let now = self.observe(now);
        self.is_stopped = true;
        self.settle_all(now);
    }

    fn settle_all(&mut self, now: Now) {
        let logs: alloc::vec::Vec<_> = self.places.keys().cloned().collect();
        for log in logs {
            self.settle(now, &log, Effects::default());
        }
    }

    /// Whether `peer` may append words to this log now. It pays for them. Who refuses them otherwise counts that.
    ///
    /// # Errors
    /// Why not.
    pub fn may_say(&mut self, now: Now, peer: Peer, log: &str) -> Result<(), Reason> {
        let now = self.observe(now);
        let session = self.sessions.get(&peer).ok_or(Reason::NotInRoom)?;
        session.place.as_ref().filter(|place| ***place == *log).ok_or(Reason::NotInRoom)?;
        self.room(log).ok_or(Reason::NotInRoom)?.may_say(now, session.user)?;
        if self.may(now, peer, Act::Chat) { Ok(()) } else { Err(Reason::Rate) }
    }

    /// A guest says something. With a `number`, it may say so again when it is not sure to have been heard: lines of one user with
    /// one of his last 64 numbers are said once, for as long as he is remembered.
    ///
    /// # Errors
    /// Why it is not heard.
    pub fn say(&mut self, now: Now, peer: Peer, text: &str, number: Option<u64>) -> Result<(), Reason> {
        let now = self.observe(now);
        self.try_say(now, peer, text, number).inspect_err(|reason| self.stats.refused(*reason))
    }

    fn try_say(&mut self, now: Now, peer: Peer, text: &str, number: Option<u64>) -> Result<(), Reason> {
        if !is_sayable(text) {
            return Err(Reason::Unsayable);
        }
        let log = self.place_of(peer).cloned().ok_or(Reason::NotInRoom)?;
        let user = self.user_of(peer).ok_or(Reason::NotInRoom)?;
        if number.is_some_and(|number| self.has_said(user, number)) {
            self.stats.said_again += 1;
            return Ok(());
        }
        self.may_say(now, peer, &log)?;
        let name = self.participant(user).name;
        let text = Bytes::copy_from_slice(text.as_bytes());
        if let Some(number) = number {
            self.note_said(user, number);
        }
        self.asks.push_back(Ask::Say(log, Said { peer, client: user.client(), name, text, number }));
        Ok(())
    }

    /// A fact could not be appended. It is asked for again, with those behind it, when something else happens in its room.
    pub fn handle_fact_refused(&mut self, log: &Arc<str>) {
        let before = self.asks.len();
        self.asks.retain(|ask| !matches!(ask, Ask::Fact(of, _) if of == log));
        let count = 1 + before - self.asks.len();
        if let Some(Place::Open(open)) = self.places.get_mut(log) {
            open.room.take_back(count);
        }
    }

    /// What a guest said could not be appended.
    pub fn handle_say_failed(&mut self, said: &Said) {
        self.refuse(said.peer, 0, Reason::Busy);
        if let Some(number) = said.number {
            self.forget_said(UserId::of_client(said.client), number);
            self.outputs.push_back(Output::Unsaid(said.peer, number, Reason::Busy));
        }
    }
}
