//! Polls may come in any order: between the same inputs, every order gives the same messages, batches, reads and events.

use alloc::vec::Vec;
use core::time::Duration;

use crate::chat::{
    Batch, ChatConfig, Client, ClientAppend, ClientJoin, ClientSecret, ClientUpdate, Kind, Message, Outgoing,
    PersistFailure, Read, Server, ServerEvent,
};
use crate::rng::Rng;
use crate::{ConnectionId, Now, Timestamp};

/// Everything that a server gave out between two inputs.
#[derive(Debug, Default, PartialEq)]
struct Given {
    messages: Vec<Outgoing>,
    batches: Vec<Batch>,
    reads: Vec<Read>,
    events: Vec<ServerEvent>,
}

/// Polls until everything is empty, in an order that `rng` chooses poll by poll.
fn drain(server: &mut Server, now: Now, rng: &mut Rng) -> Given {
    let mut given = Given::default();
    let mut empty = [false; 4];
    while empty != [true; 4] {
        let which = rng.below(4) as usize;
        let before = given.count();
        match which {
            0 => given.messages.extend(server.poll_message()),
            1 => given.batches.extend(server.poll_persist(now)),
            2 => given.reads.extend(server.poll_read()),
            _ => given.events.extend(server.poll_event()),
        }
        empty = if given.count() > before { [false; 4] } else { empty };
        empty[which] = given.count() == before;
    }
    // Readiness has no order among connections, and a change of it may be seen before or after it is undone.
    given.events.retain(|event| !matches!(event, ServerEvent::Ready(_)));
    given
}

impl Given {
    fn count(&self) -> usize {
        self.messages.len() + self.batches.len() + self.reads.len() + self.events.len()
    }
}

fn message(rng: &mut Rng, from: u32, sequence: &mut u64) -> Message<'static> {
    let room = "r";
    match rng.below(8) {
        0 => {
            let secret = ClientSecret([from as u8 % 4; 32]);
            let incarnation = rng.below(1000);
            Message::ClientJoin(ClientJoin { room, secret, incarnation, name: "", epoch: 0, has: 0, last: 9 })
        }
        1 => Message::ClientUpdate(ClientUpdate { room, n: rng.below(9), upto: rng.below(30) }),
        _ => {
            *sequence += u64::from(rng.below(4) > 0);
            // A client that is not known can only start with 1; from one that is known it is a repetition.
            let sequence = if rng.below(4) == 0 { 1 } else { *sequence };
            let author_ms = rng.below(10_000);
            let append = ClientAppend { room, sequence, seen: 0, author_ms, kind: Kind::TEXT, body: b"x" };
            Message::ClientAppend(append)
        }
    }
}

#[test]
fn every_order_of_polls_gives_the_same() {
    let (mut committed, mut events) = (0, 0);
    for seed in 0..40 {
        let mut rng = Rng::new(&[seed; 32], "inputs");
        let config = ChatConfig { tail_entries: 4, batch_records: 3, ..ChatConfig::default() };
        let mut servers = [(); 2].map(|()| Server::new(config.clone(), [seed; 32]));
        let mut orders = [Rng::new(&[seed; 32], "one order"), Rng::new(&[seed; 32], "another")];
        let mut now = Now { mono: Timestamp::ZERO, unix_ms: 5_000 };
        let mut sequences = [1; 8];
        let mut last_batch = 0;
        for _ in 0..300 {
            now.mono += Duration::from_millis(rng.below(4_000));
            let from = rng.below(8) as usize;
            let connection = ConnectionId { slot: from as u32, generation: 0 };
            let burst = 1 + rng.below(12);
            let payloads: Vec<_> =
                (0..burst).map(|_| message(&mut rng, from as u32, &mut sequences[from]).to_bytes()).collect();
            let choice = rng.below(40);
            let given = [0, 1].map(|i| {
                let server = &mut servers[i];
                match choice {
                    0..22 => {
                        for payload in &payloads {
                            if server.is_ready(connection) {
                                server.handle_message(now, connection, payload);
                            }
                        }
                    }
                    22..36 => server.handle_persisted(now, last_batch),
                    36 => server.handle_persist_failed(now, last_batch, PersistFailure::Full),
                    37 => server.handle_disconnected(now, connection),
                    _ => server.handle_timeout(now),
                }
                drain(server, now, &mut orders[i])
            });
            assert_eq!(given[0], given[1], "seed {seed}");
            assert_eq!(servers[0].poll_timeout(), servers[1].poll_timeout());
            last_batch = given[0].batches.last().map_or(last_batch, |batch| batch.number);
            events += given[0].events.len();
        }
        assert_eq!(servers[0].stats(), servers[1].stats());
        committed += servers[0].stats().committed;
    }
    assert!(committed > 2_000 && events > 40, "too little happens: {committed} entries, {events} events");
}

#[test]
fn machines_can_be_copied_and_moved_between_threads() {
    fn check<T: Clone + Send + 'static>() {}
    check::<Server>();
    check::<Client>();
}
