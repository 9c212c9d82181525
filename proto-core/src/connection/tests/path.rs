//! What a connection learns about its path: how large packets may be, and whether marks come through.

use alloc::vec;

use super::{Client, Pair, Server, ms, secs};
use crate::wire::{Credit, Frame};
use crate::{Class, ConfigBuilder, Ecn, Message, Meta};

/// Sends one large message and reads it; how large packets may be afterwards.
fn transfer(pair: &mut Pair, span: u64) -> u16 {
    pair.send(Client, 0, Message::new(vec![7; 60_000]));
    pair.run(ms(span));
    let received = pair.recv_all(Server, 0);
    assert_eq!(received.len(), 1);
    assert!(received[0].payload.iter().all(|&byte| byte == 7));
    pair.conn(Client).max_packet()
}

#[test]
fn a_path_that_becomes_narrower_is_noticed() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for _ in 0..5 {
        transfer(&mut pair, 800);
    }
    assert_eq!(pair.conn(Client).max_packet(), 1452);
    pair.lose(|sent| sent.packet.len() > 1300);
    assert_eq!(transfer(&mut pair, 5000), 1200, "it arrives, and packets are small again");
    assert_eq!(pair.conn(Client).stats().black_holes, 1);
    let probes = pair.conn(Client).stats().mtu_probes;
    for _ in 0..50 {
        transfer(&mut pair, 1000);
    }
    assert_eq!(pair.conn(Client).stats().mtu_probes, probes, "it cools down for a minute");
    pair.run(secs(15));
    for _ in 0..20 {
        transfer(&mut pair, 1000);
    }
    let found = pair.conn(Client).max_packet();
    assert!((1281..=1300).contains(&found), "{found}");
    assert_eq!(pair.conn(Client).stats().black_holes, 1);
}

#[test]
fn unreliable_pieces_fit_before_and_after() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for _ in 0..5 {
        transfer(&mut pair, 800);
    }
    // The largest that its link's own packets could carry.
    pair.send(Client, 0, Message::new(vec![9; 16 * 1120]).class(Class::Unreliable));
    pair.run(ms(500));
    assert_eq!(pair.recv_all(Server, 0).len(), 1);
    pair.lose(|sent| sent.packet.len() > 1200);
    transfer(&mut pair, 5000);
    pair.send(Client, 0, Message::new(vec![9; 16 * 1120]).class(Class::Unreliable));
    pair.run(ms(500));
    assert_eq!(pair.recv_all(Server, 0).len(), 1, "no piece more than its receiver takes");
}

#[test]
fn small_traffic_probes_nothing() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for _ in 0..100 {
        pair.send(Client, 0, Message::new(vec![1; 300]));
        pair.run(ms(100));
        pair.recv_all(Server, 0);
    }
    assert_eq!((pair.conn(Client).stats().mtu_probes, pair.conn(Client).max_packet()), (0, 1200));
}

/// Hands a packet with one PING over with this mark; the answer.
fn ping(pair: &mut Pair, mark: Option<Ecn>) {
    let packet = pair.forge(Client, |writer| writer.write(&Frame::Ping, false));
    let (now, meta) = (pair.now, Meta { ecn: mark, ..Meta::default() });
    pair.conn(Server).handle_packet(now, meta, &packet);
    pair.run(ms(50));
}

#[test]
fn marks_that_come_in_are_counted_and_congestion_is_told_at_once() {
    let mut pair = Pair::established(ConfigBuilder::default());
    ping(&mut pair, None);
    let frames = pair.sent.last().map(|sent| super::payload(&sent.packet)[0]);
    assert_eq!(frames, Some(crate::wire::frame::code::ACK));
    for mark in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
        ping(&mut pair, Some(mark));
        let frames =
            pair.sent.iter().rfind(|sent| sent.from == Server).map(|sent| super::payload(&sent.packet)[0]);
        assert_eq!(frames, Some(crate::wire::frame::code::ACK_ECN));
    }
}

#[test]
fn a_path_that_wipes_marks_off_gets_none() {
    // This wire does: nothing that it hands in is marked.
    let mut pair = Pair::established(ConfigBuilder::default());
    assert_eq!(pair.conn(Client).stats().ecn_failed, 1);
    let off = ConfigBuilder { ecn: false, ..ConfigBuilder::default() };
    assert_eq!(Pair::established(off).conn(Client).stats().ecn_failed, 0);
    pair.send(Client, 0, Message::new(vec![1; 100]));
    let (now, mut buf) = (pair.now, vec![]);
    let transmit = pair.conn(Client).poll_transmit(now, &mut buf).expect("a message");
    assert_eq!(transmit.ecn, None);
}

#[test]
fn blocked_is_counted_and_asks_for_nothing() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for channel in [None, Some(0), Some(77)] {
        pair.inject(Client, &[Frame::Blocked(Credit { channel, bytes: u64::MAX >> 2, messages: 0 })]);
    }
    pair.run(ms(100));
    assert_eq!(pair.conn(Server).stats().blocked_received, 3);
    assert!(pair.closed(Server).is_none());
    let answers = pair.frames_from(Server);
    assert!(answers.iter().all(|frames| *frames == ["ACK"]), "{answers:?}");
}
