//! A participant in rooms at a prompt: lines and events in, commands and words out, without network, terminal or clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{AppendError, Entry, Kind, RejectReason};
use proto_core::room::fact::{BanTarget, Crown};
use proto_core::room::{
    Carriage, Change, Client, ClientError, ClientEvent, Participant, Reason, Refused, Snapshot, UserId,
};
use proto_core::{Message, Now, Timestamp};

use super::answers::{count, no_crown, pick, stands_for, why};
use super::commands::{self, Order};
use super::escape::Escaped;
use super::session::{Note, Outcome, Output, Rejected, Why};
use super::shelf::Shelf;
use super::talk::Talk;

/// How many lines may wait for their turn.
const MAX_QUEUED: usize = 64;
/// How many lines `/history` can show.
const MAX_HISTORY: usize = 1000;
/// How many who have left are remembered by name, so that bans can be lifted.
const MAX_GONE: usize = 256;
/// The longest ban, in minutes.
const MAX_BAN_MINUTES: u32 = 60;
/// More who come or go are counted and not named.
const MAX_NAMED: usize = 12;

/// A participant.
pub(super) struct Member {
    client: Client,
    shelf: Shelf,
    give_up_after: Duration,
    /// Lines whose turn has not come: what was said before is answered first where it must be.
    queued: VecDeque<Bytes>,
    unanswered: BTreeMap<u64, Bytes>,
    outputs: VecDeque<Output>,
    rejected: u64,
    room: Option<Arc<str>>,
    people: BTreeMap<UserId, Participant>,
    gone: VecDeque<(UserId, Arc<str>)>,
    crown: Option<Crown>,
    /// Rooms, and how many are there.
    rooms: BTreeMap<Arc<str>, u32>,
    /// The log that one reads.
    log: Option<(Arc<str>, u64)>,
    history: VecDeque<Entry>,
    is_live: bool,
    /// The room that was asked for and not answered: what is typed now is meant for that one.
    asked: Option<Arc<str>>,
    input_ended: bool,
    /// Why it cannot go on.
    over: Option<Outcome>,
    progress: Timestamp,
    /// The highest slots of the room's log that were shown, and that hold something of one's own.
    shown: u64,
    own: u64,
}

fn words(text: impl Into<String>) -> Output {
    Output::Note(Note::Words(text.into()))
}

fn escaped(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

impl Member {
    /// Wants to be in `room`.
    pub(super) fn new(
        mut client: Client,
        room: &str,
        shelf: Shelf,
        give_up_after: Duration,
        now: Now,
    ) -> Self {
        // Nothing waits yet.
        let _ = client.enter(room, None);
        Self {
            client,
            shelf,
            give_up_after,
            queued: VecDeque::new(),
            unanswered: BTreeMap::new(),
            outputs: VecDeque::new(),
            rejected: 0,
            room: None,
            people: BTreeMap::new(),
            gone: VecDeque::new(),
            crown: None,
            rooms: BTreeMap::new(),
            log: None,
            history: VecDeque::new(),
            is_live: false,
            asked: None,
            input_ended: false,
            over: None,
            progress: now.mono,
            shown: 0,
            own: 0,
        }
    }

    fn say_words(&mut self, text: impl Into<String>) {
        self.outputs.push_back(words(text));
    }

    fn is_waiting(&self) -> bool {
        let unsettled = !self.queued.is_empty() || !self.unanswered.is_empty() || self.shown < self.own;
        unsettled && self.input_ended
    }

    fn while_idle(&mut self, now: Now) {
        if !self.is_waiting() {
            self.progress = now.mono;
        }
    }

    fn give_up_at(&self) -> Option<Timestamp> {
        self.is_waiting().then(|| self.progress + self.give_up_after)
    }

    /// Does what the lines want whose turn it is.
    fn work(&mut self, now: Now) {
        while self.asked.is_none()
            && let Some(line) = self.queued.pop_front()
        {
            let order = commands::parse(&String::from_utf8_lossy(&line));
            let is_done = match order {
                Err(why) => {
                    self.say_words(escaped(&why));
                    true
                }
                Ok(Order::Say(text)) => self.say(now, &line, &text),
                // What was said here is said here, and not in the next room.
                Ok(Order::Join(_)) if !self.unanswered.is_empty() => false,
                Ok(order) => {
                    self.is_known(&order) && {
                        self.obey(order);
                        true
                    }
                }
            };
            if !is_done {
                self.queued.push_front(line);
                return;
            }
        }
    }

    /// Whether it is in a room, where that is needed.
    fn is_known(&self, order: &Order) -> bool {
        self.room.is_some() || matches!(order, Order::Help | Order::Quit | Order::Join(_) | Order::History(_))
    }

    fn say(&mut self, now: Now, line: &Bytes, text: &str) -> bool {
        match self.client.say(now, text) {
            Ok(number) => {
                self.unanswered.insert(number, line.clone());
                true
            }
            Err(ClientError::NotInRoom | ClientError::Full | ClientError::Chat(AppendError::Full)) => false,
            Err(ClientError::Unsayable) => true,
            Err(ClientError::Chat(why)) => {
                self.reject(line.clone(), Why::NotSent(why));
                true
            }
        }
    }

    fn reject(&mut self, line: Bytes, why: Why) {
        self.rejected += 1;
        self.outputs.push_back(Output::Note(Note::Rejected(Rejected { line, why })));
    }

    fn obey(&mut self, order: Order) {
        let done = match order {
            Order::Say(_) => Ok(()),
            Order::Help => {
                self.outputs.extend(commands::help().map(words));
                Ok(())
            }
            Order::Who => {
                self.tell_who();
                Ok(())
            }
            Order::Rooms => {
                self.tell_rooms();
                Ok(())
            }
            Order::History(count) => {
                self.tell_history(count);
                Ok(())
            }
            Order::Quit => {
                self.input_ended = true;
                Ok(())
            }
            Order::Join(room) if self.room.as_deref() == Some(&*room) => {
                self.say_words("you are there already");
                Ok(())
            }
            Order::Join(room) if !proto_core::room::is_room_name(&room) => {
                Err(format!("no room can be called {}", escaped(&room)))
            }
            Order::Join(room) => {
                let entering = self.client.enter(&*room, None).map_err(|error| error.to_string());
                self.asked = entering.is_ok().then(|| Arc::from(&*room));
                entering
            }
            Order::Nick(name) => self
                .client
                .rename(&name)
                .map_err(|_| "nobody can be called so: 1 to 40 characters".to_owned()),
            Order::Crown(name) => self.give_crown(name.as_deref()),
            Order::DropCrown => self.client.drop_crown().map_err(no_crown),
            Order::Kick(name) => {
                self.find(&name).and_then(|user| self.client.kick_ban(user, Some(0)).map_err(no_crown))
            }
            Order::Ban(name) => self.ban(&name),
            Order::Unban(name) => self
                .find_gone(&name)
                .and_then(|user| self.client.unban(BanTarget::User(user)).map_err(no_crown)),
        };
        if let Err(why) = done {
            self.say_words(why);
        }
    }

    /// `NAME` or `NAME MINUTES`; somebody may be called `bob 7`.
    fn ban(&mut self, text: &str) -> Result<(), String> {
        let whole = self.find(text);
        let (user, minutes) = match (whole, text.rsplit_once(char::is_whitespace)) {
            (Ok(user), _) => (user, None),
            (Err(_), Some((name, minutes))) if minutes.bytes().all(|byte| byte.is_ascii_digit()) => {
                let minutes = minutes.parse::<u32>().ok().filter(|minutes| *minutes <= MAX_BAN_MINUTES);
                let minutes =
                    minutes.ok_or_else(|| format!("a ban is for at most {MAX_BAN_MINUTES} minutes"))?;
                (self.find(name.trim_end())?, Some(minutes * 60_000))
            }
            (Err(why), _) => return Err(why),
        };
        self.client.kick_ban(user, minutes).map_err(no_crown)
    }

    /// Who is called so, or has an id that begins so after `#`.
    fn find(&self, name: &str) -> Result<UserId, String> {
        let people: Vec<_> = self.people.values().map(|one| (one.user, &*one.name)).collect();
        pick(name, &people)
    }

    fn find_gone(&self, name: &str) -> Result<UserId, String> {
        if let Some(user) = name.strip_prefix('#').and_then(UserId::from_hex) {
            return Ok(user);
        }
        let gone: Vec<_> = self.gone.iter().map(|(user, name)| (*user, &**name)).collect();
        pick(name, &gone)
    }

    fn tell_who(&mut self) {
        let Some(room) = &self.room else { return };
        let mut lines =
            vec![format!("{} in {}:", count(self.people.len(), "person", "people"), escaped(room))];
        let mut people: Vec<_> = self.people.values().collect();
        people.sort_by_key(|one| one.name.to_lowercase());
        lines.extend(people.into_iter().map(|one| {
            let crown = if self.holder() == Some(one.user) { ", has the crown" } else { "" };
            let me = if self.client.me() == Some(one.user) { ", you" } else { "" };
            let away = if one.suspended { ", away" } else { "" };
            format!("  {} #{}{me}{crown}{away}", escaped(&one.name), &one.user.to_hex()[..6])
        }));
        if self.crown.is_some() && self.holder().is_none() {
            lines.push("  nobody has the crown".to_owned());
        }
        self.outputs.extend(lines.into_iter().map(words));
    }

    fn tell_rooms(&mut self) {
        let mine = self.room.clone();
        let lines: Vec<String> = self
            .rooms
            .iter()
            .map(|(room, people)| {
                let here = if mine.as_ref() == Some(room) { ", you are here" } else { "" };
                format!("  {}: {}{here}", escaped(room), count(*people as usize, "person", "people"))
            })
            .collect();
        self.say_words(count(lines.len(), "room", "rooms") + ":");
        self.outputs.extend(lines.into_iter().map(words));
    }

    fn tell_history(&mut self, count: usize) {
        let from = self.history.len().saturating_sub(count);
        let again: Vec<Entry> = self.history.iter().skip(from).cloned().collect();
        if again.is_empty() {
            self.say_words("nothing was said here");
        }
        self.outputs.extend(again.into_iter().map(Output::Entry));
    }

    fn holder(&self) -> Option<UserId> {
        self.crown.and_then(|crown| crown.holder)
    }

    fn name_of(&self, user: UserId) -> String {
        if self.client.me() == Some(user) {
            return "you".to_owned();
        }
        self.people.get(&user).map_or_else(|| "somebody".to_owned(), |one| escaped(&one.name))
    }

    fn handle_event(&mut self, now: Now, event: ClientEvent) {
        self.while_idle(now);
        match event {
            ClientEvent::Welcome(_) => {
                // If there is no room for it, there is no list.
                let _ = self.client.list_rooms(true);
            }
            ClientEvent::Joined(snapshot) => self.entered(&snapshot),
            ClientEvent::Changed(diff) => {
                diff.changes.iter().for_each(|change| self.changed(change));
            }
            ClientEvent::Left(_) => {
                self.room = None;
                self.people.clear();
                self.crown = None;
                self.is_live = false;
            }
            ClientEvent::Notification(told) => {
                let what =
                    if told.title.is_empty() { String::new() } else { format!("{}: ", escaped(&told.title)) };
                self.say_words(format!("{what}{}", escaped(&told.text)));
            }
            ClientEvent::Refused(refused) => self.refused(refused),
            ClientEvent::Rooms(list) => {
                if list.full {
                    self.rooms.clear();
                }
                for room in &list.rooms {
                    if room.count == 0 {
                        self.rooms.remove(&room.room);
                    } else {
                        self.rooms.insert(Arc::clone(&room.room), room.count);
                    }
                }
            }
            ClientEvent::ChatJoined { epoch, latest, next, resumed, .. } => {
                self.chat_joined(epoch, latest, next, resumed);
            }
            ClientEvent::Entry(entry) => {
                self.progress = now.mono;
                self.shown = entry.slot;
                if entry.kind == Kind::TEXT {
                    if self.history.len() >= MAX_HISTORY {
                        self.history.pop_front();
                    }
                    self.history.push_back(entry.clone());
                    self.outputs.push_back(Output::Entry(entry));
                }
            }
            ClientEvent::Said { number, slot } => {
                self.progress = now.mono;
                self.unanswered.remove(&number);
                self.own = self.own.max(slot);
            }
            ClientEvent::Rejected { number, reason } => {
                self.progress = now.mono;
                if let Some(line) = self.unanswered.remove(&number) {
                    self.reject(line, Why::Refused(reason));
                }
            }
            ClientEvent::Stalled => self.outputs.push_back(Output::Note(Note::Stalled)),
            ClientEvent::ChatRefused { reason } => {
                if reason == RejectReason::Fenced {
                    self.over = Some(Outcome::Fenced);
                }
                self.outputs.push_back(Output::Note(Note::Refused(reason)));
            }
            ClientEvent::Notes(_) | ClientEvent::Cursors(_) | ClientEvent::Quota(_) | ClientEvent::Live => {}
        }
        self.note_known();
        self.work(now);
    }

    fn entered(&mut self, snapshot: &Arc<Snapshot>) {
        let is_new = self.room.as_ref() != Some(&snapshot.room);
        let answered = self.asked.take_if(|asked| is_new || stands_for(&snapshot.room, asked));
        if answered.is_some() && !is_new {
            // There was no room, or there is a ban, which is told as well.
            self.say_words(format!("you stay in {}", escaped(&snapshot.room)));
        }
        self.room = Some(Arc::clone(&snapshot.room));
        self.people = snapshot.participants.iter().map(|one| (one.user, one.clone())).collect();
        let crown = std::mem::replace(&mut self.crown, snapshot.crown);
        if is_new {
            let room = escaped(&snapshot.room);
            let others = snapshot.participants.iter().filter(|one| self.client.me() != Some(one.user));
            let names: Vec<String> = others.map(|one| escaped(&one.name)).collect();
            self.say_words(match &names[..] {
                [] => format!("you are in {room}, alone"),
                names if names.len() <= MAX_NAMED => format!("you are in {room} with {}", names.join(", ")),
                names => format!("you are in {room} with {} others", names.len()),
            });
        }
        if is_new || crown.map(|crown| crown.holder) != self.crown.map(|crown| crown.holder) {
            self.tell_crown();
        }
    }

    /// Gives the crown to whoever is meant, or takes it; whoever has it already does not get it again.
    fn give_crown(&mut self, name: Option<&str>) -> Result<(), String> {
        let user = name.map_or(Ok(self.client.me()), |name| self.find(name).map(Some))?;
        let Some(user) = user else { return Ok(()) };
        if self.holder() == Some(user) {
            self.tell_crown();
            return Ok(());
        }
        self.client.give_crown(user).map_err(no_crown)
    }

    fn tell_crown(&mut self) {
        let Some(crown) = self.crown else { return };
        let text = match crown.holder {
            Some(user) if self.client.me() == Some(user) => "you have the crown".to_owned(),
            Some(user) => format!("{} has the crown", self.name_of(user)),
            None => "the crown lies on the ground: /crown takes it".to_owned(),
        };
        self.say_words(text);
    }

    fn changed(&mut self, change: &Change) {
        match change {
            Change::Here(one) => {
                let is_me = self.client.me() == Some(one.user);
                let name = escaped(&one.name);
                match self.people.insert(one.user, one.clone()) {
                    None if is_me => {}
                    None => self.say_words(format!("{name} has come")),
                    Some(old) if old.name != one.name => {
                        let verb =
                            if is_me { "you are".to_owned() } else { format!("{} is", escaped(&old.name)) };
                        self.say_words(format!("{verb} {name} now"));
                        if is_me {
                            one.name.to_string().clone_into(&mut self.shelf.look().me);
                        }
                    }
                    Some(old) if old.suspended != one.suspended && !is_me => {
                        self.say_words(format!(
                            "{name} {}",
                            if one.suspended { "is away" } else { "is back" }
                        ));
                    }
                    Some(_) => {}
                }
            }
            Change::Gone(user) => {
                let Some(one) = self.people.remove(user) else { return };
                self.say_words(format!("{} has left", escaped(&one.name)));
                self.gone.retain(|(known, _)| known != user);
                if self.gone.len() >= MAX_GONE {
                    self.gone.pop_front();
                }
                self.gone.push_back((one.user, one.name));
            }
            Change::Settings(_) => self.say_words("the room is set otherwise now"),
            Change::Crown(crown) => {
                self.crown = Some(*crown);
                self.tell_crown();
            }
        }
    }

    fn refused(&mut self, refused: Refused) {
        const ENTER: u8 = 0x02;
        const LIST: u8 = 0x0D;
        let Refused { command, reason } = refused;
        let again = matches!(reason, Reason::Rate | Reason::Busy) && command == ENTER && self.room.is_none();
        if command == ENTER {
            self.asked = None;
        }
        if !again && command != LIST {
            self.say_words(format!("that was refused: {}", why(reason)));
        }
    }

    fn chat_joined(&mut self, epoch: u64, latest: u64, next: u64, resumed: bool) {
        let Some(room) = self.room.clone() else { return };
        let before = self.log.replace((Arc::clone(&room), epoch));
        if resumed {
            self.outputs.push_back(Output::Note(Note::Back));
        } else {
            (self.shown, self.own) = (next - 1, 0);
            self.history.clear();
            match before {
                Some((known, old)) if known == room && old != epoch => {
                    self.outputs.push_back(Output::Note(Note::LogReset));
                }
                _ => {}
            }
            self.outputs.push_back(Output::Note(Note::Joined { latest }));
        }
        self.is_live = true;
    }

    /// Tells the prompt what can be completed.
    fn note_known(&self) {
        let mut known = self.shelf.look();
        known.names = self.people.values().map(|one| one.name.to_string()).collect();
        known.gone = self.gone.iter().map(|(_, name)| name.to_string()).collect();
        known.rooms = self.rooms.keys().map(ToString::to_string).collect();
    }
}

impl Talk for Member {
    fn handle_connected(&mut self, now: Now) {
        self.client.handle_connected(now);
    }

    fn handle_disconnected(&mut self, now: Now) {
        self.while_idle(now);
        self.is_live = false;
        self.client.handle_disconnected(now);
    }

    fn handle_message(&mut self, now: Now, carriage: Carriage, payload: &Bytes) {
        self.client.handle_message(now, carriage, payload);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.client.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        [self.client.poll_timeout(), self.give_up_at()].into_iter().flatten().min()
    }

    fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    fn poll_message(&mut self) -> Option<(Carriage, Message)> {
        self.client.poll_message()
    }

    fn poll_output(&mut self, now: Now) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let event = self.client.poll_event()?;
            self.handle_event(now, event);
        }
    }

    fn is_joined(&self) -> bool {
        self.is_live
    }

    fn wants_line(&self) -> bool {
        !self.input_ended && self.queued.len() < MAX_QUEUED
    }

    fn line(&mut self, now: Now, line: Bytes) {
        self.while_idle(now);
        self.queued.push_back(line);
        self.work(now);
    }

    fn end_input(&mut self, now: Now) {
        self.while_idle(now);
        self.input_ended = true;
    }

    fn outcome(&self, now: Now) -> Option<Outcome> {
        if self.over.is_some() {
            self.over
        } else if self.input_ended && !self.is_waiting() {
            Some(Outcome::Done)
        } else if self.give_up_at().is_some_and(|at| now.mono >= at) {
            Some(Outcome::GivenUp)
        } else {
            None
        }
    }

    fn unacknowledged(&self) -> Vec<Bytes> {
        self.unanswered.values().chain(&self.queued).cloned().collect()
    }

    fn rejected(&self) -> u64 {
        self.rejected
    }
}
