//! What the path can do to a sender beside losing packets: overtake, mark, be narrower than hoped, be cut.

use proto_core::{ConfigBuilder, Congestion, Stats};
use simtest::{Bottleneck, Dist, Fault, Link, Sim, at, ms, secs, us};

use crate::host::{Cmd, Host, Load};
use crate::run::{flow, host, run, settings};

/// One flow with these settings over this link, one way; the other way is clean. Statistics of sender and receiver, and the
/// sender's largest packet.
fn measure(
    settings: &ConfigBuilder,
    link: Link,
    load: Load,
    change: impl FnOnce(&mut Sim<Host>),
) -> (Stats, Stats, u16) {
    let mut sim = Sim::new("features");
    let (from, to) = flow(&mut sim, "flow", settings);
    sim.links(Link::new().delay(Dist::fixed(ms(20))));
    sim.one_way(from, to, link);
    sim.run_for(secs(16));
    sim.workload(|w| {
        w.at(ms(10)).cmd(from, Cmd::Start(load));
        w.at(secs(4)).cmd(from, Cmd::Stop);
    });
    change(&mut sim);
    let outcome = run(&sim, 4);
    let (sender, receiver) = (host(&outcome, from), host(&outcome, to));
    let stats = sender.stats();
    assert_eq!(receiver.taken.len() as u64, stats.messages_accepted, "everything arrives");
    let largest = sender.connection().map_or(0, |conn| conn.max_packet());
    (stats, receiver.stats(), largest)
}

fn path() -> Link {
    Link::new().delay(Dist::fixed(ms(20)))
}

const PACED: Load = Load::Paced { every: us(1000) };

#[test]
fn packets_that_overtake_each_other_are_waited_for() {
    for kind in [Congestion::Model, Congestion::Cubic, Congestion::NewReno] {
        let link = path().reorder(50_000, ms(2)..ms(12));
        let (stats, ..) = measure(&settings(kind), link, PACED, |_| ());
        assert!(stats.spurious_losses > 0, "{kind:?}: they overtake");
        // Three hundred are held back by up to twelve packets; with thresholds that stay most of them would be taken for lost.
        assert!(stats.spurious_losses < 60, "{kind:?}: {} of {}", stats.spurious_losses, stats.packets_lost);
    }
}

#[test]
fn marks_instead_of_losses() {
    for kind in [Congestion::Model, Congestion::Cubic, Congestion::NewReno] {
        let narrow = || Bottleneck::new(1_250_000, 62_500).mark_over(25_000);
        let link = |gate| Link::new().delay(Dist::fixed(ms(20))).bottleneck(gate);
        let (stats, ..) = measure(&settings(kind), link(narrow()), Load::Bulk, |_| ());
        assert!(stats.congestion_marks > 0 || kind == Congestion::Model, "{kind:?}: marks are told");
        assert_eq!(stats.ecn_failed, 0, "{kind:?}");
        let without = ConfigBuilder { ecn: false, ..settings(kind) };
        let (unmarked, ..) = measure(&without, link(narrow()), Load::Bulk, |_| ());
        assert_eq!(unmarked.congestion_marks, 0);
        assert!(
            stats.packets_lost < unmarked.packets_lost || unmarked.packets_lost < 10,
            "{kind:?}: {} lost instead of {}",
            stats.packets_lost,
            unmarked.packets_lost
        );
    }
}

#[test]
fn packets_grow_as_far_as_the_path_lets_them() {
    for (mtu, limit, found) in [
        (usize::MAX, 1452, 1452..=1452),
        (1200, 1452, 1200..=1200),
        (1300, 1452, 1281..=1300),
        (usize::MAX, 65_507, 65_507..=65_507),
        (8972, 65_507, 8953..=8972),
        (1472, 65_507, 1453..=1472),
    ] {
        let config = ConfigBuilder { max_packet: limit, ..settings(Congestion::Model) };
        for loss in [0, 20_000] {
            let link = path().mtu(mtu).loss(loss).bottleneck(Bottleneck::new(5_000_000, 500_000));
            let (stats, _, largest) = measure(&config, link, Load::Bulk, |_| ());
            assert!(
                loss > 0 && largest > *found.start() / 2 || found.contains(&largest),
                "{mtu} {limit} {loss}: {largest}"
            );
            assert!(stats.mtu_probes > 0 && stats.mtu_probes < 60, "{} probes", stats.mtu_probes);
            assert_eq!(stats.black_holes, 0);
        }
    }
}

#[test]
fn a_limit_at_the_links_own_size_is_no_search() {
    let config = ConfigBuilder { max_packet: 1200, ..settings(Congestion::Model) };
    let link = path().bottleneck(Bottleneck::new(5_000_000, 500_000));
    let (stats, _, largest) = measure(&config, link, Load::Bulk, |_| ());
    assert_eq!((stats.mtu_probes, largest), (0, 1200));
}

#[test]
fn a_reader_that_lags_is_told_what_holds_the_sender_back() {
    // A megabyte in flight and 128 KiB of credit: the credit is what limits.
    let config = ConfigBuilder {
        max_message: 2048,
        receive_messages: 100,
        receive_bytes: 128 * 1024,
        ..settings(Congestion::Model)
    };
    let (sender, receiver, _) = measure(&config, path(), Load::Bulk, |_| ());
    assert!(sender.blocked_sent > 10, "{}", sender.blocked_sent);
    // At most one in a round trip of 40 ms, in 4 s and the time that the queue takes to empty.
    assert!(sender.blocked_sent <= 400, "{}", sender.blocked_sent);
    assert_eq!(sender.blocked_sent, receiver.blocked_received);
    let (free, ..) = measure(&settings(Congestion::Model), path(), PACED, |_| ());
    assert_eq!(free.blocked_sent, 0);
}

#[test]
fn what_is_lost_for_long_is_persistent_congestion() {
    let cut = |sim: &mut Sim<Host>| {
        sim.fault(at(secs(2)), Fault::one_way("flow-from", "flow-to").for_(ms(1500)));
    };
    for kind in [Congestion::Model, Congestion::Cubic, Congestion::NewReno] {
        let (stats, ..) = measure(&settings(kind), path(), PACED, cut);
        assert!(stats.persistent_congestion > 0, "{kind:?}");
        let (calm, ..) = measure(&settings(kind), path(), PACED, |_| ());
        assert_eq!(calm.persistent_congestion, 0, "{kind:?}");
    }
}

#[test]
fn second_copies_go_out_only_where_there_is_room() {
    let (lossy, ..) = measure(&settings(Congestion::Model), path().loss(50_000), PACED, |_| ());
    assert!(lossy.repairs * 10 >= lossy.packets_lost * 8, "{} of {}", lossy.repairs, lossy.packets_lost);
    let gate = Bottleneck::new(1_250_000, 62_500);
    let (full, ..) =
        measure(&settings(Congestion::Model), path().loss(50_000).bottleneck(gate), Load::Bulk, |_| ());
    assert!(
        full.packets_lost > 100 && full.repairs * 100 < full.packets_lost,
        "{} of {}",
        full.repairs,
        full.packets_lost
    );
}
