use super::*;
use crate::chat::{MAX_BODY, Read, ReadFailure};

/// A room with nine entries in memory, which client 2 has joined.
fn nine() -> Fixture {
    let mut f = fixture();
    f.server.restore(stored(9, 9).0).expect("it is sound");
    f.join(2);
    f
}

#[test]
fn an_update_names_its_slots() {
    let mut f = nine();
    let mut ask = |n, upto| {
        f.update(2, n, upto);
        f.said().concat()
    };
    assert_eq!(ask(4, 6), "2: page 3+4 of 9");
    assert_eq!(ask(9, 3), "2: page 1+3 of 9");
    assert_eq!(ask(4, 11), "2: page 8+2 of 9", "what does not exist is not made up for");
    assert_eq!(ask(128, 128 + 5), "2: page 6+4 of 9");
    assert_eq!(ask(2, ClientUpdate::LATEST), "2: page 8+2 of 9");
    assert_eq!(ask(u64::MAX, ClientUpdate::LATEST), "2: page 1+9 of 9");
    assert_eq!(ask(u64::MAX, u64::MAX - 1), "2: page 1+9 of 9");
    for (n, upto) in [(0, 5), (5, 0), (0, ClientUpdate::LATEST), (3, 12), (1, u64::MAX - 1)] {
        assert_eq!(ask(n, upto), "2: page 0+0 of 9", "{n} {upto}");
    }
}

#[test]
fn an_empty_log_has_an_empty_page() {
    let mut f = fixture();
    f.join(1);
    f.update(1, 5, ClientUpdate::LATEST);
    assert_eq!(f.said(), ["1: page 0+0 of 0"]);
}

#[test]
fn a_page_has_at_most_128_entries_the_lowest() {
    let mut f = fixture();
    f.server.restore(stored(300, 256).0).expect("it is sound");
    f.join(2);
    f.update(2, 200, 300);
    assert_eq!(f.said(), ["2: page 101+128 of 300 limited"]);
}

#[test]
fn and_at_most_64_kib() {
    let mut f = fixture();
    f.join(1);
    let body = "x".repeat(MAX_BODY);
    for sequence in 1..=5 {
        f.append(1, sequence, &body);
    }
    f.commit();
    f.said();
    f.update(1, 5, 5);
    assert_eq!(f.said(), ["1: page 1+3 of 5 limited"]);
}

#[test]
fn what_is_not_in_memory_is_read() {
    let mut f = fixture();
    let (state, entries) = stored(300, 10);
    f.server.restore(state).expect("it is sound");
    f.join(2);
    f.update(2, 300, 300);
    assert!(f.said().is_empty());
    let read = f.server.poll_read().expect("slots 1 to 128");
    assert_eq!((read.from, read.upto, &*read.room, read.epoch), (1, 128, "r", 7));
    f.server.handle_read(f.now, read.id, &entries[..128]);
    assert_eq!(f.said(), ["2: page 1+128 of 300 limited"]);

    f.update(2, 3, 3);
    let read = f.server.poll_read().expect("slots 1 to 3");
    f.server.handle_read(f.now, read.id, &entries[..2]);
    assert_eq!(f.said(), ["2: page 1+2 of 300 limited"], "the store may give a part");
    f.server.handle_read(f.now, read.id, &entries[..2]);
    assert!(f.said().is_empty());
    assert_eq!(f.server.stats().reads_stale, 1);
}

/// Client 2 has joined a log of which nothing is in memory.
fn cold() -> (Fixture, Vec<StoredEntry>) {
    let mut f = fixture();
    let (state, entries) = stored(20, 0);
    f.server.restore(state).expect("it is sound");
    f.join(2);
    (f, entries)
}

#[test]
fn two_reads_of_a_connection_are_outstanding_at_most() {
    let (mut f, entries) = cold();
    for _ in 0..5 {
        f.update(2, 2, 2);
    }
    let reads: Vec<Read> = core::iter::from_fn(|| f.server.poll_read()).collect();
    assert_eq!((reads.len(), f.server.stats().updates_dropped), (2, 3));
    f.server.handle_read(f.now, reads[1].id, &entries[..2]);
    f.update(2, 2, 2);
    assert!(f.server.poll_read().is_some());
}

#[test]
fn reads_are_limited_over_all_connections_alive_or_not() {
    let mut f = with(ChatConfig { max_reads: 3, ..ChatConfig::default() });
    f.server.restore(stored(20, 0).0).expect("it is sound");
    let mut polled = 0;
    for turn in 0..10 {
        f.join_as(turn, 2, 1);
        f.update(turn, 2, 2);
        f.update(turn, 2, 3);
        polled += core::iter::from_fn(|| f.server.poll_read()).count();
        f.server.handle_disconnected(f.now, connection(turn));
    }
    assert_eq!(polled, 3);
}

#[test]
fn wrong_answers_of_the_store_are_not_passed_on() {
    let (mut f, entries) = cold();
    let answers: [&[StoredEntry]; 4] =
        [&[], &entries[1..3], &[entries[0].clone(), entries[2].clone()], &entries[..6]];
    for answer in answers {
        f.update(2, 3, 3);
        let read = f.server.poll_read().expect("slots 1 to 3");
        f.server.handle_read(f.now, read.id, answer);
        assert!(f.said().is_empty());
    }
    f.update(2, 3, 3);
    let read = f.server.poll_read().expect("slots 1 to 3");
    f.server.handle_read_failed(f.now, read.id, ReadFailure::Busy);
    assert!(f.said().is_empty());
    assert_eq!(f.server.stats().reads_failed, 5);
}

#[test]
fn whoever_asked_for_what_cannot_be_read_is_told() {
    let (mut f, entries) = cold();
    for told in [&["2: reject 0 Unreadable"][..], &[]] {
        f.update(2, 3, 3);
        let read = f.server.poll_read().expect("slots 1 to 3");
        if told.is_empty() {
            f.server.handle_disconnected(f.now, connection(2));
        }
        f.server.handle_read_failed(f.now, read.id, ReadFailure::Unreadable);
        assert_eq!(f.said(), told);
    }
    f.join(3);
    f.update(3, 3, 3);
    let read = f.server.poll_read().expect("slots 1 to 3");
    f.server.handle_read(f.now, read.id, &entries[..3]);
    assert_eq!(f.said(), ["3: page 1+3 of 20"], "it is tried again for the next one");
}

#[test]
fn an_answer_for_a_connection_that_is_gone_is_dropped() {
    let (mut f, entries) = cold();
    f.update(2, 2, 2);
    let read = f.server.poll_read().expect("slots 1 and 2");
    f.server.handle_disconnected(f.now, connection(2));
    f.server.handle_read(f.now, read.id, &entries[..2]);
    assert!(f.said().is_empty());
    assert_eq!(f.server.stats().reads_stale, 1);
}

#[test]
fn tails_are_bounded_in_each_room_and_in_all() {
    let mut f = with(ChatConfig { tail_entries: 3, tail_total_bytes: 900, ..ChatConfig::default() });
    f.join(1);
    f.fill(1, 5);
    f.update(1, 4, 5);
    assert!(f.server.poll_read().is_some(), "slot 2 is not in memory any more");
    f.update(1, 3, 5);
    assert_eq!(f.said(), ["1: page 3+3 of 5"]);

    // Another room's entries push out those of the room that has been quiet for longest.
    let (mut state, _) = stored(4, 3);
    state.room = Arc::from("other");
    for entry in &mut state.tail {
        entry.body = Bytes::from(alloc::vec![0; 60]);
    }
    f.server.restore(state).expect("it is sound");
    f.update(1, 1, 5);
    assert!(f.said().is_empty());
    assert!(f.server.poll_read().is_some());
}
