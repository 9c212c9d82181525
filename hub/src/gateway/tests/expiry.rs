//! Rooms that nobody comes to any more.

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn history(world: &mut World, id: GuestId) -> Vec<Value> {
    let told = world.take(id);
    let history = of(&told, "c")[0]["c"].as_array().unwrap().clone();
    history.iter().map(|line| line["a"].clone()).collect()
}

#[test]
fn a_room_is_kept_for_its_time_and_with_people_in_it_for_ever() {
    let rooms = RoomConfig { keep: Some(7 * DAY), ..RoomConfig::default() };
    let mut world = World::with(GatewayConfig::default(), rooms);
    for room in ["left", "test/left", "lobby7", "test/awkward", "lobby"] {
        let id = world.come(room);
        world.send(id, &json!({"m": "a", "message": "hello"}));
        world.close(id);
    }
    let stays = world.come("silent");
    world.send(stays, &json!({"m": "a", "message": "hello"}));
    let alive = |world: &mut World| {
        world.send(stays, &json!({"m": "t"}));
    };
    for _ in 0..6 * 24 * 60 {
        world.pass(Duration::from_mins(1));
        alive(&mut world);
    }
    assert_eq!(world.server.logs(), 6, "it is not time yet");
    let id = world.come("left");
    assert_eq!(history(&mut world, id), ["hello"], "who comes in time finds what was said");
    world.close(id);
    for _ in 0..6 * 24 * 60 {
        world.pass(Duration::from_mins(1));
        alive(&mut world);
    }
    assert_eq!(
        world.server.logs(),
        4,
        "the time begins anew when the last one leaves, and those of strangers are over"
    );
    for _ in 0..2 * 24 * 60 {
        world.pass(Duration::from_mins(1));
        alive(&mut world);
    }
    assert_eq!((world.server.logs(), world.server.chat_stats().expired), (3, 3));
    assert!(!world.logs.contains_key("left") && world.logs.contains_key("silent"));
    let id = world.come("left");
    assert!(history(&mut world, id).is_empty(), "it is another room");
    world.send(id, &json!({"m": "a", "message": "anew"}));
    let id = world.come("left");
    assert_eq!(history(&mut world, id), ["anew"]);
    for room in ["silent", "test/awkward", "lobby"] {
        let id = world.come(room);
        assert_eq!(history(&mut world, id), ["hello"], "{room}");
    }
}

#[test]
fn rooms_end_a_few_at_a_time_and_not_at_once_after_a_start() {
    let unlimited = proto_core::room::Limits::UNLIMITED;
    let keep = Some(Duration::from_hours(2));
    let rooms = RoomConfig { keep, allowed: unlimited, ..RoomConfig::default() };
    let mut world = World::with(GatewayConfig::default(), rooms.clone());
    for number in 0..150 {
        let id = world.come(&format!("room {number}"));
        world.close(id);
    }
    world.now.mono += 8 * DAY;
    world.now.unix_ms += 8 * DAY.as_millis() as u64;
    let now = world.now;
    let mut world = world.restart_with(now, rooms);
    // It is looked for them every 15 minutes, and their time begins when that is done first.
    for _ in 0..149 {
        world.pass(Duration::from_mins(1));
    }
    assert_eq!(world.server.logs(), 150, "the time without a server does not count");
    let back = world.come("room 7");
    world.pass(Duration::from_mins(1));
    assert_eq!(world.server.logs(), 150 - 64);
    world.pass(Duration::from_secs(1));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.server.logs(), 1, "the one with somebody in it");
    world.close(back);
}
