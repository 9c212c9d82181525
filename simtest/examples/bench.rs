//! How fast the simulator is on this machine: `cargo run --release -p simtest --example bench`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures")]

#[path = "register/protocol.rs"]
mod protocol;
#[path = "register/scenario.rs"]
mod scenario;

use std::time::{Duration, Instant};

use protocol::{BUGS, Bug, Register};
use simtest::{
    Addr, Bounds, Budget, Chaos, Dissect, Dist, Ecn, FromSeed, Link, Node, Now, RecvMeta, Sim, Time,
    Transmit, certify, ms, search, secs, shrink, us,
};

/// Sends one datagram back and forth.
#[derive(Clone)]
struct Ping {
    peer: Addr,
    out: Option<u64>,
    begins: bool,
}

impl Node for Ping {
    type Cmd = ();
    type Event = ();

    fn on_datagram(&mut self, _now: Now, _from: Addr, bytes: &[u8], _meta: RecvMeta) {
        self.out = bytes.try_into().ok().map(|bytes| u64::from_le_bytes(bytes) + 1);
    }

    fn on_timeout(&mut self, _now: Now) {
        self.begins = false;
        self.out = Some(0);
    }

    fn on_cmd(&mut self, _now: Now, (): ()) {}

    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        out.extend_from_slice(&self.out.take()?.to_le_bytes());
        Some(Transmit { dst: self.peer, ecn: Ecn::NotEct, len: out.len() })
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.begins.then_some(Time::from_millis(1))
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for Ping {}

/// Pairs of hosts that play ping-pong, 2 ms a round.
fn pings(hosts: u32, span: Duration) -> Sim<Ping> {
    let mut sim = Sim::new("ping");
    for id in 0..hosts {
        let peer = Addr::new(id ^ 1);
        sim.node(&format!("h{id}"), move |_| Ping { peer, out: None, begins: id % 2 == 0 });
    }
    sim.links(Link::new().delay(Dist::fixed(ms(1)))).run_for(span);
    sim
}

fn register(bug: Bug) -> Sim<Register> {
    let mut sim = Sim::new("register");
    scenario::register(&mut sim, bug, 3, 20);
    sim.campaign(Chaos::default().until(secs(2)).quiet_for(secs(30)));
    sim
}

fn line(what: &str, took: Duration, numbers: &str) {
    println!("{what:<44} {:>9.1} ms  {numbers}", took.as_secs_f64() * 1e3);
}

fn rate(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / took.as_nanos().max(1)).unwrap_or(u64::MAX)
}

fn main() {
    for hosts in [2, 10, 50, 1_000] {
        let sim = pings(hosts, secs(if hosts == 1_000 { 2 } else { 100 }));
        let begun = Instant::now();
        let stats = sim.run(FromSeed::new(1)).stats;
        let took = begun.elapsed();
        let real = rate(stats.virtual_nanos, took) / 1_000_000_000;
        let numbers = format!("{} events/s, {real} times real time", rate(stats.events, took));
        line(&format!("ping-pong, {hosts} hosts"), took, &numbers);
    }

    let (seeds, begun) = (2_000, Instant::now());
    let events: u64 = (0..seeds).map(|seed| register(Bug::None).run(FromSeed::new(seed)).stats.events).sum();
    let took = begun.elapsed();
    let numbers = format!(
        "{} events/s, {} seeds/s of {} events, one core",
        rate(events, took),
        rate(seeds, took),
        events / seeds
    );
    line("register, all faults, an oracle, hashed", took, &numbers);

    for faults in [2, 3] {
        let small = || {
            let mut sim = Sim::new("register");
            scenario::register(&mut sim, Bug::None, 1, 1);
            sim.links(Link::new().delay(Dist::fixed(us(300))));
            sim
        };
        let bounds = Bounds::faults(faults).weathers(1).crashes(ms(40), [ms(10)]);
        let begun = Instant::now();
        match certify(small, &bounds) {
            Ok(certificate) => {
                let took = begun.elapsed();
                let counts = &certificate.schedules;
                let numbers = format!(
                    "{} schedules of {} decisions, {}/s",
                    certificate.total(),
                    counts[1],
                    rate(certificate.total(), took)
                );
                line(&format!("certificate, at most {faults} faults"), took, &numbers);
            }
            Err(failure) => println!("certificate: {}", failure.verdict),
        }
    }

    let mut shrunk = Vec::new();
    for bug in BUGS {
        let mut from = 0;
        for _ in 0..5 {
            let Err(failure) = search(from..from + 2_000, |_| register(bug)) else { break };
            from = failure.seed.unwrap_or(0) + 1;
            let begun = Instant::now();
            if let Some(story) = shrink(&register(bug), &failure.schedule, Budget::default()) {
                shrunk.push((story.after.faults, begun.elapsed(), story.after.events));
            }
        }
    }
    shrunk.sort_unstable();
    let at = |percent: usize| shrunk[(shrunk.len() - 1) * percent / 100].0;
    let mut times: Vec<Duration> = shrunk.iter().map(|(_, took, _)| *took).collect();
    times.sort_unstable();
    let numbers = format!(
        "{} failures: faults median {}, p95 {}, most {}; slowest {:.0} ms",
        shrunk.len(),
        at(50),
        at(95),
        at(100),
        times[times.len() - 1].as_secs_f64() * 1e3
    );
    line("shrinking, median", times[times.len() / 2], &numbers);
}
