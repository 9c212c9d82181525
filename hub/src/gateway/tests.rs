//! The gateway on a whole server, whose store is a list.

mod direct;
mod expiry;
mod ready;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::{ChatConfig, Record, RoomSalt, RoomState, StoredEntry};
use proto_core::room::RoomConfig;
use proto_core::{ConfigBuilder, Server};
use serde_json::{Value, json};

use super::limits::{MAX_QUEUE, MAX_QUEUE_BYTES};
use super::*;
use crate::store::fuzzing::written_and_read;

struct World {
    server: Server<SocketAddr>,
    gateway: Gateway,
    made: BTreeMap<Arc<str>, (u64, RoomSalt)>,
    logs: BTreeMap<Arc<str>, Vec<StoredEntry>>,
    now: Now,
    /// The store takes nothing.
    is_stuck: bool,
}

impl World {
    fn new() -> Self {
        Self::with(GatewayConfig::default(), RoomConfig::default())
    }

    fn with(config: GatewayConfig, rooms: RoomConfig) -> Self {
        Self::at(Now { mono: Timestamp::from_millis(1_000), unix_ms: 1_700_000_000_000 }, config, rooms)
    }

    fn at(now: Now, config: GatewayConfig, rooms: RoomConfig) -> Self {
        Self::of(now, config, rooms, ChatConfig::default())
    }

    fn of(now: Now, config: GatewayConfig, rooms: RoomConfig, chat: ChatConfig) -> Self {
        let endpoint = ConfigBuilder { accept: true, max_channels: 0, ..ConfigBuilder::chat() };
        let endpoint = endpoint.build().unwrap();
        let server = Server::new(endpoint, adapter_tokio::LINK, chat, [7; 32], now);
        let server = server.with_rooms(now, rooms);
        let (made, logs) = (BTreeMap::new(), BTreeMap::new());
        Self { server, gateway: Gateway::new(config), made, logs, now, is_stuck: false }
    }

    /// Another life of the server, on what the store has.
    fn restart(self) -> Self {
        self.restart_with(Self::new().now, RoomConfig::default())
    }

    fn restart_with(self, now: Now, rooms: RoomConfig) -> Self {
        let mut world = Self::at(now, GatewayConfig::default(), rooms);
        for (room, (epoch, salt)) in &self.made {
            let log = self.logs.get(room).map_or(&[][..], Vec::as_slice);
            let mut state = RoomState::new(Arc::clone(room), *epoch, *salt);
            for entry in log {
                state.apply(entry).unwrap();
            }
            world.server.restore(state).unwrap();
        }
        Self { made: self.made, logs: self.logs, ..world }
    }

    /// Until nothing happens any more: the store does what it is asked, and guests are told.
    fn run(&mut self) {
        loop {
            let mut quiet = true;
            while !self.is_stuck
                && let Some(batch) = self.server.poll_persist(self.now)
            {
                for record in written_and_read(&batch) {
                    match record {
                        Record::Room { room, epoch, salt } => {
                            self.made.insert(room, (epoch, salt));
                        }
                        Record::Entry { room, entry, .. } => self.logs.entry(room).or_default().push(entry),
                        Record::Gone { room, .. } => {
                            self.made.remove(&room);
                            self.logs.remove(&room);
                        }
                    }
                }
                self.server.handle_persisted(self.now, batch.number);
                quiet = false;
            }
            while let Some(read) = self.server.poll_read() {
                let log = self.logs.get(&read.room).map_or(&[][..], Vec::as_slice);
                let page: Vec<_> =
                    log.iter().filter(|e| (read.from..=read.upto).contains(&e.slot)).cloned().collect();
                self.server.handle_read(self.now, read.id, &page);
                quiet = false;
            }
            while let Some(output) = self.server.poll_guest() {
                self.gateway.handle_output(self.now, self.server.hall(), &output);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    fn open(&mut self) -> GuestId {
        self.open_from("192.0.2.1:5000")
    }

    fn open_from(&mut self, address: &str) -> GuestId {
        self.gateway.open(self.now, address.parse().unwrap()).expect("there is room")
    }

    fn text(&mut self, id: GuestId, text: &str) {
        let (gateway, now) = (&mut self.gateway, self.now);
        self.server.with_hall(now, |hall| gateway.handle_text(now, hall, id, text));
        self.run();
    }

    fn send(&mut self, id: GuestId, message: &Value) {
        self.text(id, &json!([message]).to_string());
    }

    fn come(&mut self, room: &str) -> GuestId {
        let id = self.open();
        self.send(id, &json!({"m": "hi"}));
        self.send(id, &json!({"m": "ch", "_id": room}));
        id
    }

    fn close(&mut self, id: GuestId) {
        let (gateway, now) = (&mut self.gateway, self.now);
        self.server.with_hall(now, |hall| gateway.close(now, hall, id));
        self.run();
    }

    fn take_texts(&mut self, id: GuestId) -> (Vec<Bytes>, Option<End>) {
        let (gateway, now, mut texts) = (&mut self.gateway, self.now, Vec::new());
        let end = self.server.with_hall(now, |hall| gateway.take(hall, id, &mut texts));
        self.run();
        (texts, end)
    }

    /// All messages that wait for a guest.
    fn take(&mut self, id: GuestId) -> Vec<Value> {
        let texts = self.take_texts(id).0;
        let messages = texts.iter().map(|text| serde_json::from_slice::<Vec<Value>>(text).expect("JSON"));
        messages.flatten().collect()
    }

    fn names(&mut self, id: GuestId) -> Vec<String> {
        self.take(id).iter().map(|message| message["m"].as_str().unwrap().to_owned()).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.server.handle_timeout(self.now);
        self.gateway.handle_timeout(self.now);
        self.run();
        assert!(self.gateway.poll_timeout().is_none_or(|at| at > self.now.mono), "a deadline in the past");
    }

    fn user(&self, id: GuestId) -> String {
        self.gateway.guests[&id].user.unwrap().to_hex()
    }
}

fn of<'a>(messages: &'a [Value], name: &str) -> Vec<&'a Value> {
    messages.iter().filter(|message| message["m"] == name).collect()
}

#[test]
fn who_comes_is_greeted_shown_the_room_and_what_was_said() {
    let mut world = World::new();
    let id = world.open();
    assert_eq!(world.names(id), ["b"]);
    world.send(id, &json!({"m": "hi", "🐈": 1}));
    let hi = &world.take(id)[0];
    assert_eq!(
        (&hi["m"], &hi["t"], &hi["u"]["name"]),
        (&json!("hi"), &json!(world.now.unix_ms), &json!("Anonymous"))
    );
    world.send(id, &json!({"m": "ch", "_id": "a room", "set": {"color": "#010203", "lobby": true}}));
    let told = world.take(id);
    assert_eq!(told.iter().map(|m| m["m"].as_str().unwrap()).collect::<Vec<_>>(), ["ch", "c", "nq"]);
    let ch = &told[0];
    let own = world.user(id);
    assert_eq!(ch["p"], *own);
    assert_eq!(ch["ch"]["crown"]["participantId"], *own);
    assert_eq!(ch["ch"]["settings"]["color"], "#010203");
    assert_eq!(ch["ch"]["settings"].get("lobby"), None);
    assert_eq!(told[1]["c"], json!([]));
    assert_eq!(told[2], json!({"m": "nq", "allowance": 600, "max": 1800, "maxHistLen": 3}));
}

#[test]
fn a_line_is_told_once_whenever_somebody_comes() {
    let mut world = World::new();
    let ann = world.come("a room");
    for number in 0..10 {
        world.send(ann, &json!({"m": "a", "message": format!("line {number}")}));
    }
    let bob = world.come("a room");
    world.send(ann, &json!({"m": "a", "message": "the eleventh is too much"}));
    world.pass(Duration::from_secs(4));
    world.send(ann, &json!({"m": "a", "message": "later"}));
    let told = world.take(bob);
    let history: Vec<_> =
        of(&told, "c")[0]["c"].as_array().unwrap().iter().map(|line| line["a"].clone()).collect();
    assert_eq!(history, (0..10).map(|number| format!("line {number}")).collect::<Vec<_>>());
    assert_eq!(of(&told, "a").iter().map(|line| &line["a"]).collect::<Vec<_>>(), ["later"]);
}

#[test]
fn a_line_under_the_longest_name_is_written_as_it_can_be_read() {
    let mut world = World::new();
    let (ann, bob) = (world.come("a room"), world.come("a room"));
    let name = "𝓓𝓔𝓥✧".repeat(10);
    world.send(ann, &json!({"m": "userset", "set": {"name": name}}));
    world.send(ann, &json!({"m": "a", "message": "hello"}));
    let told = world.take(bob);
    assert_eq!(of(&told, "p").last().unwrap()["name"], *name, "others see all of it");
    let signed = of(&told, "a")[0]["p"]["name"].as_str().unwrap();
    assert!(!signed.is_empty() && name.starts_with(signed), "{signed:?}");
}

#[test]
fn a_room_is_whole_after_any_coming_and_going_while_the_store_was_stuck() {
    let rooms = RoomConfig { allowed: proto_core::room::Limits::UNLIMITED, ..RoomConfig::default() };
    let mut world = World::with(GatewayConfig::default(), rooms);
    let first = world.come("a room");
    world.is_stuck = true;
    world.close(first);
    for _ in 0..100 {
        let id = world.come("a room");
        world.close(id);
    }
    let last = world.come("a room");
    world.is_stuck = false;
    world.run();
    let (told, own) = (world.take(last), world.user(last));
    assert_eq!(of(&told, "ch").last().expect("it is in")["ch"]["crown"]["participantId"], *own);
    world.send(last, &json!({"m": "chset", "set": {"limit": 9}}));
    assert_eq!(of(&world.take(last), "ch").last().unwrap()["ch"]["settings"]["limit"], 9);
    assert!(
        world.logs["a room"].len() < 40,
        "nobody has heard of most of it: {}",
        world.logs["a room"].len()
    );
    world.close(last);
    assert!(world.server.hall().room("a room").is_none(), "nothing is under way");
}

#[test]
fn nobody_makes_rooms_without_end_nor_by_coming_again() {
    let mut world = World::new();
    let mut made = Vec::new();
    for visit in 0..3 {
        let id = world.open_from("192.0.2.1:5000");
        world.send(id, &json!({"m": "hi", "token": "the token of one who makes rooms"}));
        for number in 0..110 {
            world.send(id, &json!({"m": "ch", "_id": format!("room {visit} {number}")}));
            world.pass(Duration::from_millis(500));
        }
        // Where everybody is sent, and where somebody was before, there is always a way.
        for room in ["lobby", "room 0 0"] {
            world.take(id);
            world.send(id, &json!({"m": "ch", "_id": room}));
            assert_eq!(of(&world.take(id), "ch").last().expect("it is let in")["ch"]["_id"], room);
        }
        made.push(world.made.keys().filter(|room| room.starts_with("room")).count());
        world.close(id);
        world.pass(Duration::from_mins(2));
    }
    // 100, and one more every 30 s: a visit takes three minutes.
    assert!((100..=102).contains(&made[0]), "{made:?}");
    assert!(made.windows(2).all(|two| two[1] - two[0] <= 6), "{made:?}");
    world.pass(Duration::from_mins(10));
    let id = world.open();
    world.send(id, &json!({"m": "hi", "token": "the token of one who makes rooms"}));
    world.send(id, &json!({"m": "ch", "_id": "one more"}));
    assert!(world.made.contains_key("one more"));
}

#[test]
fn a_numbered_line_is_said_once_and_its_guest_is_told_when_it_is_not() {
    let mut world = World::new();
    let come = |world: &mut World| {
        let id = world.open();
        world.send(id, &json!({"m": "hi", "token": "the secret token of ann"}));
        world.send(id, &json!({"m": "ch", "_id": "a room"}));
        id
    };
    let ear = world.come("a room");
    let ann = come(&mut world);
    world.send(ann, &json!({"m": "a", "message": "hello", "nr": 1}));
    world.close(ann);
    let ann = come(&mut world);
    for nr in [1, 2, 3, 4, 5] {
        world.send(ann, &json!({"m": "a", "message": format!("line {nr}"), "nr": nr}));
    }
    world.send(ann, &json!({"m": "a", "message": "nobody asks"}));
    let lines = |told: &[Value]| of(told, "a").iter().map(|line| line["a"].clone()).collect::<Vec<_>>();
    assert_eq!(lines(&world.take(ear)), ["hello", "line 2", "line 3", "line 4"]);
    let told = world.take(ann);
    let unsaid = |nr, why, is_final| json!({"m": "unsaid", "nr": nr, "why": why, "final": is_final});
    assert_eq!(of(&told, "unsaid"), [&unsaid(5, "rate", false)]);
    world.pass(Duration::from_secs(4));
    for _ in 0..2 {
        world.send(ann, &json!({"m": "a", "message": "line 5", "nr": 5}));
    }
    world.send(ann, &json!({"m": "a", "message": " ", "nr": 6}));
    assert_eq!(lines(&world.take(ear)), ["line 5"]);
    let told = world.take(ann);
    assert_eq!(of(&told, "unsaid"), [&unsaid(6, "nobody could read it", true)]);
    assert_eq!(world.server.hall().stats().said_again, 2);
}

#[test]
fn a_line_for_which_the_log_has_no_room_may_be_said_again() {
    let rooms = RoomConfig { allowed: proto_core::room::Limits::UNLIMITED, ..RoomConfig::default() };
    let mut world = World::with(GatewayConfig::default(), rooms);
    let ann = world.come("a room");
    world.is_stuck = true;
    for nr in 0..70 {
        world.send(ann, &json!({"m": "a", "message": format!("line {nr}"), "nr": nr}));
    }
    let refused: Vec<_> = of(&world.take(ann), "unsaid").iter().map(|unsaid| unsaid["nr"].clone()).collect();
    assert_eq!(refused, [64, 65, 66, 67, 68, 69]);
    world.is_stuck = false;
    world.run();
    for nr in refused {
        world.send(ann, &json!({"m": "a", "message": format!("line {nr}"), "nr": nr}));
    }
    let lines: Vec<_> = of(&world.take(ann), "a").iter().map(|line| line["a"].clone()).collect();
    assert_eq!(lines, (0..70).map(|nr| format!("line {nr}")).collect::<Vec<_>>());
}

#[test]
fn a_line_for_another_room_is_not_said_in_this_one() {
    let mut world = World::new();
    let (ann, ear) = (world.come("a room"), world.come("a room"));
    for (nr, room) in [(1, json!("a room")), (2, json!("b room")), (3, json!(7))] {
        world.send(ann, &json!({"m": "a", "message": format!("line {nr}"), "nr": nr, "room": room}));
    }
    world.send(ann, &json!({"m": "a", "message": "nobody asks", "room": "b room"}));
    let lines: Vec<_> = of(&world.take(ear), "a").iter().map(|line| line["a"].clone()).collect();
    assert_eq!(lines, ["line 1", "line 3"]);
    let unsaid = json!({"m": "unsaid", "nr": 2, "why": "it was for another room", "final": true});
    assert_eq!(of(&world.take(ann), "unsaid"), [&unsaid]);
    assert_eq!(world.gateway.stats().ignored_for(Ignored::Elsewhere), 2);
}

#[test]
fn cursors_of_those_who_are_gone_are_forgotten() {
    let mut world = World::new();
    let stays = world.come("a room");
    for number in 0..50 {
        let id = world.come("a room");
        world.send(id, &json!({"m": "m", "x": number, "y": 1}));
        world.pass(Duration::from_millis(600));
        world.close(id);
        world.pass(Duration::from_secs(1));
        world.send(stays, &json!({"m": "t"}));
    }
    let here = &world.gateway.places["a room"];
    assert_eq!((here.shown.len(), here.guests.len()), (0, 1));
    world.send(stays, &json!({"m": "ch", "_id": "b room"}));
    assert_eq!(world.gateway.places.keys().map(|room| &**room).collect::<Vec<_>>(), ["b room"]);
    world.close(stays);
    assert!(world.gateway.places.is_empty(), "a room without guests");
}

#[test]
fn who_was_behind_gets_the_list_of_rooms_again() {
    let rooms = RoomConfig { allowed: proto_core::room::Limits::UNLIMITED, ..RoomConfig::default() };
    let mut world = World::with(GatewayConfig { limits: false, ..GatewayConfig::default() }, rooms);
    let (ann, slow) = (world.come("a room"), world.come("a room"));
    world.send(slow, &json!({"m": "+ls"}));
    for number in 0..2 * MAX_QUEUE {
        world.send(ann, &json!({"m": "a", "message": format!("line {number}")}));
        world.take(ann);
    }
    let _other = world.come("another room");
    world.pass(Duration::from_secs(1));
    let mut told = world.take(slow);
    told.clear();
    loop {
        let more = world.take(slow);
        if more.is_empty() {
            break;
        }
        told.extend(more);
    }
    let list = *of(&told, "ls").last().expect("the list comes again");
    assert_eq!(list["c"], true);
    let rooms: Vec<_> = list["u"].as_array().unwrap().iter().map(|room| room["_id"].clone()).collect();
    assert_eq!(rooms, ["a room", "another room"]);
}

#[test]
fn a_second_colour_goes_unless_it_is_said_again() {
    let mut world = World::new();
    let ann = world.come("a room");
    for (set, second) in [
        (json!({"color": "#010203", "color2": "#040506"}), json!("#040506")),
        (json!({"chat": false}), Value::Null),
        (json!({"color2": "#070809"}), json!("#070809")),
        (json!({"color": "#0a0b0c"}), Value::Null),
    ] {
        world.send(ann, &json!({"m": "chset", "set": set}));
        let told = world.take(ann);
        assert_eq!(of(&told, "ch").last().unwrap()["ch"]["settings"]["color2"], second);
    }
}

#[test]
fn holders_of_a_token_are_the_same_user_and_a_salt_decides_by_address() {
    let mut world = World::new();
    let ids: Vec<_> = ["a token that is long enough", "a token that is long enough", "short", "short"]
        .map(|token| {
            let id = world.open();
            world.send(id, &json!({"m": "hi", "token": token}));
            world.user(id)
        })
        .into();
    assert!(ids[0] == ids[1] && ids[2] != ids[3], "{ids:?}");
    let rooms = RoomConfig { salt: Some(b"a salt of some length".to_vec()), ..RoomConfig::default() };
    let mut world = World::with(GatewayConfig::default(), rooms);
    let ids: Vec<_> = ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "[2001:db8::1]:1"]
        .map(|address| {
            let id = world.open_from(address);
            world.send(id, &json!({"m": "hi", "token": address.repeat(5)}));
            world.user(id)
        })
        .into();
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && ids[2] != ids[3], "{ids:?}");
}

#[test]
fn cursors_are_told_to_others_once() {
    let mut world = World::new();
    let (ann, bob) = (world.come("a room"), world.come("a room"));
    world.take(ann);
    world.take(bob);
    world.send(ann, &json!({"m": "m", "x": "12.345", "y": -3}));
    world.send(bob, &json!({"m": "m", "x": 400, "y": 1e300}));
    for _ in 0..30 {
        world.pass(Duration::from_millis(50));
    }
    let (a, b) = (world.user(ann), world.user(bob));
    assert_eq!(world.take(bob), [json!({"m": "m", "id": a, "x": "12.35", "y": "-3.00"})]);
    assert_eq!(world.take(ann), [json!({"m": "m", "id": b, "x": "327.67", "y": "327.67"})]);
}

#[test]
fn notes_keep_what_makes_sense_of_them() {
    let mut world = World::new();
    let (ann, bob) = (world.come("a room"), world.come("a room"));
    world.take(ann);
    world.take(bob);
    let at = world.now.unix_ms - 100;
    let notes = json!([
        {"n": "a1"}, {"n": "cs-1", "v": 0.123, "d": 7}, {"n": "b2", "s": 1, "d": 1000}, {"n": "b2", "v": 9},
        {"n": "c3", "v": 0}, {"n": ""}, {"n": 3}, {"n": "a b"}, {"v": 1}, 5, null, {"n": "d4", "v": "x"},
    ]);
    world.send(ann, &json!({"m": "n", "t": format!("{at}.25").parse::<f64>().unwrap(), "n": notes}));
    let own = world.user(ann);
    let expected = json!([
        {"n": "a1"}, {"n": "cs-1", "v": 0.123, "d": 7}, {"n": "b2", "s": 1, "d": 200}, {"n": "b2", "v": 1},
        {"n": "c3", "v": 0},
    ]);
    assert_eq!(world.take(bob), [json!({"m": "n", "t": at, "n": expected, "p": own})]);
    assert!(world.take(ann).is_empty(), "nobody hears himself");
    world.send(ann, &json!({"m": "n", "t": 5, "n": [{"n": "a1"}]}));
    assert_eq!(world.take(bob)[0]["t"], world.now.unix_ms, "a time that nobody could use");
}

#[test]
fn row_44_a_guest_that_does_not_read_is_bounded_gets_the_whole_state_or_is_sent_away() {
    let mut world = World::with(
        GatewayConfig { limits: false, ..GatewayConfig::default() },
        RoomConfig {
            allowed: proto_core::room::Limits::UNLIMITED,
            note_quota: false,
            ..RoomConfig::default()
        },
    );
    let (ann, slow, quick) = (world.come("a room"), world.come("a room"), world.come("a room"));
    world.take(slow);
    let notes = json!({"m": "n", "t": world.now.unix_ms, "n": vec![json!({"n": "a1", "v": 0.5}); 100]});
    for _ in 0..2 * MAX_QUEUE {
        world.send(ann, &notes);
        world.take(quick);
        world.take(ann);
        assert!(world.gateway.guests[&slow].queued() <= MAX_QUEUE_BYTES);
    }
    let played = world.gateway.stats().dropped_for(Dropped::Play);
    assert!(played > 0 && world.gateway.guests[&slow].behind.is_none(), "notes are just lost");
    for number in 0..2 * MAX_QUEUE {
        world.send(ann, &json!({"m": "a", "message": format!("line {number}")}));
        world.take(quick);
        world.take(ann);
    }
    let stats = world.gateway.stats();
    assert_eq!(stats.dropped_for(Dropped::State), 1, "the first");
    assert!(stats.dropped_for(Dropped::Behind) > 0);
    // It reads again: all that it missed is made good, nothing is told twice.
    world.pass(SLOW_FOR / 2);
    let mut lines: Vec<String> = Vec::new();
    let mut rooms = 0;
    loop {
        let told = world.take(slow);
        if told.is_empty() {
            break;
        }
        rooms += of(&told, "ch").len();
        lines.extend(of(&told, "a").iter().map(|line| line["a"].as_str().unwrap().to_owned()));
    }
    assert_eq!(rooms, 1);
    let last: Vec<_> = (2 * MAX_QUEUE - 32..2 * MAX_QUEUE).map(|number| format!("line {number}")).collect();
    assert_eq!(lines[lines.len() - 32..], last);
    let mut unique = lines.clone();
    unique.dedup();
    assert_eq!(unique, lines);
    // And again, but now it does not.
    for number in 0..2 * MAX_QUEUE {
        world.send(ann, &json!({"m": "a", "message": format!("{number}").repeat(50)}));
        world.take(quick);
        world.take(ann);
    }
    assert!(world.gateway.end_of(slow).is_none());
    world.pass(SLOW_FOR);
    assert_eq!(world.gateway.end_of(slow), Some(End::SLOW));
    assert_eq!(world.gateway.end_of(quick), None);
    assert_eq!(world.gateway.stats().ended_for(End::SLOW), 1);
}

#[test]
fn the_silent_the_loud_and_those_who_say_bye_are_sent_away() {
    let mut world = World::new();
    let (silent, loud, bye, alive) = (world.open(), world.open(), world.come("a room"), world.come("a room"));
    world.send(bye, &json!({"m": "bye"}));
    assert_eq!(world.take_texts(bye).1, Some(End::BYE));
    world.close(bye);
    for _ in 0..17 {
        world.text(loud, &"x".repeat(1000));
    }
    assert_eq!(world.gateway.end_of(loud), Some(End::BYTES), "before hi there is little to say");
    for _ in 0..3000 {
        world.text(alive, "[]");
    }
    assert_eq!(world.gateway.end_of(alive), Some(End::MESSAGES));
    assert_eq!(world.gateway.end_of(silent), None);
    let still = world.come("a room");
    world.pass(Duration::from_secs(40));
    world.send(still, &json!({"m": "t", "e": 12.5}));
    world.pass(Duration::from_secs(20));
    assert_eq!((world.gateway.end_of(silent), world.gateway.end_of(still)), (Some(End::SILENT), None));
    assert_eq!(of(&world.take(still), "t")[0]["e"], 12.5);
}

#[test]
fn as_many_guests_as_there_may_be() {
    let mut world =
        World::with(GatewayConfig { max_guests: 2, ..GatewayConfig::default() }, RoomConfig::default());
    let (first, _second) = (world.open(), world.open());
    let address = "192.0.2.1:1".parse().unwrap();
    assert_eq!(world.gateway.open(world.now, address), None);
    world.close(first);
    assert!(world.gateway.open(world.now, address).is_some());
    world.gateway.drain();
    assert_eq!((world.gateway.open(world.now, address), world.gateway.stats().refused), (None, 2));
}

#[test]
fn what_makes_no_sense_is_ignored_and_counted_once() {
    let mut world = World::new();
    let (id, ear) = (world.come("a room"), world.come("a room"));
    world.take(id);
    world.take(ear);
    let cases = [
        (Ignored::NotJson, vec!["", "{", "[}", "nul", "[1,]", "\u{0}"]),
        (
            Ignored::NotMessages,
            vec!["null", "7", "\"[]\"", "{\"m\":\"t\"}", "[[]]", "[null]", "[{}]", "[{\"m\":7}]"],
        ),
        (
            Ignored::Unknown,
            vec![r#"[{"m":"x"}]"#, r#"[{"m":""}]"#, r#"[{"m":"__proto__"}]"#, r#"[{"m":"hi "}]"#],
        ),
        (Ignored::Again, vec![r#"[{"m":"hi"}]"#]),
        (
            Ignored::BadField,
            vec![
                r#"[{"m":"m"}]"#,
                r#"[{"m":"m","x":"NaN","y":1}]"#,
                r#"[{"m":"n"}]"#,
                r#"[{"m":"n","t":1,"n":[]}]"#,
                r#"[{"m":"n","t":"1","n":[{"n":"a1"}]}]"#,
                r#"[{"m":"ch"}]"#,
                r#"[{"m":"ch","_id":["x"]}]"#,
                r#"[{"m":"a"}]"#,
                r#"[{"m":"a","message":{}}]"#,
                r#"[{"m":"userset"}]"#,
                r#"[{"m":"userset","set":{"name":7,"color":"red"}}]"#,
                r#"[{"m":"chset","set":[]}]"#,
                r#"[{"m":"kickban","_id":"zz"}]"#,
                r#"[{"m":"unban"}]"#,
            ],
        ),
    ];
    for (why, texts) in cases {
        let before: Vec<_> = Ignored::ALL.iter().map(|why| world.gateway.stats().ignored_for(*why)).collect();
        for text in &texts {
            world.text(id, text);
        }
        for (other, before) in Ignored::ALL.iter().zip(before) {
            let expected = if *other == why { texts.len() as u64 } else { 0 };
            assert_eq!(world.gateway.stats().ignored_for(*other) - before, expected, "{other:?} at {why:?}");
        }
    }
    assert!(world.take(id).is_empty() && world.take(ear).is_empty());
    assert_eq!(world.gateway.end_of(id), None);
}

#[test]
fn a_crown_waits_for_its_holder_over_a_restart() {
    let token = |name: &str| json!({"m": "hi", "token": format!("the secret token of {name}")});
    let come = |world: &mut World, name: &str| {
        let id = world.open();
        world.send(id, &token(name));
        world.send(id, &json!({"m": "ch", "_id": "a room"}));
        id
    };
    let mut world = World::new();
    let (ann, _bob) = (come(&mut world, "ann"), come(&mut world, "bob"));
    let own = world.user(ann);
    let mut world = world.restart();
    let bob = come(&mut world, "bob");
    let ch = of(&world.take(bob), "ch")[0].clone();
    assert_eq!(ch["ch"]["crown"]["userId"], *own);
    assert_eq!(ch["ch"]["crown"].get("participantId"), None, "she is not there");
    come(&mut world, "ann");
    let told = world.take(bob);
    assert_eq!(of(&told, "ch").last().unwrap()["ch"]["crown"]["participantId"], *own);
}

/// A small generator of numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn value(&mut self, users: &[String], depth: usize) -> Value {
        match self.roll(if depth == 0 { 9 } else { 11 }) {
            0 => Value::Null,
            1 => json!(self.roll(2) == 0),
            2 => json!(500 - i64::try_from(self.roll(1000)).unwrap()),
            3 => json!([f64::MAX, f64::MIN_POSITIVE, -0.0, 1e18, 0.5][self.roll(5)]),
            4 => json!(users[self.roll(users.len())]),
            5 => json!("\u{202e}✧\u{0}\"\\".repeat(self.roll(200))),
            6 => json!(["lobby", "test/x", "a room", "", "#123456", "Ann", "a1"][self.roll(7)]),
            7 => json!(u64::MAX),
            8 => json!({"n": "a1", "v": 0.5, "d": self.roll(300)}),
            9 => (0..self.roll(5)).map(|_| self.value(users, depth - 1)).collect(),
            _ => self.object(users, depth - 1),
        }
    }

    fn object(&mut self, users: &[String], depth: usize) -> Value {
        const FIELDS: [&str; 22] = [
            "_id",
            "set",
            "message",
            "t",
            "n",
            "x",
            "y",
            "e",
            "id",
            "ms",
            "name",
            "color",
            "color2",
            "visible",
            "chat",
            "crownsolo",
            "limit",
            "minOnlineTime",
            "allowBots",
            "no cussing",
            "token",
            "v",
        ];
        (0..self.roll(6)).map(|_| (FIELDS[self.roll(22)].to_owned(), self.value(users, depth))).collect()
    }

    fn message(&mut self, users: &[String]) -> Value {
        const NAMES: [&str; 17] = [
            "hi", "ch", "a", "n", "m", "t", "userset", "+ls", "-ls", "chset", "chown", "kickban", "unban",
            "devices", "dm", "custom", "x",
        ];
        let mut message = self.object(users, 3);
        message["m"] = json!(NAMES[self.roll(17)]);
        message
    }
}

#[test]
fn whatever_guests_send_nothing_breaks_and_all_that_they_get_is_json() {
    for seed in 0..8 {
        let mut dice = Dice(seed);
        let mut world = World::with(
            GatewayConfig { limits: seed % 2 == 0, ..GatewayConfig::default() },
            RoomConfig { allowed: proto_core::room::Limits::UNLIMITED, ..RoomConfig::default() },
        );
        let mut ids: Vec<_> = (0..6).map(|_| world.come("a room")).collect();
        for step in 0..3000 {
            let index = dice.roll(ids.len());
            let users: Vec<_> = ids.iter().map(|id| world.user(*id)).collect();
            match dice.roll(40) {
                0 => {
                    world.close(ids[index]);
                    ids[index] = world.come(["a room", "lobby", "test/x"][dice.roll(3)]);
                }
                1 => world.pass(Duration::from_millis(dice.roll(3000) as u64)),
                2 => {
                    let mut text = json!([dice.message(&users)]).to_string().into_bytes();
                    let at = dice.roll(text.len());
                    text[at] = (dice.roll(95) + 32) as u8;
                    world.text(ids[index], &String::from_utf8_lossy(&text));
                }
                _ => {
                    let message = dice.message(&users);
                    world.send(ids[index], &message);
                }
            }
            if step % 50 == 0 {
                for &id in &ids {
                    for message in world.take(id) {
                        assert!(message["m"].is_string(), "{message}");
                    }
                }
            }
            if world.gateway.end_of(ids[index]).is_some() {
                world.close(ids[index]);
                ids[index] = world.come("a room");
            }
        }
        // Whoever does as he should is heard by others all the same.
        let (ann, bob) = (world.come("a quiet room"), world.come("a quiet room"));
        world.take(bob);
        world.send(ann, &json!({"m": "a", "message": "hello"}));
        assert_eq!(of(&world.take(bob), "a")[0]["a"], "hello");
        ids.extend([ann, bob]);
        for id in ids {
            world.close(id);
        }
        assert_eq!((world.gateway.guests(), world.gateway.queued_bytes()), (0, 0));
        assert_eq!(world.server.hall().peers(), 0);
        assert!(world.gateway.deadlines.is_empty());
    }
}
