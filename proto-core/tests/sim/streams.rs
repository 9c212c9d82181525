//! Streams between endpoints: bytes that come in any pieces, stand still and break, carry what datagrams carry.

use std::sync::Arc;

use simtest::{Kind, Sim};

use crate::core::{chaos, everything_by, idle, settings};
use crate::peer::Peer;

/// How the clients of a run reach their server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Datagrams,
    Streams,
    /// Datagrams first.
    Both,
}

fn stormy(seed: u64) -> Sim<Peer> {
    let config = |accept| settings(accept).build().expect("a sound configuration");
    stormy_with(seed, &config(true), &config(false))
}

pub(crate) fn stormy_with(
    seed: u64,
    server: &Arc<proto_core::Config>,
    client: &Arc<proto_core::Config>,
) -> Sim<Peer> {
    let by = if seed.is_multiple_of(3) { By::Both } else { By::Streams };
    let mut sim = everything_by(by, seed, server, client);
    sim.campaign(chaos());
    sim
}

#[test]
fn the_weather_of_streams_has_every_kind_of_theirs() {
    let idle = idle(stormy);
    for kind in [Kind::Break, Kind::Stall, Kind::Split, Kind::Crash] {
        assert!(!idle.contains(&kind), "{kind:?} changed nothing");
    }
}

#[simtest::test(seeds = 0..3000, strict)]
fn everything_holds_over_streams_in_every_weather(sim: &mut Sim<Peer>, seed: u64) {
    *sim = stormy(seed);
}

#[test]
fn runs_over_streams_are_the_same_on_every_thread() {
    for seed in 0..20 {
        simtest::check_determinism(seed, stormy).expect("the same run twice");
    }
}
