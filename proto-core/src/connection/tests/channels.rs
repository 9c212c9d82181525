//! Queues, credit and order, as the application feels them.

use alloc::vec;
use alloc::vec::Vec;

use super::{Client, Pair, Server, Side, frame_names, ms, secs, small};
use crate::{
    ChannelId, ChannelOptions, Class, ConfigBuilder, Connection, Drop, Event, Fate, MESSAGE_COST, Message,
    OpenError, Policy, Refusal, SendError,
};

const ZERO: ChannelId = ChannelId::DEFAULT;

fn try_send(pair: &mut Pair, side: Side, message: Message) -> Result<crate::MessageId, SendError> {
    let now = pair.now;
    pair.conn(side).channel(ZERO).send(now, message)
}

fn count(events: &[Event], is: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| is(event)).count()
}

#[test]
fn full_is_followed_by_one_writable_when_there_is_room() {
    for size in [0, 900, 4000] {
        let mut pair = Pair::established(small());
        let mut refusals = 0;
        for _ in 0..20 {
            refusals += usize::from(try_send(&mut pair, Client, Message::new(vec![0; size])).is_err());
        }
        assert!(refusals >= 12, "{refusals}");
        pair.run(secs(1));
        let events = pair.take_events(Client);
        assert_eq!(count(&events, |event| matches!(event, Event::Writable(ZERO))), 1, "{size} bytes");
        assert!(try_send(&mut pair, Client, Message::new(vec![0; size])).is_ok(), "it kept its word");
    }
}

#[test]
fn who_does_not_read_is_not_sent_more() {
    let mut pair = Pair::established(small());
    for _ in 0..8 {
        pair.send(Client, 0, Message::new(vec![0; 900]));
    }
    pair.run(secs(5));
    for _ in 0..8 {
        pair.send(Client, 0, Message::new(vec![1; 900]));
    }
    pair.run(secs(60));
    assert_eq!(pair.conn(Client).unsettled(), 8, "without credit nothing more goes out");
    assert_eq!(pair.recv_all(Server, 0).len(), 8);
    pair.run(secs(1));
    assert_eq!(pair.recv_all(Server, 0).len(), 8, "reading gives credit");
    assert_eq!(pair.conn(Client).unsettled(), 0);
}

#[test]
fn readable_comes_once_from_empty_to_not() {
    let mut pair = Pair::established(small());
    for round in 0..3 {
        for _ in 0..5 {
            pair.send(Client, 0, Message::new("x"));
            pair.run(ms(50));
        }
        let events = pair.take_events(Server);
        assert_eq!(count(&events, |event| matches!(event, Event::Readable(ZERO))), 1, "round {round}");
        assert_eq!(pair.recv_all(Server, 0).len(), 5);
    }
}

#[test]
fn order_holds_and_every_fate_is_told_once_over_a_bad_wire() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let mut rng = super::noise(5);
    pair.lose(move |_| rng.below(10) < 4);
    let mut sent = Vec::new();
    for i in 0..300_u32 {
        let class = Class::ALL[i as usize % 3];
        let mut payload = vec![0; (i as usize * 37) % 3000 + 4];
        payload[..4].copy_from_slice(&i.to_be_bytes());
        sent.push(pair.send(Client, 0, Message::new(payload).class(class).receipt()));
        pair.run(ms(5));
    }
    pair.run(secs(60));
    let got = pair.recv_all(Server, 0);
    let of = |class| got.iter().filter(move |received| received.class == class);
    let tags = |class| of(class).map(|r| u32::from_be_bytes(*r.payload.first_chunk().expect("a tag")));
    assert!(tags(Class::ReliableOrdered).eq((0..300).step_by(3)));
    let mut unordered: Vec<_> = tags(Class::ReliableUnordered).collect();
    unordered.sort_unstable();
    assert!(unordered.into_iter().eq((1..300).step_by(3)));
    let mut unreliable: Vec<_> = tags(Class::Unreliable).collect();
    let before = unreliable.len();
    unreliable.sort_unstable();
    unreliable.dedup();
    assert_eq!(unreliable.len(), before, "at most once");
    assert!(before < 100, "some were lost");

    let events = pair.take_events(Client);
    for message in sent {
        let fates: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Fate { message: told, fate } if *told == message => Some(*fate),
                _ => None,
            })
            .collect();
        let is_reliable = message.class.is_reliable();
        assert!(
            matches!(fates[..], [Fate::Acked]) || (!is_reliable && matches!(fates[..], [Fate::Lost])),
            "{message:?}: {fates:?}"
        );
    }
}

#[test]
fn a_full_queue_pushes_out_the_oldest_unreliable_message() {
    let mut pair = Pair::established(small());
    pair.lose(|_| true);
    let ids: Vec<_> = (0..12_u8)
        .map(|i| pair.send(Client, 0, Message::new(vec![i]).class(Class::Unreliable).receipt()))
        .collect();
    let dropped: Vec<_> = ids[..4]
        .iter()
        .map(|&message| Event::Fate { message, fate: Fate::Dropped { policy: Policy::DropOld } })
        .collect();
    pair.drain();
    assert_eq!(pair.take_events(Client), dropped);
    assert_eq!(pair.conn(Client).unsettled(), 8);
}

#[test]
fn a_refused_call_changes_nothing() {
    let mut pair = Pair::established(small());
    pair.lose(|sent| sent.from == Server);
    for _ in 0..2 {
        pair.send(Client, 0, Message::new(vec![0; 3000]));
    }
    let victim = pair.send(Client, 0, Message::new("stays").class(Class::Unreliable).receipt());
    // Even with the small message gone there would be no room for this one.
    let refused = try_send(&mut pair, Client, Message::new(vec![0; 3000]).class(Class::Unreliable));
    assert_eq!(refused, Err(SendError::Full));
    let events = core::iter::from_fn(|| pair.conn(Client).poll_event()).collect::<Vec<_>>();
    assert!(events.is_empty(), "{victim:?} was dropped for nothing: {events:?}");
    assert_eq!(pair.conn(Client).unsettled(), 3);
}

#[test]
fn a_stalled_peer_does_not_make_the_sender_hoard() {
    let mut pair = Pair::established(small());
    pair.lose(|sent| sent.from == Server);
    pair.send(Client, 0, Message::new(vec![0; 3000]).class(Class::Unreliable));
    pair.drain();
    for i in 0..20_000_u32 {
        let message = Message::new(i.to_be_bytes().to_vec()).class(Class::Unreliable);
        try_send(&mut pair, Client, message).expect("the oldest makes room");
    }
    assert!(pair.conn(Client).unsettled() <= 8);
    let dropped = pair.conn(Client).stats().drops.get(Drop::SendQueueDropped);
    assert!(dropped >= 20_000 - 8, "{dropped} counted");
}

#[test]
fn the_first_message_of_a_channel_needs_no_round_trip() {
    for size in [0, 500, 1000, 1050, 1100, 1130, 1150, 1200, 3000] {
        let mut pair = Pair::established(ConfigBuilder::default());
        let now = pair.now;
        let options = ChannelOptions { name: "x".repeat(64).into(), ..ChannelOptions::default() };
        let channel = pair.conn(Client).open_channel(now, &options).expect("room");
        pair.send(Client, channel.0, Message::new(vec![7; size]));
        pair.run(super::DELAY);
        let got = pair.recv(Server, channel.0);
        assert_eq!(got.map(|received| received.payload.len()), Some(size), "one way, {size} bytes");
        assert_eq!(pair.conn(Server).channel(channel).name(), Some(&*"x".repeat(64)));
    }
}

#[test]
fn a_channel_outlives_the_loss_of_its_announcement() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let channel = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
    let mut lost = 0;
    pair.lose(move |sent| {
        let is_first = frame_names(&sent.packet).contains(&"OPEN_CHANNEL") && lost < 2;
        lost += u32::from(is_first);
        is_first
    });
    for i in 0..20_u8 {
        pair.send(Client, channel.0, Message::new(vec![i]));
        pair.run(ms(3));
    }
    pair.run(secs(5));
    let got: Vec<_> = pair.recv_all(Server, channel.0).iter().map(|received| received.payload[0]).collect();
    assert!(got.into_iter().eq(0..20));
    let events = pair.take_events(Server);
    assert_eq!(count(&events, |event| matches!(event, Event::Opened(_))), 1);
    pair.sent.clear();
    pair.send(Client, channel.0, Message::new("later"));
    pair.run(ms(100));
    assert!(
        pair.frames_from(Client).iter().all(|frames| !frames.contains(&"OPEN_CHANNEL")),
        "it is known by now"
    );
}

#[test]
fn channels_take_turns() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let quiet = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
    pair.run(ms(100));
    for _ in 0..100 {
        pair.send(Client, 0, Message::new(vec![0; 4000]));
    }
    pair.send(Client, quiet.0, Message::new("me too"));
    pair.run(super::DELAY);
    assert!(pair.recv(Server, quiet.0).is_some(), "not behind 400 KB of another channel");
}

#[test]
fn nonsense_is_refused_by_name() {
    let mut pair = Pair::established(small());
    let now = pair.now;
    let invalid = [
        ChannelOptions { name: "x".repeat(65).into(), ..ChannelOptions::default() },
        ChannelOptions { classes: [].into(), ..ChannelOptions::default() },
        ChannelOptions { priority: 8, ..ChannelOptions::default() },
    ];
    for options in invalid {
        assert!(matches!(pair.conn(Client).open_channel(now, &options), Err(OpenError::Invalid(_))));
    }
    assert_eq!(
        try_send(&mut pair, Client, Message::new(vec![0; 4001])),
        Err(SendError::TooLarge { max: 4000 })
    );
    let mut on = |channel, class| {
        pair.conn(Client).channel(ChannelId(channel)).send(now, Message::new("x").class(class))
    };
    assert_eq!(on(9, Class::ReliableOrdered), Err(SendError::NoChannel));
    let only = ChannelOptions { classes: [Class::Unreliable].into(), ..ChannelOptions::default() };
    let channel = pair.conn(Client).open_channel(now, &only).expect("room");
    let refused = pair.conn(Client).channel(channel).send(now, Message::new("x"));
    assert_eq!(refused, Err(SendError::ClassNotAllowed));
    assert_eq!(pair.conn(Client).stats().messages_accepted, 0);
}

#[test]
fn what_the_peer_does_not_take_is_refused_or_dropped() {
    let little = ConfigBuilder { max_message: 100, ..small() }.build().expect("sound");
    let plenty = small().build().expect("sound");
    let mut pair = Pair::new(plenty, little, crate::Link::datagram(1200));
    // Queued before anybody could know.
    let early = pair.send(Client, 0, Message::new(vec![0; 101]).receipt());
    pair.send(Client, 0, Message::new(vec![0; 100]));
    pair.run(secs(1));
    let dropped = Event::Fate { message: early, fate: Fate::TooLarge };
    assert!(pair.take_events(Client).contains(&dropped));
    assert_eq!(
        try_send(&mut pair, Client, Message::new(vec![0; 101])),
        Err(SendError::TooLarge { max: 100 })
    );
    assert_eq!(pair.recv_all(Server, 0).len(), 1, "what came after it arrives");
}

#[test]
fn events_that_nobody_polls_stop_the_sender_and_not_the_process() {
    let config = ConfigBuilder { send_messages: 4096, send_bytes: 1 << 22, ..ConfigBuilder::default() };
    let mut pair = Pair::established(config);
    // Fates pile up while the application polls no events.
    let mut refused = false;
    for _ in 0..10_000 {
        let message = Message::new("x").class(Class::Unreliable).receipt();
        let now = pair.now;
        let mut buf = Vec::new();
        refused |= pair.conn(Client).channel(ZERO).send(now, message) == Err(SendError::Full);
        while pair.conn(Client).poll_transmit(now, &mut buf).is_some() {
            let packet = core::mem::take(&mut buf);
            pair.hand_in(Server, &packet);
            pair.recv_all(Server, 0);
            let mut answer = Vec::new();
            while pair.conn(Server).poll_transmit(now, &mut answer).is_some() {
                let packet = core::mem::take(&mut answer);
                pair.hand_in(Client, &packet);
            }
        }
        pair.now += ms(1);
    }
    assert!(refused);
    assert!(pair.conn(Client).events.len() <= 8192 + 4096);
    pair.run(secs(5));
    let events = pair.take_events(Client);
    assert_eq!(count(&events, |event| matches!(event, Event::Writable(_))), 1);
}

/// What is taken makes room again, however it came and however it is taken; what there is no room for is dropped message by message.
#[test]
fn unreliable_messages_together_take_the_room_that_they_take_alone() {
    // All together cost fourteen times as much.
    let limits = ConfigBuilder {
        max_message: 1000,
        receive_messages: 40,
        receive_bytes: 6000,
        session_bytes: 6000,
        ..ConfigBuilder::default()
    };
    let mut pair = Pair::established(limits);
    let mut dropped = 0;
    for round in 0..50_u8 {
        let sent = 1 + usize::from(round);
        for number in 0..sent as u8 {
            pair.send(Client, 0, Message::new([round, number].to_vec()).class(Class::Unreliable));
        }
        pair.run(ms(50));
        let now = pair.now;
        let mut channel = pair.conn(Server).channel(ChannelId(0));
        let first = channel.recv(now).expect("the first");
        let mut taken = vec![first.payload.to_vec()];
        taken.extend(channel.recv_all(now).map(|received| received.payload.to_vec()));
        let expected: Vec<_> = (0..sent.min(40) as u8).map(|number| [round, number].to_vec()).collect();
        assert_eq!(taken, expected);
        dropped += sent.saturating_sub(40) as u64;
        assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReceiveQueueFull), dropped);
    }
    let [client, server] = &pair.conns;
    assert_eq!(server.stats().messages_delivered + dropped, client.stats().messages_accepted);
}

/// Each drop is counted for its connection and for its channel, and what the peer says of its own is too.
#[test]
fn drops_are_counted_by_channel() {
    let mut pair = Pair::established(ConfigBuilder { receive_messages: 4, ..ConfigBuilder::default() });
    let now = pair.now;
    let channel = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
    for number in 0..10_u8 {
        pair.send(Client, channel.0, Message::new([number; 9].to_vec()).class(Class::Unreliable));
        pair.send(Client, 0, Message::new([number; 9].to_vec()).lifetime(ms(20)));
    }
    pair.run(ms(300));
    assert_eq!(pair.recv_all(Server, 0), []);
    pair.run(ms(300));
    let of = |conn: &Connection, id| conn.channel_stats(id).expect("it is open").clone();
    let [client, server] = &pair.conns;
    assert_eq!(of(server, channel).drops.iter().collect::<Vec<_>>(), [(Drop::ReceiveQueueFull, 6)]);
    assert_eq!(of(server, ChannelId(0)).drops.iter().collect::<Vec<_>>(), [(Drop::ReceiveExpired, 4)]);
    assert_eq!(of(client, channel).peer_drops.get(Refusal::QueueFull), 6);
    assert_eq!(of(client, channel).peer_drops.get(Refusal::Expired), 0);
    assert_eq!(of(client, ChannelId(0)).peer_drops.get(Refusal::Expired), 4);
    assert_eq!(of(client, ChannelId(0)).drops.iter().collect::<Vec<_>>(), [(Drop::SendExpired, 6)]);
    assert!(client.channel_stats(ChannelId(77)).is_none());
    for conn in [client, server] {
        for (reason, count) in conn.stats().drops.iter().filter(|(reason, _)| reason.concerns_channel()) {
            let sum: u64 = [ChannelId(0), channel].map(|id| of(conn, id).drops.get(reason)).iter().sum();
            assert_eq!(sum, count, "{reason:?}");
        }
    }
}

/// Who leaves one channel unread does not keep back another one's credit that there is room for.
#[test]
fn a_channel_that_nobody_reads_stops_no_other_for_which_there_is_room() {
    for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
        let mut pair = Pair::established(small());
        let now = pair.now;
        let unread = pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room");
        let of = |len: usize| Message::new(vec![7; len - MESSAGE_COST]).class(class);
        // Too little to be worth a CREDIT frame.
        pair.send(Client, 0, of(2900));
        pair.run(ms(200));
        assert_eq!(pair.recv_all(Server, 0).len(), 1);
        for len in [3900, 1300] {
            pair.send(Client, unread.0, of(len));
            pair.run(ms(200));
        }
        // Of 12,000 bytes 5200 are held, and 3900 are left of what was granted at first.
        pair.send(Client, 0, of(4064));
        pair.run(ms(500));
        assert_eq!(pair.recv_all(Server, 0).len(), 1, "{class:?}");
    }
}
