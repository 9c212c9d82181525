//! The rooms of a server between a log and guests that ask for anything. A room is what its log says, and nobody is where he may not be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{BodyHash, ClientId, Kind, ReadFailure, StoredEntry};
use proto_core::room::fact::{BanTarget, ROOM, ROOM_AUTHOR};
use proto_core::room::hall::{Ask, Hall, Output, Who};
use proto_core::room::{
    Command, Departure, Event, Peer, Position, Reason, RoomConfig, RoomKind, SettingsChange, State, UserId,
};
use proto_core::{Now, Timestamp};

use crate::input::Input;

const GUESTS: u64 = 5;
const HONEST: u64 = 100;
const ROOMS: [&str; 4] = ["a room", "another", "lobby", "test/it"];

/// Author, kind, name and body of an entry to be, and the log that it is for.
type Waiting = (Arc<str>, ClientId, Kind, Arc<str>, Bytes);

fn user(number: u64) -> UserId {
    UserId([number as u8 + 1; 12])
}

struct World {
    hall: Hall,
    now: Now,
    logs: BTreeMap<Arc<str>, Vec<StoredEntry>>,
    to_commit: VecDeque<Waiting>,
    asked: VecDeque<(Arc<str>, u64, u64)>,
    is_seated: bool,
}

impl World {
    fn new() -> Self {
        Self {
            hall: Hall::new(RoomConfig::default(), [7; 32]),
            now: Now { mono: Timestamp::from_millis(1000), unix_ms: 1_700_000_000_000 },
            logs: BTreeMap::new(),
            to_commit: VecDeque::new(),
            asked: VecDeque::new(),
            is_seated: false,
        }
    }

    /// Takes what leaves the hall.
    fn poll(&mut self) {
        while let Some(output) = self.hall.poll_output() {
            match output {
                Output::Tell(outgoing) => {
                    let bytes = outgoing.event.to_bytes();
                    assert_eq!(
                        Event::decode(&bytes).as_ref(),
                        Ok(&outgoing.event),
                        "what is told can be read"
                    );
                }
                Output::Seated(Peer::Guest(HONEST), Some(_)) => self.is_seated = true,
                _ => {}
            }
        }
        while let Some(ask) = self.hall.poll_ask() {
            match ask {
                Ask::Open(log) => {
                    let latest = self.logs.entry(Arc::clone(&log)).or_default().len() as u64;
                    self.hall.handle_opened(self.now, &log, latest);
                }
                Ask::Read(log, from, upto) => self.asked.push_back((log, from, upto)),
                Ask::Fact(log, fact) => {
                    self.to_commit.push_back((log, ROOM_AUTHOR, ROOM, "".into(), fact.to_bytes()));
                }
                Ask::Say(log, said) => {
                    self.to_commit.push_back((log, said.client, Kind::TEXT, said.name, said.text));
                }
                Ask::Close(..) => {}
            }
        }
    }

    fn commit(&mut self) -> bool {
        let Some((log, client, kind, name, body)) = self.to_commit.pop_front() else { return false };
        let entries = self.logs.get_mut(&log).expect("it was opened");
        let slot = entries.len() as u64 + 1;
        let (body_hash, commit_ms) = (BodyHash::of(kind, &body), self.now.unix_ms);
        let entry = StoredEntry {
            slot,
            client,
            sequence: slot,
            body_hash,
            name,
            author_ms: 0,
            commit_ms,
            kind,
            body,
        };
        entries.push(entry.clone());
        self.hall.handle_committed(self.now, &log, &entry);
        self.poll();
        true
    }

    fn read(&mut self, fails: bool) -> bool {
        let Some((log, from, upto)) = self.asked.pop_front() else { return false };
        if fails {
            self.hall.handle_read_failed(self.now, &log, ReadFailure::Busy);
        } else {
            let entries = self.logs[&log][from as usize - 1..upto as usize].to_vec();
            self.hall.handle_entries(self.now, &log, &entries);
        }
        self.poll();
        true
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.hall.handle_timeout(self.now);
        self.poll();
        assert!(self.hall.poll_timeout().is_none_or(|at| at > self.now.mono), "a deadline in the past");
    }

    fn open(&mut self, number: u64, prefix: Option<u64>) -> Result<(), Reason> {
        let name = format!("user {number}").into();
        let who = Who { user: user(number), prefix, name, color: None, is_plain: false };
        self.hall.open(self.now, Peer::Guest(number), who)
    }

    fn command(&mut self, number: u64, command: Command) {
        self.hall.handle(self.now, Peer::Guest(number), None, command);
    }

    /// The crown of the room that a guest is in.
    fn epoch(&self, number: u64) -> u64 {
        let log = self.hall.place_of(Peer::Guest(number));
        log.and_then(|log| self.hall.room(log)).map_or(0, |room| room.state().crown.epoch)
    }

    fn check(&self) {
        for (log, entries) in &self.logs {
            let Some(room) = self.hall.room(log) else { continue };
            let mut state = State::new(RoomKind::of(room.name()));
            let known = entries.iter().all(|entry| state.apply(entry).is_ok());
            assert!(known && state == *room.state(), "{log} is what its log says");
            for one in &room.participants() {
                assert!(
                    state.banned_for(one.user, None, self.now.unix_ms).is_none(),
                    "{} is banned",
                    one.user
                );
            }
        }
    }
}

pub(crate) fn hall(bytes: &[u8]) {
    let (mut world, mut input) = (World::new(), Input::new(bytes));
    while !input.is_empty() {
        let op = input.byte();
        let (number, other) = (u64::from(op >> 4) % GUESTS, user(u64::from(op >> 5) % GUESTS));
        let peer = Peer::Guest(number);
        match op % 16 {
            0 if world.hall.user_of(peer).is_none() => {
                let _ = world.open(number, (op > 0x80).then_some(9));
            }
            0 => world.hall.close(world.now, peer, if op > 0x80 { Departure::Lost } else { Departure::Left }),
            1 | 2 => {
                let len = usize::from(input.byte());
                match Command::decode(input.bytes(len)) {
                    Ok(command) => world.command(number, command),
                    Err(_) => world.hall.handle_malformed(world.now, peer),
                }
            }
            3 | 4 => {
                let room = ROOMS[usize::from(input.byte()) % ROOMS.len()];
                world.command(number, Command::Enter { room: room.into(), set: None });
            }
            5 => {
                let epoch = world.epoch(number);
                world.command(number, Command::GiveCrown { epoch, to: other });
            }
            6 => {
                let epoch = world.epoch(number).saturating_sub(u64::from(op > 0xC0));
                world.command(number, Command::KickBan { epoch, user: other, ms: Some(1000) });
            }
            7 => {
                let epoch = world.epoch(number);
                world.command(number, if op > 0x80 { Command::DropCrown { epoch } } else { Command::Leave });
            }
            8 => {
                let set = input.byte();
                let change = SettingsChange {
                    visible: Some(set & 1 > 0),
                    crownsolo: Some(set & 2 > 0),
                    limit: Some(Some(set >> 4)),
                    ..SettingsChange::default()
                };
                let epoch = world.epoch(number);
                world.command(number, Command::Settings { epoch, change });
            }
            9 => {
                let len = usize::from(input.byte());
                let text = String::from_utf8_lossy(input.bytes(len)).into_owned();
                // It may be refused.
                let again = len.is_multiple_of(2).then_some(len as u64);
                let _ = world.hall.say(world.now, peer, &text, again);
            }
            10 => {
                let at = Position { x: input.word().cast_signed(), y: input.word().cast_signed() };
                world.command(number, Command::Cursor(at));
            }
            11 | 12 => {
                world.commit();
            }
            13 => {
                world.read(op > 0xC0);
            }
            14 if op > 0xE0 => {
                let target = if op % 32 > 15 { BanTarget::Prefix(9) } else { BanTarget::User(other) };
                let _ = world.hall.ban(world.now, ROOMS[usize::from(op) % 2], target, Some(5000));
            }
            14 => world.hall.resync(peer),
            _ => world.pass(Duration::from_millis(u64::from(input.byte()) * 100)),
        }
        world.poll();
        world.check();
    }
    // Whoever means no harm is let in as ever.
    world.open(HONEST, None).expect("there is room");
    world.command(HONEST, Command::Enter { room: "a room of its own".into(), set: None });
    for _ in 0..100 {
        world.pass(Duration::from_millis(100));
        while world.read(false) || world.commit() {}
        world.check();
    }
    assert!(world.is_seated, "an honest guest is let in");
    for number in (0..GUESTS).chain([HONEST]) {
        world.hall.close(world.now, Peer::Guest(number), Departure::Left);
    }
    world.poll();
    assert_eq!(world.hall.peers(), 0, "nobody is left");
}
