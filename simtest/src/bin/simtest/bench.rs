//! How fast the simulator is on this machine.

use std::time::{Duration, Instant};

use simtest::{
    Addr, Bounds, Chaos, Dissect, Dist, Ecn, FromSeed, Link, Node, Now, RecvMeta, Sim, Time, Transmit,
    certify, ms, secs, us,
};

use super::json::Object;
use super::usage::Arguments;

/// Sends one datagram back and forth, and sends it again when it seems lost.
#[derive(Clone)]
struct Ping {
    peer: Addr,
    rounds: u64,
    out: Option<u64>,
    retry: Option<Time>,
}

const RETRY: Duration = Duration::from_millis(50);

impl Node for Ping {
    type Cmd = ();
    type Event = ();

    fn on_datagram(&mut self, now: Now, _from: Addr, bytes: &[u8], _meta: RecvMeta) {
        let Ok(bytes) = bytes.try_into() else { return };
        let round = u64::from_le_bytes(bytes);
        if round >= self.rounds {
            self.rounds = round + 1;
            self.out = Some(self.rounds);
            self.retry = self.retry.map(|_| now.mono + RETRY);
        }
    }
    fn on_timeout(&mut self, now: Now) {
        self.out = Some(self.rounds);
        self.retry = Some(now.mono + RETRY);
    }
    fn on_cmd(&mut self, _now: Now, (): ()) {}
    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        out.extend_from_slice(&self.out.take()?.to_le_bytes());
        Some(Transmit { dst: self.peer, ecn: Ecn::NotEct, len: 8 })
    }
    fn poll_timeout(&self) -> Option<Time> {
        self.retry
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
        let retry = (id % 2 == 0).then(|| Time::from_millis(1));
        sim.node(&format!("h{id}"), move |_| Ping { peer: Addr::new(id ^ 1), rounds: 0, out: None, retry });
    }
    sim.links(Link::new().delay(Dist::fixed(ms(1)))).run_for(span).max_events(u64::MAX);
    sim
}

/// The same for two hosts, with all faults and an invariant.
fn stormy(span: Duration) -> Sim<Ping> {
    let mut sim = pings(2, span);
    sim.links(Link::wifi()).campaign(Chaos::default().until(span).quiet_for(ms(1)));
    sim.invariant("few", |v| v.nodes().all(|(_, node)| node.rounds < 1 << 60));
    sim
}

fn rate(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / took.as_nanos().max(1)).unwrap_or(u64::MAX)
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    value: u64,
}

/// Measures, each for about a second or less, on one core.
pub(crate) fn bench(arguments: &Arguments) -> Result<u8, String> {
    let mut figures = Vec::new();
    let mut tell = |name, unit, value| figures.push(Figure { name, unit, value });

    for (name, hosts, span) in [
        ("ping-pong, 2 hosts", 2, secs(500)),
        ("ping-pong, 50 hosts", 50, secs(20)),
        ("ping-pong, 1,000 hosts", 1_000, secs(2)),
    ] {
        let sim = pings(hosts, span);
        let begun = Instant::now();
        let stats = sim.run(FromSeed::new(1)).stats;
        let took = begun.elapsed();
        tell(name, "events/s", rate(stats.events, took));
        tell(name, "times real time", rate(stats.virtual_nanos, took) / 1_000_000_000);
    }
    let begun = Instant::now();
    let stats = stormy(secs(2_000)).run(FromSeed::new(1)).stats;
    tell("all faults, an invariant, hashed", "events/s", rate(stats.events, begun.elapsed()));

    let sim = stormy(secs(4));
    let (seeds, begun) = (1_000, Instant::now());
    let events: u64 = (0..seeds).map(|seed| sim.run(FromSeed::new(seed)).stats.events).sum();
    let hourly = rate(seeds * 3_600, begun.elapsed());
    tell("seeds of 4 s with all faults", "events each", events / seeds);
    tell("seeds of 4 s with all faults", "seeds/hour", hourly);

    let mut run = stormy(secs(4)).start(FromSeed::new(1));
    run.until(secs(2));
    let (copies, begun) = (20_000, Instant::now());
    for _ in 0..copies {
        std::hint::black_box(run.clone());
    }
    tell("copies of a running simulation", "copies/s", rate(copies, begun.elapsed()));

    for faults in [2, 3] {
        let bounds = Bounds::faults(faults).weathers(1).crashes(ms(40), [ms(10)]);
        let small = || {
            let mut sim = pings(2, ms(26));
            sim.links(Link::new().delay(Dist::fixed(us(900))));
            sim
        };
        let begun = Instant::now();
        let certificate = certify(small, &bounds).map_err(|failure| failure.report())?;
        let name =
            if faults == 2 { "certificate, at most 2 faults" } else { "certificate, at most 3 faults" };
        tell(name, "schedules", certificate.total());
        tell(name, "schedules/s", rate(certificate.total(), begun.elapsed()));
    }

    for Figure { name, unit, value } in &figures {
        if arguments.has("json") {
            Object::default().text("bench", name).text("unit", unit).number("value", (*value).into()).print();
        } else {
            println!(" {name:<36} {value:>14} {unit}");
        }
    }
    if cfg!(debug_assertions) {
        eprintln!("simtest: this is a build without optimization; install it with `cargo install`");
    }
    Ok(0)
}
