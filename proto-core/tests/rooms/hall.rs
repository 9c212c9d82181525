//! Rooms together, with logs that answer step by step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{BodyHash, ClientId, Kind, StoredEntry};
use proto_core::room::fact::{BanTarget, ROOM, ROOM_AUTHOR};
use proto_core::room::hall::*;
use proto_core::room::limits::{CHECKPOINT_EVERY, HISTORY, REMEMBER_QUOTA};
use proto_core::room::*;
use proto_core::{Now, Timestamp};

/// Log, author, kind, name and body of an entry to be.
type Waiting = (Arc<str>, ClientId, Kind, Arc<str>, Bytes);

/// A hall, and the logs of its rooms.
struct World {
    hall: Hall,
    now: Now,
    logs: BTreeMap<Arc<str>, Vec<StoredEntry>>,
    to_commit: VecDeque<Waiting>,
    outputs: Vec<Output>,
    reads: usize,
}

fn user(number: u64) -> UserId {
    UserId([number as u8 + 1; 12])
}

impl World {
    fn new() -> Self {
        Self::with(RoomConfig::default())
    }

    /// Of a hall where nobody is held to a rate.
    fn unlimited() -> Self {
        Self::with(RoomConfig { allowed: Limits::UNLIMITED, ..RoomConfig::default() })
    }

    fn with(config: RoomConfig) -> Self {
        let now = Now { mono: Timestamp::from_millis(1000), unix_ms: 1_700_000_000_000 };
        let hall = Hall::new(config, [7; 32]);
        Self { hall, now, logs: BTreeMap::new(), to_commit: VecDeque::new(), outputs: Vec::new(), reads: 0 }
    }

    /// Does one thing that waits; says whether there was one.
    fn step(&mut self) -> bool {
        while let Some(output) = self.hall.poll_output() {
            self.outputs.push(output);
        }
        if let Some(ask) = self.hall.poll_ask() {
            match ask {
                Ask::Open(log) => {
                    let latest = self.logs.entry(Arc::clone(&log)).or_default().len() as u64;
                    self.hall.handle_opened(self.now, &log, latest);
                }
                Ask::Read(log, from, upto) => {
                    self.reads += 1;
                    // A prefix: sometimes not all of it.
                    let upto = if upto > from + 90 { from + 90 } else { upto };
                    let entries = self.logs[&log][from as usize - 1..upto as usize].to_vec();
                    self.hall.handle_entries(self.now, &log, &entries);
                }
                Ask::Fact(log, fact) => {
                    self.to_commit.push_back((log, ROOM_AUTHOR, ROOM, "".into(), fact.to_bytes()));
                }
                Ask::Say(log, said) => {
                    self.to_commit.push_back((log, said.client, Kind::TEXT, said.name, said.text));
                }
                Ask::Close(..) => {}
            }
            return true;
        }
        let Some((log, client, kind, name, body)) = self.to_commit.pop_front() else { return false };
        let entries = self.logs.get_mut(&log).expect("it was opened");
        let slot = entries.len() as u64 + 1;
        let body_hash = BodyHash::of(kind, &body);
        let commit_ms = self.now.unix_ms;
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
        true
    }

    fn run(&mut self) {
        while self.step() {}
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.hall.handle_timeout(self.now);
        self.run();
        assert!(self.hall.poll_timeout().is_none_or(|at| at > self.now.mono), "a deadline in the past");
    }

    fn open(&mut self, number: u64, prefix: Option<u64>) {
        let name = format!("user {number}").into();
        let who = Who { user: user(number), prefix, name, color: None, is_plain: false };
        self.hall.open(self.now, Peer::Guest(number), who).expect("there is room");
    }

    fn command(&mut self, number: u64, command: Command) {
        self.hall.handle(self.now, Peer::Guest(number), None, command);
    }

    fn enter(&mut self, number: u64, room: &str) {
        self.command(number, Command::Enter { room: room.into(), set: None });
    }

    fn join(&mut self, number: u64, room: &str) {
        self.open(number, None);
        self.enter(number, room);
        self.run();
    }

    fn place(&self, number: u64) -> Option<String> {
        let log = self.hall.place_of(Peer::Guest(number))?;
        Some(String::from(&**self.hall.room(log)?.name()))
    }

    fn refusals(&mut self) -> Vec<Reason> {
        let refused = |output: Output| match output {
            Output::Tell(Outgoing { event: Event::Refused(refused), .. }) => Some(refused.reason),
            _ => None,
        };
        std::mem::take(&mut self.outputs).into_iter().filter_map(refused).collect()
    }

    fn notices(&mut self, number: u64) -> Vec<String> {
        let words = |output: Output| match output {
            Output::Tell(Outgoing { to: Audience::One(peer), event: Event::Notification(words) })
                if peer == Peer::Guest(number) =>
            {
                Some(String::from(&*words.text))
            }
            _ => None,
        };
        std::mem::take(&mut self.outputs).into_iter().filter_map(words).collect()
    }

    fn epoch(&self, room: &str) -> u64 {
        self.hall.rooms().find(|open| &**open.name() == room).map_or(0, |room| room.state().crown.epoch)
    }
}

#[test]
fn a_disconnect_at_every_event_of_a_join_leaves_no_ghost() {
    for from_lobby in [false, true] {
        for how in [Departure::Left, Departure::Lost] {
            let mut at = 0;
            loop {
                let mut world = World::new();
                world.join(1, "a room");
                world.open(2, Some(9));
                if from_lobby {
                    world.enter(2, "lobby");
                    world.run();
                }
                world.enter(2, "a new room");
                let cut = (0..at).all(|_| world.step());
                world.hall.close(world.now, Peer::Guest(2), how);
                world.run();
                world.pass(Duration::from_secs(31));
                world.pass(REMEMBER_QUOTA);
                let rooms: Vec<_> = world.hall.rooms().map(|room| (&**room.name(), room.len())).collect();
                assert_eq!(rooms, [("a room", 1)], "cut off after {at} steps, {how:?}");
                assert_eq!((world.hall.peers(), world.hall.rooms().count()), (1, 1));
                world.hall.close(world.now, Peer::Guest(1), Departure::Left);
                world.run();
                world.pass(REMEMBER_QUOTA);
                assert_eq!(world.hall.rooms().count(), 0);
                assert_eq!(world.hall.poll_timeout(), None, "an empty hall sleeps");
                at += 1;
                if !cut {
                    break;
                }
            }
            assert!(at > 3, "{at} events");
        }
    }
}

#[test]
fn full_lobbies_lead_to_the_next() {
    let mut world = World::new();
    for number in 0..45 {
        world.join(number, "lobby");
    }
    let places: Vec<_> = (0..45).map(|number| world.place(number)).collect();
    let expected = |number: u64| Some(String::from(["lobby", "lobby2", "lobby3"][number as usize / 20]));
    assert_eq!(places, (0..45).map(expected).collect::<Vec<_>>());
}

#[test]
fn behind_the_last_lobby_there_is_none() {
    let mut world = World::new();
    for number in 0..21 {
        world.join(number, "lobby4294967295");
    }
    assert_eq!((world.place(19).as_deref(), world.place(20)), (Some("lobby4294967295"), None));
    assert_eq!(world.refusals(), [Reason::RoomFull]);
}

#[test]
fn row_43_who_is_banned_is_moved_and_told() {
    let mut world = World::new();
    world.join(1, "a room");
    world.join(2, "a room");
    world.outputs.clear();
    let epoch = world.epoch("a room");
    world.command(1, Command::KickBan { epoch, user: user(2), ms: Some(600_000) });
    world.run();
    assert_eq!(world.place(2).as_deref(), Some(AWKWARD));
    assert_eq!(world.notices(2), ["Banned from \"a room\" for 10 minutes."]);
    assert_eq!(world.hall.stats().evicted, 1);
    world.pass(Duration::from_secs(61));
    world.enter(2, "a room");
    world.run();
    assert_eq!(world.refusals(), [], "it is moved, and is there already");
    assert_eq!(world.place(2).as_deref(), Some(AWKWARD));
    // By another connection, and after the room was empty.
    world.hall.close(world.now, Peer::Guest(1), Departure::Left);
    world.run();
    assert_eq!(world.hall.room("a room").map(Room::len), None);
    world.hall.close(world.now, Peer::Guest(2), Departure::Left);
    world.outputs.clear();
    world.join(2, "a room");
    assert_eq!(world.notices(2), ["Currently banned from \"a room\" for 8 minutes."]);
    assert_eq!(world.place(2).as_deref(), Some(AWKWARD));
    world.pass(Duration::from_mins(10));
    world.enter(2, "a room");
    world.run();
    assert_eq!(world.place(2).as_deref(), Some("a room"));
}

#[test]
fn steps_of_a_join_come_in_order() {
    let mut world = World::new();
    world.join(1, "a room");
    world.join(2, "a room");
    world.join(3, "b room");
    world.outputs.clear();
    world.enter(1, "b room");
    world.run();
    let told: Vec<_> = world
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Tell(outgoing) => Some(match (&outgoing.to, &outgoing.event) {
                (Audience::Many { .. }, Event::Diff(diff)) => {
                    format!("{:?}", diff.changes[0]).split('(').next().unwrap_or_default().into()
                }
                (Audience::One(_), Event::Snapshot(snapshot)) => {
                    format!("snapshot of {}", snapshot.room)
                }
                (_, Event::Quota(_)) => String::from("quota"),
                other => format!("{other:?}"),
            }),
            Output::Seated(_, log) => Some(format!("seated {}", log.is_some())),
            _ => None,
        })
        .collect();
    // Out of the old room, into the new one, its snapshot; the crown of the old room goes on once it is durable.
    let expected =
        ["seated false", "Gone", "seated true", "Here", "snapshot of b room", "quota", "Crown", "quota"];
    assert_eq!(told, expected);
}

#[test]
fn a_room_is_restored_from_its_log_without_reading_it_all() {
    let mut world = World::unlimited();
    world.join(1, "a room");
    world.join(2, "a room");
    let epoch = world.epoch("a room");
    world.command(1, Command::KickBan { epoch, user: user(2), ms: None });
    let change = SettingsChange { color: Some(Color([9, 9, 9])), ..SettingsChange::default() };
    world.command(1, Command::Settings { epoch, change });
    for number in 0..3 * CHECKPOINT_EVERY {
        world.hall.say(world.now, Peer::Guest(1), &format!("line {number}"), None).expect("it may");
        world.run();
    }
    let state = world.hall.room("a room").expect("it is open").state().clone();
    let logs = std::mem::take(&mut world.logs);
    // Another life of the server, with the same logs.
    let mut world = World { logs, now: world.now, ..World::new() };
    world.join(1, "a room");
    assert_eq!(world.hall.room("a room").expect("it is open").state(), &state);
    assert!(world.reads < 30, "{} reads", world.reads);
    let lines: Vec<_> = world.hall.recent("a room").cloned().collect();
    let expected = 3 * CHECKPOINT_EVERY - HISTORY as u64..3 * CHECKPOINT_EVERY;
    let expected: Vec<_> = expected.map(|number| format!("line {number}")).collect();
    assert_eq!(lines.iter().map(|line| String::from(&*line.text)).collect::<Vec<_>>(), expected);
    assert!(lines.iter().all(|line| line.user == user(1)), "guests are known again by their entries");
    world.join(2, "a room");
    assert_eq!(world.place(2).as_deref(), Some(AWKWARD));
}

#[test]
fn a_room_where_little_is_said_is_opened_without_reading_it_all() {
    let mut world = World::unlimited();
    world.join(1, "a room");
    world.hall.say(world.now, Peer::Guest(1), "long ago", None).expect("it may");
    let epoch = world.epoch("a room");
    for number in 0..8 * CHECKPOINT_EVERY {
        if number == 7 * CHECKPOINT_EVERY {
            world.hall.say(world.now, Peer::Guest(1), "lately", None).expect("it may");
        }
        let change =
            SettingsChange { limit: Some(Some((number % 90) as u8 + 1)), ..SettingsChange::default() };
        world.command(1, Command::Settings { epoch, change });
        world.run();
    }
    let state = world.hall.room("a room").expect("it is open").state().clone();
    let logs = std::mem::take(&mut world.logs);
    let mut world = World { logs, now: world.now, ..World::new() };
    world.join(1, "a room");
    assert_eq!(world.hall.room("a room").expect("it is open").state(), &state);
    assert!(world.reads < 45, "{} reads", world.reads);
    let lines: Vec<_> = world.hall.recent("a room").map(|line| String::from(&*line.text)).collect();
    assert_eq!(lines, ["lately"]);
}

#[test]
fn guests_get_as_much_of_a_long_line_as_one_of_theirs_could_have() {
    let mut world = World::new();
    world.join(1, "a room");
    world.to_commit.push_back((
        "a room".into(),
        ClientId([5; 16]),
        Kind::TEXT,
        "nat".into(),
        "✧".repeat(600).into(),
    ));
    world.run();
    let line = world.hall.recent("a room").last().expect("it was said").clone();
    assert_eq!(*line.text, *"✧".repeat(512));
}

#[test]
fn connections_users_and_prefixes_share_their_budgets() {
    let spent = |peers: u64, prefix: Option<u64>| {
        let mut world = World::new();
        for number in 0..peers {
            world.open(number, prefix);
            world.enter(number, "test/x");
            world.run();
        }
        world.outputs.clear();
        for number in 0..peers {
            for _ in 0..10 {
                let _ = world.hall.say(world.now, Peer::Guest(number), "hello", None);
            }
        }
        world.run();
        world.logs["test/x"].len()
    };
    assert_eq!(spent(1, None), 4);
    assert_eq!(spent(15, None), 60);
    assert_eq!(spent(15, Some(3)), 4 * 8, "neighbours share eight times as much");

    let mut world = World::new();
    world.join(1, "test/x");
    let who = Who { user: user(1), prefix: None, name: "".into(), color: None, is_plain: false };
    world.hall.open(world.now, Peer::Guest(100), who).expect("a second tab");
    world.enter(100, "test/x");
    world.run();
    for number in [1, 100] {
        for _ in 0..10 {
            let _ = world.hall.say(world.now, Peer::Guest(number), "hello", None);
        }
    }
    world.run();
    assert_eq!(world.logs["test/x"].len(), 4, "two tabs are one user");
}

#[test]
fn a_quota_of_notes_outlives_rooms_and_connections() {
    let mut world = World::new();
    let notes = |count| {
        let note = Note { key: "a1".into(), touch: Touch::Up, delay_ms: 0 };
        Command::Notes(Notes { at_ms: 0, notes: vec![note; count] })
    };
    world.join(2, "lobby");
    for _ in 0..20 {
        world.join(1, "lobby");
        world.command(1, notes(600));
        world.hall.close(world.now, Peer::Guest(1), Departure::Left);
        world.run();
    }
    assert_eq!(world.hall.stats().notes, 1800, "as much as anybody may ever play at once");
    assert_eq!(world.hall.stats().refusals(Reason::Rate), 17);
}

#[test]
fn names_too_long_for_a_log_have_one_all_the_same() {
    let mut world = World::new();
    let long = "✧𝓓𝓔𝓥 𝓡𝓸𝓸𝓶✧".repeat(20);
    world.join(1, &long);
    assert_eq!(world.place(1), Some(long.clone()));
    let log = world.hall.place_of(Peer::Guest(1)).expect("it is there").clone();
    assert!(log.len() <= 64 && log.starts_with('\u{1}'));
    for name in ["", "  ", "a\nb", "a\u{202E}b", "a\0", &log] {
        world.outputs.clear();
        world.enter(1, name);
        world.pass(Duration::from_secs(2));
        assert_eq!(world.refusals(), [Reason::BadName], "{name:?}");
    }
}

#[test]
fn lists_show_what_is_visible() {
    let mut world = World::new();
    world.join(1, "a room");
    world.join(2, "lobby");
    world.outputs.clear();
    world.command(2, Command::ListRooms(true));
    world.run();
    let lists = |world: &mut World| {
        let list = |output: Output| match output {
            Output::Tell(Outgoing { event: Event::Rooms(list), .. }) => Some(list),
            _ => None,
        };
        let lists = std::mem::take(&mut world.outputs).into_iter().filter_map(list);
        let rows = |list: &Arc<RoomList>| {
            let row = |room: &ListedRoom| format!("{} {}", room.room, room.count);
            (list.full, list.rooms.iter().map(row).collect::<Vec<_>>())
        };
        lists.map(|list| rows(&list)).collect::<Vec<_>>()
    };
    assert_eq!(lists(&mut world), [(true, vec!["a room 1".into(), "lobby 1".into()])]);
    world.join(3, "a room");
    world.pass(Duration::from_millis(200));
    assert_eq!(lists(&mut world), [(false, vec!["a room 2".into()])]);
    let epoch = world.epoch("a room");
    let change = SettingsChange { visible: Some(false), ..SettingsChange::default() };
    world.command(1, Command::Settings { epoch, change });
    world.run();
    world.pass(Duration::from_millis(200));
    assert_eq!(lists(&mut world), [(false, vec!["a room 0".into()])], "hidden");
    world.join(4, "a room");
    world.pass(Duration::from_millis(200));
    assert_eq!(lists(&mut world), [], "nothing is told of what is hidden");
    for number in [1, 3, 4] {
        world.hall.close(world.now, Peer::Guest(number), Departure::Left);
    }
    world.run();
    world.pass(Duration::from_millis(200));
    assert_eq!(lists(&mut world), [], "nor that it ends");
}

/// What lists have told: to how many, whether it is all, and the rooms.
fn listed(world: &mut World) -> Vec<(usize, bool, Vec<ListedRoom>)> {
    let list = |output: Output| match output {
        Output::Tell(Outgoing { to, event: Event::Rooms(list) }) => {
            let hear = match to {
                Audience::One(_) => 1,
                Audience::Many { seats, .. } => seats.len(),
            };
            Some((hear, list.full, list.rooms.clone()))
        }
        _ => None,
    };
    std::mem::take(&mut world.outputs).into_iter().filter_map(list).collect()
}

#[test]
fn a_room_that_is_made_hidden_is_never_told() {
    let mut world = World::new();
    world.open(1, None);
    world.command(1, Command::ListRooms(true));
    world.run();
    listed(&mut world);
    world.open(2, None);
    let set = SettingsChange { visible: Some(false), ..SettingsChange::default() };
    world.command(2, Command::Enter { room: "secret".into(), set: Some(set) });
    // The disk is slow: lists are due before anything of the room is durable.
    for _ in 0..8 {
        while let Some(output) = world.hall.poll_output() {
            world.outputs.push(output);
        }
        world.now.mono += Duration::from_millis(200);
        world.hall.handle_timeout(world.now);
        world.step();
    }
    world.run();
    world.pass(Duration::from_millis(200));
    assert!(world.hall.room("secret").is_some_and(|room| !room.state().settings.visible));
    world.hall.close(world.now, Peer::Guest(2), Departure::Left);
    world.run();
    world.pass(Duration::from_millis(200));
    assert_eq!(listed(&mut world), []);
}

#[test]
fn who_was_not_shown_a_room_does_not_hear_that_it_is_hidden() {
    let mut world = World::new();
    world.join(1, "a room");
    world.join(2, "lobby");
    world.join(3, "lobby");
    world.command(2, Command::ListRooms(true));
    world.run();
    world.outputs.clear();
    let change = SettingsChange { visible: Some(false), ..SettingsChange::default() };
    world.command(1, Command::Settings { epoch: world.epoch("a room"), change });
    world.run();
    world.command(3, Command::ListRooms(true));
    world.pass(Duration::from_millis(200));
    let told = listed(&mut world);
    let names = |rooms: &[ListedRoom]| {
        rooms.iter().map(|room| format!("{} {}", room.room, room.count)).collect::<Vec<_>>()
    };
    assert_eq!(
        told.iter().map(|(hear, full, rooms)| (*hear, *full, names(rooms))).collect::<Vec<_>>(),
        [
            (1, true, vec!["lobby 2".into()]),
            (1, false, vec!["a room 0".into()]),
            (1, true, vec!["lobby 2".into()])
        ]
    );
    let gone = &told[1].2[0];
    assert!(gone.crown.is_none() && gone.settings.visible, "nothing but its name: {gone:?}");
}

#[test]
fn of_more_rooms_than_fit_into_a_list_none_is_named_that_is_hidden() {
    const MORE: u64 = limits::MAX_LISTED as u64 + 5;
    let mut world = World::unlimited();
    world.join(0, "lobby");
    let mut shown = BTreeMap::new();
    let mut look = |world: &mut World| {
        world.pass(Duration::from_millis(200));
        let told = listed(world);
        let mut named = BTreeSet::new();
        for (_, is_full, rooms) in told {
            if is_full {
                shown.clear();
            }
            for room in rooms {
                named.insert(Arc::clone(&room.room));
                if room.count == 0 {
                    shown.remove(&room.room)
                } else {
                    shown.insert(room.room, room.count)
                };
            }
        }
        (named, shown.len())
    };
    let name = |number: u64| format!("room {number:03}");
    let visit = |world: &mut World, peer: u64, room: u64| {
        let who = Who { user: user(peer % 250), prefix: None, name: "".into(), color: None, is_plain: false };
        world.hall.open(world.now, Peer::Guest(peer), who).expect("there is room");
        world.enter(peer, &name(room));
    };
    world.command(0, Command::ListRooms(true));
    (0..MORE).for_each(|room| visit(&mut world, 1 + room, room));
    world.run();
    assert_eq!(look(&mut world).1, limits::MAX_LISTED, "the others do not fit");
    let (last, epoch) = (MORE, world.epoch(&name(MORE - 1)));
    let show = |world: &mut World, visible: bool| {
        let change = SettingsChange { visible: Some(visible), ..SettingsChange::default() };
        world.command(last, Command::Settings { epoch, change });
        world.run();
    };
    show(&mut world, false);
    let named = look(&mut world).0;
    assert!(named.is_empty(), "who was not shown it does not hear of it: {named:?}");
    show(&mut world, true);
    (0..MORE)
        .filter(|room| room % 100 < 10 || *room > 490)
        .for_each(|room| visit(&mut world, 1000 + room, room));
    world.run();
    assert_eq!(look(&mut world).1, MORE as usize + 1, "what changes is told");
    for (peer, _) in world.hall.connected().collect::<Vec<_>>() {
        if peer != Peer::Guest(0) {
            world.hall.close(world.now, peer, Departure::Left);
        }
    }
    world.run();
    assert_eq!(look(&mut world).1, 1, "the lobby is left");
}

#[test]
fn who_is_called_otherwise_is_so_wherever_he_is() {
    let mut world = World::new();
    for (peer, room) in [(1, "a room"), (2, "b room")] {
        let who = Who { user: user(1), prefix: None, name: "".into(), color: None, is_plain: false };
        world.hall.open(world.now, Peer::Guest(peer), who).expect("there is room");
        world.enter(peer, room);
    }
    world.join(3, "b room");
    world.run();
    world.command(1, Command::Rename("Ann".into()));
    world.run();
    for room in ["a room", "b room"] {
        let names: Vec<_> =
            world.hall.room(room).unwrap().participants().iter().map(|one| one.name.clone()).collect();
        assert_eq!(names.iter().filter(|name| &***name == "Ann").count(), 1, "{room}: {names:?}");
    }
    assert_eq!(world.hall.connected().filter(|(_, one)| *one == user(1)).count(), 2);
    for peer in 1..=3 {
        world.hall.close(world.now, Peer::Guest(peer), Departure::Left);
    }
    assert_eq!(world.hall.connected().filter(|(_, one)| *one == user(1)).count(), 0);
}

#[test]
fn who_is_sent_back_to_where_he_is_hears_so() {
    let mut world = World::new();
    for number in 0..20 {
        world.join(number, "lobby");
    }
    world.join(20, "lobby2");
    world.outputs.clear();
    world.enter(20, "lobby");
    world.run();
    let told: Vec<_> = world
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Tell(Outgoing { to: Audience::One(peer), event: Event::Snapshot(snapshot) }) => {
                Some((*peer, &*snapshot.room))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [(Peer::Guest(20), "lobby2")]);
    assert_eq!(world.hall.stats().joined, 21);
}

#[test]
fn a_drained_hall_leaves_its_rooms_as_a_crash_would() {
    for how in [Departure::Left, Departure::Lost] {
        let mut world = World::new();
        world.join(1, "a room");
        world.join(2, "a room");
        world.join(3, "b room");
        let change = SettingsChange { color: Some(Color([9, 9, 9])), ..SettingsChange::default() };
        world.command(1, Command::Settings { epoch: world.epoch("a room"), change });
        world.run();
        let states = |world: &World| {
            let state = |room| world.hall.room(room).expect("it is open").state().clone();
            (state("a room"), state("b room"))
        };
        let before = states(&world);
        world.hall.close(world.now, Peer::Guest(2), Departure::Lost);
        world.hall.drain();
        for number in [1, 3] {
            world.hall.close(world.now, Peer::Guest(number), how);
        }
        world.run();
        world.pass(Duration::from_mins(1));
        assert_eq!((world.hall.peers(), world.hall.poll_timeout()), (0, None));
        let logs = std::mem::take(&mut world.logs);
        let mut world = World { logs, now: world.now, ..World::new() };
        world.join(2, "a room");
        world.join(4, "b room");
        assert_eq!(states(&world), before, "{how:?}");
        world.join(1, "a room");
        assert!(world.hall.room("a room").expect("it is open").is_holder(user(1)));
    }
}

#[test]
fn an_operator_bans_and_closes() {
    let mut world = World::new();
    world.join(1, "a room");
    world.join(2, "a room");
    world.hall.ban(world.now, "a room", BanTarget::User(user(1)), None).expect("it is open");
    world.run();
    assert_eq!(world.place(1).as_deref(), Some(AWKWARD));
    world.hall.close_room(world.now, "a room");
    world.run();
    assert_eq!(world.place(2).as_deref(), Some("lobby"));
    assert!(world.hall.ban(world.now, "no room", BanTarget::Prefix(1), None).is_err());
}

#[test]
fn a_room_that_is_closed_has_nobody_left() {
    let mut world = World::new();
    for number in 1..=3 {
        world.join(number, "a room");
    }
    world.hall.close(world.now, Peer::Guest(2), Departure::Lost);
    world.run();
    // While something is on its way to the log, who comes is not shown the room yet.
    let change = SettingsChange { limit: Some(Some(9)), ..SettingsChange::default() };
    world.command(1, Command::Settings { epoch: world.epoch("a room"), change });
    world.open(4, None);
    world.enter(4, "a room");
    assert_eq!(world.hall.room("a room").map(Room::len), Some(4), "one is away, and one on his way in");
    world.hall.close_room(world.now, "a room");
    world.run();
    assert!(world.hall.room("a room").is_none());
    for number in [1, 3, 4] {
        assert_eq!(world.place(number).as_deref(), Some("lobby"), "{number}");
    }
}

#[test]
fn a_ban_of_no_length_is_called_a_kick() {
    let mut world = World::new();
    world.join(1, "a room");
    world.join(2, "a room");
    world.outputs.clear();
    world.command(1, Command::KickBan { epoch: world.epoch("a room"), user: user(2), ms: Some(0) });
    world.run();
    assert_eq!(world.notices(2), ["Kicked from \"a room\"."]);
}

#[test]
fn who_comes_and_goes_pushes_nobody_out_of_memory() {
    let mut world = World::new();
    world.join(1, "test/x");
    let say = |world: &mut World| {
        let said = (0..10).filter(|_| world.hall.say(world.now, Peer::Guest(1), "hello", None).is_ok());
        said.count()
    };
    assert_eq!(say(&mut world), 4);
    world.run();
    world.hall.close(world.now, Peer::Guest(1), Departure::Left);
    for _ in 0..=limits::MAX_DEPARTED {
        world.open(2, Some(9));
        world.hall.close(world.now, Peer::Guest(2), Departure::Left);
        world.run();
        world.outputs.clear();
    }
    world.join(1, "test/x");
    assert_eq!(say(&mut world), 0, "he is known, and so is what he has said");
}

#[test]
fn each_line_that_is_not_heard_is_counted_once() {
    let mut world = World::new();
    world.open(1, None);
    let say =
        |world: &mut World, text: &str| world.hall.say(world.now, Peer::Guest(1), text, None).unwrap_err();
    assert_eq!(say(&mut world, "nowhere"), Reason::NotInRoom);
    world.enter(1, "a room");
    world.run();
    assert_eq!(say(&mut world, " "), Reason::Unsayable);
    let quiet = SettingsChange { chat: Some(false), ..SettingsChange::default() };
    let epoch = world.epoch("a room");
    world.command(1, Command::Settings { epoch, change: quiet });
    world.run();
    assert_eq!(say(&mut world, "hello"), Reason::ChatOff);
    world.enter(1, "test/x");
    world.run();
    for _ in 0..4 {
        world.hall.say(world.now, Peer::Guest(1), "hello", None).expect("he may");
    }
    assert_eq!(say(&mut world, "hello"), Reason::Rate);
    for reason in [Reason::NotInRoom, Reason::Unsayable, Reason::ChatOff, Reason::Rate] {
        assert_eq!(world.hall.stats().refusals(reason), 1, "{reason:?}");
    }
}
