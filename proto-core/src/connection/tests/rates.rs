//! Rate limits, out and in: what waits, what is told, and what a peer that does not listen can do.

use alloc::sync::Arc;
use alloc::vec;

use super::{Client, Pair, Server, Side, ms, msg, secs};
use crate::wire::{Frame, RateLimit, RateScope};
use crate::{
    Blocked, ChannelId, ChannelOptions, Class, Close, CloseReason, ConfigBuilder, Drop, Link, Message,
    OpenError, Rate, SendError,
};

const fn messages(rate: u64, burst: u64) -> Rate {
    Rate { messages: rate, message_burst: burst, bytes: 0, byte_burst: 0 }
}

/// The classes of which every message counts.
const QUEUED: [Class; 3] = [Class::ReliableOrdered, Class::ReliableUnordered, Class::Unreliable];

fn fill(pair: &mut Pair, side: Side, channel: u32, class: Class, size: usize) {
    let now = pair.now;
    while pair
        .conn(side)
        .channel(ChannelId(channel))
        .send(now, Message::new(vec![0; size]).class(class))
        .is_ok()
    {
        if class == Class::Unreliable && pair.conn(side).unsettled() >= 1000 {
            break;
        }
    }
}

/// How many messages arrive in `seconds` when the client always has some.
fn arrive(pair: &mut Pair, channel: u32, class: Class, size: usize, seconds: u64) -> usize {
    let mut count = 0;
    for _ in 0..seconds * 20 {
        fill(pair, Client, channel, class, size);
        pair.run(ms(50));
        count += pair.recv_all(Server, channel).len();
    }
    count
}

fn with_receive_rate(rate: Rate) -> Pair {
    let server = ConfigBuilder { receive_rate: Some(rate), ..ConfigBuilder::default() };
    let (client, server) = (ConfigBuilder::default().build(), server.build());
    Pair::established_with(client.expect("sound"), server.expect("sound"), Link::datagram(1200))
}

#[test]
fn what_is_sent_keeps_to_the_rate() {
    for class in QUEUED {
        let config = ConfigBuilder { send_rate: Some(messages(50, 100)), ..ConfigBuilder::default() };
        let mut pair = Pair::established(config);
        let count = arrive(&mut pair, 0, class, 20, 10);
        assert!((580..=601).contains(&count), "{class:?}: {count}");
        assert_eq!(pair.conns[0].channel(ChannelId::DEFAULT).blocked(), Some(Blocked::Rate));
        let now = pair.now;
        pair.conn(Client).limit_sending(now, None);
        let count = arrive(&mut pair, 0, class, 20, 1);
        assert!(count > 500, "{class:?}: {count} without a limit");
    }
}

#[test]
fn each_channel_has_a_bucket_of_its_own() {
    let bytes = Rate { messages: 0, message_burst: 0, bytes: 10_000, byte_burst: 5000 };
    let config = ConfigBuilder { send_rate_per_channel: Some(bytes), ..ConfigBuilder::default() };
    let mut pair = Pair::established(config);
    let now = pair.now;
    let other = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room").0;
    pair.conn(Client).channel(ChannelId(other)).limit_sending(now, Some(messages(10, 1))).expect("open");
    let (mut first, mut second) = (0, 0);
    for _ in 0..100 {
        fill(&mut pair, Client, 0, Class::ReliableUnordered, 936);
        fill(&mut pair, Client, other, Class::ReliableUnordered, 936);
        pair.run(ms(100));
        first += pair.recv_all(Server, 0).len();
        second += pair.recv_all(Server, other).len();
    }
    assert!((102..=106).contains(&first), "{first} messages of 1000 bytes in 10 s");
    assert!((98..=102).contains(&second), "{second} messages in 10 s");
    let mut unknown = pair.conns[0].channel(ChannelId(77));
    assert_eq!(unknown.limit_sending(now, None), Err(OpenError::NoChannel));
    assert_eq!(unknown.limit_receiving(now, None), Err(OpenError::NoChannel));
    assert_eq!(unknown.blocked(), None);
}

#[test]
fn the_peer_is_told_and_throttles_itself() {
    for class in QUEUED {
        let mut pair = with_receive_rate(messages(50, 100));
        pair.run(ms(100));
        let count = arrive(&mut pair, 0, class, 20, 10);
        assert!((540..=601).contains(&count), "{class:?}: {count}");
        assert_eq!(pair.conns[1].stats().drops.get(Drop::RateLimited), 0, "{class:?}: nothing came in vain");
        let blocked = pair.conns[0].channel(ChannelId::DEFAULT).blocked();
        // Credit comes at the same rate, and in larger portions.
        let by_credit = class.is_reliable() && blocked == Some(Blocked::Credit);
        assert!(by_credit || blocked == Some(Blocked::Rate), "{class:?}: {blocked:?}");
        // Its queue fills up, and the application is told so.
        let now = pair.now;
        if class.is_reliable() {
            fill(&mut pair, Client, 0, class, 20);
            let refused =
                pair.conn(Client).channel(ChannelId::DEFAULT).send(now, Message::new("x").class(class));
            assert_eq!(refused, Err(SendError::Full));
        }
        assert!(pair.closed(Client).is_none() && pair.closed(Server).is_none());
    }
}

#[test]
fn a_limit_that_is_lifted_is_told_too() {
    let mut pair = with_receive_rate(messages(5, 5));
    pair.run(ms(100));
    assert!(arrive(&mut pair, 0, Class::ReliableUnordered, 20, 2) < 20);
    let now = pair.now;
    pair.conn(Server).limit_receiving(now, None);
    assert!(arrive(&mut pair, 0, Class::ReliableUnordered, 20, 2) > 1000);
    pair.conn(Server).limit_receiving(now, Some(messages(5, 5)));
    arrive(&mut pair, 0, Class::ReliableUnordered, 20, 2);
    let count = arrive(&mut pair, 0, Class::ReliableUnordered, 20, 10);
    assert!(count < 100, "{count} with the limit again");
}

#[test]
fn a_limit_of_one_channel_is_told_with_the_channel() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let id = pair.conn(Server).open_channel(now, &ChannelOptions::default()).expect("room");
    pair.conn(Server).channel(id).limit_receiving(now, Some(messages(10, 8))).expect("open");
    // The first packets are lost, with the announcement and the limit.
    let mut left = 3;
    pair.lose(move |_| {
        left -= 1;
        left >= 0
    });
    pair.run(secs(5));
    let count = arrive(&mut pair, id.0, Class::ReliableUnordered, 20, 10);
    assert!((100..=112).contains(&count), "{count}");
    assert!(arrive(&mut pair, 0, Class::ReliableUnordered, 20, 1) > 500, "the others are free");
    assert_eq!(pair.conns[1].stats().drops.get(Drop::RateLimited), 0);
}

#[test]
fn a_peer_that_ignores_the_rate_is_dropped_or_runs_out_of_credit() {
    // The client does not hear of the limit: what it is told is undone before it sends.
    let deaf = |pair: &mut Pair| {
        pair.run(ms(100));
        for _ in 0..200 {
            let free = RateLimit { scope: RateScope::Connection, rate: Rate::default() };
            pair.inject(Server, &[Frame::Rate(free)]);
        }
    };
    let mut pair = with_receive_rate(messages(50, 100));
    deaf(&mut pair);
    let count = arrive(&mut pair, 0, Class::Unreliable, 20, 4);
    assert!((250..=301).contains(&count), "{count}");
    assert!(pair.conns[1].stats().drops.get(Drop::RateLimited) > 100, "each has its counter");

    let mut pair = with_receive_rate(messages(50, 100));
    deaf(&mut pair);
    let count = arrive(&mut pair, 0, Class::ReliableOrdered, 20, 4);
    assert!((270..=301).contains(&count), "{count}");
    assert!(pair.closed(Client).is_none(), "credit alone holds it back");

    // Nor may it go beyond its credit.
    let mut pair = with_receive_rate(messages(1, 4));
    for id in 0..5 {
        pair.inject(Client, &[Frame::Msg(msg(Class::ReliableUnordered, id, b"x"))]);
    }
    pair.run(secs(1));
    assert!(matches!(
        pair.closed(Server).map(|closed| &closed.reason),
        Some(CloseReason::PeerMisbehaved("a message beyond the credit given"))
    ));
}

#[test]
fn the_largest_message_passes_a_small_burst() {
    let rate = Rate { messages: 2, message_burst: 1, bytes: 2000, byte_burst: 4064 };
    let config = ConfigBuilder {
        max_message: 4000,
        receive_rate: Some(rate),
        receive_rate_per_channel: Some(rate),
        ..ConfigBuilder::default()
    };
    let mut pair = Pair::established(config);
    let mut count = 0;
    for size in [4000, 1, 4000, 300, 4000, 4000] {
        pair.send(Client, 0, Message::new(vec![0; size]));
        pair.run(secs(3));
        count += pair.recv_all(Server, 0).len();
    }
    assert_eq!(count, 6);
}

#[test]
fn rates_of_any_size_and_number_do_no_harm() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let mut rng = super::noise(3);
    for round in 0..3000_u64 {
        let mut any = || [0, 1, u64::MAX, rng.below(1 << 20)][rng.below(4) as usize];
        let rate = Rate { messages: any(), message_burst: any(), bytes: any(), byte_burst: any() };
        let scope =
            [RateScope::Connection, RateScope::EachChannel, RateScope::Channel(0)][round as usize % 3];
        pair.inject(Server, &[Frame::Rate(RateLimit { scope, rate }); 20]);
        if round % 100 == 0 {
            let now = pair.now;
            let _ = pair.conn(Client).channel(ChannelId::DEFAULT).send(now, Message::new("x"));
            pair.run(ms(20));
        }
    }
    for scope in [RateScope::Connection, RateScope::EachChannel, RateScope::Channel(0)] {
        pair.inject(Server, &[Frame::Rate(RateLimit { scope, rate: Rate::default() })]);
    }
    pair.send(Client, 0, Message::new("x"));
    pair.run(secs(2));
    assert!(!pair.recv_all(Server, 0).is_empty(), "free again");
    assert_eq!(pair.conn(Client).unsettled(), 0);
    assert!(pair.closed(Client).is_none());

    let unknown = RateLimit { scope: RateScope::Channel(9), rate: Rate::default() };
    pair.inject(Server, &[Frame::Rate(unknown)]);
    pair.run(secs(1));
    assert!(matches!(
        pair.closed(Client).map(|closed| &closed.reason),
        Some(CloseReason::PeerMisbehaved("a rate for a channel that was never opened"))
    ));
}

#[test]
fn nothing_is_said_about_limits_that_nobody_set() {
    let config = ConfigBuilder::default().build().expect("sound");
    let mut pair = Pair::new(Arc::clone(&config), config, Link::datagram(1200));
    pair.run(secs(1));
    let frames = [pair.frames_from(Client), pair.frames_from(Server)].concat();
    assert!(frames.iter().flatten().all(|&name| name != "RATE"));
}

/// A channel whose newest sequenced message must arrive, and a server that takes in one message, then ten a second.
fn with_newest(rate: Rate) -> (Pair, u32) {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let options = ChannelOptions { reliable_sequenced: true, ..ChannelOptions::default() };
    let channel = pair.conn(Client).open_channel(now, &options).expect("room");
    pair.run(ms(200));
    let now = pair.now;
    pair.conn(Server).limit_receiving(now, Some(rate));
    (pair, channel.0)
}

#[test]
fn a_rate_delays_the_newest_and_does_not_lose_it() {
    let (mut pair, channel) = with_newest(messages(10, 1));
    for text in ["oldest", "older", "newest"] {
        pair.send(Client, channel, Message::new(text).class(Class::Sequenced));
        pair.run(ms(1));
    }
    pair.run(ms(12));
    assert_eq!(pair.recv(Server, channel).expect("one at once").payload, "oldest");
    pair.run(ms(50));
    assert_eq!(pair.recv(Server, channel), None, "the next has to wait");
    assert_eq!(pair.conns[1].held_bytes(), "newest".len());
    pair.run(ms(100));
    assert_eq!(pair.recv(Server, channel).expect("its token came").payload, "newest");
    assert_eq!(pair.conns[1].stats().drops.get(Drop::RateLimited), 1, "older");
    pair.run(secs(5));
    assert_eq!(pair.recv(Server, channel), None);
}

/// A message in pieces needs its tokens when it is whole, and no piece is lost before.
#[test]
fn a_rate_does_not_lose_pieces_of_the_newest() {
    let rate = Rate { messages: 0, message_burst: 0, bytes: 10_000, byte_burst: 300_000 };
    let (mut pair, channel) = with_newest(rate);
    for _ in 0..40 {
        pair.send(Client, channel, Message::new(vec![7; 15_000]).class(Class::Sequenced));
        pair.run(ms(15));
    }
    pair.send(Client, channel, Message::new(vec![8; 15_000]).class(Class::Sequenced));
    pair.run(secs(3));
    let last = pair.recv_all(Server, channel).pop().expect("the newest");
    assert_eq!(last.payload, vec![8; 15_000]);
}

#[test]
fn what_waits_for_a_rate_is_there_when_the_limit_goes_or_the_connection_ends() {
    for ends in [false, true] {
        let (mut pair, channel) = with_newest(messages(1, 1));
        for text in ["older", "newest"] {
            pair.send(Client, channel, Message::new(text).class(Class::Sequenced));
            pair.run(ms(1));
        }
        pair.run(ms(15));
        pair.recv_all(Server, channel);
        let now = pair.now;
        if ends {
            pair.conn(Client).close(now, Close::default());
            pair.run(ms(100));
        } else {
            pair.conn(Server).limit_receiving(now, None);
        }
        assert_eq!(pair.recv(Server, channel).expect("it waits no longer").payload, "newest");
    }
}
