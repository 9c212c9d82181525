//! A bottleneck of 10 Mbit/s with a queue of 50 ms, 20 ms each way: how much of it is used, how long its queue is, and how
//! flows share it.

use std::fmt::Write as _;

use proto_core::Congestion;
use simtest::{Bottleneck, Dist, Link, NodeId, Outcome, Sim, ms, secs};

use crate::host::{Cmd, Host, Load, SIZE};
use crate::run::{flow, host, run, settings};

/// Bytes a second.
const RATE: u64 = 1_250_000;
const QUEUE: u64 = RATE / 20;

/// Flows with these controllers, the second beginning `later` than the first.
fn shared(
    kinds: &[Congestion],
    later: u64,
    seconds: u64,
    loss: u32,
) -> (Sim<Host>, Vec<NodeId>, Vec<NodeId>) {
    let mut sim = Sim::new("bottleneck");
    let narrow = Bottleneck::new(RATE, QUEUE).shared("narrow");
    let path = Link::new().delay(Dist::fixed(ms(20))).loss(loss);
    sim.links(path.clone());
    let flows: Vec<_> =
        (0..).zip(kinds).map(|(i, &kind)| flow(&mut sim, &format!("f{i}"), &settings(kind))).collect();
    for &(from, to) in &flows {
        sim.one_way(from, to, path.clone().bottleneck(narrow.clone()));
    }
    sim.run_for(secs(seconds));
    sim.workload(|w| {
        for (at, &(from, _)) in (0..).zip(&flows) {
            w.at(ms(10 + at * later)).cmd(from, Cmd::Start(Load::Bulk));
        }
    });
    let (from, to) = flows.into_iter().unzip();
    (sim, from, to)
}

/// Bytes of messages a second that `node` took from `after` seconds on.
fn goodput(outcome: &Outcome<Host>, node: NodeId, after: u64, until: u64) -> u64 {
    let range = after * 1_000_000..until * 1_000_000;
    let taken = host(outcome, node).taken.iter().filter(|(_, at)| range.contains(at)).count();
    taken as u64 * SIZE as u64 / (until - after)
}

#[test]
fn one_flow_uses_it_and_keeps_its_queue_short() {
    let mut table = String::from("controller  loss%  used%  dropped/10000  wait p50 ms  p95 ms  goodput%\n");
    let seconds = 10;
    for (name, kind) in
        [("model", Congestion::Model), ("cubic", Congestion::Cubic), ("newreno", Congestion::NewReno)]
    {
        for percent in [0, 1, 5] {
            let (sim, _, to) = shared(&[kind], 0, seconds, percent * 10_000);
            let outcome = run(&sim, 3);
            let passage = &outcome.bottlenecks[0];
            let used = passage.bytes * 100 / (RATE * seconds);
            let dropped = passage.dropped * 10_000 / (passage.passed + passage.dropped);
            let (p50, p95) = (passage.wait_exceeded_by(500_000), passage.wait_exceeded_by(50_000));
            let good = goodput(&outcome, to[0], 1, seconds) * 100 / RATE;
            writeln!(
                table,
                "{name:>10}  {percent:>5}  {used:>5}  {dropped:>13}  {p50:>11}  {p95:>6}  {good:>8}"
            )
            .expect("a string");
            if kind == Congestion::Model {
                assert!(used >= 90 && dropped < 200 && p95 < 60, "{table}");
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn flows_share_it() {
    use Congestion::{Cubic, Model, NewReno};
    let mut table = String::from("flows              later ms  first%  second%  dropped/10000\n");
    let seconds = 30;
    for (name, kinds) in [
        ("model, model", [Model, Model]),
        ("model, cubic", [Model, Cubic]),
        ("cubic, model", [Cubic, Model]),
        ("model, newreno", [Model, NewReno]),
        ("cubic, cubic", [Cubic, Cubic]),
    ] {
        for later in [0, 3000] {
            let (sim, _, to) = shared(&kinds, later, seconds, 0);
            let outcome = run(&sim, 5);
            let passage = &outcome.bottlenecks[0];
            let dropped = passage.dropped * 10_000 / (passage.passed + passage.dropped);
            let [first, second] = [0, 1].map(|i| goodput(&outcome, to[i], 10, seconds));
            let total = first + second;
            let (first, second) = (first * 100 / total, second * 100 / total);
            writeln!(table, "{name:<17}  {later:>8}  {first:>6}  {second:>7}  {dropped:>13}")
                .expect("a string");
            let least = if kinds == [Model, Model] { 34 } else { 25 };
            assert!(first.min(second) >= least || !kinds.contains(&Model), "{table}");
        }
    }
    insta::assert_snapshot!(table);
}
