use super::*;
use crate::chat::{PersistFailure, ServerEvent};

fn slots(batch: &Batch) -> Vec<u64> {
    entries(batch).map(|entry| entry.slot).collect()
}

/// Clients 1 and 2 have joined; batches hold two records.
fn pair() -> Fixture {
    let mut f = with(ChatConfig { batch_records: 2, ..ChatConfig::default() });
    f.join(1);
    f.join(2);
    f
}

#[test]
fn nothing_is_known_before_it_is_durable() {
    let mut f = pair();
    for sequence in 1..=4 {
        f.append(1, sequence, &sequence.to_string());
    }
    let (first, second) = (f.batch().expect("1, 2"), f.batch().expect("3, 4"));
    assert_eq!((slots(&first), slots(&second)), ([1, 2].into(), [3, 4].into()));
    f.update(2, 9, 9);
    assert_eq!(f.said(), ["2: page 0+0 of 0"]);

    f.server.handle_persisted(f.now, first.number);
    assert_eq!(f.said(), ["1: ack 1@1", "1+2?: entry 1=1", "1: ack 2@2", "1+2?: entry 2=2"]);
    f.server.handle_persisted(f.now, first.number);
    f.server.handle_persisted(f.now, 0);
    assert!(f.said().is_empty());
    f.server.handle_persisted(f.now, u64::MAX);
    assert_eq!(f.said(), ["1: ack 3@3", "1+2?: entry 3=3", "1: ack 4@4", "1+2?: entry 4=4"]);
}

#[test]
fn batches_are_bounded_in_number_records_and_bytes() {
    let mut f = with(ChatConfig { batch_bytes: 1000, max_batches: 3, ..ChatConfig::default() });
    f.join(1);
    let body = "x".repeat(300);
    for sequence in 1..=9 {
        f.append(1, sequence, &body);
    }
    f.append(1, 10, &"y".repeat(5000));
    let sizes: Vec<_> = core::iter::from_fn(|| f.batch()).map(|batch| batch.records.len()).collect();
    assert_eq!(sizes, [2, 2, 2]);
    f.server.handle_persisted(f.now, u64::MAX);
    let sizes: Vec<_> = core::iter::from_fn(|| f.batch()).map(|batch| batch.records.len()).collect();
    assert_eq!(sizes, [2, 1, 1], "one that is too large for any batch has one of its own");
}

#[test]
fn no_batch_is_handed_out_while_messages_pile_up() {
    let mut f = fixture();
    f.join(1);
    let mut sequence = 0;
    while f.server.is_ready(connection(1)) || f.server.poll_event().is_some() {
        sequence += 1;
        f.append(1, sequence, "x");
        f.commit();
        assert!(sequence < 5000);
    }
    assert_eq!(sequence, 64, "unpolled acknowledgements count like unanswered appends");
    assert_eq!(f.said().len(), 128);
    assert!(f.server.is_ready(connection(1)));
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ready(connection(1))));
}

#[test]
fn a_full_disk_gives_slots_back_and_is_tried_again() {
    let mut f = pair();
    for sequence in 1..=4 {
        f.append(1, sequence, &sequence.to_string());
    }
    let (first, second) = (f.batch().expect("1, 2"), f.batch().expect("3, 4"));
    f.server.handle_persist_failed(f.now, second.number, PersistFailure::Full);
    assert_eq!(f.server.poll_event(), Some(ServerEvent::DiskFull));
    assert_eq!(f.said(), ["1?: reject 0 Full", "2?: reject 0 Full"]);
    f.server.handle_persisted(f.now, first.number);
    assert_eq!(f.said().len(), 4);
    assert!(f.server.poll_event().is_none(), "what was written before says nothing of now");

    f.append(2, 1, "meanwhile");
    assert!(f.batch().is_none() && f.said().is_empty());
    assert_eq!(f.server.poll_timeout(), Some(f.now.mono + Duration::from_secs(1)));
    f.wait(1000);
    assert_eq!(f.server.poll_timeout(), None);
    let again = f.batch().expect("3, 4");
    assert_eq!((slots(&again), bodies(&again)), (slots(&second), bodies(&second)));
    assert!(again.number > second.number);
    f.server.handle_persisted(f.now, again.number);
    assert_eq!(f.server.poll_event(), Some(ServerEvent::DiskRecovered));
    assert_eq!(f.said(), ["1: ack 3@3", "1+2?: entry 3=3", "1: ack 4@4", "1+2?: entry 4=4"]);
    assert_eq!(f.commit(), ["meanwhile"]);
    assert_eq!(f.server.stats().given_back, 2);
}

#[test]
fn attempts_on_a_full_disk_become_rarer() {
    let mut f = pair();
    f.append(1, 1, "x");
    for delay in [1, 2, 4, 8, 16, 30, 30] {
        let batch = f.batch().expect("x");
        f.server.handle_persist_failed(f.now, batch.number, PersistFailure::Full);
        assert_eq!(f.server.poll_timeout(), Some(f.now.mono + Duration::from_secs(delay)));
        f.wait(delay * 1000 - 1);
        assert!(f.batch().is_none());
        f.wait(1);
    }
    assert_eq!(f.said(), ["1?: reject 0 Full", "2?: reject 0 Full"], "said once");
    assert_eq!(f.commit(), ["x"]);
    f.append(1, 2, "y");
    let batch = f.batch().expect("y");
    f.server.handle_persist_failed(f.now, batch.number, PersistFailure::Full);
    assert_eq!(f.server.poll_timeout(), Some(f.now.mono + Duration::from_secs(1)));
    assert_eq!(f.said()[2..], ["1?: reject 0 Full", "2?: reject 0 Full"], "said again, it is another time");
    assert_eq!(f.server.poll_event(), Some(ServerEvent::DiskFull), "a later event replaces an unpolled one");
}

#[test]
fn a_room_that_could_not_be_created_is_created_later() {
    let mut f = fixture();
    f.join_as(1, 1, 1);
    let batch = f.batch().expect("the room");
    f.server.handle_persist_failed(f.now, batch.number, PersistFailure::Full);
    f.join_as(2, 2, 1);
    assert_eq!(f.said(), ["1?: reject 0 Full", "2?: reject 0 Full"]);
    f.wait(1000);
    let again = f.batch().expect("the room");
    assert_eq!(again.records, batch.records);
    f.server.handle_persisted(f.now, again.number);
    assert_eq!(f.said().len(), 2);
}

#[test]
fn given_back_entries_keep_their_clients_order_but_not_their_slots() {
    let mut f = pair();
    let now = f.now.unix_ms;
    f.append_at(1, 1, now, "a1");
    f.append_at(1, 2, now, "a2");
    f.append_at(1, 3, now, "a3");
    let batch = f.batch().expect("a1, a2");
    f.append_at(2, 1, now - 2000, "b1");
    f.server.handle_persist_failed(f.now, batch.number, PersistFailure::Full);
    f.wait(1000);
    assert_eq!(f.commit(), ["b1", "a1", "a2", "a3"]);
}

#[test]
fn a_broken_disk_stops_every_room() {
    let mut f = pair();
    f.fill(1, 1);
    for sequence in 2..=4 {
        f.append(1, sequence, &sequence.to_string());
    }
    let (first, second) = (f.batch().expect("2, 3"), f.batch().expect("4"));
    f.append(2, 1, "waits");
    f.server.handle_persist_failed(f.now, second.number, PersistFailure::Broken);
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Stopped));
    assert_eq!(f.said(), ["1: reject 0 Stopped", "2: reject 0 Stopped"]);
    f.server.handle_persisted(f.now, first.number);
    assert_eq!(f.said().len(), 4, "what became durable before is known");

    f.append(1, 5, "x");
    f.join_as(3, 3, 1);
    f.update(1, 1, 1);
    assert_eq!(f.said(), ["1: reject 5 Stopped", "3: reject 0 Stopped", "1: page 1+1 of 3"]);
    f.wait(100_000);
    assert!(f.batch().is_none() && f.server.poll_timeout().is_none());
    let stats = f.server.stats();
    assert_eq!((stats.abandoned, stats.stopped, stats.given_back), (2, 2, 1));
}

#[test]
fn a_queue_that_a_stop_empties_is_ready() {
    let mut f = pair();
    for sequence in 1..=64 {
        f.append(1, sequence, "x");
    }
    let batch = f.batch().expect("two");
    assert!(!f.server.is_ready(connection(1)));
    f.server.handle_persist_failed(f.now, batch.number, PersistFailure::Broken);
    f.said();
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Stopped));
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ready(connection(1))));
}

#[test]
fn a_client_that_is_gone_has_its_appends_committed() {
    let mut f = pair();
    f.append(1, 1, "last words");
    f.server.handle_disconnected(f.now, connection(1));
    assert_eq!(f.commit(), ["last words"]);
    assert_eq!(f.said(), ["2?: entry 1=last words"]);
    f.join_as(3, 1, 2);
    f.append(3, 1, "last words");
    assert_eq!(f.said(), ["3: joined 1 1", "3: ack 1@1 again"]);
}
