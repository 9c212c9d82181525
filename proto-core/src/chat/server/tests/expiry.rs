//! Logs of rooms in which nobody has been for long.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Fixture, connection, fixture, with};
use crate::chat::message::{ClientAppend, Message};
use crate::chat::{ChatConfig, Kind, PersistFailure, Record, RoomSalt, RoomState};

const KEEP: Duration = Duration::from_mins(1);

fn expire(f: &mut Fixture) -> usize {
    f.server.expire(f.now, KEEP, 64, |_| false)
}

fn leave(f: &mut Fixture, from: u32) {
    f.server.handle_disconnected(f.now, connection(from));
}

/// Client 1 has said two things, and is gone for longer than logs are kept.
fn left() -> Fixture {
    let mut f = fixture();
    f.join(1);
    f.fill(1, 2);
    leave(&mut f, 1);
    f.wait(60_001);
    f
}

fn kinds(f: &mut Fixture) -> (Vec<char>, u64) {
    let batch = f.batch().expect("there is something to write");
    let kind = |record: &Record| match record {
        Record::Room { .. } => 'r',
        Record::Entry { .. } => 'e',
        Record::Gone { .. } => 'g',
    };
    (batch.records.iter().map(kind).collect(), batch.number)
}

#[test]
fn a_room_that_is_long_empty_ends_and_begins_anew_under_another_epoch() {
    let mut f = left();
    let before = f.server.epoch_of("r");
    assert_eq!((expire(&mut f), f.server.epoch_of("r"), f.server.logs()), (1, None, 0));
    f.join_as(2, 1, 2);
    assert!(f.said().is_empty(), "nobody is let in before it is durable");
    let (records, number) = kinds(&mut f);
    assert_eq!(records, ['g', 'r'], "the end comes first");
    f.server.handle_persisted(f.now, number);
    assert_eq!(f.said(), ["2: joined 0 0"], "nothing is known of the old log");
    assert!(f.server.epoch_of("r") != before && f.server.stats().expired == 1);
    f.append(2, 1, "again");
    assert_eq!(f.commit(), ["again"]);
}

#[test]
fn a_room_stays_until_its_time_and_as_long_as_anybody_is_there() {
    let mut f = fixture();
    f.join(1);
    f.fill(1, 1);
    f.wait(600_000);
    assert_eq!(expire(&mut f), 0, "somebody is there who says nothing");
    leave(&mut f, 1);
    f.server.open_log("r", false).expect("it is there");
    assert_eq!(expire(&mut f), 0, "somebody within the server needs it");
    f.server.close_log(f.now, "r");
    assert_eq!(expire(&mut f), 0, "it was used just now");
    f.wait(60_000);
    assert_eq!(expire(&mut f), 0);
    f.wait(1);
    assert_eq!(f.server.expire(f.now, KEEP, 64, |name| name == "r"), 0, "it is to be kept");
    assert_eq!(f.server.expire(f.now, KEEP, 0, |_| false), 0, "none at once");
    assert_eq!(expire(&mut f), 1);
}

#[test]
fn what_waits_to_be_durable_keeps_its_room() {
    let mut f = fixture();
    f.join(1);
    f.append(1, 1, "late");
    leave(&mut f, 1);
    f.wait(60_001);
    assert_eq!(expire(&mut f), 0);
    assert_eq!(f.commit(), ["late"]);
    assert_eq!(expire(&mut f), 0, "it was committed just now");
}

#[test]
fn a_read_that_is_under_way_keeps_its_room() {
    let mut f = with(ChatConfig { tail_entries: 1, ..ChatConfig::default() });
    f.join(1);
    f.fill(1, 5);
    f.update(1, 5, 5);
    let read = f.server.poll_read().expect("the tail does not have them");
    leave(&mut f, 1);
    f.wait(60_001);
    assert_eq!(expire(&mut f), 0);
    f.server.handle_read(f.now, read.id, &[]);
    assert_eq!(expire(&mut f), 1);
}

#[test]
fn an_end_that_fails_is_tried_again_before_what_came_after_it() {
    let mut f = left();
    assert_eq!(expire(&mut f), 1);
    let (records, number) = kinds(&mut f);
    assert_eq!(records, ['g']);
    f.join_as(2, 1, 2);
    let (records, _) = kinds(&mut f);
    assert_eq!(records, ['r']);
    f.server.handle_persist_failed(f.now, number, PersistFailure::Full);
    assert!(f.batch().is_none(), "the disk is left alone");
    assert_eq!(expire(&mut f), 0, "nothing more ends meanwhile");
    f.wait(1000);
    let (records, number) = kinds(&mut f);
    assert_eq!(records, ['g', 'r']);
    f.server.handle_persisted(f.now, number);
    assert_eq!(f.said().last().map(|said| &**said), Some("2: joined 0 0"));
}

#[test]
fn an_end_that_fails_alone_leaves_the_disk_alone() {
    let mut f = left();
    expire(&mut f);
    let (_, number) = kinds(&mut f);
    f.server.handle_persist_failed(f.now, number, PersistFailure::Full);
    assert!(f.batch().is_none(), "it is not tried again at once");
    f.wait(1000);
    assert_eq!(kinds(&mut f).0, ['g']);
}

#[test]
fn the_place_of_a_log_that_has_ended_is_free() {
    let mut f = with(ChatConfig { max_rooms: 2, ..ChatConfig::default() });
    for round in 0..20 {
        for name in ["x", "y"] {
            f.server.open_log(name, false).unwrap_or_else(|_| panic!("{name} in round {round}"));
        }
        assert!(f.server.open_log("z", false).is_err(), "there are two");
        f.commit();
        for name in ["x", "y"] {
            f.server.close_log(f.now, name);
        }
        f.wait(60_001);
        assert_eq!(expire(&mut f), 2);
        f.commit();
        assert!(f.server.rooms.len() <= 3, "places are used again");
    }
}

/// A server that has a room from its store, in which nobody has been for three minutes more than in another one.
fn restored() -> Fixture {
    let mut f = fixture();
    for (name, last_ms) in [("old", f.now.unix_ms - 300_000), ("new", f.now.unix_ms - 120_000)] {
        let state = RoomState { last_ms, ..RoomState::new(name.into(), 7, RoomSalt([1; 32])) };
        f.server.restore(state).expect("it is sound");
    }
    f
}

#[test]
fn the_time_for_which_no_server_ran_does_not_count_and_the_first_of_its_run_ends_nothing() {
    let mut f = restored();
    assert_eq!(expire(&mut f), 0, "it has just begun");
    f.wait(59_999);
    assert_eq!(expire(&mut f), 0);
    f.wait(1);
    assert_eq!(
        (expire(&mut f), f.server.epoch_of("old")),
        (1, None),
        "the other was used three minutes later"
    );
    f.commit();
    f.wait(1);
    assert_eq!((expire(&mut f), f.server.epoch_of("new")), (1, None));
}

#[test]
fn a_clock_that_is_set_ends_nothing() {
    let mut f = restored();
    expire(&mut f);
    f.join(1);
    f.fill(1, 1);
    leave(&mut f, 1);
    f.now.unix_ms += 365 * 86_400_000;
    f.wait(30_000);
    assert_eq!(expire(&mut f), 0, "set forward");
    let right = f.now.unix_ms - 365 * 86_400_000;
    f.now.unix_ms = 0;
    f.wait(20_000);
    assert_eq!(expire(&mut f), 0, "set back");
    f.now.unix_ms = right;
    f.wait(5_000);
    assert_eq!(expire(&mut f), 0, "and right again");
}

#[test]
fn a_room_that_was_used_while_the_clock_was_wrong_is_as_old_as_any() {
    const YEAR: u64 = 365 * 86_400_000;
    for is_behind in [true, false] {
        let mut f = fixture();
        let right = f.now.unix_ms + YEAR;
        f.now.unix_ms = if is_behind { right - YEAR } else { right + YEAR };
        f.join(1);
        f.fill(1, 2);
        leave(&mut f, 1);
        f.now.unix_ms = right;
        f.wait(60_000);
        assert_eq!(expire(&mut f), 0, "{is_behind}");
        f.wait(1);
        assert_eq!(expire(&mut f), 1, "{is_behind}");
    }
}

#[test]
fn a_store_that_knows_no_time_has_that_of_the_start() {
    let mut f = fixture();
    f.server.restore(RoomState::new("old".into(), 7, RoomSalt([1; 32]))).expect("it is sound");
    f.wait(1_000_000);
    assert_eq!(expire(&mut f), 0);
    f.join(1);
    f.fill(1, 1);
    leave(&mut f, 1);
    f.wait(60_001);
    assert_eq!((expire(&mut f), f.server.logs()), (2, 0));
}

#[test]
fn a_room_is_not_silent_in_which_a_client_wrote_anything() {
    for kind in [Kind::TEXT, Kind(7), Kind(255)] {
        let mut f = fixture();
        f.join(1);
        let author_ms = f.now.unix_ms;
        let append = ClientAppend { room: "r", sequence: 1, seen: 0, author_ms, kind, body: b"mine" };
        f.hand_in(1, &Message::ClientAppend(append));
        assert_eq!(f.commit(), ["mine"]);
        leave(&mut f, 1);
        f.wait(60_001);
        assert!(f.server.end_silent(f.now, KEEP, &["r".into()]));
        assert_eq!(f.server.logs(), 1, "{kind:?}");
    }
    let mut f = fixture();
    f.join(1);
    leave(&mut f, 1);
    f.wait(60_001);
    assert!(f.server.end_silent(f.now, KEEP, &["r".into()]));
    assert_eq!(f.server.logs(), 0);
}
