use alloc::vec;

use super::*;
use crate::chat::{EndReason, RestoreError, ServerEvent};

#[test]
fn a_room_is_durable_before_anybody_is_in() {
    let mut f = fixture();
    f.join_as(1, 1, 1);
    f.join_as(2, 2, 1);
    assert!(f.said().is_empty());
    let batch = f.batch().expect("the room");
    assert!(matches!(&batch.records[..], [Record::Room { epoch: 1.., .. }]));
    assert!(f.said().is_empty());
    f.server.handle_persisted(f.now, batch.number);
    let mut said = f.said();
    said.sort();
    assert_eq!(said, ["1: joined 0 0", "2: joined 0 0"]);
}

#[test]
fn two_rooms_differ_in_epoch_and_salt() {
    let mut f = fixture();
    for (from, room) in [(1, "a"), (2, "b")] {
        let secret = ClientSecret([1; 32]);
        f.hand_in(
            from,
            &Message::ClientJoin(ClientJoin {
                room,
                secret,
                incarnation: 1,
                name: "",
                epoch: 0,
                has: 0,
                last: 0,
            }),
        );
    }
    let batch = f.batch().expect("both rooms");
    let [Record::Room { epoch: a, salt: x, .. }, Record::Room { epoch: b, salt: y, .. }] = &batch.records[..]
    else {
        panic!("not two rooms: {batch:?}");
    };
    assert!(a != b && x != y);
}

#[test]
fn a_newer_connection_fences_the_older() {
    let mut f = fixture();
    f.join(1);
    f.append(1, 1, "queued");
    f.join_as(11, 1, 2);
    assert_eq!(f.said(), ["1: reject 0 Fenced", "11: joined 0 1"]);
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ended(connection(1), EndReason::Fenced)));

    f.append(1, 2, "from the grave");
    f.append(11, 2, "alive");
    assert_eq!(f.commit(), ["queued", "alive"]);
    assert_eq!(f.said(), ["11: ack 1@1", "11?: entry 1=queued", "11: ack 2@2", "11?: entry 2=alive"]);
    assert_eq!(f.server.stats().after_end, 1);
}

#[test]
fn a_join_that_was_overtaken_does_not_fence_the_newer_connection() {
    let mut f = fixture();
    f.join_as(1, 1, 5);
    f.commit();
    f.said();
    f.join_as(2, 1, 4);
    assert_eq!(f.said(), ["2: reject 0 Fenced"]);
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ended(connection(2), EndReason::Fenced)));
    f.append(1, 1, "still here");
    assert_eq!(f.commit(), ["still here"]);

    f.server.handle_disconnected(f.now, connection(1));
    f.said();
    f.join_as(3, 1, 4);
    assert_eq!(f.said(), ["3: joined 1 1"]);
}

#[cfg(planted)]
#[test]
fn a_planted_join_from_the_grave_is_found() {
    let planted = Some(crate::chat::Planted::StaleIncarnation);
    let mut f = with(ChatConfig { planted, ..ChatConfig::default() });
    f.join_as(1, 1, 5);
    f.commit();
    f.said();
    f.join_as(2, 1, 4);
    assert_eq!(f.said()[0], "1: reject 0 Fenced", "the newer connection is driven out");
}

#[test]
fn who_is_not_in_the_room_is_told_so() {
    let mut f = fixture();
    f.append(1, 4, "x");
    f.update(1, 1, 1);
    assert_eq!(f.said(), ["1: reject 4 NotJoined", "1: reject 0 NotJoined"]);

    f.join(1);
    f.join_as(1, 2, 1);
    assert_eq!(f.said(), ["1: reject 0 AlreadyJoined"]);
    f.hand_in(1, &Message::ClientUpdate(ClientUpdate { room: "elsewhere", n: 1, upto: 1 }));
    assert_eq!(f.said(), ["1: reject 0 NotJoined"]);
}

#[test]
fn garbage_ends_the_connection() {
    let mut f = fixture();
    f.join(1);
    f.join(2);
    f.server.handle_message(f.now, connection(1), &Bytes::from_static(b"\x02junk"));
    f.hand_in(
        2,
        &Message::ServerAck(crate::chat::ServerAck {
            room: "r",
            epoch: 1,
            sequence: 1,
            slot: 1,
            duplicate: false,
        }),
    );
    f.server.handle_message(f.now, connection(3), &Bytes::new());
    assert_eq!(f.said(), ["1: reject 0 Malformed", "2: reject 0 Malformed"]);
    for i in 1..=3 {
        let ended = ServerEvent::Ended(connection(i), EndReason::Malformed);
        assert_eq!(f.server.poll_event(), Some(ended));
    }
    f.join_as(3, 3, 1);
    assert!(f.said().is_empty());
    assert_eq!((f.server.stats().malformed, f.server.stats().after_end), (3, 1));
}

#[test]
fn rooms_and_clients_are_limited() {
    let mut f = with(ChatConfig { max_rooms: 1, max_clients_per_room: 2, ..ChatConfig::default() });
    f.join(1);
    f.join(2);
    f.join_as(3, 3, 1);
    assert_eq!(f.said(), ["3: reject 0 TooManyClients"]);
    let (room, secret) = ("another", ClientSecret([3; 32]));
    f.hand_in(
        3,
        &Message::ClientJoin(ClientJoin {
            room,
            secret,
            incarnation: 1,
            name: "",
            epoch: 0,
            has: 0,
            last: 0,
        }),
    );
    assert_eq!(f.said(), ["3: reject 0 TooManyRooms"]);

    // One that leaves nothing behind makes place; one that has written does not, until it is forgotten.
    f.append(1, 1, "x");
    f.commit();
    f.server.handle_disconnected(f.now, connection(1));
    f.said();
    f.join_as(3, 3, 1);
    assert_eq!(f.said(), ["3: reject 0 TooManyClients"]);
    f.server.handle_disconnected(f.now, connection(2));
    f.join_as(3, 3, 1);
    assert_eq!(f.said(), ["3: joined 1 0"]);
    f.wait(30 * 24 * 3_600_000);
    f.join_as(4, 4, 1);
    assert_eq!(f.said(), ["4: joined 1 0"]);
}

#[test]
fn the_join_brings_the_first_page() {
    let mut f = fixture();
    f.server.restore(stored(9, 9).0).expect("it is sound");
    let mut join = |from: u32, epoch, has, last| {
        let (room, secret) = ("r", ClientSecret([from as u8; 32]));
        f.hand_in(
            from,
            &Message::ClientJoin(ClientJoin { room, secret, incarnation: 1, name: "", epoch, has, last }),
        );
        f.said()
    };
    assert_eq!(join(2, 0, 0, 4), ["2: joined 9 0", "2: page 6+4 of 9"]);
    assert_eq!(join(3, 0, 0, u64::MAX), ["3: joined 9 0", "3: page 1+9 of 9"]);
    assert_eq!(join(4, 7, 8, 4), ["4: joined 9 0", "4: page 9+1 of 9"]);
    assert_eq!(join(5, 7, 9, 4), ["5: joined 9 0"]);
    assert_eq!(join(6, 7, 10, 2), ["6: joined 9 0", "6: page 8+2 of 9"], "it has more than there is");
    assert_eq!(join(7, 8, 8, 2), ["7: joined 9 0", "7: page 8+2 of 9"], "it knows another log");
    assert_eq!(join(8, 0, 0, 0), ["8: joined 9 0"]);
}

#[test]
fn a_state_that_contradicts_itself_is_not_restored() {
    let mut f = fixture();
    let sound = stored(5, 2).0;
    let state = |change: fn(&mut crate::chat::RoomState)| {
        let mut state = sound.clone();
        change(&mut state);
        state
    };
    let tail = RestoreError::Tail { room: Arc::from("r"), latest: 5 };
    assert_eq!(f.server.restore(state(|s| s.room = Arc::from(""))), Err(RestoreError::Name(0)));
    assert_eq!(f.server.restore(state(|s| s.room = "x".repeat(65).into())), Err(RestoreError::Name(65)));
    assert_eq!(f.server.restore(state(|s| s.epoch = 0)), Err(RestoreError::Epoch(Arc::from("r"))));
    assert_eq!(f.server.restore(state(|s| s.tail.truncate(1))), Err(tail.clone()));
    assert_eq!(f.server.restore(state(|s| s.tail = vec![s.tail[0].clone(); 9])), Err(tail));
    assert_eq!(f.server.restore(sound.clone()), Ok(()));
    assert_eq!(f.server.restore(sound.clone()), Err(RestoreError::Twice(Arc::from("r"))));
}
