//! Which message goes first, and what silent channels cost.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Client, Pair, Server, ms, secs};
use crate::wire::{Frame, Record};
use crate::{ChannelId, ChannelOptions, Class, ConfigBuilder, Message, OpenError};

fn open(pair: &mut Pair, priority: u8, weight: u8) -> u32 {
    let now = pair.now;
    let options = ChannelOptions { priority, weight, ..ChannelOptions::default() };
    pair.conn(Client).open_channel(now, &options).expect("room for a channel").0
}

fn roomy() -> ConfigBuilder {
    ConfigBuilder { max_channels: 4096, ..ConfigBuilder::default() }
}

fn unordered(size: usize) -> Message {
    Message::new(vec![0; size]).class(Class::ReliableUnordered)
}

/// The channels of the messages in one packet of the client's, in their order.
fn next_channels(pair: &mut Pair) -> Option<Vec<u32>> {
    let (now, mut buf) = (pair.now, Vec::new());
    pair.conn(Client).poll_transmit(now, &mut buf)?;
    let frames = Record::new(super::payload(&buf)).map(|frame| frame.expect("a frame of ours"));
    let channels = frames.filter_map(|frame| match frame {
        Frame::Msg(msg) => Some(msg.channel),
        _ => None,
    });
    Some(channels.collect())
}

#[test]
fn the_highest_priority_goes_first() {
    let mut pair = Pair::established(roomy());
    let ids: Vec<_> = (0..8).rev().map(|priority| open(&mut pair, priority, 1)).collect();
    for &id in &ids {
        pair.send(Client, id, unordered(20));
    }
    let mut order = Vec::new();
    while let Some(channels) = next_channels(&mut pair) {
        order.extend(channels);
    }
    assert!(order.iter().eq(ids.iter().rev()), "{order:?}");
}

#[test]
fn channel_0_has_the_priority_that_was_configured() {
    for (priority, order) in [(0, [0, 1]), (7, [1, 0])] {
        let mut pair = Pair::established(ConfigBuilder { default_priority: priority, ..roomy() });
        let other = open(&mut pair, 4, 1);
        pair.send(Client, other, unordered(1));
        pair.send(Client, 0, unordered(1));
        assert_eq!(next_channels(&mut pair), Some(order.to_vec()), "priority {priority}");
    }
}

#[test]
fn a_priority_can_be_changed_at_any_time_and_the_peer_is_not_told() {
    let mut pair = Pair::established(roomy());
    let (first, second) = (open(&mut pair, 2, 1), open(&mut pair, 3, 1));
    pair.send(Client, first, unordered(1));
    pair.send(Client, second, unordered(1));
    let now = pair.now;
    assert_eq!(pair.conn(Client).channel(ChannelId(second)).set_priority(now, 1, 1), Ok(()));
    assert_eq!(next_channels(&mut pair), Some(vec![second, first]));
    // The announcement that follows a loss is still the first one, so the peer does not take it for another channel.
    pair.run(secs(2));
    assert!(pair.closed(Client).is_none());
    assert_eq!(pair.recv_all(Server, second).len(), 1);
    let mut channel = pair.conns[0].channel(ChannelId(99));
    assert_eq!(channel.set_priority(now, 1, 1), Err(OpenError::NoChannel));
    let mut channel = pair.conns[0].channel(ChannelId(first));
    assert!(matches!(channel.set_priority(now, 8, 1), Err(OpenError::Invalid(_))));
    assert!(matches!(channel.set_priority(now, 0, 0), Err(OpenError::Invalid(_))));
}

#[test]
fn lost_messages_go_to_the_front_of_their_priority() {
    let mut pair = Pair::established(roomy());
    let (bulk, other) = (open(&mut pair, 4, 1), open(&mut pair, 4, 1));
    let mut dropped = false;
    pair.lose(move |_| !core::mem::replace(&mut dropped, true));
    pair.send(Client, bulk, unordered(1100));
    for _ in 0..60 {
        pair.send(Client, other, unordered(1100));
    }
    pair.sent.clear();
    pair.run(secs(2));
    let packets: Vec<_> = pair.sent.iter().filter(|sent| sent.from == Client).collect();
    let channels = packets.iter().filter_map(|sent| {
        let mut frames = Record::new(super::payload(&sent.packet)).flatten();
        frames.find_map(|frame| if let Frame::Msg(msg) = frame { Some(msg.channel) } else { None })
    });
    let order: Vec<_> = channels.collect();
    let resent = order.iter().rposition(|&channel| channel == bulk).expect("it was sent");
    assert!((1..16).contains(&resent) && order.len() > 60, "repeated as packet {resent} of {}", order.len());
    assert_eq!(pair.recv_all(Server, bulk).len(), 1);
}

#[test]
fn priority_0_may_exceed_a_full_window_by_two_packets_a_round_trip() {
    let mut pair = Pair::established(roomy());
    let (bulk, urgent) = (open(&mut pair, 7, 1), open(&mut pair, 0, 1));
    for _ in 0..300 {
        pair.send(Client, bulk, unordered(1100));
    }
    pair.lose(|_| true);
    while next_channels(&mut pair).is_some() {}
    let mut beyond = 0;
    for _ in 0..5 {
        pair.send(Client, urgent, unordered(20));
        if let Some(channels) = next_channels(&mut pair) {
            assert_eq!(channels, [urgent], "nothing else comes along");
            beyond += 1;
        }
    }
    assert_eq!(beyond, 2);
    let rtt = pair.conn(Client).rtt();
    let at = pair.conn(Client).poll_timeout().expect("it waits for the next round trip");
    assert!(at <= pair.now + rtt);
    pair.now += rtt;
    assert_eq!(next_channels(&mut pair), Some(vec![urgent; 3]));
}

#[test]
fn credit_for_the_whole_connection_wakes_every_channel_that_waited_for_it() {
    let config = ConfigBuilder {
        receive_messages: 8,
        session_messages: 8,
        max_channels: 64,
        ..ConfigBuilder::default()
    };
    let mut pair = Pair::established(config);
    let ids: Vec<_> = (0..40).map(|_| open(&mut pair, 4, 1)).collect();
    for &id in &ids {
        pair.send(Client, id, unordered(10));
    }
    let mut got = 0;
    for _ in 0..20 {
        pair.run(ms(200));
        got += ids.iter().map(|&id| pair.recv_all(Server, id).len()).sum::<usize>();
    }
    assert_eq!(got, ids.len());
}

#[test]
fn thousands_of_channels_work_and_are_announced() {
    let mut pair = Pair::established(roomy());
    let ids: Vec<_> = (0..4096).map(|_| open(&mut pair, 4, 1)).collect();
    let now = pair.now;
    let refused = pair.conn(Client).open_channel(now, &ChannelOptions::default());
    assert!(matches!(refused, Err(OpenError::TooMany { .. })));
    pair.run(secs(5));
    let opened = pair.take_events(Server);
    assert_eq!(opened.iter().filter(|event| matches!(event, crate::Event::Opened(_))).count(), ids.len());
    for &id in ids.iter().step_by(100) {
        pair.send(Client, id, unordered(10));
        pair.run(ms(20));
        assert_eq!(pair.recv_all(Server, id).len(), 1);
    }
    assert!(pair.run_is_quiet(Duration::from_secs(5)));
}
