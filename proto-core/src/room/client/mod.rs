//! The client: a user in rooms, over any number of connections.

mod commands;
mod event;
mod receive;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

pub use event::{ClientEvent, ClientStats};

use super::fact::Crown;
use super::id::{Color, UserId};
use super::message::{Command, Left, Participant};
use super::name::{log_name, participant_name};
use super::settings::{Settings, SettingsChange};
use crate::chat::{self, ClientLeave, ClientSecret};
use crate::server::{PLAY_CHANNEL, ROOM_CHANNEL};
use crate::{ChannelOptions, Message, Now, Timestamp};

/// Events that may wait to be polled before the client takes no further message.
const MAX_EVENTS: usize = 256;
/// Commands that may wait to be sent. Of more, the newest is refused.
const MAX_COMMANDS: usize = 256;

/// Who enters.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Who it is: the same secret is the same user.
    pub secret: ClientSecret,
    /// What to be called.
    pub name: Arc<str>,
    /// In which colour; `None`: the one that follows from the user's id.
    pub color: Option<Color>,
    /// How many of the latest entries of a room's log it wants to see; `None`: all of them.
    pub last: Option<u64>,
    /// How long after the last chat it asks whether it missed any; 5 s.
    pub sync_after: Duration,
}

impl ClientConfig {
    /// A client that sees the last 32 messages of a room.
    pub fn new(secret: ClientSecret, name: impl Into<Arc<str>>) -> Self {
        let sync_after = Duration::from_secs(5);
        Self { secret, name: name.into(), color: None, last: Some(super::limits::HISTORY as u64), sync_after }
    }
}

/// What a message travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carriage {
    /// Channel 0: the chat log.
    Chat,
    /// The channel named `room`.
    Room,
    /// The channel named `room-play`.
    Play,
}

/// A room as a client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub room: Arc<str>,
    /// Its version.
    pub version: u64,
    /// How it is.
    pub settings: Settings,
    /// Where its crown is; `None`: it has none.
    pub crown: Option<Crown>,
    /// Who is there.
    pub participants: BTreeMap<UserId, Participant>,
}

/// A client of rooms.
///
/// Open the two channels of [`channels`](Self::channels) on each new connection, say when it is there and when it is gone, hand in
/// what arrives while [`is_ready`](Self::is_ready), and poll messages and events. What is said survives connections: it is sent
/// again until it is answered. Everything else is for the moment, and is forgotten with the connection.
#[derive(Clone, Debug)]
pub struct Client {
    config: ClientConfig,
    phase: Phase,
    me: Option<UserId>,
    /// Where it wants to be, over all connections.
    wanted: Option<(Arc<str>, Option<SettingsChange>)>,
    view: Option<View>,
    /// Whether this connection is in a room.
    is_seated: bool,
    /// When to ask again for the room that was refused because it was asked for too often.
    enter_at: Option<Timestamp>,
    /// When to join the chat again that said that one is not in it.
    chat_at: Option<Timestamp>,
    chat: Option<Box<Chat>>,
    /// The room whose chat is being left on this connection: nothing of chat is taken in before that is confirmed.
    leaving: Option<Arc<str>>,
    outbox: VecDeque<(Carriage, Message)>,
    /// Numbers of words that have not been answered.
    unanswered: BTreeSet<u64>,
    /// The number of the latest words.
    said: u64,
    events: VecDeque<ClientEvent>,
    stats: ClientStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Offline,
    /// `Hello` is sent.
    Greeting,
    /// The server knows who this is.
    Known,
}

/// The chat of the room that one is in.
#[derive(Clone, Debug)]
struct Chat {
    room: Arc<str>,
    client: chat::Client,
    /// What its numbers begin after.
    base: u64,
    is_connected: bool,
}

/// Too much waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// 256 commands wait to be sent.
    #[error("too much waits to be sent")]
    Full,
    /// In no room, or in one without a crown.
    #[error("not in such a room")]
    NotInRoom,
    /// Longer than 512 characters, or blank; a name longer than 40.
    #[error("that cannot be said")]
    Unsayable,
    /// 64 things said are unanswered, or the room takes nothing of that length.
    #[error("the chat does not take it: {0}")]
    Chat(chat::AppendError),
}

impl Client {
    /// A client that has no connection and is in no room.
    pub fn new(config: ClientConfig) -> Self {
        Self {
            config,
            phase: Phase::Offline,
            me: None,
            wanted: None,
            view: None,
            is_seated: false,
            enter_at: None,
            chat_at: None,
            chat: None,
            leaving: None,
            outbox: VecDeque::new(),
            unanswered: BTreeSet::new(),
            said: 0,
            events: VecDeque::new(),
            stats: ClientStats::default(),
        }
    }

    /// The channels to open on each connection, for [`Carriage::Room`] and [`Carriage::Play`].
    pub fn channels() -> [ChannelOptions; 2] {
        let control = ChannelOptions { name: ROOM_CHANNEL.into(), ..ChannelOptions::default() };
        let play = ChannelOptions {
            name: PLAY_CHANNEL.into(),
            priority: 2,
            reliable_sequenced: true,
            ..ChannelOptions::default()
        };
        [control, play]
    }

    /// There is a new connection, and its channels are open: goes back to where it wants to be.
    pub fn handle_connected(&mut self, _: Now) {
        self.phase = Phase::Greeting;
        self.leaving = None;
        self.is_seated = false;
        self.enter_at = None;
        self.chat_at = None;
        self.outbox.clear();
        let Self { config: ClientConfig { secret, name, color, .. }, .. } = self;
        let hello = Command::Hello { secret: *secret, name: Arc::clone(name), color: *color };
        self.push(&hello);
        if let Some((room, set)) = self.wanted.clone() {
            self.push(&Command::Enter { room, set });
        }
    }

    /// The connection is gone.
    pub fn handle_disconnected(&mut self, now: Now) {
        self.phase = Phase::Offline;
        self.leaving = None;
        self.outbox.clear();
        if let Some(chat) = &mut self.chat
            && core::mem::take(&mut chat.is_connected)
        {
            chat.client.handle_disconnected(now);
        }
        self.is_seated = false;
        self.enter_at = None;
        self.chat_at = None;
        // Whether or not the server has heard of it.
        if self.wanted.is_none() {
            self.be_out();
        }
    }

    /// Whether one more message finds a place. False while many events wait to be polled.
    pub fn is_ready(&self) -> bool {
        self.events.len() < MAX_EVENTS && self.chat.as_ref().is_none_or(|chat| chat.client.is_ready())
    }

    /// The next message to send. It counts as sent: poll only while the channel takes one.
    pub fn poll_message(&mut self) -> Option<(Carriage, Message)> {
        if self.phase == Phase::Offline {
            return None;
        }
        if let Some(next) = self.outbox.pop_front() {
            return Some(next);
        }
        if self.leaving.is_some() {
            return None;
        }
        let chat = self.chat.as_mut().filter(|chat| chat.is_connected)?;
        chat.client.poll_message().map(|payload| (Carriage::Chat, Message::new(payload)))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// To be called at the time that `poll_timeout` gives; earlier or later calls do no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.enter_at.is_some_and(|at| at <= now.mono) {
            self.enter_at = None;
            if let Some((room, set)) = self.wanted.clone() {
                self.push(&Command::Enter { room, set });
            }
        }
        if self.chat_at.is_some_and(|at| at <= now.mono) {
            self.chat_at = None;
            self.join_chat_again(now);
        }
        if let Some(chat) = &mut self.chat {
            chat.client.handle_timeout(now);
        }
        self.take_chat_events(now);
    }

    /// When `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let chat = self.chat.as_ref().and_then(|chat| chat.client.poll_timeout());
        [chat, self.enter_at, self.chat_at].into_iter().flatten().min()
    }

    /// The room that one is in, as far as is known.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Who one is, once a server has said so.
    pub fn me(&self) -> Option<UserId> {
        self.me
    }

    /// Things said that have not been answered.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Counters since the client was created.
    pub fn stats(&self) -> &ClientStats {
        &self.stats
    }

    fn push(&mut self, command: &Command) {
        self.outbox.push_back((Carriage::Room, Message::new(command.to_bytes())));
    }

    /// The chat of this room, on this connection.
    fn begin_chat(&mut self, now: Now, room: &Arc<str>) {
        if let Some(chat) = self.chat.as_mut().filter(|chat| chat.room == *room) {
            if !chat.is_connected {
                chat.is_connected = true;
                chat.client.handle_connected(now);
            }
            return;
        }
        self.end_chat();
        let name = participant_name(&self.config.name).unwrap_or("Anonymous");
        // A participant's name may be longer than one of the log.
        let cut = (0..=name.len().min(chat::MAX_NAME)).rev().find(|&at| name.is_char_boundary(at));
        let config = chat::ClientConfig {
            last: self.config.last,
            sync_after: self.config.sync_after,
            ..chat::ClientConfig::new(log_name(room), &name[..cut.unwrap_or(0)], self.config.secret)
        };
        let Ok(mut client) = chat::Client::new(config) else { return };
        client.handle_connected(now);
        let chat = Chat { room: Arc::clone(room), client, base: self.said, is_connected: true };
        self.chat = Some(Box::new(chat));
    }

    /// The chat took this connection for out, when one has left the room and come back: it takes it in again.
    fn join_chat_again(&mut self, now: Now) {
        let room = self.view.as_ref().filter(|_| self.is_seated).map(|view| Arc::clone(&view.room));
        let (Some(room), Some(chat)) = (room, &mut self.chat) else { return };
        chat.is_connected = false;
        chat.client.handle_disconnected(now);
        self.begin_chat(now, &room);
    }

    /// Leaves the chat of the room that one was in.
    fn end_chat(&mut self) {
        let Some(old) = self.chat.take() else { return };
        // What was refused was the chat of the room before.
        self.chat_at = None;
        self.forsake();
        if old.is_connected {
            let log = log_name(&old.room);
            let leave = chat::Message::ClientLeave(ClientLeave { room: &log });
            self.outbox.push_back((Carriage::Chat, Message::new(leave.to_bytes())));
            self.leaving = Some(log);
        }
    }

    /// In no room any more.
    fn be_out(&mut self) {
        self.end_chat();
        self.is_seated = false;
        if let Some(view) = self.view.take() {
            self.events.push_back(ClientEvent::Left(Left { room: view.room }));
        }
    }

    /// What was said in a room that one has left, and was not answered, may have been heard or not.
    fn forsake(&mut self) {
        for number in core::mem::take(&mut self.unanswered) {
            self.events.push_back(ClientEvent::Rejected { number, reason: chat::RejectReason::Unknown });
        }
    }

    fn note_said(&mut self, number: u64) {
        self.said = number;
        self.unanswered.insert(number);
    }

    fn has_space(&self) -> Result<(), ClientError> {
        if self.outbox.len() < MAX_COMMANDS { Ok(()) } else { Err(ClientError::Full) }
    }

    fn body(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }
}
