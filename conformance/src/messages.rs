//! Messages of all classes and sizes.

use std::collections::VecDeque;
use std::time::Duration;

use proto_core::{Class, ConfigBuilder, Fate, Message, SendError};

use crate::env::{number, pattern, recv, send, spawn};
use crate::{Env, Pair, Stack, WAIT};

fn both_ways<S: Stack>(env: &Env<S>, class: Class) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    for (from, to) in [(here, there), (there, here)] {
        for i in 0..20 {
            send::<S>(from, number(i).class(class));
            let received = recv::<S>(to);
            assert_eq!((&received.payload[..], received.class), (i.to_string().as_bytes(), class));
        }
    }
}

/// Reliable and ordered.
pub fn ordered_both_ways<S: Stack>(env: &Env<S>) {
    both_ways(env, Class::ReliableOrdered);
}

/// Reliable and unordered.
pub fn unordered_both_ways<S: Stack>(env: &Env<S>) {
    both_ways(env, Class::ReliableUnordered);
}

/// Unreliable.
pub fn unreliable_both_ways<S: Stack>(env: &Env<S>) {
    both_ways(env, Class::Unreliable);
}

/// The newest counts.
pub fn sequenced_both_ways<S: Stack>(env: &Env<S>) {
    both_ways(env, Class::Sequenced);
}

/// Everything, once, in order.
pub fn a_thousand_in_order<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server: _server, client: _client } = env.pair(ConfigBuilder::default());
    let sender = spawn::<S, _>(move || {
        for i in 0..1000 {
            send::<S>(&here, number(i));
        }
        here
    });
    for i in 0..1000 {
        assert_eq!(recv::<S>(&there).payload, i.to_string());
    }
    drop(sender());
}

/// Many in one call, in the order in which they would come one by one, and no more than were asked for.
pub fn a_thousand_at_once<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server: _server, client: _client } = env.pair(ConfigBuilder::default());
    let sender = spawn::<S, _>(move || {
        let mut messages = (0..1000).map(number).collect();
        assert_eq!(S::send_all(&here, &mut messages, WAIT), Some(Ok(())));
        assert!(messages.is_empty());
        here
    });
    let mut next = 0;
    while next < 1000 {
        let limit = next % 50;
        let received = S::recv_many(&there, limit, WAIT).expect("they come");
        assert!((1..=limit.max(1)).contains(&received.len()), "{} of {limit}", received.len());
        for received in received {
            assert_eq!(received.payload, next.to_string());
            next += 1;
        }
    }
    let here = sender();
    let mut messages = VecDeque::from([number(0), Message::new(vec![0; 64 << 20]), number(1)]);
    let refused = S::send_all(&here, &mut messages, WAIT);
    assert!(matches!(refused, Some(Err(SendError::TooLarge { .. }))), "{refused:?}");
    assert_eq!(messages.len(), 2, "it and what is behind it");
    assert_eq!(recv::<S>(&there).payload, "0");
    drop(here);
    assert_eq!(S::recv_many(&there, 10, WAIT), Some(Vec::new()), "it is over");
}

fn size<S: Stack>(env: &Env<S>, sizes: &[usize]) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    for &len in sizes {
        for (from, to) in [(here, there), (there, here)] {
            let payload = pattern(len, len);
            send::<S>(from, Message::new(payload.clone()));
            assert_eq!(recv::<S>(to).payload, payload, "{len}");
        }
    }
}

/// Nothing is something.
pub fn an_empty_message<S: Stack>(env: &Env<S>) {
    size(env, &[0]);
}

/// One byte.
pub fn a_message_of_one_byte<S: Stack>(env: &Env<S>) {
    size(env, &[1]);
}

/// Where a message stops fitting into one record.
pub fn sizes_around_a_record<S: Stack>(env: &Env<S>) {
    size(env, &[120, 125, 126, 127, 128, 1150, 1180, 1200, 16_300, 16_370, 16_383, 16_384, 16_400]);
}

/// Where lengths change their form.
pub fn sizes_around_sixty_four_kibibytes<S: Stack>(env: &Env<S>) {
    size(env, &[65_400, 65_534, 65_535, 65_536, 65_537, 65_600]);
}

/// The largest that the settings allow.
pub fn the_largest_message<S: Stack>(env: &Env<S>) {
    size(env, &[256 * 1024]);
}

/// One byte more.
pub fn one_too_large_is_refused<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let refused = S::send(here, Message::new(vec![0; 256 * 1024 + 1]), WAIT);
    assert_eq!(refused, Some(Err(SendError::TooLarge { max: 256 * 1024 })));
    send::<S>(here, number(1));
    assert_eq!(recv::<S>(there).payload, "1");
}

/// Both directions are busy.
pub fn large_messages_both_ways_at_once<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = env.pair(ConfigBuilder::default());
    let ends = [(here.clone(), 0), (there.clone(), 1)];
    let senders = ends.map(|(from, salt)| {
        spawn::<S, _>(move || {
            for i in 0..8 {
                send::<S>(&from, Message::new(pattern(200_000, i * 2 + salt)));
            }
        })
    });
    for i in 0..8 {
        assert_eq!(recv::<S>(&there).payload, pattern(200_000, i * 2));
        assert_eq!(recv::<S>(&here).payload, pattern(200_000, i * 2 + 1));
    }
    for sender in senders {
        sender();
    }
}

/// Order holds, whatever the sizes.
pub fn small_ones_between_large_ones<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server: _server, client: _client } = env.pair(ConfigBuilder::default());
    let sizes = [10, 100_000, 0, 5000, 70_000, 1, 65_536, 300];
    let sender = spawn::<S, _>(move || {
        for (i, len) in sizes.iter().enumerate() {
            send::<S>(&here, Message::new(pattern(*len, i)));
        }
        here
    });
    for (i, len) in sizes.iter().enumerate() {
        assert_eq!(recv::<S>(&there).payload, pattern(*len, i));
    }
    drop(sender());
}

fn fate<S: Stack>(receipt: &mut S::Receipt) -> Fate {
    S::fate(receipt, WAIT).expect("the fate hangs")
}

fn receipt<S: Stack>(connection: &S::Connection, message: Message) -> S::Receipt {
    S::send_receipt(connection, message, WAIT).expect("the sender hangs").expect("the connection is there")
}

/// Arrival is told.
pub fn a_receipt_is_acked<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
        let mut receipt = receipt::<S>(here, number(1).class(class));
        assert_eq!(fate::<S>(&mut receipt), Fate::Acked);
        assert_eq!(recv::<S>(there).payload, "1");
    }
}

/// The application's word is told.
pub fn a_receipt_is_processed<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let mut receipt = receipt::<S>(here, number(1).receipt_of_processing());
    let received = recv::<S>(there);
    assert!(received.wants_receipt() && received.ack() && !received.ack());
    assert_eq!(fate::<S>(&mut receipt), Fate::Processed);
}

/// And its refusal.
pub fn a_receipt_is_rejected<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let mut receipt = receipt::<S>(here, number(1).receipt_of_processing());
    assert!(recv::<S>(there).reject(77));
    assert_eq!(fate::<S>(&mut receipt), Fate::Rejected(77));
}

/// A batch has one fate.
pub fn a_batch_is_acked_as_one<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let mut receipts: Vec<_> =
        (0..3).map(|i| receipt::<S>(here, number(i).receipt_of_processing().batch(1))).collect();
    receipts.push(receipt::<S>(here, number(3).receipt_of_processing().last_of_batch(1)));
    let last = (0..4).map(|_| recv::<S>(there)).last().expect("there are four");
    assert!(last.ack());
    for receipt in &mut receipts {
        assert_eq!(fate::<S>(receipt), Fate::Processed);
    }
}

/// Of messages with one key only the newest matters, and the last always arrives.
pub fn a_key_replaces_what_waits<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    for i in 0..200 {
        send::<S>(here, number(i).class(Class::Sequenced).key(5));
    }
    send::<S>(here, number(200));
    let mut last = None;
    loop {
        let received = recv::<S>(there);
        if received.class == Class::ReliableOrdered {
            break;
        }
        last = Some(received.payload);
    }
    if last.as_deref() != Some(b"199") {
        assert_eq!(recv::<S>(there).payload, "199");
    }
}

/// What has outlived its time is not sent, and its fate is told.
pub fn an_expired_message_is_told<S: Stack>(env: &Env<S>) {
    let config = ConfigBuilder { receive_messages: 4, ..ConfigBuilder::default() };
    let Pair { here, there: _there, .. } = &env.pair(config);
    // The peer reads nothing, so the last one waits until its time is over.
    let mut last = None;
    for i in 0..16 {
        last = Some(receipt::<S>(here, number(i).receipt().lifetime(Duration::from_millis(500))));
    }
    let fate = fate::<S>(last.as_mut().expect("there are some"));
    assert!(matches!(fate, Fate::Expired { .. }), "{fate:?}");
}
