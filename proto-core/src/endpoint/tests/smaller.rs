//! Servers that come back with less.

use alloc::vec;
use alloc::vec::Vec;

use super::resume::quick;
use super::{SERVER, World, ZERO, client_config, ms, secs, server_config};
use crate::{ChannelOptions, ConfigBuilder, Event, Fate, Message, SendLimits, State};

/// A client that has messages on channels 0 and three of its own, some of them large, when its server is replaced by `less`: the fates
/// of them all, there and with the new server.
fn replaced(less: impl Fn(&mut ConfigBuilder), resume_window: core::time::Duration) -> Vec<Fate> {
    let with = |config| ConfigBuilder { resume_window, ..quick(config) };
    let mut smaller = with(server_config());
    let (mut world, id, _) = World::connected(with(server_config()), &with(client_config()));
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("there");
    let mut channels = vec![ZERO];
    channels.extend((0..3).map(|_| conn.open_channel(now, &ChannelOptions::default()).expect("room")));
    for &channel in &channels {
        for len in [10, 5000] {
            let message = Message::new(vec![1; len]).receipt_of_processing();
            conn.channel(channel).send(now, message).expect("room");
        }
    }
    drop(conn);
    world.run(ms(200));
    less(&mut smaller);
    world.restart_server_as(smaller.build().expect("a sound configuration"));
    for _ in 0..100 {
        world.run(ms(100));
        process(&mut world);
    }
    let closed: Vec<_> =
        world.events[1].iter().filter(|(_, event)| matches!(event, Event::Closed(_))).collect();
    assert_eq!(closed.len(), 1, "{closed:?}");
    let next = world.established(1)[0];
    let conn = world.nodes[1].get(next).expect("there");
    assert_eq!((conn.state(), conn.unsettled()), (State::Established, 0));
    let fates = world.events[1].iter().filter_map(|(_, event)| match event {
        Event::Fate { fate: Fate::Moved(_), .. } => None,
        Event::Fate { fate, .. } => Some(*fate),
        _ => None,
    });
    fates.collect()
}

/// The server's application does its work.
fn process(world: &mut World) {
    let now = world.now;
    for (id, event) in core::mem::take(&mut world.events[SERVER]) {
        let Event::Readable(channel) = event else { continue };
        let Some(mut conn) = world.nodes[SERVER].connection(id) else { continue };
        let received: Vec<_> = conn.channel(channel).recv_all(now).collect();
        for receipt in received.into_iter().filter_map(|received| received.receipt) {
            assert!(conn.ack(now, receipt));
        }
    }
}

fn count(fates: &[Fate], wanted: Fate) -> usize {
    fates.iter().filter(|&&fate| fate == wanted).count()
}

#[test]
fn with_fewer_channels_what_finds_none_is_unknown() {
    for window in [ms(0), secs(60)] {
        for (max_channels, processed) in [(64, 8), (1, 4), (0, 2)] {
            let fates = replaced(|config| config.max_channels = max_channels, window);
            assert_eq!(fates.len(), 8, "{max_channels}: {fates:?}");
            assert_eq!(count(&fates, Fate::Processed), processed, "{max_channels}: {fates:?}");
            assert_eq!(count(&fates, Fate::Unknown), 8 - processed, "{max_channels}: {fates:?}");
        }
    }
}

#[test]
fn with_shorter_messages_the_long_ones_are_not_sent() {
    for window in [ms(0), secs(60)] {
        let fates = replaced(|config| config.max_message = 1000, window);
        assert_eq!(fates.len(), 8, "{fates:?}");
        assert_eq!(count(&fates, Fate::Processed), 4, "{fates:?}");
        assert_eq!(count(&fates, Fate::Unknown) + count(&fates, Fate::TooLarge), 4, "{fates:?}");
    }
}

/// The queue was made longer, which the next connection knows nothing of.
#[test]
fn with_a_short_queue_of_the_client_all_of_them_are_moved() {
    let client = ConfigBuilder { send_messages: 4, ..quick(client_config()) };
    let (mut world, id, _) = World::connected(quick(server_config()), &client);
    let longer = SendLimits { messages: Some(12), ..SendLimits::default() };
    let mut conn = world.nodes[1].connection(id).expect("there");
    conn.channel(ZERO).limit_queue(&longer).expect("sound limits");
    drop(conn);
    for _ in 0..12 {
        world.send(1, id, Message::new("work").receipt_of_processing());
    }
    world.run(ms(200));
    world.events[1].clear();
    world.restart_server();
    for _ in 0..100 {
        world.run(ms(100));
        process(&mut world);
    }
    let told = |wanted: fn(&Event) -> bool| world.events[1].iter().filter(|(_, event)| wanted(event)).count();
    assert_eq!(told(|event| matches!(event, Event::Fate { fate: Fate::Moved(_), .. })), 12);
    assert_eq!(told(|event| matches!(event, Event::Fate { fate: Fate::Processed, .. })), 12);
    assert_eq!(told(|event| matches!(event, Event::Writable(_))), 0, "nobody waits for room");
}
