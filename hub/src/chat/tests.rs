//! Sessions against the real chat server, over a connection that loses nothing while it lasts.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{
    Audience, Batch, ChatConfig, Client, ClientConfig, ClientSecret, MAX_BODY, Message, PersistFailure,
    RejectReason, Server, ServerReject,
};
use proto_core::room::{self, RoomKind};
use proto_core::{Config, ConnectionId, Endpoint, Link, Now, Timestamp};

use super::member::Member;
use super::session::{Goal, Note, Outcome, Output, Session};
use super::shelf::Shelf;
use super::talk::Talk;

/// A server with one client.
struct Scene {
    server: Server,
    session: Session,
    now: Now,
    id: Option<ConnectionId>,
    /// Where the ids of connections come from.
    endpoint: Endpoint,
    /// Whether the store works.
    persists: bool,
    outputs: Vec<String>,
}

impl Scene {
    fn new(goal: Goal) -> Self {
        let now = Now { mono: Timestamp::from_millis(1_000), unix_ms: 1_700_000_000_000 };
        Self {
            server: Server::new(ChatConfig::default(), [1; 32]),
            session: session(goal, None, now),
            now,
            id: None,
            endpoint: Endpoint::new(Config::default().into(), Link::datagram(1200), [2; 32], now.mono),
            persists: true,
            outputs: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.id = Some(self.new_id());
        self.session.handle_connected(self.now);
        self.settle();
    }

    fn new_id(&mut self) -> ConnectionId {
        self.endpoint.connect(self.now.mono, ([127, 0, 0, 1], 4100).into()).unwrap()
    }

    fn disconnect(&mut self) {
        if let Some(id) = self.id.take() {
            self.server.handle_disconnected(self.now, id);
            self.session.handle_disconnected(self.now);
        }
        self.settle();
    }

    fn line(&mut self, line: &str) {
        assert!(self.session.wants_line());
        self.session.line(self.now, Bytes::copy_from_slice(line.as_bytes()));
        self.settle();
    }

    fn wait(&mut self, duration: Duration) {
        self.now.mono += duration;
        self.session.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.settle();
    }

    /// Lets everything happen that can.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let (Some(id), Some(message)) = (self.id, self.session.poll_message()) {
                self.server.handle_message(self.now, id, &message);
                quiet = false;
            }
            while let Some(Batch { number, .. }) = self.server.poll_persist(self.now) {
                if self.persists {
                    self.server.handle_persisted(self.now, number);
                } else {
                    self.server.handle_persist_failed(self.now, number, PersistFailure::Full);
                }
                quiet = false;
            }
            while let Some(outgoing) = self.server.poll_message() {
                let to_us = match &outgoing.to {
                    Audience::One(id) => Some(*id) == self.id,
                    Audience::Many(ids) => ids.iter().any(|id| Some(*id) == self.id),
                };
                if to_us {
                    self.session.handle_message(self.now, &outgoing.payload);
                }
                quiet = false;
            }
            while let Some(output) = self.session.poll_output(self.now) {
                self.outputs.push(match output {
                    Output::Entry(entry) => {
                        format!("{} {}", entry.slot, String::from_utf8_lossy(&entry.body))
                    }
                    Output::Note(Note::Joined { latest }) => format!("joined {latest}"),
                    Output::Note(Note::Back) => "back".to_owned(),
                    Output::Note(Note::Rejected(rejected)) => format!("rejected {}", rejected.line.len()),
                    Output::Note(note) => format!("{note:?}"),
                });
            }
            if quiet {
                return;
            }
        }
    }

    /// The server refuses something.
    fn reject(&mut self, sequence: u64, reason: RejectReason) {
        let reject = ServerReject { room: "lobby", epoch: 1, sequence, reason };
        self.session.handle_message(self.now, &Message::ServerReject(reject).to_bytes());
        self.settle();
    }

    fn outcome(&self) -> Option<Outcome> {
        self.session.outcome(self.now)
    }

    fn end_input(&mut self) {
        self.session.end_input(self.now);
    }
}

fn session(goal: Goal, last: Option<u64>, now: Now) -> Session {
    let config = ClientConfig { last, ..ClientConfig::new("lobby", "ann", ClientSecret([7; 32])) };
    Session::new(Client::new(config).unwrap(), goal, now)
}

const GOAL: Goal =
    Goal { follow: false, until_slot: None, give_up_after: Duration::from_mins(2), interactive: false };

#[test]
fn it_is_done_when_everything_is_acknowledged_and_printed() {
    let mut scene = Scene::new(GOAL);
    scene.line("one");
    scene.connect();
    scene.line("two");
    assert_eq!(scene.outputs, ["joined 0", "1 one", "2 two"]);
    assert_eq!(scene.outcome(), None, "there may be more input");
    scene.end_input();
    assert_eq!(scene.outcome(), Some(Outcome::Done));
}

#[test]
fn without_input_it_prints_what_is_there() {
    let mut scene = Scene::new(GOAL);
    scene.connect();
    scene.line("one");
    scene.line("two");
    scene.disconnect();
    scene.session = session(GOAL, Some(1), scene.now);
    scene.end_input();
    assert_eq!(scene.outcome(), None, "nothing is known of the room");
    scene.outputs.clear();
    scene.connect();
    assert_eq!(scene.outputs, ["joined 2", "2 two"]);
    assert_eq!(scene.outcome(), Some(Outcome::Done));
}

#[test]
fn lines_survive_connections_and_are_printed_once() {
    let mut scene = Scene::new(GOAL);
    scene.persists = false;
    scene.connect();
    scene.line("one");
    scene.disconnect();
    scene.persists = true;
    scene.line("two");
    scene.end_input();
    scene.wait(Duration::from_mins(1));
    assert_eq!(scene.outcome(), None);
    scene.connect();
    scene.disconnect();
    scene.connect();
    let entries: Vec<_> =
        scene.outputs.iter().filter(|output| output.starts_with(char::is_numeric)).collect();
    assert_eq!(entries, ["1 one", "2 two"]);
    assert!(scene.outputs.contains(&"back".to_owned()), "{:?}", scene.outputs);
    assert_eq!(scene.outcome(), Some(Outcome::Done));
}

#[test]
fn it_gives_up_only_when_something_is_owed_and_nothing_comes() {
    let mut scene = Scene::new(GOAL);
    scene.connect();
    scene.wait(Duration::from_secs(1_000));
    assert_eq!(scene.outcome(), None, "a quiet room is no failure");
    scene.disconnect();
    scene.line("lost");
    scene.wait(Duration::from_secs(119));
    assert_eq!(scene.outcome(), None, "patience began with the disconnect");
    scene.wait(Duration::from_secs(1));
    assert_eq!(scene.outcome(), Some(Outcome::GivenUp));
    assert!(scene.session.unacknowledged().eq(["lost"]));
}

#[test]
fn a_timer_tells_when_to_give_up() {
    let mut scene = Scene::new(GOAL);
    scene.end_input();
    assert_eq!(scene.session.poll_timeout(), Some(scene.now.mono + GOAL.give_up_after));
}

#[test]
fn until_slot_waits_for_the_others() {
    let mut scene = Scene::new(Goal { until_slot: NonZeroU64::new(2), ..GOAL });
    scene.connect();
    scene.line("one");
    scene.end_input();
    assert_eq!(scene.outcome(), None);
    scene.wait(Duration::from_secs(119));
    assert_eq!(scene.outcome(), None);
    scene.wait(Duration::from_secs(1));
    assert_eq!(scene.outcome(), Some(Outcome::GivenUp), "slot 2 never came");

    let mut scene = Scene::new(Goal { until_slot: NonZeroU64::new(2), ..GOAL });
    scene.connect();
    scene.line("one");
    scene.line("two");
    scene.end_input();
    assert_eq!(scene.outcome(), Some(Outcome::Done));
}

#[test]
fn following_does_not_end_by_itself() {
    let mut scene = Scene::new(Goal { follow: true, until_slot: NonZeroU64::new(9), ..GOAL });
    scene.connect();
    scene.line("one");
    scene.end_input();
    scene.wait(Duration::from_secs(1_000));
    assert_eq!(scene.outcome(), None);
    scene.disconnect();
    scene.wait(Duration::from_mins(2));
    assert_eq!(scene.outcome(), Some(Outcome::GivenUp), "the server is gone");
}

#[test]
fn somebody_at_a_terminal_leaves_when_their_lines_are_acknowledged() {
    let mut scene = Scene::new(Goal { interactive: true, ..GOAL });
    scene.wait(Duration::from_secs(1_000));
    assert_eq!(scene.outcome(), None, "they may wait as long as they like");
    scene.line("one");
    scene.wait(Duration::from_secs(1_000));
    assert_eq!(scene.outcome(), None);
    scene.end_input();
    assert_eq!(scene.outcome(), None, "their line is not acknowledged");
    scene.connect();
    assert_eq!(scene.outcome(), Some(Outcome::Done));

    let mut scene = Scene::new(Goal { interactive: true, ..GOAL });
    scene.end_input();
    assert_eq!(scene.outcome(), Some(Outcome::Done), "nothing was written");
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_rest_goes_on() {
    let mut scene = Scene::new(GOAL);
    scene.connect();
    scene.line(&"x".repeat(MAX_BODY + 1));
    scene.line("short");
    assert_eq!(scene.outputs, ["joined 0", "rejected 16385", "1 short"]);
    assert_eq!(scene.session.rejected(), 1);
    scene.end_input();
    assert_eq!(scene.outcome(), Some(Outcome::Done));
}

#[test]
fn a_line_that_the_server_refuses_is_told_once_and_waits_no_more() {
    let mut scene = Scene::new(GOAL);
    scene.connect();
    scene.persists = false;
    scene.line("refused");
    scene.line("waiting");
    scene.end_input();
    for _ in 0..2 {
        scene.reject(1, RejectReason::Unknown);
        assert_eq!(scene.session.rejected(), 1);
        assert!(scene.session.unacknowledged().eq(["waiting"]));
    }
    assert_eq!(scene.outputs.iter().filter(|output| *output == "rejected 7").count(), 1);
}

#[test]
fn a_log_that_cannot_be_read_ends_it_at_once() {
    for interactive in [false, true] {
        let mut scene = Scene::new(Goal { interactive, follow: !interactive, ..GOAL });
        scene.connect();
        scene.persists = false;
        scene.line("one");
        assert_eq!(scene.outcome(), None);
        scene.reject(0, RejectReason::Unreadable);
        assert_eq!(scene.outcome(), Some(Outcome::Unreadable { next: 1 }));
        assert!(scene.session.unacknowledged().eq(["one"]));
    }
}

#[test]
fn lines_are_wanted_while_there_is_a_place_for_them() {
    let mut scene = Scene::new(GOAL);
    let lines: Vec<String> = (0..128).map(|line| format!("line {line}")).collect();
    for line in &lines {
        scene.line(line);
    }
    assert!(!scene.session.wants_line());
    assert!(scene.session.unacknowledged().eq(&lines), "those without a place on their way, too");
    scene.connect();
    assert!(scene.session.wants_line());
    let entries: Vec<String> = (1..).zip(&lines).map(|(slot, line)| format!("{slot} {line}")).collect();
    assert_eq!(scene.outputs[1..], entries);
    scene.end_input();
    assert!(!scene.session.wants_line());
    assert_eq!(scene.outcome(), Some(Outcome::Done));
}

#[test]
fn another_with_the_same_secret_ends_it() {
    let mut scene = Scene::new(GOAL);
    scene.connect();
    let mut other = session(GOAL, None, scene.now);
    // It has been connected more often, so its place is the newer one.
    other.handle_connected(scene.now);
    other.poll_message();
    other.handle_disconnected(scene.now);
    other.handle_connected(scene.now);
    let join = other.poll_message().unwrap();
    let id = scene.new_id();
    scene.server.handle_message(scene.now, id, &join);
    scene.settle();
    assert_eq!(scene.outcome(), Some(Outcome::Fenced));
}

/// What somebody at a terminal is told of the rooms that he is in, one after the other.
fn words_of(rooms: &[&str], join: &str) -> Vec<String> {
    let now = Now { mono: Timestamp::from_millis(1_000), unix_ms: 1_700_000_000_000 };
    let client = room::Client::new(room::ClientConfig::new(ClientSecret([7; 32]), "ann"));
    let mut member = Member::new(client, rooms[0], Shelf::default(), Duration::from_secs(10), now);
    let tell = |member: &mut Member, name: &str| {
        let snapshot = room::Snapshot {
            room: name.into(),
            version: 1,
            settings: room::Settings::new(RoomKind::of(name)),
            crown: None,
            participants: Vec::new(),
        };
        let payload = room::Event::Snapshot(snapshot.into()).to_bytes();
        Talk::handle_message(member, now, room::Carriage::Room, &payload);
        while Talk::poll_message(member).is_some() {}
        let mut told = Vec::new();
        while let Some(output) = Talk::poll_output(member, now) {
            if let Output::Note(Note::Words(words)) = output {
                told.push(words);
            }
        }
        told
    };
    Talk::handle_connected(&mut member, now);
    let mut told = tell(&mut member, rooms[0]);
    Talk::line(&mut member, now, format!("/join {join}").into());
    told.extend(rooms[1..].iter().flat_map(|room| tell(&mut member, room)));
    told
}

#[test]
fn what_was_missed_on_the_way_to_another_room_is_no_answer() {
    let told = words_of(&["a room", "a room", "b room"], "b room");
    assert_eq!(told, ["you are in a room, alone", "you are in b room, alone"]);
    let told = words_of(&["lobby2", "lobby2"], "lobby");
    assert_eq!(told, ["you are in lobby2, alone", "you stay in lobby2"], "the other one is full");
}
