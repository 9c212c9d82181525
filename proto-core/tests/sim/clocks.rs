//! Clocks that differ, over a bad network: the truth lies within the error, always.

use std::sync::Arc;
use std::time::Duration;

use proto_core::ConfigBuilder;
use simtest::{Chaos, Kind, Link, Sim, View, ms, secs};

use crate::core::settings;
use crate::net::timestamp;
use crate::peer::Peer;

/// How far the client's clock is ahead, in microseconds.
const AHEAD: i64 = 3_600_000_123;

fn truthful(view: &View<'_, Peer>) -> Result<(), String> {
    for (id, peer) in view.nodes() {
        let truth = if peer.is_server() { AHEAD } else { -AHEAD };
        for offset in peer.connections().filter_map(|conn| conn.clock_offset(timestamp(view.now()))) {
            if offset.offset_us.abs_diff(truth) > offset.error_us {
                return Err(format!("{}: {offset:?}, but {truth} is right", view.name(id)));
            }
        }
    }
    Ok(())
}

#[simtest::test(seeds = 0..500)]
fn the_offset_of_clocks_is_never_told_wrong(sim: &mut Sim<Peer>) {
    let config = |accept| {
        move |unix_ms: u64, now_ms: u64, ahead: Duration| {
            let wall_epoch = Duration::from_millis(unix_ms - now_ms) + ahead;
            let config = ConfigBuilder { wall_epoch, heartbeat: ms(300), ..settings(accept) };
            config.build().expect("sound")
        }
    };
    let s = sim.node("s", move |boot| {
        let config = config(true)(boot.now.unix_ms, boot.now.mono.as_millis(), Duration::ZERO);
        Peer::new(Arc::clone(&config), None, boot.seed, boot.now.mono)
    });
    sim.node("a", move |boot| {
        let ahead = Duration::from_micros(AHEAD.unsigned_abs());
        let config = config(false)(boot.now.unix_ms, boot.now.mono.as_millis(), ahead);
        Peer::new(config, Some(s.addr()), boot.seed, boot.now.mono).connected(boot.now.mono)
    });
    sim.links(Link::new().delay(simtest::Dist::uniform(ms(2)..ms(80))));
    sim.campaign(Chaos::default().until(secs(6)).quiet_for(secs(30)).without(Kind::Disk));
    sim.invariant("truth", truthful);
    sim.eventually("known to both", |v| {
        v.nodes().all(|(_, peer)| {
            let now = timestamp(v.now());
            peer.connections().any(|conn| conn.clock_offset(now).is_some_and(|o| o.error_us < 100_000))
        })
    });
}
