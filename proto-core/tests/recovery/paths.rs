//! The default controller over many paths: one flow of bulk, and what it makes of the path.

use std::fmt::Write as _;
use std::time::Duration;

use proto_core::Congestion;
use simtest::{Bottleneck, Dist, Link, Sim, ms, secs};

use crate::host::{Cmd, Load, SIZE};
use crate::run::{flow, host, run, settings};

struct Path {
    name: &'static str,
    /// Bytes a second.
    rate: u64,
    queue: Duration,
    delay: Dist,
    loss: u32,
}

/// Used, goodput and lost in the queue; the last two in percent and 1/10000.
fn measure(path: &Path, kind: Congestion) -> (u64, u64, u64, u64) {
    let mut sim = Sim::new("path");
    let (from, to) = flow(&mut sim, "flow", &settings(kind));
    let queue = (u128::from(path.rate) * path.queue.as_millis() / 1000) as u64;
    let link = Link::new().delay(path.delay).loss(path.loss);
    sim.links(link.clone());
    sim.one_way(from, to, link.bottleneck(Bottleneck::new(path.rate, queue.max(3000))));
    let seconds = 8;
    sim.run_for(secs(seconds));
    sim.workload(|w| {
        w.at(ms(10)).cmd(from, Cmd::Start(Load::Bulk));
    });
    let outcome = run(&sim, 11);
    let passage = &outcome.bottlenecks[0];
    let used = passage.bytes * 100 / (path.rate * seconds);
    let taken = host(&outcome, to).taken.len() as u64 * SIZE as u64;
    let dropped = passage.dropped * 10_000 / (passage.passed + passage.dropped).max(1);
    (used, taken * 100 / (path.rate * seconds), dropped, passage.wait_exceeded_by(50_000))
}

#[test]
fn one_flow_over_many_paths() {
    let fixed = |span| Dist::fixed(ms(span));
    let paths = [
        ("1 Mbit/s", 125_000, 100, fixed(20), 0),
        ("100 Mbit/s", 12_500_000, 50, fixed(20), 0),
        ("short queue", 1_250_000, 5, fixed(20), 0),
        ("policer", 1_250_000, 3, fixed(50), 0),
        ("long queue", 1_250_000, 500, fixed(20), 0),
        ("far", 1_250_000, 100, fixed(100), 0),
        ("near", 12_500_000, 10, Dist::uniform(simtest::us(200)..simtest::us(400)), 0),
        ("wifi", 2_500_000, 50, Dist::exp(ms(2), ms(3)), 10_000),
        ("lte", 2_500_000, 200, Dist::exp(ms(25), ms(10)), 5_000),
        ("lossy", 1_250_000, 50, fixed(20), 200_000),
    ];
    let mut table = String::from("path         controller  used%  goodput%  dropped/10000  wait p95 ms\n");
    for (name, rate, queue, delay, loss) in paths {
        let path = Path { name, rate, queue: ms(queue), delay, loss };
        for (kind_name, kind) in [("model", Congestion::Model), ("cubic", Congestion::Cubic)] {
            let (used, goodput, dropped, wait) = measure(&path, kind);
            let name = path.name;
            assert!(kind != Congestion::Model || used >= 60 || name == "wifi", "{name}: {used}");
            writeln!(
                table,
                "{name:<11}  {kind_name:>10}  {used:>5}  {goodput:>8}  {dropped:>13}  {wait:>11}"
            )
            .expect("a string");
        }
    }
    insta::assert_snapshot!(table);
}
