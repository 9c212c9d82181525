//! Silence: what it costs, and when it means that the peer is gone.

use alloc::vec::Vec;

use super::{Client, Pair, Server, frame_names, ms, secs};
use crate::sleep::Pattern;
use crate::{Advice, CloseReason, ConfigBuilder, Message, State};

#[test]
fn what_is_idle_is_put_away_in_a_few_hundred_bytes() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let now = pair.now;
    for side in [Client, Server] {
        for channel in 0..=4 {
            let options = crate::ChannelOptions { name: "a name".into(), ..Default::default() };
            let id =
                if channel == 0 { 0 } else { pair.conn(side).open_channel(now, &options).expect("room").0 };
            pair.send(side, id, Message::new("hello").receipt_of_processing().key(7).lifetime(secs(90)));
        }
    }
    pair.run(ms(200));
    let mut sizes = Vec::new();
    for channels in [0, 1] {
        for (side, id) in [(Client, 0), (Client, 1), (Client, 2), (Client, 3), (Client, 4)]
            .into_iter()
            .flat_map(|(_, id)| {
                [Client, Server].into_iter().flat_map(move |side| [(side, 2 * id), (side, 2 * id + 1)])
            })
        {
            for received in pair.recv_all(side, id) {
                let now = pair.now;
                assert!(pair.conn(side).ack(now, received.receipt.expect("it asks")));
            }
        }
        pair.run(secs(3));
        let before = pair.dozed;
        pair.doze();
        assert_eq!(pair.dozed, before + 2, "round {channels}");
        for side in [Client, Server] {
            let arena = pair.conn(side).arena_mut().take();
            sizes.push(pair.conn(side).put_away(&Pattern::default()).expect("it is idle").len());
            *pair.conn(side).arena_mut() = arena;
        }
    }
    assert!(sizes.iter().all(|&size| size < 1500), "{sizes:?} bytes with nine channels");
    // Of another that has done the same, nearly all is known.
    let [pattern, other] = [0, 1].map(|turn| {
        let mut pair = Pair::established(ConfigBuilder::default());
        pair.send(Client, 0, Message::new("hello"));
        pair.run(secs(2 + turn));
        pair.recv_all(Server, 0);
        pair.run(secs(5));
        pair.conn(Client).arena_mut().take();
        let conn = pair.conn(Client);
        let pattern = conn.pattern().expect("it is idle");
        let alone = conn.put_away(&Pattern::default()).expect("it is idle").len();
        assert!(alone < 550, "{alone} bytes");
        (pattern, conn.clone())
    });
    let size = other.1.clone().put_away(&pattern.0).expect("it is idle").len();
    assert!(size < 300, "{size} bytes");
}

#[test]
fn an_idle_hour_is_one_ping_and_one_ack_an_interval() {
    let config = ConfigBuilder::default();
    let interval = config.heartbeat;
    let mut pair = Pair::established(config);
    pair.run(secs(3600));
    let pings = pair.frames_from(Client);
    assert!(pings.iter().all(|frames| *frames == ["PING"]), "{pings:?}");
    assert!((359..=360).contains(&pings.len()), "{} in 360 intervals", pings.len());
    let acks = pair.frames_from(Server);
    assert!(acks.iter().all(|frames| *frames == ["ACK"]), "{acks:?}");
    assert_eq!(acks.len(), pings.len());
    let times: Vec<_> = pair.sent.iter().filter(|sent| sent.from == Client).map(|sent| sent.at).collect();
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= interval));
    assert!(pair.timeouts <= 3 * pings.len(), "{} timers fired for {} pings", pair.timeouts, pings.len());
    let longest = pair.sent.iter().map(|sent| sent.packet.len()).max();
    assert!(longest <= Some(26), "{longest:?} bytes to say nothing");
}

#[test]
fn traffic_in_one_direction_needs_no_heartbeats() {
    for (from, pinger) in [(Client, Server), (Server, Client)] {
        let mut pair = Pair::established(ConfigBuilder::default());
        for _ in 0..60 {
            pair.send(from, 0, Message::new("x"));
            pair.run(secs(5));
            pair.recv_all(from.other(), 0);
        }
        let pings = |side| pair.frames_from(side).iter().filter(|frames| frames.contains(&"PING")).count();
        assert_eq!((pings(from), pings(pinger)), (0, 0));
    }
}

/// No session outlives its link.
fn for_ever_gone() -> ConfigBuilder {
    ConfigBuilder { resume_window: ms(0), ..ConfigBuilder::chat() }
}

#[test]
fn a_silent_peer_is_lost_in_time() {
    for side in [Client, Server] {
        let mut pair = Pair::established(for_ever_gone());
        let since = pair.now;
        pair.lose(move |sent| sent.from == side.other());
        pair.run(secs(30));
        let closed = pair.closed(side).expect("lost");
        assert_eq!((closed.reason.clone(), closed.advice), (CloseReason::TimedOut, Advice::Now));
        assert!(pair.conn(side).poll_timeout().is_none(), "a dead connection wants nothing");
        let asked = pair.sent.iter().filter(|sent| sent.from == side && sent.at > since).count();
        assert!(asked >= 2, "it asked {asked} times before it gave up");
    }
}

/// The clock of `Client` stalls for `stall`, as when a laptop sleeps; `alive` says whether the server still answers afterwards.
fn stall(alive: bool) -> Pair {
    let mut pair = Pair::established(for_ever_gone());
    pair.lose(move |sent| sent.from == Server && !alive);
    // Only the client's timers are late: the server is put to sleep with it.
    pair.now += secs(600);
    let now = pair.now;
    pair.conn(Server).keep_alive(now);
    pair.conn(Client).handle_timeout(now);
    pair
}

#[test]
fn a_stalled_clock_is_not_a_dead_peer() {
    let mut pair = stall(true);
    assert_eq!(pair.conn(Client).state(), State::Established);
    pair.sent.clear();
    pair.drain();
    let asked: Vec<_> = pair.sent.iter().filter(|sent| sent.from == Client).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(frame_names(&asked[0].packet), ["PING"]);
    pair.run(secs(60));
    for side in [Client, Server] {
        assert_eq!(pair.conn(side).state(), State::Established);
    }
}

#[test]
fn a_stalled_clock_does_not_make_a_dead_peer_immortal() {
    let mut pair = stall(false);
    let woken = pair.now;
    pair.run(secs(20));
    assert_eq!(pair.closed(Client).expect("really dead").reason, CloseReason::TimedOut);
    assert!(pair.now.since(woken) <= secs(20));
}

#[test]
fn the_lesser_interval_of_both_sides_counts() {
    let slow = ConfigBuilder { heartbeat: secs(100), dead: secs(350), ..ConfigBuilder::default() };
    let quick = ConfigBuilder { heartbeat: ms(500), dead: secs(2), ..ConfigBuilder::default() };
    for (client, server) in [(slow.clone(), quick.clone()), (quick, slow)] {
        let client = client.build().expect("sound");
        let server = server.build().expect("sound");
        let mut pair = Pair::established_with(client, server, crate::Link::datagram(1200));
        pair.run(secs(60));
        for side in [Client, Server] {
            assert_eq!(pair.conn(side).state(), State::Established, "{side:?}");
        }
        let pings = pair.frames_from(Client).len();
        assert!((85..=121).contains(&pings), "{pings} in a minute");
    }
}

#[test]
fn idleness_gives_memory_back() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for _ in 0..1000 {
        pair.send(Client, 0, Message::new(alloc::vec![0; 100]).class(crate::Class::ReliableOrdered));
    }
    pair.run(secs(2));
    pair.recv_all(Server, 0);
    pair.run(secs(30));
    assert_eq!(pair.conn(Client).held_bytes() + pair.conn(Server).held_bytes(), 0);
    assert_eq!(pair.conn(Client).events.len(), 0);
}
