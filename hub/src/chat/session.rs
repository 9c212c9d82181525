//! What a chat has to do and when it is done, without network, terminal or clock.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{AppendError, Client, ClientEvent, Entry, Kind, MAX_UNACKNOWLEDGED, RejectReason};
use proto_core::{Now, Timestamp};

/// How many lines may wait for a place among the unacknowledged ones.
const MAX_QUEUED: usize = 64;

/// When to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// Not by itself.
    pub(super) follow: bool,
    /// Not before this slot was printed.
    pub(super) until_slot: Option<NonZeroU64>,
    /// After this long in which something was waited for and nothing came.
    pub(super) give_up_after: Duration,
    /// Somebody sits there: patience begins when they leave, and only for what they wrote.
    pub(super) interactive: bool,
}

/// Something for the user, in order.
#[derive(Debug)]
pub(super) enum Output {
    /// A committed entry: slot by slot, each once.
    Entry(Entry),
    /// Something else.
    Note(Note),
}

/// What the user is told beside the entries.
#[derive(Debug)]
pub(super) enum Note {
    /// In the room for the first time.
    Joined { latest: u64 },
    /// In the room again.
    Back,
    /// The server has another log than before.
    LogReset,
    /// The server's disk is full.
    Stalled,
    /// The server gives no place in the room.
    Refused(RejectReason),
    /// A line will not be in the log.
    Rejected(Rejected),
    /// Anything else, in words that are safe to print.
    Words(String),
}

/// A line that is over without being acknowledged.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) line: Bytes,
    pub(super) why: Why,
}

/// Who refused a line, and why.
#[derive(Debug)]
pub(super) enum Why {
    /// This side: no server would take it.
    NotSent(AppendError),
    /// The server.
    Refused(RejectReason),
}

/// How a chat ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is acknowledged and printed.
    Done,
    /// Nothing came for too long.
    GivenUp,
    /// Somebody else holds this client's secret.
    Fenced,
    /// The server cannot read the log from this slot on.
    Unreadable { next: u64 },
    /// The server cannot be reached, and trying again would not help.
    Hopeless,
    /// A signal came.
    Interrupted,
    /// Nobody reads the output any more.
    Unseen,
}

/// A chat in one room.
pub(super) struct Session {
    client: Client,
    goal: Goal,
    /// Lines for which the client has no room yet.
    queued: VecDeque<Bytes>,
    unacknowledged: BTreeMap<u64, Bytes>,
    /// Lines that were refused and are to be told.
    refused: VecDeque<Rejected>,
    /// How many lines were refused.
    rejected: u64,
    input_ended: bool,
    is_joined: bool,
    /// The highest slot at the first join.
    found: Option<u64>,
    is_fenced: bool,
    /// The first slot that the server cannot read.
    unreadable: Option<u64>,
    /// The highest slot that was given out as output.
    printed: u64,
    /// The highest slot of an own line.
    own: u64,
    progress: Timestamp,
}

impl Session {
    pub(super) fn new(client: Client, goal: Goal, now: Now) -> Self {
        Self {
            client,
            goal,
            queued: VecDeque::new(),
            unacknowledged: BTreeMap::new(),
            refused: VecDeque::new(),
            rejected: 0,
            input_ended: false,
            is_joined: false,
            found: None,
            is_fenced: false,
            unreadable: None,
            printed: 0,
            own: 0,
            progress: now.mono,
        }
    }

    /// Whether one more line finds a place.
    pub(super) fn wants_line(&self) -> bool {
        !self.input_ended && self.queued.len() < MAX_QUEUED
    }

    /// Takes a line to be sent. Only while one is wanted.
    pub(super) fn line(&mut self, now: Now, line: Bytes) {
        self.while_idle(now);
        self.queued.push_back(line);
        self.append_queued(now);
    }

    fn append_queued(&mut self, now: Now) {
        while self.client.unacknowledged() < MAX_UNACKNOWLEDGED {
            let Some(line) = self.queued.pop_front() else { return };
            match self.client.append(now, Kind::TEXT, line.clone()) {
                Ok(sequence) => {
                    self.unacknowledged.insert(sequence, line);
                }
                Err(error) => self.reject(line, Why::NotSent(error)),
            }
        }
    }

    fn reject(&mut self, line: Bytes, why: Why) {
        self.rejected += 1;
        self.refused.push_back(Rejected { line, why });
    }

    /// There will be no more lines.
    pub(super) fn end_input(&mut self, now: Now) {
        self.while_idle(now);
        self.input_ended = true;
    }

    pub(super) fn handle_connected(&mut self, now: Now) {
        self.client.handle_connected(now);
    }

    /// Whether it is in the room, for all that it knows.
    pub(super) const fn is_joined(&self) -> bool {
        self.is_joined
    }

    pub(super) fn handle_disconnected(&mut self, now: Now) {
        self.while_idle(now);
        self.is_joined = false;
        self.client.handle_disconnected(now);
    }

    pub(super) fn handle_message(&mut self, now: Now, payload: &Bytes) {
        self.client.handle_message(now, payload);
        self.append_queued(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.client.handle_timeout(now);
    }

    /// Whether one more message can be handed in.
    pub(super) fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    pub(super) fn poll_message(&mut self) -> Option<Bytes> {
        self.client.poll_message()
    }

    /// The next thing for the user.
    pub(super) fn poll_output(&mut self, now: Now) -> Option<Output> {
        loop {
            if let Some(rejected) = self.refused.pop_front() {
                return Some(Output::Note(Note::Rejected(rejected)));
            }
            let event = self.client.poll_event()?;
            self.while_idle(now);
            if let Some(output) = self.handle_event(now, event) {
                return Some(output);
            }
        }
    }

    fn handle_event(&mut self, now: Now, event: ClientEvent) -> Option<Output> {
        let note = match event {
            // What a room remembers of itself is not for reading.
            ClientEvent::Entry(entry) if entry.kind != Kind::TEXT => {
                self.progress = now.mono;
                self.printed = entry.slot;
                return None;
            }
            ClientEvent::Entry(entry) => {
                self.progress = now.mono;
                self.printed = entry.slot;
                return Some(Output::Entry(entry));
            }
            ClientEvent::Acked { sequence, slot, .. } => {
                self.progress = now.mono;
                self.unacknowledged.remove(&sequence);
                self.own = self.own.max(slot);
                return None;
            }
            ClientEvent::Rejected { sequence, reason } => {
                self.progress = now.mono;
                let line = self.unacknowledged.remove(&sequence)?;
                self.reject(line, Why::Refused(reason));
                return None;
            }
            ClientEvent::Joined { latest, next, .. } => {
                self.is_joined = true;
                // Slots before the first that is delivered count as printed: nobody asked for them.
                self.printed = self.printed.max(next - 1);
                if self.found.is_some() {
                    Note::Back
                } else {
                    self.found = Some(latest);
                    Note::Joined { latest }
                }
            }
            ClientEvent::LogReset { .. } => {
                (self.printed, self.own, self.found) = (0, 0, self.found.map(|_| 0));
                Note::LogReset
            }
            ClientEvent::Stalled => Note::Stalled,
            ClientEvent::Refused { reason } => {
                self.is_joined = false;
                self.is_fenced |= reason == RejectReason::Fenced;
                Note::Refused(reason)
            }
            ClientEvent::Unreadable { next } => {
                self.unreadable = Some(next);
                return None;
            }
            ClientEvent::Behind { .. } | ClientEvent::Live { .. } => return None,
        };
        Some(Output::Note(note))
    }

    /// Whether and how the chat is over. Only when no output is left to poll.
    pub(super) fn outcome(&self, now: Now) -> Option<Outcome> {
        if self.is_fenced {
            Some(Outcome::Fenced)
        } else if let Some(next) = self.unreadable {
            Some(Outcome::Unreadable { next })
        } else if self.input_ended && !self.goal.follow && !self.is_waiting() {
            Some(Outcome::Done)
        } else if self.give_up_at().is_some_and(|at| now.mono >= at) {
            Some(Outcome::GivenUp)
        } else {
            None
        }
    }

    /// When to look again: the next timer, or the time to give up.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        [self.client.poll_timeout(), self.give_up_at()].into_iter().flatten().min()
    }

    /// The lines that are neither acknowledged nor refused, in order.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &Bytes> {
        self.unacknowledged.values().chain(&self.queued)
    }

    /// How many lines were refused. Each was told by a note.
    pub(super) const fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Whether something is owed to the user.
    fn is_waiting(&self) -> bool {
        let unsettled = self.unacknowledged().next().is_some() || self.printed < self.own;
        if self.goal.interactive {
            return unsettled && self.input_ended;
        }
        let wants_slot =
            |slot: NonZeroU64| self.input_ended && !self.goal.follow && self.printed < slot.get();
        unsettled
            || !self.is_joined
            || self.found.is_none_or(|found| self.printed < found)
            || self.goal.until_slot.is_some_and(wants_slot)
    }

    fn give_up_at(&self) -> Option<Timestamp> {
        self.is_waiting().then(|| self.progress + self.goal.give_up_after)
    }

    /// Patience begins when waiting begins.
    fn while_idle(&mut self, now: Now) {
        if !self.is_waiting() {
            self.progress = now.mono;
        }
    }
}
