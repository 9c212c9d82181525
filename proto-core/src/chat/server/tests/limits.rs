use super::*;
use crate::chat::{EndReason, ReadFailure, ServerEvent};

#[test]
fn a_full_queue_is_not_ready_until_something_is_durable() {
    let mut f = fixture();
    f.join(1);
    f.join(2);
    for sequence in 1..=64 {
        assert!(f.server.is_ready(connection(1)));
        f.append(1, sequence, "x");
    }
    assert!(!f.server.is_ready(connection(1)) && f.server.is_ready(connection(2)));
    assert!(f.server.poll_event().is_none());
    f.commit();
    assert!(f.server.poll_event().is_none(), "64 acknowledgements are still to be polled");
    f.said();
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ready(connection(1))));
    assert!(f.server.poll_event().is_none());
}

#[test]
fn what_is_handed_in_all_the_same_ends_the_connection() {
    let mut f = fixture();
    f.join(1);
    for sequence in 1..=65 {
        f.append(1, sequence, "x");
    }
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ended(connection(1), EndReason::Overrun)));
    assert_eq!(f.said(), ["1: reject 0 Overrun"]);
    assert_eq!(f.commit().len(), 64, "what was taken is committed");
    assert_eq!(f.server.stats().overruns, 1);
}

#[test]
fn row_42_a_client_that_writes_faster_than_it_may_is_not_heard_for_a_while_and_loses_nothing() {
    let appends = crate::room::Allowed::times(10, Duration::from_secs(1));
    let mut f = with(ChatConfig { appends, ..ChatConfig::default() });
    f.join(1);
    f.join(2);
    for sequence in 1..=10 {
        assert!(f.server.is_ready(connection(1)), "{sequence}");
        f.append(1, sequence, "x");
    }
    assert!(!f.server.is_ready(connection(1)) && f.server.is_ready(connection(2)), "its budget is its own");
    assert_eq!(f.server.poll_timeout(), Some(f.now.mono + Duration::from_millis(100)));
    assert_eq!((f.commit().len(), f.said().len()), (10, 10 + 10));
    // Another connection of the same client has no other budget, whatever the room.
    f.join_as(11, 1, 2);
    f.said();
    while f.server.poll_event().is_some() {}
    assert!(!f.server.is_ready(connection(11)));
    f.wait(99);
    assert!(!f.server.is_ready(connection(11)) && f.server.poll_event().is_none());
    f.wait(1);
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ready(connection(11))));
    f.append(11, 11, "y");
    assert!(!f.server.is_ready(connection(11)));
    assert_eq!(f.commit(), ["y"]);
    // After a silence there is a burst again, and no more.
    f.wait(5000);
    for sequence in 12..=21 {
        assert!(f.server.is_ready(connection(11)), "{sequence}");
        f.append(11, sequence, "z");
    }
    assert!(!f.server.is_ready(connection(11)));
    // What was taken before is answered and costs nothing.
    f.wait(100);
    for _ in 0..5 {
        f.append(11, 11, "y");
    }
    assert!(f.server.is_ready(connection(11)));
    assert_eq!((f.server.stats().throttled, f.server.stats().overruns), (4, 0));
    f.server.handle_disconnected(f.now, connection(11));
    f.wait(1000);
    assert_eq!(f.server.poll_timeout(), None);
}

/// Nothing is kept of those who have their budget back.
#[test]
fn budgets_of_clients_that_are_gone_are_forgotten() {
    let mut f = with(ChatConfig { max_clients_per_room: 100_000, ..ChatConfig::default() });
    for client in 0..40_u32 {
        for round in 0..200 {
            let mut secret = [7; 32];
            secret[..4].copy_from_slice(&(client * 1000 + round).to_be_bytes());
            let secret = ClientSecret(secret);
            let (room, name) = ("r", "n");
            let join = ClientJoin { room, secret, incarnation: 1, name, epoch: 0, has: 0, last: 0 };
            f.hand_in(1, &Message::ClientJoin(join));
            f.commit();
            f.append(1, 1, "x");
            f.commit();
            f.said();
            f.server.handle_disconnected(f.now, connection(1));
        }
        f.wait(2000);
        let kept = f.server.budgets.kept();
        assert!(kept <= 1024 + 200, "{kept}");
    }
}

/// Whoever waits for it is told when there is some again, whichever of its connections used it up.
#[test]
fn connections_of_a_client_in_several_rooms_share_its_budget() {
    let appends = crate::room::Allowed::times(4, Duration::from_secs(1));
    let mut f = with(ChatConfig { appends, ..ChatConfig::default() });
    f.join(1);
    let (room, name, secret) = ("other", "n", ClientSecret([1; 32]));
    f.hand_in(
        2,
        &Message::ClientJoin(ClientJoin { room, secret, incarnation: 1, name, epoch: 0, has: 0, last: 0 }),
    );
    f.commit();
    f.said();
    for sequence in 1..=4 {
        f.append(1, sequence, "x");
    }
    assert!(!f.server.is_ready(connection(1)) && !f.server.is_ready(connection(2)));
    f.commit();
    f.said();
    while f.server.poll_event().is_some() {}
    f.wait(250);
    let ready: Vec<_> = core::iter::from_fn(|| f.server.poll_event()).collect();
    assert_eq!(ready, [ServerEvent::Ready(connection(1)), ServerEvent::Ready(connection(2))]);
}

/// Not by coming into another room as somebody new.
#[test]
fn a_connection_has_one_budget_for_all_rooms() {
    let appends = crate::room::Allowed::times(2, Duration::from_secs(1));
    let mut f = with(ChatConfig { appends, ..ChatConfig::default() });
    f.join(1);
    f.append(1, 1, "x");
    f.append(1, 2, "x");
    f.commit();
    f.said();
    f.server.expel(connection(1));
    assert!(!f.server.is_ready(connection(1)));
    f.wait(500);
    assert!(f.server.is_ready(connection(1)));
    f.join(2);
    assert!(f.server.is_ready(connection(2)), "another one is not concerned");
}

#[test]
fn a_new_connection_finds_its_clients_queue_as_it_was() {
    let mut f = fixture();
    f.join(1);
    for sequence in 1..=64 {
        f.append(1, sequence, "x");
    }
    f.join_as(11, 1, 2);
    assert!(!f.server.is_ready(connection(11)));
    f.said();
    while f.server.poll_event().is_some() {}
    f.commit();
    f.said();
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ready(connection(11))));
}

#[test]
fn answers_that_nobody_polls_make_a_connection_wait() {
    let mut f = fixture();
    f.join(1);
    let mut handed_in = 0;
    while f.server.is_ready(connection(1)) {
        f.update(1, 1, 1);
        handed_in += 1;
        assert!(handed_in <= 64);
    }
    assert_eq!(f.said().len(), 64);
    assert_eq!(f.server.poll_event(), Some(ServerEvent::Ready(connection(1))));
}

#[test]
fn nothing_is_kept_of_a_connection_that_is_gone() {
    let mut f = fixture();
    f.join(1);
    f.update(1, 1, 1);
    f.server.handle_message(f.now, connection(1), &Bytes::new());
    f.server.handle_disconnected(f.now, connection(1));
    assert!(f.said().is_empty() && f.server.poll_event().is_none());
    f.server.handle_disconnected(f.now, connection(1));
    f.server.handle_disconnected(f.now, connection(99));
}

#[test]
fn an_own_entry_keeps_to_the_limits_of_all_entries() {
    let mut f = fixture();
    f.server.open_log("r", false).expect("there is room");
    let author = crate::chat::ClientId::within([3; 12]);
    let name = "𝓓".repeat(40);
    let body = |len| Bytes::from(vec![b'x'; len]);
    let mut append = |len| {
        f.server.append_own(f.now, "r", author, &name, Kind::TEXT, &body(len)).map_err(|reason| {
            assert_eq!(reason, crate::chat::RejectReason::TooLarge);
        })
    };
    assert_eq!((append(16 * 1024), append(16 * 1024 + 1)), (Ok(()), Err(())));
    let batch = f.batch().expect("there is something to write");
    assert_eq!(entries(&batch).map(|entry| &*entry.name).collect::<Vec<_>>(), ["𝓓".repeat(16)]);
}

#[test]
fn authors_within_the_server_take_nobodys_place() {
    let mut f = with(ChatConfig { max_clients_per_room: 1, ..ChatConfig::default() });
    f.server.open_log("r", false).expect("there is room");
    for number in 0..10 {
        let author = crate::chat::ClientId::within([number; 12]);
        for _ in 0..2 {
            let body = Bytes::from(vec![number]);
            f.server
                .append_own(f.now, "r", author, "n", Kind::TEXT, &body)
                .expect("there is room for everybody");
        }
    }
    let batch = f.batch().expect("there is something to write");
    let numbers: Vec<_> = entries(&batch).map(|entry| (entry.slot, entry.sequence)).collect();
    assert_eq!(numbers, (1..=20).map(|slot| (slot, slot)).collect::<Vec<_>>());
    f.server.handle_persisted(f.now, batch.number);
    f.join(1);
    f.append(1, 1, "x");
    assert_eq!(f.commit(), ["x"], "nobody else is remembered");
    assert_eq!(f.server.stats().too_many_clients, 0);
}

/// Nothing that arrives, in any state, makes the server panic or grow.
#[test]
fn junk_in_any_state_is_harmless() {
    let mut rng = crate::rng::Rng::new(&[3; 32], "junk");
    let mut f = with(ChatConfig { max_rooms: 20, ..ChatConfig::default() });
    let join = |room| {
        let secret = ClientSecret([1; 32]);
        Message::ClientJoin(ClientJoin { room, secret, incarnation: 1, name: "n", epoch: 7, has: 1, last: 3 })
    };
    let append = |body| {
        let (sequence, seen) = (1, 0);
        Message::ClientAppend(ClientAppend { room: "r", sequence, seen, author_ms: 9, kind: Kind(0), body })
    };
    let update = Message::ClientUpdate(ClientUpdate { room: "r", n: 3, upto: 4 });
    let seeds = [join("r"), append(b"body"), update].map(|message| message.to_bytes().to_vec());
    for turn in 0..50_000_u32 {
        let mut bytes = seeds[rng.below(3) as usize].clone();
        for _ in 0..rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.below(256) as u8;
        }
        let from = connection(rng.below(8) as u32);
        f.server.handle_message(f.now, from, &bytes.into());
        if rng.below(20) == 0 {
            f.server.handle_disconnected(f.now, from);
        }
        if rng.below(3) == 0 {
            f.wait(rng.below(50));
            f.commit();
            while let Some(read) = f.server.poll_read() {
                f.server.handle_read_failed(f.now, read.id, ReadFailure::Unreadable);
            }
        }
        if turn % 64 == 0 {
            let waiting = f.said().len();
            assert!(waiting < 8 * (64 + 8) + 1024, "{waiting} messages");
            while f.server.poll_event().is_some() {}
        }
    }
    let stats = f.server.stats();
    assert!(stats.committed > 100 && stats.malformed > 100, "the junk is not mixed well: {stats:?}");
}
