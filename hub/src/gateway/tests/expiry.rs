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

/// A world whose rooms end as those of the hub do.
fn ending(max_rooms: usize) -> World {
    let keep_silent = Some(Duration::from_mins(1));
    let rooms = RoomConfig { keep: Some(90 * DAY), keep_silent, ..RoomConfig::default() };
    World::of(
        World::new().now,
        GatewayConfig::default(),
        rooms,
        ChatConfig { max_rooms, ..ChatConfig::default() },
    )
}

fn rooms_of(world: &World) -> Vec<&str> {
    world.made.keys().map(|room| &**room).collect()
}

#[test]
fn names_that_are_visited_leave_nothing_behind() {
    let mut world = ending(1000);
    for room in ["visited", "lobby7", "test/x", "lobby"] {
        let id = world.come(room);
        world.close(id);
    }
    let id = world.come("talked in");
    // The line and the goodbye are one text: they become durable together.
    world.text(id, r#"[{"m":"a","message":"last words"},{"m":"ch","_id":"test/awkward"}]"#);
    world.close(id);
    let (ann, bob) = (world.come("banned from"), world.come("banned from"));
    let user = of(&world.take(bob), "hi")[0]["u"]["_id"].clone();
    world.send(ann, &json!({"m": "kickban", "_id": user, "ms": 600_000}));
    world.close(bob);
    world.close(ann);
    world.pass(Duration::from_secs(59));
    assert_eq!(world.server.logs(), 7, "it is not time yet");
    let id = world.come("visited");
    world.pass(Duration::from_secs(1));
    let stay = ["banned from", "lobby", "talked in", "test/awkward", "visited"];
    assert_eq!(rooms_of(&world), stay);
    world.close(id);
    world.pass(Duration::from_mins(1));
    assert_eq!(rooms_of(&world), stay[..4]);
    let id = world.come("talked in");
    assert_eq!(history(&mut world, id), ["last words"]);
    world.close(id);
    // The ban is over.
    world.pass(Duration::from_mins(9));
    assert_eq!(rooms_of(&world), ["lobby", "talked in", "test/awkward"]);
    let stats = world.server.chat_stats();
    assert!(stats.expired > 0 && stats.expired == stats.expired_silent && stats.expired_early == 0);
}

#[test]
fn who_visits_many_rooms_is_not_stopped_and_who_makes_too_many_hears_so() {
    let mut world = ending(10_000);
    let id = world.come("lobby");
    for number in 0..100 {
        world.send(id, &json!({"m": "ch", "_id": format!("room {number}")}));
        world.pass(Duration::from_millis(500));
    }
    assert!(of(&world.take(id), "notification").is_empty());
    for number in 100..104 {
        world.send(id, &json!({"m": "ch", "_id": format!("room {number}")}));
        world.pass(Duration::from_millis(500));
    }
    let told = world.take(id);
    assert_eq!(of(&told, "notification")[0]["text"], "You have made too many new rooms. Wait a little.");
    world.pass(Duration::from_secs(30));
    world.send(id, &json!({"m": "ch", "_id": "one more"}));
    assert_eq!(of(&world.take(id), "ch")[0]["ch"]["_id"], "one more");
}

#[test]
fn at_the_limit_rooms_end_in_which_nothing_was_said_and_no_others() {
    let mut world = ending(3);
    let stays = world.come("a room");
    let id = world.come("talked in");
    world.send(id, &json!({"m": "a", "message": "hello"}));
    world.close(id);
    let id = world.come("visited");
    world.close(id);
    world.pass(Duration::from_secs(1));
    let id = world.come("third");
    assert_eq!(rooms_of(&world), ["a room", "talked in", "third"], "before its minute is over");
    assert_eq!(world.server.chat_stats().expired_early, 1);
    let refused = world.come("fourth");
    assert_eq!(
        of(&world.take(refused), "notification")[0]["text"],
        "There are too many rooms. Come back later."
    );
    for lobby in ["lobby", "lobby2", "test/awkward"] {
        world.send(refused, &json!({"m": "ch", "_id": lobby}));
        assert_eq!(of(&world.take(refused), "ch")[0]["ch"]["_id"], *lobby, "there is always room for it");
    }
    // More than there may be by now: one that ends makes no room.
    world.close(id);
    let refused = world.come("fifth");
    assert!(!of(&world.take(refused), "notification").is_empty());
    for lobby in ["lobby02", "lobby+2", "lobby0016", "lobby17"] {
        let refused = world.come(lobby);
        assert!(!of(&world.take(refused), "notification").is_empty(), "{lobby} has no place of its own");
    }
    let id = world.come("talked in");
    assert_eq!(history(&mut world, id), ["hello"]);
    for id in [stays, id] {
        world.close(id);
    }
}

#[test]
fn a_ban_is_not_forgotten_for_want_of_a_place() {
    let mut world = ending(3);
    let stays = world.come("a room");
    let (ann, bob) = (world.come("banned from"), world.come("banned from"));
    let user = of(&world.take(bob), "hi")[0]["u"]["_id"].clone();
    world.send(ann, &json!({"m": "kickban", "_id": user, "ms": 600_000}));
    world.close(bob);
    world.close(ann);
    let id = world.come("new");
    assert!(!of(&world.take(id), "notification").is_empty(), "there are three");
    assert_eq!(rooms_of(&world), ["a room", "banned from", "test/awkward"]);
    world.close(id);
    // The ban is over, and the room's minute has just begun.
    world.pass(Duration::from_secs(601));
    let id = world.come("new");
    assert_eq!(rooms_of(&world), ["a room", "new", "test/awkward"]);
    for id in [stays, id] {
        world.close(id);
    }
}

#[test]
fn rooms_in_which_nothing_was_said_end_after_a_restart_as_well() {
    let mut world = ending(10_000);
    let (ann, bob) = (world.come("banned from"), world.come("banned from"));
    let user = of(&world.take(bob), "hi")[0]["u"]["_id"].clone();
    world.send(ann, &json!({"m": "kickban", "_id": user, "ms": 600_000}));
    for room in ["visited", "settled", "in use", "lobby"] {
        world.come(room);
    }
    let talks = world.come("talked in");
    world.send(talks, &json!({"m": "a", "message": "hello"}));
    let long = world.come("long");
    world.send(long, &json!({"m": "a", "message": "long ago"}));
    for number in 0..200 {
        world.send(long, &json!({"m": "chset", "set": {"limit": number % 90}}));
        world.pass(Duration::from_secs(2));
        world.send(ann, &json!({"m": "t"}));
    }
    let rooms = world.server.hall().config().clone();
    let now = world.now;
    let mut world = world.restart_with(now, rooms);
    let before =
        ["banned from", "in use", "lobby", "long", "settled", "talked in", "test/awkward", "visited"];
    let stays = world.come("in use");
    let alive = |world: &mut World, minutes: u64| {
        for _ in 0..minutes * 2 {
            world.pass(Duration::from_secs(30));
            world.send(stays, &json!({"m": "t"}));
        }
    };
    alive(&mut world, 1);
    assert_eq!(rooms_of(&world), before, "people come back");
    alive(&mut world, 2);
    assert_eq!(rooms_of(&world), ["banned from", "in use", "lobby", "long", "talked in", "test/awkward"]);
    alive(&mut world, 12);
    assert_eq!(rooms_of(&world), ["in use", "lobby", "long", "talked in", "test/awkward"], "the ban is over");
    assert!(world.server.hall().room("in use").is_some());
    let id = world.come("long");
    world.close(id);
    alive(&mut world, 3);
    let id = world.come("long");
    assert_eq!(history(&mut world, id), ["long ago"]);
}
