//! Campaigns over the core: two or more endpoints, all classes, channels and requests, under every fault.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{
    ChannelId, Class, Config, ConfigBuilder, Connection, Event, Fate, Policy, ReceiptKind, Reconnect,
    Refusal, Retry, SendLimits, Stats,
};
use simtest::{Chaos, FromSeed, Kind, Link, Sim, View, ms, secs};

use crate::net::CRC;
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Ev, Peer};
use crate::streams::By;

/// Small limits and short times, so that every limit is met and every time passes.
pub(crate) fn settings(accept: bool) -> ConfigBuilder {
    ConfigBuilder {
        accept,
        handshake_timeout: secs(5),
        heartbeat: secs(1),
        dead: secs(4),
        reconnect: Some(Reconnect {
            cap: secs(2),
            spread: ms(200),
            min_uptime: secs(1),
            ..Reconnect::default()
        }),
        max_message: 20_000,
        send_messages: 16,
        send_bytes: 40_000,
        receive_messages: 8,
        receive_bytes: 24_000,
        session_messages: 12,
        session_bytes: 32_000,
        resume_window: secs(8),
        server_key: Some([9; 32].into()),
        checksum: CRC,
        ..ConfigBuilder::default()
    }
}

/// Those whose connections are put away between two heartbeats.
pub(crate) fn sleepy(accept: bool) -> ConfigBuilder {
    ConfigBuilder { heartbeat: ms(1500), ..settings(accept) }
}

fn config(accept: bool) -> Arc<Config> {
    settings(accept).build().expect("a sound configuration")
}

/// Messages accepted are settled, or under way: nothing vanishes uncounted.
pub(crate) fn balanced(stats: &Stats, under_way: usize) -> Result<(), String> {
    let settled = stats.messages_acked
        + stats.messages_processed
        + stats.messages_rejected
        + stats.messages_refused
        + stats.messages_expired
        + stats.messages_cancelled
        + stats.messages_superseded
        + stats.messages_written
        + stats.messages_lost
        + stats.messages_dropped
        + stats.messages_moved
        + stats.messages_unknown;
    if stats.messages_accepted == settled + under_way as u64 {
        return Ok(());
    }
    Err(format!("G20: accepted {}, settled {settled}, under way {under_way}", stats.messages_accepted))
}

pub(crate) fn conserves(view: &View<'_, Peer>) -> Result<(), String> {
    let Some((_, peer)) = view.latest() else { return Ok(()) };
    balanced(&peer.endpoint.stats(), peer.endpoint.unsettled())?;
    peer.connections().try_for_each(|conn| counted_by_channel(&conn))
}

/// Whatever was dropped on a channel is counted for the connection and for the channel.
fn counted_by_channel(conn: &Connection) -> Result<(), String> {
    // No run opens more than 14.
    let channels: Vec<_> = (0..30).filter_map(|id| conn.channel_stats(ChannelId(id))).collect();
    for (reason, count) in conn.stats().drops.iter().filter(|(reason, _)| reason.concerns_channel()) {
        let sum: u64 = channels.iter().map(|stats| stats.drops.get(reason)).sum();
        if sum != count {
            return Err(format!("G20: {count} dropped as {reason:?}, {sum} of them on channels"));
        }
    }
    for reason in Refusal::ALL {
        let sum: u64 = channels.iter().map(|stats| stats.peer_drops.get(reason)).sum();
        if sum != conn.stats().peer_drops.get(reason) {
            return Err(format!("G20: the peer's drops as {reason:?} are not those of its channels"));
        }
    }
    Ok(())
}

/// What a connection holds stays within what its configuration allows.
pub(crate) fn bounded(view: &View<'_, Peer>) -> Result<(), String> {
    if let Some((id, peer)) = view.latest() {
        for conn in peer.connections() {
            // Three channels' send queues, the session's receive credit, unreliable queues, partial messages, and of sequenced
            // ones a whole and a partial one on each channel.
            let cap = 3 * 40_000 + 32_000 + 3 * 24_000 + 32 * 16 * 1200 + 3 * 2 * 16 * 1200;
            if conn.held_bytes() > cap {
                return Err(format!("G13: {} holds {} bytes, over {cap}", view.name(id), conn.held_bytes()));
            }
        }
    }
    Ok(())
}

/// A server and two clients that use everything, in an order drawn from `seed`.
pub(crate) fn everything(seed: u64, server: &Arc<Config>, client: &Arc<Config>) -> Sim<Peer> {
    everything_by(By::Datagrams, seed, server, client)
}

/// The same, with clients that reach the server in this manner.
pub(crate) fn everything_by(by: By, seed: u64, server: &Arc<Config>, client: &Arc<Config>) -> Sim<Peer> {
    let (server, client) = (Arc::clone(server), Arc::clone(client));
    let mut sim = Sim::new("core_everything");
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let clients: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let client = Arc::clone(&client);
            sim.node(name, move |boot| {
                let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono).by(by);
                if boot.life == 0 { peer } else { peer.connected(boot.now.mono) }
            })
        })
        .collect();
    sim.links(Link::new().delay(simtest::Dist::uniform(ms(5)..ms(40))));
    sim.workload(|w| {
        let mut draw = Draw(seed);
        for &client in &clients {
            w.at(ms(draw.below(200))).cmd(client, Cmd::Connect);
        }
        for step in 0..14 {
            let at = ms(300 * step + draw.below(300));
            let node = if draw.below(4) == 0 { s } else { clients[draw.below(2) as usize] };
            let ask = ask(&mut draw);
            let cmd = match draw.below(20) {
                17 => Cmd::CancelRequest,
                18 => Cmd::Limit((draw.below(3) > 0).then(|| 5 + draw.below(40))),
                19 => Cmd::Prioritize(draw.below(8) as u8),
                0 => Cmd::Open { reliable_sequenced: draw.below(4) > 0 },
                1 | 2 => Cmd::Request { size: draw.below(2000) as u32, timeout: ms(50 + draw.below(2000)) },
                3 => Cmd::Read(draw.below(2) == 0),
                4 => Cmd::Close { linger: ms(draw.below(1500)) },
                5 | 6 => Cmd::Send { channel: 0, ask, size: draw.below(17_000) as u32, count: 3 },
                7 | 8 => {
                    let class = if draw.below(2) == 0 { Class::Sequenced } else { ask.class };
                    let most = if draw.below(3) == 0 { 8000 } else { 600 };
                    // Of sequenced messages the oracle must know the newest by its content.
                    let size = 8 + draw.below(most) as u32;
                    Cmd::Send { channel: 1, ask: Ask { class, ..ask }, size, count: 4 }
                }
                9 | 10 => Cmd::Batch { ask, size: draw.below(900) as u32, count: 5 },
                11 => Cmd::Cancel,
                12 => Cmd::LimitQueue(limits(&mut draw)),
                _ => Cmd::Send { channel: 0, ask, size: draw.below(300) as u32, count: 12 },
            };
            w.at(at).cmd(node, cmd);
        }
        for node in [s, clients[0], clients[1]] {
            w.at(ms(5900)).cmd(node, Cmd::Read(true));
            // Whatever was given up before, what comes behind it arrives.
            w.at(ms(5920)).cmd(node, Cmd::Send { channel: 0, ask: Ask::default(), size: 10, count: 1 });
        }
        for &client in &clients {
            w.at(ms(5950)).cmd(client, Cmd::Connect);
        }
    });
    let guarantees = Guarantees::new(None);
    sim.oracle("guarantees", if by == By::Datagrams { guarantees } else { guarantees.over_streams() });
    sim.invariant("conservation", conserves);
    sim.invariant("bounded", bounded);
    sim.eventually("settled", |v| {
        let busy = v.nodes().find(|(_, peer)| !peer.is_settled() || !peer.is_connected());
        busy.map_or(Ok(()), |(id, peer)| Err(format!("{}: {}", v.name(id), peer.describe())))
    });
    sim
}

/// What a message may ask for, in any combination.
fn ask(draw: &mut Draw) -> Ask {
    let mut maybe = |bound| (draw.below(3) == 0).then(|| draw.below(bound));
    Ask {
        lifetime: maybe(800).map(|millis| ms(1 + millis)),
        key: maybe(3),
        max_retransmits: maybe(3).map(|times| times as u32),
        batch: None,
        class: Class::ALL[draw.below(4) as usize],
        receipt: [ReceiptKind::None, ReceiptKind::Arrival, ReceiptKind::Processing][draw.below(3) as usize],
    }
}

fn limits(draw: &mut Draw) -> SendLimits {
    let policies = [Policy::FailFast, Policy::DropNew, Policy::DropOld, Policy::Replace];
    SendLimits {
        messages: (draw.below(2) == 0).then(|| 2 + draw.below(20) as usize),
        bytes: (draw.below(2) == 0).then(|| 20_064 + draw.below(20_000) as usize),
        low_water: Some(1 + draw.below(100) as u8),
        policy: Some(policies[draw.below(4) as usize]),
    }
}

pub(crate) fn chaos() -> Chaos {
    Chaos::default().until(secs(6)).quiet_for(secs(60)).without(Kind::Disk)
}

/// A small generator for workloads.
#[derive(Clone, Debug)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn stormy(seed: u64) -> Sim<Peer> {
    let mut sim = everything(seed, &config(true), &config(false));
    sim.campaign(chaos());
    sim
}

/// Kinds of fault that change nothing in hundreds of runs, be it that nobody asks for them.
pub(crate) fn idle<N: simtest::Node>(build: impl Fn(u64) -> Sim<N> + Sync) -> Vec<Kind> {
    let report = simtest::search(0..300, build).unwrap_or_else(|failure| panic!("{}", failure.report()));
    report.without_effect()
}

#[test]
fn the_weather_has_every_kind_of_fault() {
    assert_eq!(idle(stormy), [Kind::Disk], "there are no disks");
}

#[simtest::test(seeds = 0..10_000, strict)]
fn everything_holds_in_every_weather(sim: &mut Sim<Peer>, seed: u64) {
    *sim = stormy(seed);
}

#[simtest::test(seeds = 0..1000)]
fn whoever_was_put_away_is_as_it_was(sim: &mut Sim<Peer>, seed: u64) {
    let [server, client] = [true, false].map(|accept| sleepy(accept).build().expect("sound"));
    *sim = everything(seed, &server, &client);
    sim.campaign(chaos());
}

/// The campaign is worth something only if it meets what it judges.
#[test]
fn every_fate_and_every_gap_is_met() {
    let mut met = BTreeSet::new();
    for seed in 0..400 {
        let mut sim = stormy(seed);
        sim.keep_events(true);
        let outcome = sim.run(FromSeed::new(seed));
        for node in (0..3).map(simtest::NodeId::new) {
            for (_, event) in outcome.events(node) {
                met.extend(match event {
                    Ev::Core { event: Event::Fate { fate, .. }, .. } => {
                        let fate = format!("{fate:?}");
                        Some(fate.split('(').next().unwrap_or_default().to_owned())
                    }
                    Ev::Core { event: Event::Batch { fate, .. }, .. } => {
                        Some(format!("a batch {}", if *fate == Fate::Acked { "arrived" } else { "did not" }))
                    }
                    Ev::Received { gap: 1.., .. } => Some("a gap".to_owned()),
                    _ => None,
                });
            }
        }
    }
    let expected = [
        "Acked",
        "Cancelled",
        "Dropped { policy: DropNew }",
        "Dropped { policy: DropOld }",
        "Expired { phase: Queued }",
        "Expired { phase: Sent }",
        "Lost",
        "Moved",
        "Processed",
        "Refused",
        "Rejected",
        "Superseded",
        "Unknown",
        "a batch arrived",
        "a batch did not",
        "a gap",
    ];
    assert_eq!(met.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn runs_are_the_same_on_every_thread() {
    for seed in 0..20 {
        simtest::check_determinism(seed, stormy).expect("the same run twice");
    }
}

#[test]
fn forged_packets_end_connections_but_nothing_else() {
    let robust = |seed| {
        let mut sim = everything(seed, &config(true), &config(false));
        sim.campaign(Chaos::default().until(secs(6)).quiet_for(secs(60)).corrupt_resealed(50_000));
        sim
    };
    // Content may be forged here, so only what does not depend on content is judged: no panic, no busy loop, no livelock.
    for seed in 0..300 {
        let verdict = robust(seed).run(FromSeed::new(seed)).verdict;
        let oracle = verdict.oracle().unwrap_or("");
        assert!(
            !["panic", "busy loop", "livelock", "node contract", "bounded"].contains(&oracle),
            "seed {seed}: {verdict}"
        );
    }
}

#[test]
fn an_unproven_client_is_served_without_retry() {
    let server = ConfigBuilder { retry: Retry::UnderPressure, ..settings(true) }.build().expect("sound");
    let run = |seed| {
        let mut sim = everything(seed, &server, &config(false));
        sim.campaign(chaos());
        sim
    };
    for seed in 0..200 {
        let outcome = run(seed).run(FromSeed::new(seed));
        outcome.assert_pass();
    }
}

/// The first packets are repeated before the answer comes, and the server answers each: every answer must do.
#[test]
fn a_long_path_is_no_obstacle_to_connecting() {
    let round_trips = [40, 320, 400, 600, 1000, 1600, 2200];
    for (round_trip, seed) in round_trips.into_iter().flat_map(|rtt| (0..8).map(move |seed| (rtt, seed))) {
        let mut sim = Sim::new("a_long_path_is_no_obstacle_to_connecting");
        let (server, client) = (config(true), config(false));
        let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
        let a = sim
            .node("a", move |boot| Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono));
        sim.links(
            Link::new().delay(simtest::Dist::fixed(ms(round_trip / 2))).duplicate(100_000, ms(0)..ms(400)),
        );
        sim.workload(|w| {
            w.at(ms(0)).cmd(a, Cmd::Connect);
        });
        sim.run_for(ms(4 * round_trip));
        sim.finally("connected", move |v| {
            v.nodes().filter(|(id, _)| *id == a).all(|(_, peer)| peer.is_connected())
        });
        let outcome = sim.run(FromSeed::new(seed));
        assert!(
            outcome.verdict.is_pass(),
            "a round trip of {round_trip} ms, seed {seed}: {:?}",
            outcome.verdict
        );
    }
}

#[test]
fn connecting_ends_in_time() {
    let policy = Reconnect { max_attempts: Some(3), cap: secs(1), ..Reconnect::default() };
    let client = ConfigBuilder { reconnect: Some(policy), handshake_timeout: secs(2), ..settings(false) };
    let client = client.build().expect("sound");
    let bound = (secs(2) + secs(1)) * 3 + Duration::from_millis(3);
    for seed in 0..200 {
        let mut sim = Sim::new("connecting_ends_in_time");
        let server = config(true);
        let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
        let client = Arc::clone(&client);
        let a = sim
            .node("a", move |boot| Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono));
        sim.links(Link::new().delay(simtest::Dist::fixed(ms(20))).loss(650_000));
        sim.workload(|w| {
            w.at(ms(0)).cmd(a, Cmd::Connect);
        });
        sim.run_for(secs(20));
        sim.keep_events(true);
        sim.oracle("guarantees", Guarantees::new(Some(bound)));
        let outcome = sim.run(FromSeed::new(seed));
        outcome.assert_pass();
        let answers = outcome.events(a).filter(|(_, event)| {
            matches!(event, Ev::Core { event, .. }
                if matches!(event, Event::Established { .. } | Event::ConnectFailed(_)))
        });
        assert!(answers.count() >= 1, "seed {seed}: no answer to connect()");
    }
}
