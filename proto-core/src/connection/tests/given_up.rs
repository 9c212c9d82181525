//! What giving one message up means for others: keys, the newest, repetitions, flushing.

use alloc::vec::Vec;

use super::{Client, Pair, Server, ms, secs};
use crate::{
    Cancel, ChannelId, ChannelOptions, Class, Close, ConfigBuilder, Event, Fate, Message, MessageId, Policy,
    Rate, SendLimits,
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

fn cancel(pair: &mut Pair, message: MessageId) -> Cancel {
    let now = pair.now;
    pair.conn(Client).channel(message.channel).cancel(now, message)
}

fn keyed(text: &'static str) -> Message {
    Message::new(text).key(7).receipt()
}

/// A message that is lost, under way.
fn lost(pair: &mut Pair, channel: u32, message: Message) -> MessageId {
    pair.lose(|sent| sent.from == Client);
    let message = pair.send(Client, channel, message);
    pair.run(ms(1));
    pair.lose(|_| false);
    message
}

#[test]
fn a_newer_one_that_is_cancelled_leaves_the_older_as_it_was() {
    for between in [false, true] {
        let mut pair = Pair::established(ConfigBuilder::default());
        let old = lost(&mut pair, 0, keyed("old"));
        // Of three, the second was dropped for the third.
        let second = between.then(|| pair.send(Client, 0, keyed("second")));
        let new = pair.send(Client, 0, keyed("new"));
        assert_eq!(cancel(&mut pair, new), Cancel::Cancelled);
        pair.run(secs(5));
        let mut expected = Vec::from([(old, Fate::Acked), (new, Fate::Cancelled)]);
        expected.extend(second.map(|second| (second, Fate::Superseded)));
        expected.sort_unstable();
        assert_eq!(fates(&mut pair), expected);
        assert_eq!(pair.recv(Server, 0).expect("it was repeated").payload, "old");
    }
}

#[test]
fn the_older_one_can_be_overtaken_again() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let old = lost(&mut pair, 0, keyed("old"));
    let cancelled = pair.send(Client, 0, keyed("cancelled"));
    cancel(&mut pair, cancelled);
    let new = pair.send(Client, 0, keyed("new"));
    pair.run(secs(5));
    let expected = [(old, Fate::Superseded), (cancelled, Fate::Cancelled), (new, Fate::Acked)];
    assert_eq!(fates(&mut pair), expected);
}

#[test]
fn a_newer_one_that_the_queue_drops_leaves_the_older_as_it_was() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let limits = SendLimits { messages: Some(2), policy: Some(Policy::DropOld), ..SendLimits::default() };
    pair.conn(Client).channel(ChannelId::DEFAULT).limit_queue(&limits).expect("sound");
    let old = lost(&mut pair, 0, keyed("old"));
    let new = pair.send(Client, 0, keyed("new"));
    let last = pair.send(Client, 0, Message::new("last").receipt());
    pair.run(secs(5));
    let dropped = Fate::Dropped { policy: Policy::DropOld };
    assert_eq!(fates(&mut pair), [(old, Fate::Acked), (new, dropped), (last, Fate::Acked)]);
}

/// Of sequenced messages the newest that was not taken back must arrive.
#[test]
fn the_newest_is_the_newest_that_was_not_cancelled() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let options = ChannelOptions { reliable_sequenced: true, ..ChannelOptions::default() };
    let channel = pair.conn(Client).open_channel(now, &options).expect("room").0;
    pair.run(ms(200));
    let sequenced = |text| Message::new(text).class(Class::Sequenced).receipt();
    let old = lost(&mut pair, channel, sequenced("old"));
    let new = lost(&mut pair, channel, sequenced("new"));
    assert_eq!(cancel(&mut pair, new), Cancel::TooLate);
    pair.run(secs(5));
    let told = fates(&mut pair);
    assert!(told.contains(&(new, Fate::Cancelled)), "{told:?}");
    // Which of the two losses is found first decides; one that was found before the cancelled one was settled stays superseded.
    let arrived = pair.recv_all(Server, channel);
    assert_eq!(told.contains(&(old, Fate::Acked)), arrived.len() == 1, "{told:?}");
}

#[test]
fn probes_do_not_count_as_repetitions_that_were_not_allowed() {
    for max in [0, 1, 2, 5] {
        let mut pair = Pair::established(ConfigBuilder::default());
        // Nothing else goes out, so that all of it is left to probes.
        let mut left = 12;
        pair.lose(move |sent| {
            let is_lost = sent.from == Client && left > 0;
            left -= u32::from(is_lost);
            is_lost || sent.packet.windows(8).any(|bytes| bytes == b"dead-man")
        });
        let dead = pair.send(Client, 0, Message::new("dead-man").max_retransmits(max).receipt());
        pair.run(secs(60));
        assert_eq!(fates(&mut pair), [(dead, Fate::Lost)], "max {max}");
        let copies = pair.sent.iter().filter(|s| s.packet.windows(8).any(|bytes| bytes == b"dead-man"));
        assert_eq!(copies.count(), 1 + max as usize);
    }
}

/// However many channels there are, each ACK while flushing looks at few of them.
#[test]
fn closing_flushes_every_channel() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let mut channels = Vec::from([ChannelId::DEFAULT]);
    channels.extend(
        (0..60).map(|_| pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room")),
    );
    let mut count = 0;
    pair.lose(move |sent| {
        count += 1;
        sent.from == Client && count % 3 == 0
    });
    for &channel in channels.iter().rev() {
        for _ in 0..5 {
            pair.send(Client, channel.0, Message::new(alloc::vec![1; 700]));
        }
    }
    let now = pair.now;
    pair.conn(Client).close(now, Close::default());
    pair.run(secs(8));
    for channel in channels {
        assert_eq!(pair.recv_all(Server, channel.0).len(), 5, "{channel:?}");
    }
}

/// Lifetimes on many channels end in their order, whatever was settled before.
#[test]
fn lifetimes_end_on_the_channels_where_they_end() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    let channels: Vec<_> = (0..20)
        .map(|_| pair.conn(Client).open_channel(now, &ChannelOptions::default()).expect("room"))
        .collect();
    pair.run(ms(200));
    // These arrive long before their time.
    for &channel in &channels {
        pair.send(Client, channel.0, Message::new("x").lifetime(ms(400)));
    }
    pair.run(ms(100));
    // Nothing goes out for a second.
    let (now, rate) = (pair.now, Rate { messages: 1, message_burst: 1, ..Rate::default() });
    pair.conn(Client).limit_sending(now, Some(rate));
    let mut waiting = Vec::new();
    for (index, &channel) in channels.iter().enumerate() {
        let lifetime = ms(1000 - 40 * index as u64);
        waiting.push((
            pair.now + lifetime,
            pair.send(Client, channel.0, Message::new("y").lifetime(lifetime).receipt()),
        ));
    }
    pair.take_events(Client);
    for (at, message) in waiting.into_iter().rev() {
        pair.run(at.since(pair.now + ms(2)));
        assert_eq!(fates(&mut pair), []);
        pair.run(ms(2));
        let told = fates(&mut pair);
        assert!(matches!(told[..], [(one, Fate::Expired { .. })] if one == message), "{told:?}");
    }
}
