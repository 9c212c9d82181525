//! Peers that lie about the path, about time, and about what has arrived.

use std::ops::RangeInclusive;

use proto_core::wire::checksum::crc32c;
use proto_core::wire::{EcnCounts, Frame, OpenChannel, Packet, packet};
use proto_core::{ChannelId, ConfigBuilder, Congestion, Ecn, Event, Message, code};

use crate::peer::{Peer, plenty};
use crate::world::{World, host, ms, secs};

fn send(world: &mut World, peer: &Peer, len: usize) {
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    conn.channel(ChannelId::DEFAULT).send(now, Message::new(vec![7; len])).expect("room");
    drop(conn);
    world.drain();
}

/// Numbers and lengths of the packets that the server sent to it.
fn arrived(world: &World, peer: &Peer) -> Vec<(u64, usize)> {
    let mut expected = 0;
    let packets = world.sent_to(peer.at).filter_map(|bytes| {
        let Ok(Packet::Short(short)) = Packet::decode(bytes, crc32c) else { return None };
        let number = packet::expand_number(expected, short.number, short.number_len);
        if !short.verify(peer.guard, number, crc32c) {
            return None;
        }
        expected = number + 1;
        Some((number, bytes.len()))
    });
    packets.collect()
}

/// Acknowledges these numbers, which ascend, and says that it took this long.
fn acknowledge(world: &mut World, peer: &mut Peer, numbers: &[u64], delay: u64, marks: Option<EcnCounts>) {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for &number in numbers.iter().rev() {
        match ranges.last_mut() {
            Some(last) if *last.start() == number + 1 => *last = number..=*last.end(),
            _ => ranges.push(number..=number),
        }
    }
    ranges.truncate(60);
    if !ranges.is_empty() {
        peer.write(world, |writer| writer.write_ack_ecn(delay, ranges.into_iter(), marks));
    }
}

fn numbers(world: &World, peer: &Peer) -> Vec<u64> {
    arrived(world, peer).into_iter().map(|(number, _)| number).collect()
}

#[test]
pub(crate) fn row_11_who_acknowledges_what_is_still_to_come_is_found_out() {
    for is_honest in [true, false] {
        let mut world = World::new(ConfigBuilder::default());
        let mut peer = Peer::join(&mut world, host(1));
        let mut rounds = 0;
        while rounds < 400 && world.closed(peer.id()).is_none() {
            rounds += 1;
            send(&mut world, &peer, 100);
            world.run(ms(30));
            let came = numbers(&world, &peer);
            let (first, last) = (came[0], came[came.len() - 1]);
            // Without a gap, as if nothing could be missing.
            let told = if is_honest { came } else { (first..=last).collect() };
            acknowledge(&mut world, &mut peer, &told, 0, None);
        }
        if is_honest {
            peer.assert_open(&world, "it acknowledges what has come");
        } else {
            assert!((3..=100).contains(&rounds), "after {rounds} messages");
            peer.assert_ended(&mut world, code::PROTOCOL_VIOLATION, "a number that was skipped");
        }
    }
}

#[test]
pub(crate) fn row_14_lies_about_delays_neither_stop_probes_nor_make_a_flood_of_them() {
    for (delay, wait) in [(u64::MAX >> 2, ms(1)), (0, ms(900)), (1 << 20, ms(900))] {
        let mut world = World::new(ConfigBuilder::default());
        let mut peer = Peer::join(&mut world, host(1));
        for _ in 0..50 {
            send(&mut world, &peer, 100);
            world.run(wait);
            let came = numbers(&world, &peer);
            acknowledge(&mut world, &mut peer, &came, delay, None);
        }
        peer.assert_open(&world, "a delay is no reason to go");
        world.run(secs(1));
        let (before, begun) = (world.stats().probes, world.now);
        send(&mut world, &peer, 100);
        while world.closed(peer.id()).is_none() && world.now < begun + secs(20) {
            // It lives, and what was sent does not arrive.
            peer.say(&mut world, &[Frame::Ping]);
            world.run(secs(1));
        }
        let (probes, span) = (world.stats().probes - before, world.now.since(begun).as_secs());
        assert!(probes >= 3 && probes * 3 >= span.saturating_sub(3), "{probes} in {span} s, after {delay}");
        assert!(probes < 60, "{probes} probes in {span} s, after {delay}");
    }
}

/// The server's packets when it has much to say on a channel that its peer has opened with this priority, and on channel 0;
/// its application may say how urgent that channel is.
fn served(asked: u8, decided: Option<u8>) -> Vec<Vec<u8>> {
    let congestion = Congestion::Fixed { rate: 200_000, window: 20_000 };
    let mut world = World::new(ConfigBuilder { congestion, ..ConfigBuilder::default() });
    let mut peer = Peer::join(&mut world, host(1));
    let channel = OpenChannel {
        channel: 1,
        classes: 15,
        priority: asked,
        reliable_sequenced: false,
        bytes: 1 << 20,
        messages: 1000,
        name: "all of it is urgent",
    };
    peer.say(&mut world, &[Frame::OpenChannel(channel)]);
    // The way is long: what is urgent may go beyond the window by two packets a round trip.
    for _ in 0..20 {
        send(&mut world, &peer, 10);
        world.run(ms(300));
        peer.ack(&mut world);
    }
    world.sent.clear();
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    if let Some(decided) = decided {
        conn.channel(ChannelId(1)).set_priority(now, decided, 1).expect("it is open");
    }
    for (id, byte, count) in [(1, 0xB1, 150), (0, 0xA0, 10)] {
        for _ in 0..count {
            conn.channel(ChannelId(id)).send(now, Message::new(vec![byte; 3000])).expect("room");
        }
    }
    drop(conn);
    for _ in 0..30 {
        world.run(ms(300));
        peer.ack(&mut world);
    }
    world.sent_to(peer.at).map(<[u8]>::to_vec).collect()
}

#[test]
pub(crate) fn row_31_what_a_peer_calls_urgent_starves_nothing_and_binds_nobody() {
    let says = |packet: &[u8], byte: u8| packet.windows(200).any(|window| window == [byte; 200]);
    let packets = served(0, None);
    let first = |byte| packets.iter().position(|packet| says(packet, byte)).expect("it is said");
    let last_urgent = packets.iter().rposition(|packet| says(packet, 0xB1)).expect("it is said");
    assert!(first(0xB1) < first(0xA0), "it is asked to go first");
    assert!(first(0xA0) < last_urgent, "and does not keep everything else waiting");
    // What the application has decided counts.
    let usual = served(4, Some(4));
    for asked in [0, 1, 7] {
        assert!(served(asked, Some(4)) == usual, "priority {asked}");
    }
}

#[test]
pub(crate) fn row_33_a_clock_that_leaps_or_runs_backwards_ends_nobody_and_fires_nothing_twice() {
    let mut world = World::new(ConfigBuilder::default());
    let mut peer = Peer::join(&mut world, host(1));
    peer.say(&mut world, &[Frame::Ping]);
    world.run(secs(1));
    let (now, next) = (world.now, world.server.poll_timeout().expect("a heartbeat"));
    for back in [1, 900] {
        world.now = proto_core::Timestamp::from_nanos(now.as_nanos() - secs(back).as_nanos() as u64);
        world.server.handle_timeout(world.now);
        peer.say(&mut world, &[Frame::Ping]);
        assert!(world.server.poll_timeout().is_some_and(|at| at > now), "time stands still");
    }
    world.now = now;
    assert!(next > now);
    // A laptop sleeps for an hour: what was due meanwhile happens once, and the peer gets time to be heard.
    world.run(ms(50));
    world.sent.clear();
    let (probes, timeouts) = (world.stats().probes, world.timeouts);
    world.now += secs(3600);
    world.run(ms(1));
    assert!(world.sent_to(peer.at).count() <= 4 && world.stats().probes - probes <= 4);
    assert!(world.timeouts - timeouts <= 4, "{} timers", world.timeouts - timeouts);
    peer.assert_open(&world, "nobody was silent");
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::Suspended { .. })));
    peer.say(&mut world, &[Frame::Ping]);
    world.run(secs(3));
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::Suspended { .. })));
    // One that is really silent is missed all the same.
    world.run(secs(120));
    assert!(
        world.events.iter().any(|(_, event)| matches!(event, Event::Suspended { .. } | Event::Closed(_)))
    );
}

#[test]
pub(crate) fn row_37_a_path_that_swallows_large_packets_gets_small_ones() {
    let mut world = World::new(ConfigBuilder::default());
    let mut peer = Peer::join_with(&mut world, host(1), &plenty());
    let longest = |world: &World, peer: &Peer| {
        arrived(world, peer).iter().map(|&(_, len)| len).max().unwrap_or_default()
    };
    for _ in 0..40 {
        send(&mut world, &peer, 5000);
        world.run(ms(30));
        let came = numbers(&world, &peer);
        acknowledge(&mut world, &mut peer, &came, 0, None);
        world.run(ms(30));
    }
    assert_eq!(longest(&world, &peer), 1452, "the path takes them");
    assert_eq!(world.stats().black_holes, 0);
    for round in 0..60 {
        if round < 20 {
            send(&mut world, &peer, 5000);
        }
        world.run(ms(50));
        let small = arrived(&world, &peer).into_iter().filter(|&(_, len)| len <= 1200);
        let small: Vec<u64> = small.map(|(number, _)| number).collect();
        acknowledge(&mut world, &mut peer, &small, 0, None);
        world.run(ms(50));
        peer.assert_open(&world, "small ones arrive");
    }
    assert_eq!(world.stats().black_holes, 1);
    world.sent.clear();
    send(&mut world, &peer, 20_000);
    world.run(ms(50));
    assert!(world.sent_to(peer.at).count() > 2 && world.sent_to(peer.at).all(|packet| packet.len() <= 1200));
}

#[test]
pub(crate) fn row_38_who_lies_about_marks_gets_none_and_nothing_else_changes() {
    let marked = |world: &mut World, peer: &Peer| {
        let now = world.now;
        let mut conn = world.server.connection(peer.id()).expect("it is there");
        conn.channel(ChannelId::DEFAULT).send(now, Message::new("look")).expect("room");
        drop(conn);
        let mut buf = Vec::new();
        let transmit = world.server.poll_transmit(now, &mut buf).expect("a packet");
        world.sent.push((peer.at, buf));
        world.drain();
        transmit.ecn == Some(Ecn::Ect0)
    };
    let counts = |ect0, ect1, ce| Some(EcnCounts { ect0, ect1, ce });
    let lies = [
        None,
        counts(0, 0, 0),
        counts(0, 1, 0),
        counts(1 << 40, 0, 0),
        counts(u64::MAX >> 2, 0, u64::MAX >> 2),
    ];
    for lie in lies {
        let mut world = World::new(ConfigBuilder::default());
        let mut peer = Peer::join(&mut world, host(1));
        assert!(marked(&mut world, &peer), "it tries");
        let window = world.stats().ecn_failed;
        let came = numbers(&world, &peer);
        acknowledge(&mut world, &mut peer, &came, 0, lie);
        world.run(ms(50));
        assert_eq!(world.stats().ecn_failed - window, 1, "{lie:?}");
        assert!(!marked(&mut world, &peer), "{lie:?}");
        peer.assert_open(&world, "marks are no reason to go");
    }
}
