//! Who has the crown, and what it is good for.

use std::time::Duration;

use crate::world::{World, user};
use proto_core::room::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn who_makes_the_room_has_the_crown_and_gives_it_on_by_seniority() {
    let mut world = World::new("a room");
    world.join(1);
    assert_eq!((world.holder(), world.epoch()), (Some(user(1)), 1));
    world.join(3);
    world.join(2);
    assert_eq!(world.holder(), Some(user(1)), "a newcomer takes nothing");
    world.leave(1, Departure::Left);
    assert_eq!((world.holder(), world.epoch()), (Some(user(3)), 2), "the one longest there");
}

#[test]
fn a_dropped_crown_is_kept_for_its_last_holder_for_15_seconds() {
    let mut world = World::new("a room");
    world.config.crown_on_leave = CrownOnLeave::Drop;
    for number in 1..=3 {
        world.join(number);
    }
    world.leave(1, Departure::Left);
    assert_eq!(world.holder(), None);
    world.pass(SECOND * 14);
    assert_eq!(world.give(2, 2), Err(Reason::TooEarly));
    world.join(1);
    assert_eq!(world.holder(), Some(user(1)), "who comes back has it back");
    world.drop_crown(1).expect("his own");
    world.give(1, 1).expect("at once, as it was his");
    world.drop_crown(1).expect("his own");
    world.pass(SECOND * 15);
    assert_eq!(world.give(2, 3), Err(Reason::NotHolder), "one claims for oneself");
    world.give(2, 2).expect("15 s have passed");
    assert_eq!(world.holder(), Some(user(2)));
}

#[test]
fn a_holder_who_is_lost_keeps_the_crown_as_long_as_he_may_come_back() {
    let mut world = World::new("a room");
    world.join(1);
    world.join(2);
    world.leave(1, Departure::Lost);
    world.pass(SECOND * 29);
    assert_eq!(world.holder(), Some(user(1)));
    world.join(1);
    world.pass(SECOND * 60);
    assert_eq!(world.holder(), Some(user(1)));
    world.leave(1, Departure::Lost);
    world.pass(SECOND * 30);
    world.settle();
    assert_eq!(world.holder(), Some(user(2)));
    assert_eq!(world.room.len(), 1, "a ghost");
}

#[test]
fn after_a_restart_the_crown_waits_for_its_holder() {
    for comes_back in [true, false] {
        let mut world = World::new("a room");
        world.join(1);
        let state = world.room.state().clone();
        world.room = Room::new("a room".into(), state, &world.config, world.now);
        world.join(2);
        assert_eq!(world.holder(), Some(user(1)));
        if comes_back {
            world.join(1);
        }
        world.pass(SECOND * 30);
        world.settle();
        assert_eq!(world.holder(), Some(user(if comes_back { 1 } else { 2 })));
    }
}

#[test]
fn row_43_commands_of_another_epoch_are_refused() {
    let mut world = World::new("a room");
    world.join(1);
    world.join(2);
    let stale = world.by(1);
    world.give(1, 2).expect("his own");
    world.give(2, 1).expect("his own");
    let change = SettingsChange { chat: Some(false), ..SettingsChange::default() };
    assert_eq!(world.room.set(world.now, stale, &change), Err(Reason::StaleEpoch));
    assert_eq!(world.room.set(world.now, world.by(2), &change), Err(Reason::NotHolder));
    world.room.set(world.now, world.by(1), &change).expect("his own");
    // What waits to be committed counts already.
    world.room.give_crown(world.now, user(1), world.epoch(), user(2)).expect("his own");
    assert_eq!(world.room.set(world.now, world.by(1), &change), Err(Reason::StaleEpoch));
    world.settle();
    assert!(!world.room.state().settings.chat);
    assert_eq!(world.holder(), Some(user(2)));
}

#[test]
fn a_crown_that_moves_on_before_it_was_committed_has_one_holder_in_its_epoch() {
    let mut world = World::new("a room");
    for number in 1..=3 {
        world.join(number);
    }
    world.room.give_crown(world.now, user(1), 1, user(2)).expect("his own");
    let peer = Peer::Guest(200);
    world.room.leave(world.now, &world.config, user(2), peer, Departure::Left, &mut world.effects);
    world.settle();
    assert_eq!((world.holder(), world.epoch()), (Some(user(1)), 2));
    assert_eq!(world.log.len(), 2, "the crown of somebody who has gone was never written");
}

#[test]
fn special_rooms_have_no_crown() {
    for name in ["lobby", "lobby2", "lobbyNaN", "test/x", AWKWARD] {
        let mut world = World::new(name);
        world.join(1);
        world.join(2);
        assert_eq!(world.room.snapshot().crown, None);
        assert_eq!(world.kick(1, 2, None), Err(Reason::Special));
        assert_eq!(world.give(1, 1), Err(Reason::Special));
        let change = SettingsChange::default();
        assert_eq!(world.room.set(world.now, world.by(1), &change), Err(Reason::Special));
        assert!(world.log.is_empty());
    }
    for name in ["lobbyist", "lobby ", "test/", "Lobby", "test"] {
        assert_eq!(RoomKind::of(name), RoomKind::Normal);
    }
}

#[test]
fn an_empty_room_is_new_again_but_for_its_bans() {
    let mut world = World::new("a room");
    world.join(1);
    world.join(2);
    world.kick(1, 2, None).expect("he may");
    let change = SettingsChange { color: Some(Color([1, 2, 3])), ..SettingsChange::default() };
    world.room.set(world.now, world.by(1), &change).expect("he may");
    world.settle();
    world.leave(1, Departure::Left);
    assert!(world.room.is_over());
    assert_eq!(world.room.state().settings, Settings::new(RoomKind::Normal));
    assert_eq!(world.try_join(2, 0), Err(Reason::Banned));
    world.join(3);
    assert_eq!(world.holder(), Some(user(3)));
    assert!(world.epoch() > 1, "epochs go on");
}

#[test]
fn bans_end_and_can_be_lifted() {
    let mut world = World::new("a \"room\"");
    world.join(1);
    world.join(2);
    world.told();
    assert_eq!(world.kick(2, 1, None), Err(Reason::NotHolder));
    world.kick(1, 2, Some(120_000)).expect("he may");
    let words =
        ["user 1 banned user 2 from the channel for 2 minutes.", "Banned from \"a \"room\"\" for 2 minutes."];
    assert_eq!(world.notices(), words);
    let evicted = std::mem::take(&mut world.effects.evicted);
    assert_eq!(evicted.iter().map(|gone| gone.seat.user).collect::<Vec<_>>(), [user(2)]);
    assert_eq!(world.try_join(2, 0), Err(Reason::Banned));
    world.pass(SECOND * 119);
    assert_eq!(world.try_join(2, 0), Err(Reason::Banned));
    world.pass(SECOND);
    world.join(2);
    world.kick(1, 2, None).expect("he may");
    world.room.unban(world.now, world.by(1), fact::BanTarget::User(user(2))).expect("he may");
    world.settle();
    world.join(2);
    world.told();
    world.kick(1, 1, Some(0)).expect("oneself as well");
    assert!(world.notices().contains(&"Let it be known that user 1 kickbanned him/her self.".into()));
    assert_eq!(world.holder(), Some(user(2)), "the crown of who is gone goes on");
}

#[test]
fn a_prefix_can_be_banned() {
    let mut world = World::new("a room");
    world.config.ban_prefix = true;
    world.join(1);
    world.join(20);
    world.join(21);
    world.kick(1, 20, None).expect("he may");
    assert_eq!(world.room.len(), 1, "the neighbour has gone too");
    assert_eq!(world.try_join(22, 0), Err(Reason::Banned));
    world.join(30);
}

#[test]
fn an_operator_needs_no_crown() {
    let mut world = World::new("lobby");
    world.join(1);
    world.room.ban_any(world.now, fact::BanTarget::User(user(1)), None).expect("an operator may");
    world.settle();
    assert!(world.room.is_empty());
    assert_eq!(world.try_join(1, 0), Err(Reason::Banned));
}
