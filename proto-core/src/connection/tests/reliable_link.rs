//! A link that loses nothing: no loss timers, and acknowledgements all the same.

use alloc::vec;
use alloc::vec::Vec;

use super::{Client, Pair, Server, ms, secs};
use crate::connection::Timer;
use crate::{Class, ConfigBuilder, Event, Fate, Link, Message};

fn pair() -> Pair {
    let config = ConfigBuilder::default().build().expect("sound");
    Pair::established_with(alloc::sync::Arc::clone(&config), config, Link::stream(1200))
}

fn fates(pair: &mut Pair) -> Vec<(u64, Fate)> {
    let events = pair.take_events(Client).into_iter();
    events
        .filter_map(|event| match event {
            Event::Fate { message, fate } => Some((message.number, fate)),
            _ => None,
        })
        .collect()
}

#[test]
fn unreliable_messages_are_written_and_reliable_ones_acknowledged() {
    let mut pair = pair();
    for size in [10, 5000] {
        pair.send(Client, 0, Message::new(vec![1; size]).class(Class::Unreliable).receipt());
    }
    pair.drain();
    assert_eq!(fates(&mut pair), [(0, Fate::Written), (1, Fate::Written)], "as soon as they are handed over");
    for size in [10, 5000] {
        pair.send(Client, 0, Message::new(vec![1; size]).receipt());
    }
    pair.drain();
    assert!(fates(&mut pair).is_empty(), "handing over proves nothing");
    pair.run(secs(1));
    assert_eq!(fates(&mut pair), [(0, Fate::Acked), (1, Fate::Acked)]);
    assert_eq!(pair.recv_all(Server, 0).len(), 4);
}

#[test]
fn no_loss_timer_is_armed() {
    let mut pair = pair();
    pair.lose(|sent| sent.from == Server);
    for _ in 0..20 {
        pair.send(Client, 0, Message::new(vec![1; 1000]));
        pair.drain();
        assert_eq!(pair.conn(Client).deadline(Timer::Loss), None);
    }
    pair.sent.clear();
    pair.run(secs(9));
    assert!(pair.sent.iter().all(|sent| sent.from == Server), "nothing is repeated");
    assert_eq!(pair.conn(Client).stats().probes, 0);
    assert_eq!(pair.conn(Client).unsettled(), 20);
}

#[test]
fn a_dead_link_leaves_its_messages_unknown() {
    let mut pair = pair();
    pair.lose(|_| true);
    pair.send(Client, 0, Message::new("lost with the link").receipt());
    pair.run(secs(60));
    assert!(pair.closed(Client).is_some());
    assert_eq!(fates(&mut pair), [(0, Fate::Unknown)]);
}

#[test]
fn congestion_does_not_hold_it_back() {
    let mut pair = pair();
    for _ in 0..400 {
        pair.send(Client, 0, Message::new(vec![1; 1100]));
    }
    pair.drain();
    let sent = pair.sent.iter().filter(|sent| sent.from == Client).count();
    assert!(sent >= 400, "{sent} packets at once");
    pair.run(ms(100));
    assert_eq!(pair.recv_all(Server, 0).len(), 400);
}
