use super::*;
use crate::chat::MAX_UNACKNOWLEDGED;

#[test]
fn a_repetition_gets_the_same_answer() {
    let mut f = fixture();
    f.join(1);
    f.fill(1, 3);
    f.append(1, 2, "e2");
    assert_eq!(f.said(), ["1: ack 2@2 again"]);
    assert!(f.commit().is_empty());
    assert_eq!(f.server.stats().duplicates, 1);
}

#[test]
fn a_repetition_of_what_is_not_durable_is_answered_once() {
    let mut f = fixture();
    f.join(1);
    f.append(1, 1, "x");
    f.append(1, 1, "x");
    let batch = f.batch().expect("x");
    f.append(1, 1, "x");
    assert!(f.said().is_empty());
    f.server.handle_persisted(f.now, batch.number);
    assert_eq!(f.said(), ["1: ack 1@1", "1?: entry 1=x"]);
    assert!(f.batch().is_none());
    assert_eq!(f.server.stats().repeated, 2);
}

#[test]
fn row_42_other_content_under_a_used_sequence_is_a_conflict() {
    let mut f = fixture();
    f.join(1);
    f.append(1, 1, "x");
    f.append(1, 1, "y");
    assert_eq!(f.said(), ["1: reject 1 Conflict"]);
    f.commit();
    f.said();
    f.append(1, 1, "y");
    assert_eq!(f.said(), ["1: reject 1 Conflict"]);
    let append = ClientAppend { room: "r", sequence: 1, seen: 0, author_ms: 0, kind: Kind(5), body: b"x" };
    f.hand_in(1, &Message::ClientAppend(append));
    assert_eq!(f.said(), ["1: reject 1 Conflict"], "the kind is content too");
    assert_eq!(f.server.stats().conflicts, 3);
}

#[test]
fn the_latest_64_are_remembered() {
    let mut f = fixture();
    f.join(1);
    f.fill(1, 70);
    f.append(1, 6, "e6");
    f.append(1, 7, "e7");
    assert_eq!(f.said(), ["1: reject 6 Unknown", "1: ack 7@7 again"]);
    assert_eq!(70 - 7 + 1, MAX_UNACKNOWLEDGED);
}

#[test]
fn an_unknown_client_starts_with_one() {
    let mut f = fixture();
    f.join(1);
    f.append(1, 2, "x");
    assert_eq!(f.said(), ["1: reject 2 Unknown"]);
    f.append(1, 1, "x");
    f.append(1, 3, "a gap");
    f.append(1, 2, "inside the gap");
    assert_eq!(f.said(), ["1: reject 2 Unknown"]);
    assert_eq!(f.commit(), ["x", "a gap"]);
}

#[test]
fn or_after_what_was_too_large() {
    let mut f = with(ChatConfig { max_body: 3, ..ChatConfig::default() });
    f.join(1);
    f.append(1, 1, "four");
    f.append(1, 2, "four");
    f.append(1, 4, "x");
    f.append(1, 3, "x");
    assert_eq!(f.said(), ["1: reject 1 TooLarge", "1: reject 2 TooLarge", "1: reject 4 Unknown"]);
    assert_eq!(f.commit(), ["x"]);
}

#[test]
fn a_client_is_forgotten_after_30_days_without_connection_and_commit() {
    let day = 24 * 3_600_000;
    let mut f = fixture();
    f.join(1);
    f.fill(1, 2);
    f.wait(31 * day);
    f.append(1, 3, "still connected");
    f.commit();
    f.server.handle_disconnected(f.now, connection(1));
    f.said();

    f.wait(30 * day - 1);
    f.join_as(2, 1, 2);
    assert_eq!(f.said(), ["2: joined 3 3"]);
    f.server.handle_disconnected(f.now, connection(2));
    f.wait(1);
    f.join_as(3, 1, 3);
    assert_eq!(f.said(), ["3: joined 3 0"]);
    f.append(3, 4, "late");
    assert_eq!(f.said(), ["3: reject 4 Unknown"]);
    f.append(3, 1, "anew");
    f.commit();
    assert_eq!(f.said(), ["3: ack 1@4", "3?: entry 4=anew"]);
    assert_eq!(f.server.stats().forgotten, 1);
}

#[test]
fn another_life_of_the_server_remembers() {
    let mut f = fixture();
    f.server.restore(stored(70, 0).0).expect("it is sound");
    f.join_as(1, 1, 1);
    assert_eq!(f.said(), ["1: joined 70 70"]);
    f.append(1, 7, "e7");
    f.append(1, 70, "other");
    f.append(1, 6, "e6");
    f.append(1, 71, "new");
    assert_eq!(f.said(), ["1: ack 7@7 again", "1: reject 70 Conflict", "1: reject 6 Unknown"]);
    assert_eq!(f.commit(), ["new"]);
    assert_eq!(f.said(), ["1: ack 71@71", "1?: entry 71=new"]);
}

#[test]
fn a_table_starts_again_with_its_client() {
    let (mut state, entries) = stored(3, 0);
    let again = StoredEntry { slot: 4, sequence: 1, ..entries[0].clone() };
    state.apply(&again).expect("slot 4 is next");
    let table = state.clients.values().next().expect("one client");
    assert_eq!((table.last_sequence, table.recent.len()), (1, 1));
    assert_eq!(state.apply(&again), Err(crate::chat::OutOfOrder { expected: 5, found: 4 }));
    assert_eq!(state.latest, 4);
}

#[test]
fn nothing_is_committed_that_saw_more_than_there_is() {
    let mut f = fixture();
    f.join(1);
    f.fill(1, 1);
    let append = |seen| {
        Message::ClientAppend(ClientAppend {
            room: "r",
            sequence: 2,
            seen,
            author_ms: 0,
            kind: Kind::TEXT,
            body: b"x",
        })
    };
    f.hand_in(1, &append(2));
    assert_eq!(f.said(), ["1: reject 2 EpochChanged"]);
    f.hand_in(1, &append(1));
    assert_eq!(f.commit(), ["x"]);
}
