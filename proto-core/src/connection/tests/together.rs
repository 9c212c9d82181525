//! Where the parts meet: each test is about two of them.

use alloc::vec;
use alloc::vec::Vec;

use super::{Client, Pair, Sent, Server, ms, secs, small};
use crate::wire::{Extras, Fragment, Frame, Msg, Packet, Rate, Record};
use crate::{
    Cancel, ChannelId, ChannelOptions, Class, Close, ConfigBuilder, Drop, Event, Fate, Link, Message,
    MessageId, Policy, RequestOutcome, SendLimits,
};

const ZERO: ChannelId = ChannelId::DEFAULT;

fn fates(pair: &mut Pair) -> Vec<(MessageId, Fate)> {
    let told = |event| match event {
        Event::Fate { message, fate } => Some((message, fate)),
        _ => None,
    };
    pair.take_events(Client).into_iter().filter_map(told).collect()
}

/// A pair whose server has room for another 264 bytes of the client's messages, and takes none.
fn almost_without_credit() -> Pair {
    let mut pair = Pair::established(small());
    for size in [3500, 3500, 544] {
        pair.send(Client, 0, Message::new(vec![0; size]));
    }
    pair.run(secs(1));
    assert_eq!(pair.conn(Client).unsettled(), 0);
    pair
}

#[test]
fn credit_and_lifetimes_what_waited_behind_a_message_that_is_over_goes_out() {
    let mut pair = almost_without_credit();
    pair.send(Client, 0, Message::new(vec![1; 1000]).lifetime(ms(300)));
    let small = pair.send(Client, 0, Message::new("fits").receipt());
    pair.run(ms(200));
    assert_eq!(fates(&mut pair), [], "it waits for its turn");
    pair.run(secs(1));
    assert_eq!(fates(&mut pair), [(small, Fate::Acked)]);
}

#[test]
fn credit_and_cancelling_what_waited_behind_a_cancelled_message_goes_out() {
    let mut pair = almost_without_credit();
    let large = pair.send(Client, 0, Message::new(vec![1; 1000]));
    let small = pair.send(Client, 0, Message::new("fits").receipt());
    pair.run(ms(200));
    let now = pair.now;
    assert_eq!(pair.conn(Client).channel(ZERO).cancel(now, large), Cancel::Cancelled);
    pair.run(secs(1));
    assert_eq!(fates(&mut pair), [(small, Fate::Acked)]);
}

#[test]
fn credit_and_requests_what_waited_behind_a_cancelled_request_goes_out() {
    let mut pair = almost_without_credit();
    let now = pair.now;
    let large = Message::new(vec![1; 1000]);
    let request = pair.conn(Client).channel(ZERO).request(now, large, secs(60)).expect("room");
    let small = pair.send(Client, 0, Message::new("fits").receipt());
    pair.run(ms(200));
    let now = pair.now;
    assert!(pair.conn(Client).cancel_request(now, request));
    pair.run(secs(1));
    assert_eq!(fates(&mut pair), [(small, Fate::Acked)]);
}

/// The first message is lost and given up, the others fill the window, and one more waits for it.
fn window_behind(first: Message) -> (Pair, MessageId, MessageId) {
    let mut pair = Pair::established(ConfigBuilder {
        send_messages: 4096,
        send_bytes: 1 << 20,
        receive_messages: 4096,
        receive_bytes: 1 << 20,
        session_messages: 16_384,
        ..ConfigBuilder::default()
    });
    pair.lose(|sent| sent.from == Client);
    let first = pair.send(Client, 0, first.class(Class::ReliableUnordered).receipt());
    pair.run(ms(1));
    let name = |sent: &Sent| super::frame_names(&sent.packet).contains(&"SKIP");
    pair.lose(move |sent| sent.from == Client && name(sent));
    for _ in 0..4095 {
        pair.send(Client, 0, Message::new("").class(Class::ReliableUnordered));
    }
    let mut blocked = None;
    for _ in 0..200 {
        pair.run(ms(20));
        pair.recv_all(Server, 0);
        let now = pair.now;
        if blocked.is_none() && pair.conn(Client).unsettled() == 0 {
            let last = Message::new("last").class(Class::ReliableUnordered).receipt();
            blocked = Some(pair.conn(Client).channel(ZERO).send(now, last).expect("room"));
        }
    }
    (pair, first, blocked.expect("all but one arrive"))
}

#[test]
fn window_and_skip_what_waited_for_a_skipped_message_goes_out() {
    let (mut pair, first, last) = window_behind(Message::new("lost").lifetime(ms(5)));
    let expired = Fate::Expired { phase: crate::Phase::Sent };
    assert_eq!(fates(&mut pair), [(first, expired)], "the peer does not know");
    pair.lose(|_| false);
    pair.run(secs(10));
    assert_eq!(fates(&mut pair), [(last, Fate::Acked)]);
}

fn answer(pair: &mut Pair, parts: &[&'static str], last: &'static str) {
    let request = pair.recv(Server, 1).and_then(|received| received.request).expect("a request");
    let now = pair.now;
    for &part in parts {
        pair.conn(Server).reply_part(now, request, part).expect("room");
    }
    pair.conn(Server).reply(now, request, last).expect("room");
}

#[test]
fn policies_and_replies_no_part_of_an_answer_gives_way() {
    for policy in [Policy::DropOld, Policy::DropNew, Policy::Replace] {
        let mut pair = Pair::established(ConfigBuilder::default());
        let now = pair.now;
        let channel = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
        let request =
            pair.conn(Client).channel(channel).request(now, Message::new("?"), secs(5)).expect("room");
        pair.run(ms(100));
        let limits = SendLimits { messages: Some(4), policy: Some(policy), ..SendLimits::default() };
        pair.conn(Server).channel(channel).limit_queue(&limits).expect("sound limits");
        answer(&mut pair, &["a", "b"], "c");
        let now = pair.now;
        for _ in 0..9 {
            let other = Message::new("other").class(Class::ReliableUnordered);
            let _ = pair.conn(Server).channel(channel).send(now, other);
        }
        pair.run(secs(10));
        let parts: Vec<_> = core::iter::from_fn(|| pair.conn(Client).take_reply(now, request)).collect();
        assert_eq!(parts, ["a", "b", "c"], "{policy:?}");
        let done = Event::RequestDone { request, outcome: RequestOutcome::Replied };
        assert!(pair.take_events(Client).contains(&done), "{policy:?}");
    }
}

#[test]
fn policies_and_replies_an_answer_that_finds_no_room_is_refused() {
    for policy in [Policy::DropOld, Policy::DropNew, Policy::Replace] {
        let mut pair = Pair::established(ConfigBuilder::default());
        let now = pair.now;
        let channel = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
        pair.conn(Client).channel(channel).request(now, Message::new("?"), secs(5)).expect("room");
        pair.run(ms(100));
        let limits = SendLimits { messages: Some(1), policy: Some(policy), ..SendLimits::default() };
        pair.conn(Server).channel(channel).limit_queue(&limits).expect("sound limits");
        pair.send(Server, channel.0, Message::new("first"));
        let request = pair.recv(Server, 1).and_then(|received| received.request).expect("a request");
        let now = pair.now;
        assert_eq!(pair.conn(Server).reply(now, request, ""), Err(crate::SendError::Full), "{policy:?}");
        pair.run(ms(200));
        assert!(pair.take_events(Server).contains(&Event::Writable(channel)), "{policy:?}");
        let now = pair.now;
        assert_eq!(pair.conn(Server).reply(now, request, ""), Ok(()), "{policy:?}");
    }
}

#[test]
fn keys_and_classes_a_settled_message_takes_no_key_of_another_class_along() {
    let mut pair = almost_without_credit();
    let unordered = Message::new("").class(Class::ReliableUnordered).receipt();
    for _ in 0..3 {
        pair.send(Client, 0, unordered.clone());
    }
    pair.run(ms(100));
    fates(&mut pair);
    let first = pair.send(Client, 0, unordered.key(7));
    pair.run(ms(1));
    let second = pair.send(Client, 0, Message::new(vec![2; 1000]).key(7).receipt());
    assert_eq!(first.number, second.number, "or the test shows nothing");
    pair.run(ms(100));
    assert_eq!(fates(&mut pair), [(first, Fate::Acked)]);
    pair.send(Client, 0, Message::new("newest").key(7));
    pair.run(ms(1));
    assert_eq!(fates(&mut pair), [(second, Fate::Superseded)]);
}

#[test]
fn large_packets_and_many_channels_no_record_has_more_frames_than_a_peer_takes() {
    let config = ConfigBuilder { max_channels: 4096, ..ConfigBuilder::default() };
    let config = config.build().expect("sound");
    let mut pair = Pair::established_with(config.clone(), config, Link::datagram(9000));
    let now = pair.now;
    for _ in 0..1000 {
        pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
    }
    pair.run(secs(1));
    assert_eq!((pair.closed(Client), pair.closed(Server)), (None, None));
    let opened = pair.take_events(Server).into_iter().filter(|event| matches!(event, Event::Opened(_)));
    assert_eq!(opened.count(), 1000);
}

#[test]
fn second_copies_and_max_retransmits_a_copy_is_a_repetition_too() {
    for most in 0..5 {
        let mut pair = Pair::established(ConfigBuilder::default());
        let now = pair.now;
        let channel = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
        pair.run(ms(200));
        let is_doomed = move |sent: &Sent| sent.from == Client && has_message_on(&sent.packet, 1);
        pair.lose(is_doomed);
        pair.sent.clear();
        let id = pair.send(Client, channel.0, Message::new("doomed").max_retransmits(most).receipt());
        for _ in 0..100 {
            pair.run(ms(3));
            pair.send(Client, 0, Message::new("other").class(Class::Unreliable));
        }
        assert_eq!(fates(&mut pair), [(id, Fate::Lost)]);
        let written = pair.sent.iter().filter(|sent| is_doomed(sent)).count();
        assert!(written <= 1 + most as usize, "{written} times");
    }
}

fn has_message_on(packet: &[u8], channel: u32) -> bool {
    let is_there = |frame| matches!(frame, Ok(Frame::Msg(msg)) if msg.channel == channel);
    matches!(Packet::decode(packet, crate::wire::checksum::crc32c), Ok(Packet::Short(_)))
        && Record::new(super::payload(packet)).any(is_there)
}

#[test]
fn sequenced_and_cancelling_the_newest_that_is_left_arrives() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let options = ChannelOptions { reliable_sequenced: true, ..ChannelOptions::default() };
    let channel = pair.conn(Client).open_channel(now, &options).expect("room");
    pair.run(ms(200));
    pair.lose(|sent| sent.from == Client);
    let sequenced = |text: &'static str| Message::new(text).class(Class::Sequenced).receipt();
    let stays = pair.send(Client, channel.0, sequenced("stays"));
    pair.run(ms(1));
    let goes = pair.send(Client, channel.0, sequenced("goes"));
    let now = pair.now;
    assert_eq!(pair.conn(Client).channel(channel).cancel(now, goes), Cancel::Cancelled);
    pair.lose(|_| false);
    pair.run(secs(5));
    assert_eq!(fates(&mut pair), [(goes, Fate::Cancelled), (stays, Fate::Acked)]);
    assert_eq!(pair.recv(Server, channel.0).expect("it arrives").payload, "stays");
}

#[test]
fn close_and_receipts_it_waits_for_the_word_about_unreliable_messages_too() {
    for class in Class::ALL {
        let mut pair = Pair::established(ConfigBuilder::default());
        let id = pair.send(Client, 0, Message::new("work").class(class).receipt_of_processing());
        pair.run(ms(1));
        pair.close(Client, Close::default());
        pair.run(ms(50));
        let received = pair.recv(Server, 0).expect("it arrives");
        let now = pair.now;
        assert!(pair.conn(Server).ack(now, received.receipt.expect("it asks")));
        pair.run(ms(200));
        assert!(pair.closed(Client).is_some(), "{class:?}: it need not wait longer");
        assert_eq!(fates(&mut pair), [(id, Fate::Processed)], "{class:?}");
    }
}

#[test]
fn rate_limits_and_recv_the_next_deadline_is_known_at_once() {
    let rate = Rate { messages: 2, message_burst: 4, ..Rate::default() };
    let mut pair =
        Pair::established(ConfigBuilder { receive_rate: Some(rate), session_messages: 8, ..small() });
    for _ in 0..8 {
        pair.send(Client, 0, Message::new("x"));
    }
    while pair.conn(Server).unread() < 8 {
        pair.run(ms(5));
    }
    for _ in 0..8 {
        pair.drain();
        pair.recv(Server, 0);
        let conn = pair.conn(Server);
        let due = conn.channels.rate_deadline();
        assert!(due.is_none_or(|due| conn.poll_timeout().is_some_and(|next| next <= due)));
    }
}

#[test]
fn lifetimes_and_pieces_a_message_that_is_over_is_counted_once() {
    for class in [Class::ReliableOrdered, Class::ReliableUnordered, Class::Unreliable] {
        let mut pair = Pair::established(ConfigBuilder::default());
        for offset in [0, 1, 2] {
            let extras = Extras { ttl: Some(5), ..Extras::default() };
            let fragment = Some(Fragment { total: 100, offset });
            // Another is missing before it.
            let piece = Msg { fragment, extras, ..super::msg(class, 1, b"x") };
            pair.inject(Client, &[Frame::Msg(piece)]);
            pair.run(ms(20));
        }
        let drops = pair.conn(Server).stats().drops.clone();
        let told = (drops.get(Drop::ReceiveExpired), drops.get(Drop::DuplicateMessage));
        assert_eq!(told, (1, 2), "{class:?}");
    }
}

#[test]
fn recv_all_and_recv_take_the_same_and_give_the_same_room_back() {
    let take = |at_once: bool| {
        let mut pair = Pair::established(small());
        let mut taken = Vec::new();
        for round in 0..40_u8 {
            for index in 0..=round % 7 {
                let class = if index == 5 { Class::Sequenced } else { Class::ReliableOrdered };
                let message = Message::new(alloc::vec![round; usize::from(index)]).class(class);
                let now = pair.now;
                let _ = pair.conn(Client).channel(ChannelId::DEFAULT).send(now, message);
            }
            pair.run(ms(10));
            let (now, count) = (pair.now, usize::from(round % 5));
            let mut channel = pair.conn(Server).channel(ChannelId::DEFAULT);
            if at_once {
                taken.extend(channel.recv_all(now).take(count));
            } else {
                taken.extend(core::iter::from_fn(|| channel.recv(now)).take(count));
            }
        }
        pair.run(ms(500));
        let stats = [Client, Server].map(|side| pair.conn(side).stats().clone());
        (taken, stats, pair.conn(Server).unread())
    };
    let (one_by_one, at_once) = (take(false), take(true));
    assert!(one_by_one.0.len() > 40, "{} messages", one_by_one.0.len());
    assert_eq!(one_by_one, at_once);
}
