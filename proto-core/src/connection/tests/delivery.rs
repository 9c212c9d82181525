//! Newest wins, lifetimes, cancelling, superseding, limits and policies.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Client, Pair, Server, Side, frame_names, ms, secs, small};
use crate::{
    Cancel, ChannelId, ChannelOptions, Class, ConfigBuilder, Drop, Event, Fate, Message, MessageId,
    OpenError, Phase, Policy, ReceiveLimits, Refusal, RequestOutcome, SendError, SendLimits,
};

const ZERO: ChannelId = ChannelId::DEFAULT;

fn fates(pair: &mut Pair, side: Side) -> Vec<(MessageId, Fate)> {
    let told = |event| match event {
        Event::Fate { message, fate } => Some((message, fate)),
        _ => None,
    };
    pair.take_events(side).into_iter().filter_map(told).collect()
}

fn try_send(pair: &mut Pair, message: Message) -> Result<MessageId, SendError> {
    let now = pair.now;
    pair.conn(Client).channel(ZERO).send(now, message)
}

fn open(pair: &mut Pair, options: &ChannelOptions) -> ChannelId {
    let now = pair.now;
    let channel = pair.conn(Client).open_channel(now, options).expect("room for a channel");
    pair.run(ms(100));
    channel
}

fn texts(pair: &mut Pair, channel: u32) -> Vec<Vec<u8>> {
    pair.recv_all(Server, channel).into_iter().map(|received| received.payload.to_vec()).collect()
}

const fn expired(phase: Phase) -> Fate {
    Fate::Expired { phase }
}

/// The server gets nothing any more.
fn cut(pair: &mut Pair) {
    pair.lose(|sent| sent.from == Client);
}

#[test]
fn of_sequenced_messages_the_newest_waits_to_be_sent() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let ids: Vec<_> = (0..5_u8)
        .map(|i| pair.send(Client, 0, Message::new(vec![i]).class(Class::Sequenced).receipt()))
        .collect();
    pair.run(ms(200));
    assert_eq!(texts(&mut pair, 0), [[4]]);
    let mut told = fates(&mut pair, Client);
    told.sort_unstable();
    let mut expected: Vec<_> = ids[..4].iter().map(|&id| (id, Fate::Superseded)).collect();
    expected.push((ids[4], Fate::Acked));
    assert_eq!(told, expected);
}

#[test]
fn of_sequenced_messages_the_newest_waits_to_be_received() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for i in 0..5_u8 {
        pair.send(Client, 0, Message::new(vec![i]).class(Class::Sequenced));
        pair.run(ms(20));
    }
    assert_eq!(texts(&mut pair, 0), [[4]]);
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReceiveSuperseded), 4);
}

#[test]
fn what_was_overtaken_is_dropped() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for id in [5, 3, 5, 6, 4] {
        pair.inject(Client, &[crate::wire::Frame::Msg(super::msg(Class::Sequenced, id, &[id as u8]))]);
    }
    assert_eq!(texts(&mut pair, 0), [[6]]);
    let drops = pair.conn(Server).stats().drops.clone();
    assert_eq!((drops.get(Drop::ReceiveSuperseded), drops.get(Drop::DuplicateMessage)), (3, 1));
}

#[test]
fn an_unreliable_sequenced_message_is_sent_once() {
    let mut pair = Pair::established(ConfigBuilder::default());
    cut(&mut pair);
    let id = pair.send(Client, 0, Message::new("lost").class(Class::Sequenced).receipt());
    pair.run(ms(5));
    pair.lose(|_| false);
    pair.send(Client, 0, Message::new("reliable"));
    pair.run(secs(5));
    assert_eq!(fates(&mut pair, Client), [(id, Fate::Lost)]);
    assert_eq!(texts(&mut pair, 0), [b"reliable"]);
}

#[test]
fn the_newest_arrives_for_certain_on_a_channel_that_says_so() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let options = ChannelOptions { reliable_sequenced: true, ..ChannelOptions::default() };
    let channel = open(&mut pair, &options).0;
    let mut rng = super::noise(3);
    pair.lose(move |sent| sent.from == Client && rng.below(10) < 5);
    let mut ids = Vec::new();
    for i in 0..50_u8 {
        let size = if i % 7 == 0 { 6000 } else { 10 };
        let message = Message::new(vec![i; size]).class(Class::Sequenced).receipt();
        ids.push(pair.send(Client, channel, message));
        pair.run(ms(7));
    }
    let mut seen = Vec::new();
    for _ in 0..100 {
        pair.run(ms(200));
        seen.extend(texts(&mut pair, channel).into_iter().map(|payload| payload[0]));
    }
    assert_eq!(seen.last(), Some(&49));
    assert!(seen.is_sorted() && seen.len() <= 50);
    let told = fates(&mut pair, Client);
    assert_eq!(told.len(), 50, "one fate each");
    assert!(told.contains(&(ids[49], Fate::Acked)));
    assert!(told.iter().all(|(_, fate)| matches!(fate, Fate::Acked | Fate::Superseded)));
    assert_eq!(pair.conn(Client).unsettled(), 0);
}

#[test]
fn replies_from_the_other_side_of_such_a_channel_are_repeated_too() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let options = ChannelOptions { reliable_sequenced: true, ..ChannelOptions::default() };
    let channel = open(&mut pair, &options).0;
    let mut lost = 0;
    pair.lose(move |sent| {
        lost += i32::from(sent.from == Server);
        sent.from == Server && lost <= 3
    });
    pair.send(Server, channel, Message::new("newest").class(Class::Sequenced));
    pair.run(secs(10));
    assert_eq!(pair.recv(Client, channel).expect("it arrives").payload, "newest");
}

#[test]
fn a_lifetime_ends_in_the_queue() {
    let mut pair = Pair::established(small());
    // The peer does not read: credit runs out, and the queue waits.
    for _ in 0..8 {
        pair.send(Client, 0, Message::new("x"));
    }
    pair.run(secs(1));
    let waits = pair.send(Client, 0, Message::new("late").lifetime(ms(300)).receipt());
    let stays = pair.send(Client, 0, Message::new("stays").receipt());
    pair.run(ms(298));
    assert_eq!(fates(&mut pair, Client), []);
    pair.run(ms(2));
    assert_eq!(fates(&mut pair, Client), [(waits, expired(Phase::Queued))]);
    assert_eq!(pair.recv_all(Server, 0).len(), 8);
    pair.run(secs(1));
    let got = pair.recv_all(Server, 0);
    assert_eq!((&got[0].payload[..], got[0].gap), (&b"stays"[..], 0), "what was never written leaves no gap");
    assert_eq!(fates(&mut pair, Client), [(stays, Fate::Acked)]);
}

#[test]
fn a_lifetime_ends_before_a_connection_is_there() {
    let config = ConfigBuilder::default().build().expect("sound");
    let mut pair = Pair::new(config.clone(), config, crate::Link::datagram(1200));
    pair.lose(|_| true);
    let id = pair.send(Client, 0, Message::new("late").lifetime(secs(2)).receipt());
    pair.run(secs(3));
    assert_eq!(fates(&mut pair, Client), [(id, expired(Phase::Queued))]);
}

#[test]
fn a_lost_message_that_is_over_is_skipped_and_those_behind_it_do_not_wait() {
    for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
        let mut pair = Pair::established(ConfigBuilder::default());
        pair.send(Client, 0, Message::new("before").class(class));
        pair.run(ms(100));
        cut(&mut pair);
        let dead = pair.send(Client, 0, Message::new("dead").class(class).lifetime(ms(30)).receipt());
        pair.run(ms(5));
        pair.lose(|_| false);
        pair.run(ms(200));
        let after = pair.send(Client, 0, Message::new("after").class(class).receipt());
        pair.run(ms(500));
        let got = pair.recv_all(Server, 0);
        let told: Vec<_> = got.iter().map(|received| (&received.payload[..], received.gap)).collect();
        let gap = u32::from(class == Class::ReliableOrdered);
        assert_eq!(told, [(&b"before"[..], 0), (&b"after"[..], gap)]);
        let mut fates = fates(&mut pair, Client);
        fates.sort_unstable();
        assert_eq!(fates, [(dead, expired(Phase::Sent)), (after, Fate::Acked)]);
        let skips = pair.frames_from(Client).iter().flatten().filter(|&&name| name == "SKIP").count();
        assert_eq!(skips, 1);
    }
}

#[test]
fn a_lost_skip_is_repeated() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let mut skips = 0;
    pair.lose(move |sent| {
        let is_skip = sent.from == Client && frame_names(&sent.packet).contains(&"SKIP");
        skips += u32::from(is_skip);
        sent.from == Client
            && (frame_names(&sent.packet).contains(&"MSG") && skips == 0 || is_skip && skips < 4)
    });
    pair.send(Client, 0, Message::new("dead").lifetime(ms(20)).max_retransmits(0));
    pair.run(secs(20));
    pair.lose(|_| false);
    pair.send(Client, 0, Message::new("after"));
    pair.run(secs(1));
    let got = pair.recv_all(Server, 0);
    assert_eq!((got.len(), got[0].gap), (1, 1));
}

#[test]
fn the_credit_of_what_is_skipped_comes_back() {
    let mut pair = Pair::established(small());
    for round in 0..40 {
        cut(&mut pair);
        pair.send(Client, 0, Message::new(vec![0; 700]).lifetime(ms(30)).max_retransmits(0));
        pair.run(ms(4));
        pair.lose(|_| false);
        pair.run(ms(800));
        pair.send(Client, 0, Message::new(vec![round; 700]));
        pair.run(ms(500));
        let got = pair.recv_all(Server, 0);
        assert_eq!((got.len(), got[0].gap), (1, 1), "round {round}");
    }
    assert_eq!(pair.conn(Client).unsettled(), 0);
}

#[test]
fn an_unfinished_message_that_is_over_frees_what_its_receiver_holds() {
    for class in [Class::ReliableOrdered, Class::Unreliable, Class::Sequenced] {
        let mut pair = Pair::established(ConfigBuilder::default());
        // Half of the pieces arrive, and then nothing does for a while.
        let mut sent = 0;
        pair.lose(move |packet| {
            sent += i32::from(packet.from == Client);
            packet.from == Client && sent > 4
        });
        let message = Message::new(vec![1; 15_000]).class(class).lifetime(ms(150)).receipt();
        let id = pair.send(Client, 0, message);
        pair.run(ms(60));
        assert!(pair.conn(Server).held_bytes() > 0, "{class:?}");
        pair.run(ms(140));
        pair.lose(|_| false);
        pair.run(secs(2));
        assert_eq!(pair.conn(Server).held_bytes(), 0, "{class:?}");
        let told = fates(&mut pair, Client);
        assert!(matches!(told[..], [(of, Fate::Expired { .. } | Fate::Lost)] if of == id), "{told:?}");
        pair.send(Client, 0, Message::new("next").class(class));
        pair.run(secs(1));
        assert_eq!(texts(&mut pair, 0), [b"next"]);
    }
}

#[test]
fn a_lifetime_ends_in_the_receive_queue() {
    for class in Class::ALL {
        let mut pair = Pair::established(ConfigBuilder::default());
        pair.send(Client, 0, Message::new("dead").class(class).lifetime(ms(500)));
        pair.run(ms(200));
        if class != Class::Sequenced {
            pair.send(Client, 0, Message::new("alive").class(class));
        }
        pair.run(ms(310));
        let expected = usize::from(class != Class::Sequenced);
        let got = pair.recv_all(Server, 0);
        assert_eq!(got.len(), expected, "{class:?}");
        assert_eq!(got.iter().map(|r| r.gap).sum::<u32>(), u32::from(class == Class::ReliableOrdered));
        assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReceiveExpired), 1);
    }
}

#[test]
fn a_lifetime_ends_on_the_receivers_clock_and_not_before() {
    let mut pair = Pair::established(ConfigBuilder::default());
    pair.send(Client, 0, Message::new("x").lifetime(ms(500)));
    // 10 ms on the way do not count.
    pair.run(ms(509));
    assert_eq!(texts(&mut pair, 0), [b"x"]);
}

#[test]
fn what_was_asked_to_live_shorter_than_the_queue_takes_is_refused() {
    let mut pair = Pair::established(small());
    let error = try_send(&mut pair, Message::new("x").lifetime(Duration::from_micros(900)));
    assert_eq!(error, Err(SendError::WouldExpire { queue_time: Duration::ZERO }));
    for _ in 0..12 {
        let _ = try_send(&mut pair, Message::new(vec![0; 900]));
        pair.run(ms(30));
    }
    let _ = try_send(&mut pair, Message::new(vec![0; 900]));
    pair.run(secs(10));
    let now = pair.now;
    let queue_time = pair.conn(Client).channel(ZERO).queue_time(now);
    assert!(queue_time >= secs(9), "nothing has left for 10 s: {queue_time:?}");
    let refused = try_send(&mut pair, Message::new("x").lifetime(secs(2)));
    assert_eq!(refused, Err(SendError::WouldExpire { queue_time }));
    pair.recv_all(Server, 0);
    pair.run(secs(2));
    pair.recv_all(Server, 0);
    pair.run(secs(2));
    let now = pair.now;
    assert_eq!(pair.conn(Client).channel(ZERO).queue_time(now), Duration::ZERO);
    try_send(&mut pair, Message::new("x").lifetime(secs(2))).expect("the queue is empty");
}

#[test]
fn cancelling_what_is_queued_and_what_is_under_way() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let queued = pair.send(Client, 0, Message::new("queued").receipt());
    assert_eq!(pair.conn(Client).channel(ZERO).cancel(now, queued), Cancel::Cancelled);
    assert_eq!(pair.conn(Client).channel(ZERO).cancel(now, queued), Cancel::TooLate);
    let empty = pair.send(Client, 0, Message::new("").receipt());
    assert_eq!(pair.conn(Client).channel(ZERO).cancel(now, empty), Cancel::Cancelled);
    pair.run(ms(100));
    assert_eq!(fates(&mut pair, Client), [(queued, Fate::Cancelled), (empty, Fate::Cancelled)]);
    assert_eq!(pair.recv(Server, 0), None);

    let arrives = pair.send(Client, 0, Message::new("arrives").receipt());
    pair.run(ms(1));
    let now = pair.now;
    assert_eq!(pair.conn(Client).channel(ZERO).cancel(now, arrives), Cancel::TooLate);
    pair.run(ms(100));
    assert_eq!(fates(&mut pair, Client), [(arrives, Fate::Acked)]);

    cut(&mut pair);
    let lost = pair.send(Client, 0, Message::new("lost").receipt());
    pair.run(ms(1));
    pair.lose(|_| false);
    let now = pair.now;
    assert_eq!(pair.conn(Client).channel(ZERO).cancel(now, lost), Cancel::TooLate);
    pair.send(Client, 0, Message::new("next"));
    pair.run(secs(5));
    assert_eq!(fates(&mut pair, Client), [(lost, Fate::Cancelled)]);
    assert_eq!(texts(&mut pair, 0), [&b"arrives"[..], b"next"]);
}

#[test]
fn a_newer_message_with_the_key_takes_the_place_of_the_queued_one() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let old = pair.send(Client, 0, Message::new("old").key(7).receipt());
    let other = pair.send(Client, 0, Message::new("other").key(8).receipt());
    let of_another_class =
        pair.send(Client, 0, Message::new("new").key(7).class(Class::ReliableUnordered).receipt());
    pair.run(ms(200));
    let mut told = fates(&mut pair, Client);
    told.sort_unstable();
    assert_eq!(told, [(old, Fate::Superseded), (other, Fate::Acked), (of_another_class, Fate::Acked)]);
    let mut got = texts(&mut pair, 0);
    got.sort_unstable();
    assert_eq!(got, [&b"new"[..], b"other"]);
}

#[test]
fn a_newer_message_with_the_key_takes_the_place_of_one_that_is_lost() {
    let mut pair = Pair::established(ConfigBuilder::default());
    cut(&mut pair);
    let old = pair.send(Client, 0, Message::new("old").key(7).receipt());
    pair.run(ms(1));
    pair.lose(|_| false);
    let new = pair.send(Client, 0, Message::new("new").key(7).receipt());
    pair.run(secs(5));
    let mut told = fates(&mut pair, Client);
    told.sort_unstable();
    assert_eq!(told, [(old, Fate::Superseded), (new, Fate::Acked)]);
    let got = pair.recv_all(Server, 0);
    assert_eq!((got.len(), &got[0].payload[..], got[0].gap), (1, &b"new"[..], 1));
}

#[test]
fn a_message_is_repeated_as_often_as_it_may_be() {
    for max in [0, 1, 3] {
        let mut pair = Pair::established(ConfigBuilder::default());
        pair.lose(|sent| sent.from == Client && sent.packet.windows(8).any(|bytes| bytes == b"dead-man"));
        let dead = pair.send(Client, 0, Message::new("dead-man").max_retransmits(max).receipt());
        for _ in 0..40 {
            pair.run(ms(50));
            pair.send(Client, 0, Message::new("tick").class(Class::Unreliable));
        }
        pair.send(Client, 0, Message::new("after"));
        pair.run(secs(5));
        assert_eq!(fates(&mut pair, Client), [(dead, Fate::Lost)], "max {max}");
        let copies =
            pair.sent.iter().filter(|s| s.packet.windows(8).any(|bytes| bytes == b"dead-man")).count();
        assert_eq!(copies, 1 + max as usize, "max {max}");
        let got = pair.recv_all(Server, 0);
        assert_eq!(got.iter().filter(|r| r.class == Class::ReliableOrdered).map(|r| r.gap).sum::<u32>(), 1);
    }
}

#[test]
fn policies_say_what_a_full_queue_does() {
    let fill = |policy| {
        let mut pair = Pair::established(small());
        pair.lose(|_| true);
        let limits = SendLimits { messages: Some(4), policy: Some(policy), ..SendLimits::default() };
        pair.conn(Client).channel(ZERO).limit_queue(&limits).expect("sound limits");
        let sent: Vec<_> =
            (0..6_u8).map(|i| try_send(&mut pair, Message::new(vec![i]).receipt()).ok()).collect();
        pair.drain();
        (
            sent.iter().flatten().count(),
            fates(&mut pair, Client).into_iter().map(|(id, f)| (id.number, f)).collect(),
        )
    };
    let dropped = |policy| Fate::Dropped { policy };
    let told = |told: &[(u64, Fate)]| told.to_vec();
    assert_eq!(fill(Policy::FailFast), (4, told(&[])));
    let new = dropped(Policy::DropNew);
    assert_eq!(fill(Policy::DropNew), (6, told(&[(4, new), (5, new)])));
    let old = dropped(Policy::DropOld);
    assert_eq!(fill(Policy::DropOld), (6, told(&[(0, old), (1, old)])));
    let replaced: Vec<_> = (0..5).map(|number| (number, Fate::Superseded)).collect();
    assert_eq!(fill(Policy::Replace), (6, replaced));
}

#[test]
fn a_channel_has_limits_of_its_own() {
    let mut pair = Pair::established(small());
    let options = ChannelOptions {
        send: SendLimits { messages: Some(2), low_water: Some(100), ..SendLimits::default() },
        receive: ReceiveLimits { messages: Some(3), ..ReceiveLimits::default() },
        ..ChannelOptions::default()
    };
    let channel = open(&mut pair, &options);
    let now = pair.now;
    let send = |pair: &mut Pair| pair.conn(Client).channel(channel).send(now, Message::new("x"));
    assert!(send(&mut pair).is_ok() && send(&mut pair).is_ok());
    assert_eq!(send(&mut pair), Err(SendError::Full));
    pair.run(ms(100));
    let writable = pair.take_events(Client);
    assert_eq!(writable, [Event::Writable(channel)], "as soon as there is room, not at half");
    for _ in 0..8 {
        pair.send(Server, channel.0, Message::new("y"));
    }
    pair.run(secs(1));
    assert_eq!(pair.conn(Server).unsettled(), 5, "three are what the opener takes");
    assert_eq!(pair.recv_all(Client, channel.0).len(), 3);
}

#[test]
fn limits_that_cannot_work_are_named() {
    let mut pair = Pair::established(small());
    let now = pair.now;
    let send = |send| ChannelOptions { send, ..ChannelOptions::default() };
    let receive = |receive| ChannelOptions { receive, ..ChannelOptions::default() };
    let nonsense = [
        (send(SendLimits { messages: Some(0), ..SendLimits::default() }), "send.messages"),
        (send(SendLimits { messages: Some(4097), ..SendLimits::default() }), "send.messages"),
        (send(SendLimits { bytes: Some(4063), ..SendLimits::default() }), "send.bytes"),
        (send(SendLimits { low_water: Some(0), ..SendLimits::default() }), "send.low_water"),
        (send(SendLimits { low_water: Some(101), ..SendLimits::default() }), "send.low_water"),
        (receive(ReceiveLimits { messages: Some(13), ..ReceiveLimits::default() }), "receive.messages"),
        (receive(ReceiveLimits { bytes: Some(4063), ..ReceiveLimits::default() }), "receive.bytes"),
        (receive(ReceiveLimits { bytes: Some(12_001), ..ReceiveLimits::default() }), "receive.bytes"),
    ];
    for (options, field) in nonsense {
        let Err(OpenError::Invalid(text)) = pair.conn(Client).open_channel(now, &options) else {
            panic!("{field} was taken")
        };
        assert!(text.starts_with(field), "{text}");
    }
    let percent = ConfigBuilder { low_water: 0, ..ConfigBuilder::default() }.build();
    assert_eq!(percent.err().map(|error| error.field), Some("low_water"));
}

#[test]
fn what_a_receiver_drops_is_reported_at_most_ten_times_a_second() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for round in 0..200_u16 {
        for _ in 0..2 {
            pair.inject(
                Client,
                &[crate::wire::Frame::Msg(super::msg(Class::ReliableUnordered, round, b"x"))],
            );
        }
        pair.run(ms(10));
        pair.recv_all(Server, 0);
    }
    pair.run(secs(1));
    let reports: Vec<_> = pair
        .sent
        .iter()
        .filter(|sent| sent.from == Server && frame_names(&sent.packet).contains(&"REPORT"))
        .map(|sent| sent.at)
        .collect();
    assert!((10..=21).contains(&reports.len()), "{} reports in 2 s", reports.len());
    assert!(reports.windows(2).all(|pair| pair[1].since(pair[0]) >= ms(100)));
    let stats = pair.conn(Client).stats().clone();
    assert_eq!(stats.peer_drops.get(Refusal::Duplicate), 200);
    assert_eq!(stats.drops.get(Drop::DuplicateMessage), 0);
}

#[test]
fn a_request_waits_for_its_connection_behind_what_expires() {
    let config = ConfigBuilder::default().build().expect("sound");
    let mut pair = Pair::new(config.clone(), config, crate::Link::datagram(1200));
    pair.lose(|_| true);
    for _ in 0..12 {
        pair.send(Client, 0, Message::new("state").class(Class::Sequenced).lifetime(ms(490)));
    }
    let now = pair.now;
    let request = pair.conn(Client).channel(ZERO).request(now, Message::new("ask"), secs(20));
    request.expect("room for a request");
    pair.run(ms(700));
    pair.lose(|_| false);
    pair.run(secs(5));
    let got = pair.recv_all(Server, 0);
    assert_eq!(got.iter().map(|received| &received.payload[..]).collect::<Vec<_>>(), [b"ask"]);
}

#[test]
fn a_request_that_is_given_up_before_it_is_written_ends_at_once() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let mut ask = |policy| {
        let limits = SendLimits { messages: Some(1), policy: Some(policy), ..SendLimits::default() };
        let mut channel = pair.conns[0].channel(ZERO);
        channel.limit_queue(&limits).expect("sound limits");
        channel.request(now, Message::new("ask"), secs(20)).expect("accepted")
    };
    let (pushed_out, kept, dropped) = (ask(Policy::FailFast), ask(Policy::DropOld), ask(Policy::DropNew));
    pair.drain();
    let ends = pair.take_events(Client);
    let not_sent = |request| Event::RequestDone { request, outcome: RequestOutcome::NotSent };
    assert_eq!([&pushed_out, &kept, &dropped].map(|&r| ends.contains(&not_sent(r))), [true, false, true]);
    pair.run(secs(1));
    assert_eq!(pair.recv_all(Server, 0).len(), 1);
}
