//! What each side learns of the other's clock, and what it costs.

use alloc::vec;
use core::time::Duration;

use super::{Client, Pair, Server, ms, secs};
use crate::{ConfigBuilder, Link, Message};

fn with_clocks(client: u64, server: u64) -> Pair {
    let config = |seconds| {
        let wall_epoch = Duration::from_secs(seconds);
        ConfigBuilder { wall_epoch, heartbeat: secs(1), ..ConfigBuilder::default() }.build().expect("sound")
    };
    Pair::established_with(config(client), config(server), Link::datagram(1200))
}

#[test]
fn both_sides_learn_it_from_heartbeats_that_cost_no_packet() {
    let mut pair = with_clocks(1_700_000_000, 1_700_000_042);
    assert_eq!(pair.conns[0].clock_offset(pair.now), None);
    pair.run(secs(30));
    for (side, ahead) in [(Client, 42_000_000_i64), (Server, -42_000_000)] {
        let offset = pair.conns[side as usize].clock_offset(pair.now).expect("heartbeats were answered");
        assert!(offset.offset_us.abs_diff(ahead) <= offset.error_us, "{side:?}: {offset:?}");
        assert!((10_000..13_500).contains(&offset.error_us), "{side:?}: {offset:?}");
    }
    let (pings, answers) = (pair.frames_from(Client), pair.frames_from(Server));
    assert!(pings.len() <= 30 && pings.iter().all(|frames| frames.ends_with(&["PING"])), "{pings:?}");
    assert!(answers.iter().all(|frames| *frames == ["ACK", "TIME"]), "{answers:?}");
    assert_eq!(pings.len(), answers.len());
}

#[test]
fn it_is_learnt_without_heartbeats_too() {
    let mut pair = with_clocks(2000, 1000);
    for _ in 0..100 {
        pair.send(Client, 0, Message::new(vec![0; 100]));
        pair.send(Server, 0, Message::new(vec![0; 100]));
        pair.run(ms(100));
        for side in [Client, Server] {
            pair.recv_all(side, 0);
        }
    }
    for (side, ahead) in [(Client, -1_000_000_000_i64), (Server, 1_000_000_000)] {
        let offset = pair.conns[side as usize].clock_offset(pair.now).expect("it was asked for");
        assert!(offset.offset_us.abs_diff(ahead) <= offset.error_us, "{side:?}: {offset:?}");
    }
    let samples = [pair.frames_from(Client), pair.frames_from(Server)].concat();
    let samples = samples.iter().flatten().filter(|&&name| name == "TIME").count();
    assert!(samples <= 44, "{samples} in 10 s: a question and an answer a second from each side");
}
