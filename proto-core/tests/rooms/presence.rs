//! Who is there, and who hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::world::{World, user};
use proto_core::room::*;

/// What one connection knows of a room.
#[derive(Clone, Debug, Default)]
struct View {
    version: Option<u64>,
    people: BTreeMap<UserId, Participant>,
}

impl View {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Snapshot(snapshot) => {
                self.version = Some(snapshot.version);
                self.people = snapshot.participants.iter().map(|one| (one.user, one.clone())).collect();
            }
            Event::Diff(diff) => {
                assert_eq!(Some(diff.version), self.version.map(|version| version + 1));
                self.version = Some(diff.version);
                for change in &diff.changes {
                    match change {
                        Change::Here(one) => drop(self.people.insert(one.user, one.clone())),
                        Change::Gone(user) => drop(self.people.remove(user)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

fn deliver(views: &mut BTreeMap<Peer, View>, told: Vec<Outgoing>) {
    for Outgoing { to, event } in told {
        match to {
            Audience::One(peer) => views.entry(peer).or_default().take(&event),
            Audience::Many { seats, except } => {
                for seat in seats.iter().filter(|seat| Some(seat.user) != except) {
                    views.entry(seat.peer).or_default().take(&event);
                }
            }
        }
    }
}

#[test]
fn everybody_sees_the_same_in_small_rooms_and_large_ones() {
    let mut world = World::new("test/large");
    let mut views = BTreeMap::new();
    for number in 0..120 {
        world.join(number);
        world.pass(Duration::from_millis(7));
        deliver(&mut views, world.told());
        if number % 3 == 2 {
            world.leave(number - 1, Departure::Left);
            views.remove(&Peer::Guest(u64::from(number - 1) * 100));
        }
    }
    world.pass(limits::BATCH_EVERY);
    deliver(&mut views, world.told());
    let people: Vec<_> = world.room.participants();
    assert_eq!(views.len(), people.len());
    for view in views.values() {
        let known: BTreeSet<_> = view.people.keys().collect();
        assert_eq!(known, people.iter().map(|one| &one.user).collect());
        assert_eq!(view.version, Some(world.room.snapshot().version));
    }
    let changes = 120 + 40;
    assert!(world.room.snapshot().version < changes, "presence in a large room comes in batches");
}

#[test]
fn two_tabs_are_one_participant() {
    let mut world = World::new("a room");
    world.join(1);
    world.try_join(1, 1).expect("a second tab");
    assert_eq!(world.room.len(), 1);
    world.leave(1, Departure::Left);
    assert_eq!(world.room.len(), 1, "the other tab is there");
    for tab in 2..17 {
        world.try_join(1, tab).expect("up to 16");
    }
    assert_eq!(world.try_join(1, 17), Err(Reason::TooManyTabs));
}

#[test]
fn nobody_hears_himself_play() {
    let mut world = World::new("a room");
    world.join(1);
    world.join(2);
    world.told();
    let note = Note { key: "a1".into(), touch: Touch::Down(None), delay_ms: 0 };
    let notes = Notes { at_ms: 5, notes: vec![note] };
    world.room.play(world.now, &world.config, user(1), notes.clone(), &mut world.effects).expect("he may");
    let told = world.told();
    let [Outgoing { to: Audience::Many { except, .. }, event: Event::Notes(played) }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((*except, played.user), (Some(user(1)), user(1)));
    let change = SettingsChange { crownsolo: Some(true), chat: Some(false), ..SettingsChange::default() };
    world.room.set(world.now, world.by(1), &change).expect("he may");
    world.settle();
    let played = world.room.play(world.now, &world.config, user(2), notes.clone(), &mut world.effects);
    assert_eq!(played, Err(Reason::CrownSolo));
    world.room.play(world.now, &world.config, user(1), notes, &mut world.effects).expect("the holder plays");
    assert_eq!(world.room.may_say(world.now, user(2)), Err(Reason::ChatOff));
}

#[test]
fn cursors_are_told_together_and_a_little_longer() {
    let mut world = World::new("a room");
    world.join(1);
    world.join(2);
    world.told();
    world.room.move_cursor(world.now, user(1), Position { x: 1, y: 2 });
    world.room.move_cursor(world.now, user(2), Position { x: 3, y: 4 });
    world.pass(limits::CURSORS_EVERY);
    let told = world.told();
    let [Outgoing { event: Event::Cursors(cursors), .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(cursors.len(), 2);
    let mut times = 1;
    while world.room.poll_timeout().is_some() {
        world.pass(limits::CURSORS_EVERY);
        times += world.told().len();
        assert!(times < 30, "still cursors stay silent");
    }
    assert!(times > 10, "a lost message does no harm");
}

#[test]
fn rooms_hold_what_they_hold() {
    let mut world = World::new("lobby");
    for number in 0..20 {
        world.join(number);
    }
    assert_eq!(world.try_join(20, 0), Err(Reason::RoomFull));
    world.try_join(3, 1).expect("a second tab takes no room");
    let mut world = World::new("a room");
    world.join(1);
    let change = SettingsChange { limit: Some(Some(2)), ..SettingsChange::default() };
    world.room.set(world.now, world.by(1), &change).expect("he may");
    world.settle();
    world.join(2);
    assert_eq!(world.try_join(3, 0), Err(Reason::RoomFull));
}

#[test]
fn a_snapshot_waits_until_the_crown_is_durable() {
    let mut world = World::new("a room");
    world.try_join(1, 0).expect("there is room");
    assert!(world.told().is_empty(), "nothing is known before it is durable");
    world.settle();
    let told = world.told();
    let [Outgoing { event: Event::Snapshot(snapshot), .. }, _] = &told[..] else { panic!("{told:?}") };
    assert_eq!(snapshot.crown.and_then(|crown| crown.holder), Some(user(1)));
}
