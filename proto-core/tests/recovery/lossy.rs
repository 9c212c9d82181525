//! A path of 20 ms each way that loses packets at random: messages of 1 KiB, reliable and in order.

use std::fmt::Write as _;

use proto_core::Congestion;
use simtest::{Dist, Link, Sim, ms, secs, us};

use crate::host::{Cmd, Host, Load};
use crate::run::{flow, host, percentile, run, settings};

const KINDS: [(&str, Congestion); 3] =
    [("model", Congestion::Model), ("cubic", Congestion::Cubic), ("newreno", Congestion::NewReno)];

fn lossy(
    kind: Congestion,
    percent: u32,
    load: Load,
    seconds: u64,
) -> (Sim<Host>, simtest::NodeId, simtest::NodeId) {
    let mut sim = Sim::new("lossy");
    let (from, to) = flow(&mut sim, "flow", &settings(kind));
    sim.links(Link::new().delay(Dist::fixed(ms(20))).loss(percent * 10_000));
    sim.run_for(secs(seconds + 5));
    sim.workload(|w| {
        w.at(ms(10)).cmd(from, Cmd::Start(load));
        w.at(secs(seconds)).cmd(from, Cmd::Stop);
    });
    (sim, from, to)
}

#[test]
fn latency_at_a_thousand_messages_a_second() {
    let mut table = String::from("loss%  p50ms  p99ms  p999ms  packets/message*1000  repairs/message*1000\n");
    for (percent, goal) in [(0, 70), (1, 70), (5, 115), (20, 230)] {
        let (sim, from, to) = lossy(Congestion::Model, percent, Load::Paced { every: us(1000) }, 10);
        let (mut latencies, mut packets, mut repairs) = (Vec::new(), 0, 0);
        for seed in 0..4 {
            let outcome = run(&sim, seed);
            let taken = &host(&outcome, to).taken;
            // Where the handshake met losses it began later.
            let begun = taken.first().map_or(0, |(sent, _)| *sent);
            assert_eq!(taken.len() as u64, (10_000_000 - begun) / 1000, "it does not hold the rate");
            latencies.extend(taken.iter().map(|(sent, at)| at - sent));
            let stats = host(&outcome, from).stats();
            packets += stats.packets_sent;
            repairs += stats.repairs;
        }
        let count = latencies.len() as u64;
        let [p50, p99, p999] = [500, 990, 999].map(|part| percentile(&mut latencies, part) / 1000);
        let (packets, repairs) = (packets * 1000 / count, repairs * 1000 / count);
        writeln!(table, "{percent:>5}  {p50:>5}  {p99:>5}  {p999:>6}  {packets:>20}  {repairs:>20}")
            .expect("a string");
        assert!(p99 <= goal, "{table}");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn bulk_while_the_link_has_the_capacity() {
    let mut table = String::from("loss%  controller  messages/s  spurious\n");
    for (percent, goal) in [(1, 10_000), (5, 8_000), (20, 4_000)] {
        for (name, kind) in KINDS {
            let (sim, from, to) = lossy(kind, percent, Load::Bulk, 3);
            let outcome = run(&sim, 1);
            let taken = &host(&outcome, to).taken;
            // From the first second to the third.
            let rate = taken.iter().filter(|(_, at)| (1_000_000..3_000_000).contains(at)).count() / 2;
            let spurious = host(&outcome, from).stats().spurious_losses;
            writeln!(table, "{percent:>5}  {name:>10}  {rate:>10}  {spurious:>8}").expect("a string");
            assert!(rate >= goal || kind != Congestion::Model, "{table}");
        }
    }
    insta::assert_snapshot!(table);
}
