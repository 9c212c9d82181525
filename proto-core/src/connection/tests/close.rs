//! The end of a connection, from either side, over any wire.

use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;

use super::{Client, DELAY, Pair, Server, close_in, frame_names, ms, msg, secs};
use crate::wire::{Frame, RecordWriter};
use crate::{
    Advice, Class, Close, CloseReason, Config, ConfigBuilder, Drop, Event, Fate, Link, Message, SendError,
    State,
};

fn pair() -> Pair {
    Pair::established(ConfigBuilder::default())
}

fn goodbye() -> Close {
    Close {
        code: 0x123,
        reason: "goodbye".to_string(),
        advice: Advice::After,
        retry_after: ms(1500),
        ..Close::default()
    }
}

#[test]
fn the_peer_learns_code_reason_and_advice() {
    for side in [Client, Server] {
        let mut pair = pair();
        pair.close(side, goodbye());
        pair.run(secs(1));
        let local = pair.closed(side).expect("closed").clone();
        assert_eq!(local.reason, CloseReason::Local { code: 0x123 });
        let remote = pair.closed(side.other()).expect("closed").clone();
        assert_eq!(remote.reason, CloseReason::Peer { code: 0x123, reason: "goodbye".to_string() });
        assert_eq!((remote.advice, remote.retry_after), (Advice::After, Some(ms(1500))));
        assert_eq!((remote.unsent, remote.unacked), (0, 0));
        assert_eq!(pair.sent.len(), 2, "CLOSE and CLOSE_ACK");
        for end in [Client, Server] {
            assert!(pair.conn(end).is_over());
        }
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let mut pair = pair();
    pair.close(Client, Close { reason: "é".repeat(200) + "end", ..goodbye() });
    pair.run(secs(1));
    let closed = pair.closed(Server).expect("closed");
    let CloseReason::Peer { reason, .. } = &closed.reason else { panic!("{closed:?}") };
    assert_eq!(*reason, "é".repeat(128));
}

#[test]
fn reliable_messages_go_before_close() {
    let mut pair = pair();
    for i in 0..40_u8 {
        pair.send(Client, 0, Message::new(vec![i; 3000]).receipt());
    }
    pair.close(Client, Close { linger: secs(20), ..goodbye() });
    assert_eq!(
        pair.conn(Client)
            .channel(crate::ChannelId::DEFAULT)
            .send(crate::Timestamp::ZERO, Message::new("late")),
        Err(SendError::Closed)
    );
    let mut lost = super::noise(1);
    pair.lose(move |_| lost.below(10) < 3);
    pair.run(secs(25));
    assert_eq!(pair.recv_all(Server, 0).len(), 40, "unread messages outlive the connection");
    let events = pair.take_events(Client);
    let acked = events.iter().filter(|event| matches!(event, Event::Fate { fate: Fate::Acked, .. }));
    assert_eq!(acked.count(), 40);
    assert!(matches!(events.last(), Some(Event::Closed(closed)) if closed.unacked + closed.unsent == 0));
}

#[test]
fn linger_ends_in_time_whatever_the_peer_does() {
    for linger in [Duration::ZERO, ms(300), secs(2)] {
        let mut pair = pair();
        pair.lose(|sent| sent.from == Client);
        pair.send(Client, 0, Message::new("never acknowledged").receipt());
        let (begun, pto) = (pair.now, pair.conn(Client).pto());
        pair.close(Client, Close { linger, ..goodbye() });
        let bound = linger + pto * 3 + ms(1);
        pair.run(bound);
        let closed = pair.closed(Client).expect("in time").clone();
        assert_eq!(closed.unacked + closed.unsent, 1, "{begun}");
        let events = pair.take_events(Client);
        let fates = events.iter().filter(|event| matches!(event, Event::Fate { fate: Fate::Unknown, .. }));
        assert_eq!(fates.count(), 1);
    }
}

#[test]
fn a_second_close_can_only_shorten_the_first() {
    for (first, second, bound) in [(secs(20), ms(100), secs(1)), (ms(100), secs(20), secs(1))] {
        let mut pair = pair();
        pair.lose(|sent| sent.from == Client);
        pair.send(Client, 0, Message::new("x"));
        pair.close(Client, Close { linger: first, ..goodbye() });
        pair.close(Client, Close { linger: second, ..goodbye() });
        pair.run(bound);
        assert!(pair.closed(Client).is_some());
    }
}

#[test]
fn both_sides_may_close_at_once() {
    let mut pair = pair();
    for side in [Client, Server] {
        pair.close(side, goodbye());
    }
    pair.run(secs(1));
    for side in [Client, Server] {
        assert!(pair.closed(side).is_some());
        assert!(pair.conn(side).is_over());
    }
    assert!(pair.sent.len() <= 6, "{} packets", pair.sent.len());
}

#[test]
fn a_lost_close_is_repeated_and_a_lost_answer_as_well() {
    for lossy in [Client, Server] {
        let mut pair = pair();
        let mut seen = 0;
        pair.lose(move |sent| {
            let ends = frame_names(&sent.packet).iter().any(|name| name.starts_with("CLOSE"));
            seen += u32::from(ends && sent.from == lossy);
            sent.from == lossy && seen <= 2
        });
        pair.close(Client, goodbye());
        pair.run(secs(2));
        assert_eq!(pair.closed(Client).expect("closed").reason, CloseReason::Local { code: 0x123 });
        assert!(matches!(pair.closed(Server).expect("told").reason, CloseReason::Peer { .. }));
    }
}

#[test]
fn when_nothing_arrives_the_repetitions_are_few() {
    let mut pair = pair();
    pair.lose(|_| true);
    pair.close(Client, goodbye());
    pair.run(secs(60));
    let closes = pair.sent.iter().filter(|sent| sent.from == Client && close_in(&sent.packet).is_some());
    assert!(closes.count() <= 8);
    assert_eq!(pair.closed(Client).expect("closed").reason, CloseReason::Local { code: 0x123 });
}

#[test]
fn a_violation_is_answered_again_but_not_for_ever() {
    let mut pair = pair();
    pair.inject(Client, &[Frame::Retry(b"x")]);
    pair.drain();
    for _ in 0..1000 {
        pair.inject(Client, &[Frame::Ping]);
        pair.drain();
    }
    let closes = pair.sent.iter().filter(|sent| sent.from == Server && close_in(&sent.packet).is_some());
    assert_eq!(closes.count(), 8);
}

#[test]
fn closing_before_the_handshake_ends_is_a_failure_to_connect() {
    let config: alloc::sync::Arc<Config> = ConfigBuilder::default().build().expect("sound");
    let mut pair = Pair::new(alloc::sync::Arc::clone(&config), config, Link::datagram(1200));
    pair.send(Client, 0, Message::new("early").receipt());
    pair.drain();
    pair.close(Client, goodbye());
    pair.run(secs(20));
    let events = pair.take_events(Client);
    assert!(
        matches!(&events[..], [
        Event::Connecting { attempt: 1 },
        Event::Fate { fate: Fate::Unknown, .. },
        Event::ConnectFailed(closed),
    ] if closed.reason == CloseReason::Local { code: 0x123 } && closed.unsent == 1),
        "{events:?}"
    );
    assert!(pair.conn(Client).is_over());
    assert!(pair.take_events(Server).is_empty());
    assert!(pair.conn(Server).is_over(), "the server gave the handshake up");
}

#[test]
fn what_was_received_waits_a_minute_for_its_reader() {
    for read_after in [secs(50), secs(120)] {
        let mut pair = pair();
        pair.send(Client, 0, Message::new("read me"));
        pair.close(Client, goodbye());
        pair.run(secs(1));
        assert!(pair.closed(Server).is_some());
        pair.run(read_after);
        let got = pair.recv_all(Server, 0).len();
        let unread = pair.conn(Server).stats().drops.get(Drop::Unread);
        assert_eq!((got, unread), if read_after < secs(60) { (1, 0) } else { (0, 1) });
        assert!(pair.conn(Server).is_over());
    }
}

#[test]
fn messages_behind_a_close_are_not_delivered() {
    let mut pair = pair();
    let late = |writer: &mut RecordWriter<'_>| {
        writer.write(
            &Frame::Close(crate::wire::Close {
                code: 0,
                advice: Advice::Never,
                retry_after_ms: 0,
                reason: "",
            }),
            false,
        );
        writer.write(&Frame::Msg(msg(Class::ReliableOrdered, 0, b"late")), true);
    };
    let packet = pair.forge(Client, late);
    pair.hand_in(Server, &packet);
    assert_eq!(pair.conn(Server).state(), State::Draining);
    assert!(pair.recv(Server, 0).is_none());
    pair.run(DELAY);
    assert!(pair.closed(Server).is_some());
}

#[test]
fn calls_after_the_end_are_refused_and_change_nothing() {
    let mut pair = pair();
    pair.close(Client, goodbye());
    pair.run(secs(1));
    pair.take_events(Client);
    let now = pair.now;
    let conn = pair.conn(Client);
    assert_eq!(conn.channel(crate::ChannelId::DEFAULT).send(now, Message::new("x")), Err(SendError::Closed));
    assert_eq!(
        conn.channel(crate::ChannelId::DEFAULT).request(now, Message::new("x"), secs(1)),
        Err(SendError::Closed)
    );
    assert!(conn.open_channel(now, &crate::ChannelOptions::default()).is_err());
    conn.close(now, goodbye());
    pair.run(secs(100));
    assert!(pair.take_events(Client).is_empty());
}

/// The timers of the end follow what is learned of the path meanwhile.
#[test]
fn closing_takes_no_longer_than_the_path_turns_out_to_need() {
    let mut pair = pair();
    let (now, conn) = (pair.now, pair.conn(Client));
    let config = conn.config.clone();
    conn.recovery.reset_path(now, &config);
    let guessed = conn.pto();
    pair.send(Client, 0, Message::new("under way"));
    pair.run(ms(1));
    pair.lose(|sent| sent.from == Client);
    let begun = pair.now;
    pair.close(Client, Close { linger: Duration::ZERO, ..goodbye() });
    while pair.closed(Client).is_none() {
        pair.run(ms(1));
    }
    let known = pair.conn(Client).pto();
    assert!(known * 3 < guessed, "{known:?} of {guessed:?}");
    assert!(pair.now.since(begun) <= known * 3 + ms(2), "{:?}", pair.now.since(begun));
}
