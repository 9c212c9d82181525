//! What the server's messages do.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Carriage, Client, ClientEvent, Phase, View};
use crate::Now;
use crate::chat::{self, ClientEvent as ChatEvent, RejectReason};
use crate::room::message::{Change, CursorAt, Diff, Event, Left, Reason, Refused, Snapshot};

/// How long after it was refused a room is asked for again, or its chat.
const ENTER_AGAIN: Duration = Duration::from_secs(1);

impl Client {
    /// A message has arrived. Whatever it is, the answer is an event, a message or a counter.
    pub fn handle_message(&mut self, now: Now, carriage: Carriage, payload: &Bytes) {
        if !self.is_ready() {
            self.stats.overruns += 1;
            return;
        }
        match carriage {
            Carriage::Chat => self.handle_chat(now, payload),
            Carriage::Room | Carriage::Play => match Event::decode(payload) {
                Ok(event) => self.handle_event(now, event),
                Err(_) => self.stats.malformed += 1,
            },
        }
    }

    fn handle_event(&mut self, now: Now, event: Event) {
        let told = match event {
            Event::Welcome(participant) => {
                self.phase = Phase::Known;
                self.me = Some(participant.user);
                ClientEvent::Welcome(participant)
            }
            Event::Snapshot(snapshot) => return self.handle_snapshot(now, snapshot),
            Event::Diff(diff) => return self.handle_diff(diff),
            Event::Notes(notes) => ClientEvent::Notes(notes),
            Event::Cursors(cursors) => match self.take_cursors(&cursors) {
                Some(others) => ClientEvent::Cursors(others),
                None => return,
            },
            Event::Quota(params) => ClientEvent::Quota(params),
            Event::Notification(words) => ClientEvent::Notification(words),
            Event::Refused(refused) => {
                self.events.push_back(ClientEvent::Refused(refused));
                return self.handle_refused(now, refused);
            }
            Event::Rooms(list) => ClientEvent::Rooms(list),
            Event::Left(_) => return self.be_out(),
        };
        self.events.push_back(told);
    }

    fn handle_snapshot(&mut self, now: Now, snapshot: Arc<Snapshot>) {
        if let Some(old) = self.view.take().filter(|old| old.room != snapshot.room) {
            self.events.push_back(ClientEvent::Left(Left { room: old.room }));
        }
        self.is_seated = true;
        self.enter_at = None;
        let room = Arc::clone(&snapshot.room);
        self.view = Some(View {
            room: Arc::clone(&room),
            version: snapshot.version,
            settings: snapshot.settings,
            crown: snapshot.crown,
            participants: snapshot.participants.iter().map(|one| (one.user, one.clone())).collect(),
        });
        // After a new connection it goes back to where it is now, be it `test/awkward` or the next lobby.
        if let Some((wanted, _)) = &mut self.wanted {
            *wanted = Arc::clone(&room);
        }
        self.events.push_back(ClientEvent::Joined(snapshot));
        self.begin_chat(now, &room);
        self.take_chat_events(now);
    }

    /// A room that one may not enter: after a new connection, one is in none then.
    fn handle_refused(&mut self, now: Now, refused: Refused) {
        const ENTER: u8 = 0x02;
        const LEAVE: u8 = 0x03;
        match refused.reason {
            // It was still on its way in, and is not any more.
            _ if refused.command == LEAVE && self.wanted.is_none() => self.be_out(),
            _ if refused.command != ENTER => {}
            _ if self.is_seated => {
                let room = self.view.as_ref().map(|view| Arc::clone(&view.room));
                self.wanted = room.map(|room| (room, None));
            }
            Reason::Rate | Reason::Busy => self.enter_at = Some(now.mono + ENTER_AGAIN),
            _ => {
                self.wanted = None;
                self.be_out();
            }
        }
    }

    fn handle_diff(&mut self, diff: Arc<Diff>) {
        let Some(view) = self.view.as_mut().filter(|view| diff.version == view.version + 1) else {
            self.stats.gaps += 1;
            return;
        };
        view.version = diff.version;
        for change in &diff.changes {
            match change {
                Change::Here(one) => drop(view.participants.insert(one.user, one.clone())),
                Change::Gone(user) => drop(view.participants.remove(user)),
                Change::Settings(settings) => view.settings = *settings,
                Change::Crown(crown) => view.crown = Some(*crown),
            }
        }
        self.events.push_back(ClientEvent::Changed(diff));
    }

    /// Takes note of where the others are; `None` when none of them has moved.
    fn take_cursors(&mut self, cursors: &Arc<[CursorAt]>) -> Option<Arc<[CursorAt]>> {
        let view = self.view.as_mut()?;
        let mut others = Vec::new();
        for cursor in cursors.iter().filter(|cursor| Some(cursor.user) != self.me) {
            let one = view.participants.get_mut(&cursor.user);
            if let Some(one) = one.filter(|one| one.position != cursor.at) {
                one.position = cursor.at;
                others.push(*cursor);
            }
        }
        (!others.is_empty()).then(|| others.into())
    }

    fn handle_chat(&mut self, now: Now, payload: &Bytes) {
        if let Ok(chat::Message::ServerLeft(left)) = chat::Message::decode(payload) {
            if self.leaving.as_ref().is_some_and(|room| **room == *left.room) {
                self.leaving = None;
            }
            return;
        }
        if self.leaving.is_some() {
            self.stats.late_chat += 1;
            return;
        }
        if let Some(chat) = self.chat.as_mut().filter(|chat| chat.is_connected) {
            chat.client.handle_message(now, payload);
        }
        self.take_chat_events(now);
    }

    pub(super) fn take_chat_events(&mut self, now: Now) {
        while let Some(chat) = &mut self.chat
            && let Some(event) = chat.client.poll_event()
        {
            let base = chat.base;
            let told = match event {
                ChatEvent::Joined { epoch, latest, next, resumed, author } => {
                    ClientEvent::ChatJoined { epoch, latest, next, resumed, author }
                }
                ChatEvent::Entry(entry) => ClientEvent::Entry(entry),
                ChatEvent::Acked { sequence, slot, .. } => {
                    self.unanswered.remove(&(base + sequence));
                    ClientEvent::Said { number: base + sequence, slot }
                }
                ChatEvent::Rejected { sequence, reason } => {
                    self.unanswered.remove(&(base + sequence));
                    ClientEvent::Rejected { number: base + sequence, reason }
                }
                ChatEvent::Live { .. } => ClientEvent::Live,
                ChatEvent::Stalled => ClientEvent::Stalled,
                ChatEvent::Refused { reason: RejectReason::NotJoined | RejectReason::Barred } => {
                    self.chat_at = Some(now.mono + ENTER_AGAIN);
                    continue;
                }
                ChatEvent::Refused { reason } => ClientEvent::ChatRefused { reason },
                // The next `ChatJoined` says what they mean for a reader.
                ChatEvent::LogReset { .. } | ChatEvent::Behind { .. } | ChatEvent::Unreadable { .. } => {
                    continue;
                }
            };
            self.events.push_back(told);
        }
    }
}
