//! Receipts by the application's own word, batches, and lies about all of it.

use alloc::vec;
use alloc::vec::Vec;

use super::{Client, Pair, Server, close_in, ms, secs, small};
use crate::wire::{
    Batch, Extras, FragAbort, Fragment, Frame, Msg, Options, RecordWriter, Skipped, Status, WireId,
};
use crate::{
    ChannelId, ChannelOptions, Class, Close, ConfigBuilder, Drop, Event, Fate, Message, MessageId, Received,
    Refusal, SendError, code,
};

fn fates(pair: &mut Pair) -> Vec<(MessageId, Fate)> {
    let told = |event| match event {
        Event::Fate { message, fate } => Some((message, fate)),
        _ => None,
    };
    let mut told: Vec<_> = pair.take_events(Client).into_iter().filter_map(told).collect();
    told.sort_unstable();
    told
}

fn batches(pair: &mut Pair) -> Vec<(u64, Fate)> {
    let told = |event| match event {
        Event::Batch { batch, fate, .. } => Some((batch, fate)),
        Event::Fate { .. } => panic!("a fate of its own in a batch"),
        _ => None,
    };
    pair.take_events(Client).into_iter().filter_map(told).collect()
}

fn ack(pair: &mut Pair, received: &Received) -> bool {
    let now = pair.now;
    pair.conn(Server).ack(now, received.receipt.expect("it asks"))
}

fn reject(pair: &mut Pair, received: &Received, reason: u64) -> bool {
    let now = pair.now;
    pair.conn(Server).reject(now, received.receipt.expect("it asks"), reason)
}

fn asking(class: Class) -> Message {
    Message::new("work").class(class).receipt_of_processing()
}

fn asked(id: u16, class: Class) -> Frame<'static> {
    let extras = Extras { receipt: true, ..Extras::default() };
    Frame::Msg(Msg { extras, ..super::msg(class, id, b"") })
}

#[test]
fn the_application_has_the_last_word_in_every_class() {
    for class in Class::ALL {
        let mut pair = Pair::established(ConfigBuilder::default());
        let first = pair.send(Client, 0, asking(class));
        pair.run(ms(200));
        assert_eq!(fates(&mut pair), [], "{class:?}: it arrived, and nobody has said anything");
        let received = pair.recv(Server, 0).expect("it arrived");
        pair.run(ms(200));
        assert_eq!(fates(&mut pair), []);
        assert!(ack(&mut pair, &received));
        assert!(!ack(&mut pair, &received), "one word each");
        pair.run(ms(200));
        assert_eq!(fates(&mut pair), [(first, Fate::Processed)]);
        let second = pair.send(Client, 0, asking(class));
        pair.run(ms(200));
        let received = pair.recv(Server, 0).expect("it arrived");
        assert!(reject(&mut pair, &received, 77));
        pair.run(ms(200));
        assert_eq!(fates(&mut pair), [(second, Fate::Rejected(77))], "{class:?}");
        assert_eq!(pair.conn(Client).unsettled(), 0);
    }
}

#[test]
fn receipts_arrive_over_a_bad_wire_and_once() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let mut rng = super::noise(11);
    pair.lose(move |_| rng.below(10) < 4);
    let sent: Vec<_> = (0..60)
        .map(|i| {
            let id = pair.send(Client, 0, asking(Class::ALL[i % 2]));
            pair.run(ms(10));
            id
        })
        .collect();
    for _ in 0..200 {
        pair.run(ms(100));
        for received in pair.recv_all(Server, 0) {
            if received.number % 3 == 0 {
                reject(&mut pair, &received, 5);
            } else {
                ack(&mut pair, &received);
            }
        }
    }
    let told = fates(&mut pair);
    assert_eq!(told.len(), sent.len());
    assert!(told.iter().all(|(_, fate)| matches!(fate, Fate::Processed | Fate::Rejected(5))));
    assert_eq!(pair.conn(Client).unsettled(), 0);
}

#[test]
fn what_the_application_never_saw_is_refused() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let expires = pair.send(Client, 0, asking(Class::ReliableOrdered).lifetime(ms(50)));
    pair.run(ms(500));
    assert_eq!(pair.recv(Server, 0), None);
    pair.run(ms(100));
    assert_eq!(fates(&mut pair), [(expires, Fate::Refused(Refusal::Expired))]);
    let older = pair.send(Client, 0, asking(Class::Sequenced));
    pair.run(ms(100));
    pair.send(Client, 0, Message::new("newer").class(Class::Sequenced));
    pair.run(ms(100));
    assert_eq!(fates(&mut pair), [(older, Fate::Refused(Refusal::Superseded))]);

    let mut pair = Pair::established(small());
    let mut ids = Vec::new();
    for _ in 0..10 {
        // Those that arrived wait for a word, and count.
        if pair.conn(Client).unsettled() == 8 {
            break;
        }
        ids.push(pair.send(Client, 0, asking(Class::Unreliable)));
        pair.run(ms(50));
    }
    let too_many: Vec<_> = (8..10).map(|id| asked(id, Class::Unreliable)).collect();
    pair.inject(Client, &too_many);
    pair.run(ms(100));
    assert_eq!(pair.recv_all(Server, 0).len(), 8, "a queue of 8");
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReceiveQueueFull), 2);
}

#[test]
fn who_waits_for_many_words_is_held_back() {
    let mut pair = Pair::established(small());
    for _ in 0..8 {
        pair.send(Client, 0, asking(Class::ReliableOrdered));
    }
    pair.run(ms(500));
    let received = pair.recv_all(Server, 0);
    pair.run(ms(500));
    let now = pair.now;
    let refused = pair.conn(Client).channel(ChannelId::DEFAULT).send(now, Message::new("x"));
    assert_eq!(refused, Err(SendError::Full), "a window of 8 unprocessed messages");
    for received in &received {
        ack(&mut pair, received);
    }
    pair.run(ms(500));
    assert!(pair.take_events(Client).contains(&Event::Writable(ChannelId::DEFAULT)));
}

#[test]
fn closing_waits_for_the_words_but_not_for_ever() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let id = pair.send(Client, 0, asking(Class::ReliableOrdered));
    pair.run(ms(100));
    let received = pair.recv(Server, 0).expect("it arrived");
    pair.close(Client, Close::default());
    pair.run(ms(500));
    ack(&mut pair, &received);
    pair.close(Server, Close::default());
    pair.run(ms(500));
    assert_eq!(fates(&mut pair), [(id, Fate::Processed)]);

    let mut pair = Pair::established(ConfigBuilder::default());
    let id = pair.send(Client, 0, asking(Class::ReliableOrdered));
    pair.run(ms(100));
    pair.close(Client, Close::default());
    pair.run(secs(4));
    assert!(pair.closed(Client).is_some());
    assert_eq!(fates(&mut pair), [(id, Fate::Unknown)]);
}

#[test]
fn a_batch_has_one_receipt() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for i in 0..3 {
        pair.send(Client, 0, Message::new("member").batch(9));
        pair.run(ms(50 * i));
    }
    assert_eq!(batches(&mut pair), [], "it goes on");
    pair.send(Client, 0, Message::new("last").last_of_batch(9));
    pair.run(ms(100));
    assert_eq!(batches(&mut pair), [(9, Fate::Acked)]);
    let got = pair.recv_all(Server, 0);
    let told: Vec<_> = got.iter().map(|received| received.batch).collect();
    let member = Some(Batch { number: 9, is_last: false });
    assert_eq!(told, [member, member, member, Some(Batch { number: 9, is_last: true })]);
}

#[test]
fn one_word_answers_for_a_whole_batch() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for _ in 0..3 {
        pair.send(Client, 0, asking(Class::ReliableOrdered).batch(1));
    }
    pair.send(Client, 0, asking(Class::ReliableOrdered).last_of_batch(1));
    pair.run(ms(200));
    let got = pair.recv_all(Server, 0);
    assert!(ack(&mut pair, &got[3]));
    assert!(!ack(&mut pair, &got[0]), "answered with the last");
    pair.run(ms(200));
    assert_eq!(batches(&mut pair), [(1, Fate::Processed)]);
}

#[test]
fn a_batch_fails_with_its_first_failure_and_ends_with_its_connection() {
    let mut pair = Pair::established(ConfigBuilder::default());
    pair.send(Client, 0, Message::new("dies").class(Class::Sequenced).batch(1));
    pair.send(Client, 0, Message::new("lives").class(Class::Sequenced).last_of_batch(1));
    pair.send(Client, 0, Message::new("never ended").batch(2));
    pair.run(ms(200));
    assert_eq!(batches(&mut pair), [(1, Fate::Superseded)]);
    pair.close(Client, Close::default());
    pair.run(secs(1));
    assert_eq!(batches(&mut pair), [(2, Fate::Unknown)]);
}

#[test]
fn open_batches_have_a_limit() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for number in 0..1024 {
        pair.send(Client, 0, Message::new("").class(Class::Unreliable).batch(number));
    }
    let now = pair.now;
    let more = Message::new("").class(Class::Unreliable).batch(1024);
    let sent = pair.conn(Client).channel(ChannelId::DEFAULT).send(now, more);
    assert_eq!(sent, Err(SendError::TooManyBatches));
    let sent = pair
        .conn(Client)
        .channel(ChannelId::DEFAULT)
        .send(now, Message::new("").class(Class::Unreliable).batch(5));
    assert!(sent.is_ok(), "batch 5 has begun");
}

/// Code of the CLOSE that answers forged frames; `None` when the connection goes on.
fn verdict(config: ConfigBuilder, frames: impl Fn(&mut RecordWriter<'_>)) -> Option<u64> {
    let mut pair = Pair::established(config);
    pair.send(Server, 0, Message::new("never asked"));
    pair.run(ms(100));
    pair.sent.clear();
    let packet = pair.forge(Client, frames);
    pair.hand_in(Server, &packet);
    pair.run(ms(50));
    pair.sent.iter().find_map(|sent| close_in(&sent.packet).map(|(code, _)| code))
}

const fn skip(number: u64, total: u64) -> Skipped {
    Skipped { number, total }
}

#[test]
fn lies_about_delivery_end_the_connection() {
    let flow = Some(code::FLOW_CONTROL);
    let broken = Some(code::PROTOCOL_VIOLATION);
    let skips = |skips: &[Skipped]| {
        let skips = skips.to_vec();
        verdict(small(), move |writer| writer.write_skip(0, 0, &skips))
    };
    assert_eq!(skips(&[skip(0, 100), skip(7, 4000)]), None, "an honest one");
    assert_eq!(skips(&[skip(4096, 0)]), flow, "beyond the window");
    assert_eq!(skips(&[skip((1 << 62) - 1, 0)]), flow);
    assert_eq!(skips(&[skip(0, 4001)]), Some(code::MESSAGE_TOO_LARGE));
    assert_eq!(skips(&[skip(0, u64::MAX)]), Some(code::MESSAGE_TOO_LARGE));
    assert_eq!(verdict(small(), |writer| writer.write_skip(5, 0, &[skip(0, 1)])), broken, "no such channel");
    let disagrees = |writer: &mut RecordWriter<'_>| {
        let fragment = Some(Fragment { total: 100, offset: 0 });
        writer.write(&Frame::Msg(Msg { fragment, ..super::msg(Class::ReliableOrdered, 0, b"x") }), false);
        writer.write_skip(0, 0, &[skip(0, 101)]);
    };
    assert_eq!(verdict(small(), disagrees), broken, "another length");
    let receipt = |first, last| {
        verdict(small(), move |writer| writer.write_msg_ack(0, 0, Status::Processed, &[first..=last]))
    };
    assert_eq!(receipt(0, 0), None, "one that did not ask, as if it had been answered before");
    assert_eq!(receipt(0, 1), broken, "one that was never sent");
    assert_eq!(receipt(0, (1 << 62) - 1), broken);
    assert_eq!(
        verdict(small(), |writer| writer.write_msg_ack(9, 0, Status::Rejected(1), &[0..=0])),
        broken,
        "no such channel"
    );
    let abort = |channel| {
        let frame = Frame::FragAbort(FragAbort { channel, class: 2, number: 1 << 60 });
        verdict(small(), move |writer| writer.write(&frame, false))
    };
    assert_eq!((abort(0), abort(7)), (None, broken));
}

#[test]
fn a_storm_of_skips_costs_what_it_skips_and_leaks_nothing() {
    let mut pair = Pair::established(small());
    for round in 0..500_u64 {
        let skips: Vec<_> = (0..8).map(|i| skip(round * 8 + i, 0)).collect();
        let packet = pair.forge(Client, |writer| {
            for _ in 0..20 {
                writer.write_skip(0, 1, &skips);
            }
        });
        pair.hand_in(Server, &packet);
        pair.run(ms(25));
    }
    assert_eq!(pair.closed(Server), None);
    assert_eq!(pair.conn(Server).held_bytes(), 0);
}

#[test]
fn a_flood_of_messages_that_ask_and_are_not_answered_is_bounded() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let extras = Extras { receipt: true, ..Extras::default() };
    for round in 0..600_u32 {
        let packet = pair.forge(Client, |writer| {
            for i in 0..40 {
                let id = WireId::Low32(round * 40 + i);
                let msg = Msg { id, extras, ..super::msg(Class::Unreliable, 0, b"") };
                writer.write(&Frame::Msg(msg), i == 39);
            }
        });
        pair.hand_in(Server, &packet);
        pair.recv_all(Server, 0);
    }
    // Credit for 4096 reliable messages has been given, which may ask as well.
    let owed = 16_384 - 4096;
    assert_eq!(kept_receipts(&mut pair), owed + 4096, "owed, and refused");
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReceiptsFull), 24_000 - owed as u64);
    assert_eq!(pair.closed(Server), None);
}

fn kept_receipts(pair: &mut Pair) -> usize {
    let channels = pair.conn(Server).channels.iter();
    channels.filter_map(|channel| channel.extra.as_ref()).map(|extra| extra.receipts.len()).sum()
}

/// Over all channels: who answers nothing gets no more than it could answer, and all of it once it does.
#[test]
fn receipts_are_bounded_for_the_connection() {
    let config = ConfigBuilder { max_receipts: 40, ..ConfigBuilder::default() };
    let mut pair = Pair::established(config);
    let now = pair.now;
    let mut channels = vec![ChannelId::DEFAULT];
    channels.extend(
        (0..3).map(|_| pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room")),
    );
    for &channel in &channels {
        for _ in 0..100 {
            pair.send(Client, channel.0, asking(Class::ReliableUnordered));
        }
    }
    let mut received = Vec::new();
    for round in 0..200 {
        if round < 50 {
            pair.send(Client, 0, asking(Class::Unreliable));
        }
        pair.run(ms(50));
        received.extend(channels.iter().flat_map(|channel| pair.recv_all(Server, channel.0)));
        assert!(kept_receipts(&mut pair) <= 50, "round {round}: {} receipts", kept_receipts(&mut pair));
        // Nothing is answered for a while.
        let count = if round < 20 { 0 } else { received.len().min(10) };
        for received in received.drain(..count) {
            assert!(ack(&mut pair, &received));
        }
    }
    assert_eq!(pair.closed(Server), None);
    let stats = pair.conn(Client).stats();
    // A quarter of the receipts is for those without credit.
    assert_eq!((stats.messages_processed, stats.messages_refused), (401, 49));
    assert_eq!(pair.conn(Client).unsettled(), 0);
}

#[test]
fn messages_without_credit_can_be_answered_in_every_preset() {
    let presets = [
        ConfigBuilder::default(),
        ConfigBuilder::lan(),
        ConfigBuilder::game(),
        ConfigBuilder::chat(),
        ConfigBuilder::bulk(),
        ConfigBuilder::mobile(),
        ConfigBuilder { max_receipts: 16, ..ConfigBuilder::default() },
    ];
    for (index, preset) in presets.into_iter().enumerate() {
        let mut pair = Pair::established(preset);
        for class in [Class::Unreliable, Class::Sequenced] {
            pair.send(Client, 0, asking(class));
            pair.run(ms(50));
            let received = pair.recv(Server, 0).expect("it arrived");
            assert!(ack(&mut pair, &received), "{class:?} in preset {index}");
            pair.run(ms(200));
        }
        assert_eq!(pair.conn(Client).stats().messages_processed, 2, "preset {index}");
    }
}

/// However few receipts the peer keeps: what it cannot answer for, it refuses.
#[test]
fn a_message_for_whose_receipt_there_is_no_room_is_refused() {
    for max_receipts in [1, 2, 4, 40] {
        let config = ConfigBuilder { max_receipts, ..ConfigBuilder::default() };
        let mut pair = Pair::established(config);
        for _ in 0..20 {
            for _ in 0..50 {
                pair.send(Client, 0, asking(Class::Unreliable));
            }
            pair.run(ms(100));
            for received in pair.recv_all(Server, 0) {
                assert!(ack(&mut pair, &received));
            }
        }
        pair.run(secs(1));
        let stats = pair.conn(Client).stats();
        assert_eq!(stats.messages_processed + stats.messages_refused, 1000, "{max_receipts}");
        assert_eq!(pair.conn(Client).unsettled(), 0, "{max_receipts}");
    }
}

#[test]
fn nobody_waits_for_a_word_about_what_was_given_up() {
    let mut pair = Pair::established(ConfigBuilder::default());
    pair.inject(Client, &[asked(0, Class::ReliableOrdered)]);
    let received = pair.recv(Server, 0).expect("it arrived");
    let packet = pair.forge(Client, |writer| writer.write_skip(0, 0, &[skip(0, 0)]));
    pair.hand_in(Server, &packet);
    assert!(!ack(&mut pair, &received), "its sender has given it up, thinking it lost");
}

#[test]
fn a_lifetime_of_nothing_is_over_on_arrival() {
    for class in Class::ALL {
        let mut pair = Pair::established(ConfigBuilder::default());
        for (id, ttl) in [(0, 0), (1, 86_400_000)] {
            let extras = Extras { ttl: Some(ttl), receipt: true, options: Options::NONE };
            let whole = Msg { extras, ..super::msg(class, id, b"whole") };
            pair.inject(Client, &[Frame::Msg(whole)]);
            let fragment = Some(Fragment { total: 100, offset: 0 });
            pair.inject(Client, &[Frame::Msg(Msg { fragment, extras, ..super::msg(class, id + 2, b"x") })]);
        }
        let got = pair.recv_all(Server, 0);
        assert_eq!(got.len(), 1, "{class:?}");
        assert_eq!(got[0].gap, u32::from(class == Class::ReliableOrdered));
        assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReceiveExpired), 2, "{class:?}");
    }
}

#[test]
fn pieces_can_only_shorten_a_lifetime() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let piece = |offset, ttl| {
        let extras = Extras { ttl, ..Extras::default() };
        let fragment = Some(Fragment { total: 4, offset });
        Frame::Msg(Msg { fragment, extras, ..super::msg(Class::ReliableOrdered, 0, b"xx") })
    };
    pair.inject(Client, &[piece(0, Some(100))]);
    pair.inject(Client, &[piece(2, Some(50_000))]);
    pair.run(ms(101));
    assert_eq!(pair.recv(Server, 0), None);
}
