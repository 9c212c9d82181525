//! Sessions that outlive their links: silences longer than a link lives, addresses that change, and crashes of either side.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto_core::{Config, ConfigBuilder, Continuity, Event};
use simtest::{Chaos, FromSeed, Kind, Sim, ms, secs};

use crate::core::{everything, everything_by, settings};
use crate::peer::{Ev, Peer};
use crate::streams::By;

/// Links die soon, and sessions do not.
pub(crate) fn restless(accept: bool) -> ConfigBuilder {
    ConfigBuilder {
        heartbeat: ms(200),
        dead: ms(700),
        handshake_timeout: secs(2),
        resume_window: secs(4),
        ..settings(accept)
    }
}

pub(crate) fn weather() -> Chaos {
    Chaos::default()
        .until(secs(6))
        .quiet_for(secs(60))
        .without(Kind::Disk)
        .partition(secs(2), ms(200)..secs(6))
        .pause(secs(4), ms(100)..secs(3))
        .rebind(secs(3))
        .victims(Kind::Rebind, ["a", "b"])
}

fn restless_run(seed: u64) -> Sim<Peer> {
    let config = |accept| -> Arc<Config> { restless(accept).build().expect("a sound configuration") };
    let mut sim = everything(seed, &config(true), &config(false));
    sim.campaign(weather());
    sim
}

#[simtest::test(seeds = 0..5000)]
fn sessions_outlive_their_links_in_every_weather(sim: &mut Sim<Peer>, seed: u64) {
    *sim = restless_run(seed);
}

/// Streams that break and stand still, alone and beside datagrams: a session goes on over whatever comes next.
#[simtest::test(seeds = 0..4000)]
fn sessions_outlive_their_links_whatever_they_are(sim: &mut Sim<Peer>, seed: u64) {
    let config = |accept| -> Arc<Config> { restless(accept).build().expect("a sound configuration") };
    let by = if seed.is_multiple_of(3) { By::Streams } else { By::Both };
    *sim = everything_by(by, seed, &config(true), &config(false));
    sim.campaign(weather());
}

/// The campaign is worth something only if it meets what it judges.
#[test]
fn every_end_of_a_silence_is_met() {
    let mut met = BTreeSet::new();
    for seed in 0..300 {
        let mut sim = restless_run(seed);
        sim.keep_events(true);
        let outcome = sim.run(FromSeed::new(seed));
        for node in (0..3).map(simtest::NodeId::new) {
            let side = if node == simtest::NodeId::new(0) { "server" } else { "client" };
            for (_, event) in outcome.events(node) {
                let Ev::Core { event, .. } = event else { continue };
                met.extend(match event {
                    Event::Suspended { .. } => Some(format!("{side}: suspended")),
                    Event::Resumed { incarnation: 1, .. } => Some(format!("{side}: the same link")),
                    Event::Resumed { .. } => Some(format!("{side}: resumed")),
                    Event::Continued { continuity, .. } => Some(match continuity {
                        Continuity::Continuous => format!("{side}: continuous"),
                        Continuity::Gap(_) => format!("{side}: a gap"),
                        Continuity::Reset => format!("{side}: reset"),
                    }),
                    _ => None,
                });
            }
        }
    }
    let expected = [
        "client: a gap",
        "client: continuous",
        "client: reset",
        "client: resumed",
        "client: suspended",
        "server: a gap",
        "server: continuous",
        "server: resumed",
        "server: suspended",
        "server: the same link",
    ];
    assert_eq!(met.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
