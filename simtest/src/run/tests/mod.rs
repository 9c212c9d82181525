mod latest;
mod line;
mod tamper;

use crate::probe::{Cmd, Event, Probe, got, replay, three, times};
use crate::{
    Addr, Bottleneck, Chaos, DiskOp, Fault, FromSeed, Kind, Life, Link, NodeId, Now, Oracle, Phase, Sim,
    StoreError, Time, Verdict, at, ms, secs, us,
};
use crate::{Dist, Effect, FromSchedule, LineWhat, MAX_PAUSED, Schedule, What, on};

fn texts(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(at, text)| (*at, (*text).to_owned())).collect()
}

fn append(bytes: &[u8]) -> Cmd {
    Cmd::Store(DiskOp::Append { file: "log".into(), bytes: bytes.to_vec() })
}

fn sync() -> Cmd {
    Cmd::Store(DiskOp::Sync { file: "log".into() })
}

#[test]
fn a_datagram_takes_its_delay() {
    let (mut sim, [a, b, c]) = three();
    sim.one_way(a, c, Link::new().delay(Dist::fixed(ms(30))));
    sim.workload(|w| {
        w.at(ms(5))
            .cmd(a, Cmd::Send(b, vec!["x", "y"]))
            .cmd(a, Cmd::Send(c, vec!["z"]))
            .cmd(c, Cmd::Send(a, vec!["w"]));
    });
    let outcome = replay(&sim, "");
    assert_eq!(got(&outcome, b), texts(&[(6, "x"), (6, "y")]));
    assert_eq!(got(&outcome, c), texts(&[(35, "z")]));
    assert_eq!(got(&outcome, a), texts(&[(6, "w")]));
}

#[test]
fn weather_does_not_reorder() {
    let (mut sim, [a, b, _]) = three();
    sim.links(Link::new().delay(Dist::exp(ms(1), ms(20))));
    let letters = ["A", "B", "C", "D", "E", "F", "G", "H"];
    sim.workload(|w| {
        for (i, letter) in (0..).zip(letters) {
            w.at(ms(i)).cmd(a, Cmd::Send(b, vec![letter]));
        }
    });
    let arrivals = |seed| got(&sim.run(FromSeed::new(seed)), b);
    for seed in 0..50 {
        assert!(arrivals(seed).iter().map(|(_, text)| &text[..]).eq(letters), "seed {seed}");
    }
    assert_ne!(arrivals(1), arrivals(2), "but it varies");
}

#[test]
fn scheduled_faults_do_what_they_say() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["A", "B", "C", "D", "small", "A"]));
    });
    let outcome = replay(
        &sim,
        "f1 drop a>b \"Text A\" occ=2\n\
         f2 delay a>b \"Text B\" occ=1 by=13ms\n\
         f3 duplicate a>b \"Text C\" occ=1 by=20ms\n\
         f4 corrupt a>b \"Text D\" occ=1 cut=0x1\nf5 drop a>b #5\nf6 drop b>a \"Text A\" occ=1",
    );
    assert_eq!(got(&outcome, b), texts(&[(1, "A"), (1, "C"), (1, ""), (14, "B"), (21, "C")]));
    assert_eq!(outcome.unmatched, ["f6"]);
    assert_eq!(outcome.stats.unlabelled, 1);
    for kind in [Kind::Delay, Kind::Duplicate, Kind::Corrupt] {
        assert_eq!(outcome.stats.faults(kind).mattered, 1, "{kind:?}");
    }
    assert_eq!(outcome.stats.faults(Kind::Drop).chosen, 2);
}

#[test]
fn corruption_flips_a_few_bits() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["AAAAAAAAAAAAAAAA"]));
    });
    let differences = |lines: String| {
        let outcome = replay(&sim, &lines);
        let text = &got(&outcome, b)[0].1;
        (text.starts_with('A'), text != "AAAAAAAAAAAAAAAA")
    };
    let mut first_kept = 0;
    for word in 0..40 {
        let line = format!("f1 corrupt a>b \"Text AAAAAAAAAAAAAAAA\" occ=1 flip={word:#x}");
        assert!(differences(line.clone()).1, "flip {word} changes something");
        first_kept += u32::from(differences(format!("{line} reseal")).0);
    }
    assert_eq!(first_kept, 40, "reseal has mended the first byte");
}

#[test]
fn what_is_larger_than_the_mtu_is_lost() {
    let (mut sim, [a, b, _]) = three();
    sim.links(Link::new().mtu(3));
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["abc", "abcd"]));
    });
    let outcome = replay(&sim, "");
    assert_eq!(got(&outcome, b), texts(&[(1, "abc")]));
    assert_eq!(outcome.stats.lost_mtu, 1);
}

#[test]
fn an_address_that_nobody_has() {
    let (mut sim, [a, ..]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::SendTo(Addr::new(77)));
    });
    assert_eq!(replay(&sim, "").stats.unroutable, 1);
}

#[test]
fn partitions_cut_the_directions_that_they_name() {
    let (mut sim, [a, b, c]) = three();
    sim.workload(|w| {
        for i in 0..6 {
            w.at(ms(10 * i))
                .cmd(a, Cmd::Send(b, vec!["x"]))
                .cmd(b, Cmd::Send(a, vec!["y"]))
                .cmd(c, Cmd::Send(a, vec!["z"]));
        }
    });
    let outcome = replay(&sim, "f1 partition a>b at=9500us for=25ms\nf2 partition a|b,c at=15ms for=10ms");
    let at_ms = |node| {
        got(&outcome, node).into_iter().map(|(at, text)| format!("{at}{text}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(at_ms(b), "1x 41x 51x");
    assert_eq!(at_ms(a), "1y 1z 11y 11z 31y 31z 41y 41z 51y 51z");
    assert_eq!(outcome.stats.lost_cut, 5);
    assert_eq!(outcome.stats.faults(Kind::Partition).mattered, 2);
}

#[test]
fn a_cut_takes_what_is_under_way() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["x"]));
    });
    assert_eq!(got(&replay(&sim, "f1 partition a>b at=500us for=1ms"), b), texts(&[]));
}

#[test]
fn everything_waits_for_a_paused_node() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(b, Cmd::Every(10, 10)).cmd(b, append(b"1"));
        w.at(ms(11)).cmd(a, Cmd::Send(b, vec!["x"]));
        w.at(ms(15)).cmd(a, Cmd::Send(b, vec!["y"])).cmd(b, sync());
    });
    sim.run_for(ms(50));
    let outcome = replay(&sim, "f1 pause b at=5ms for=27ms");
    assert_eq!(got(&outcome, b), texts(&[(32, "x"), (32, "y")]));
    assert_eq!(times(&outcome, b, &Event::Timer), [32, 42]);
    assert_eq!(times(&outcome, b, &Event::Cmd), [0, 0, 32]);
    assert_eq!(outcome.stats.faults(Kind::Pause).mattered, 1);
}

#[test]
fn the_queue_of_a_paused_node_is_bounded() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Flood(b, MAX_PAUSED + 5));
    });
    let outcome = replay(&sim, "f1 pause b at=5ms for=20ms");
    assert_eq!(outcome.node(b).unwrap().got, MAX_PAUSED);
    assert_eq!(outcome.stats.lost_queue, 5);
}

#[test]
fn a_crash_keeps_what_was_synced() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(b, append(b"one")).cmd(b, sync());
        w.at(ms(20)).cmd(b, append(b"two"));
        w.at(ms(30)).cmd(b, sync()).cmd(a, Cmd::Send(b, vec!["x"]));
        w.at(ms(35)).cmd(b, Cmd::Every(1, 1));
        w.at(ms(45)).cmd(a, Cmd::Send(b, vec!["y"]));
    });
    let disk = |loss: &str| {
        let outcome = replay(&sim, &format!("f1 crash b at=30200us for=10ms disk={loss}"));
        assert_eq!(got(&outcome, b), texts(&[(46, "y")]));
        assert_eq!((outcome.stats.cmds_lost, outcome.stats.lost_down), (1, 1));
        let boots: Vec<_> = outcome.events(b).filter(|(_, e)| matches!(e, Event::Booted { .. })).collect();
        let (Event::Booted { seed: first, .. }, Event::Booted { life, seed, disk }) =
            (boots[0].1, boots[1].1)
        else {
            unreachable!("only boots are left")
        };
        assert_eq!((boots.len(), boots[1].0.as_millis(), *life), (2, 40, 1));
        assert_ne!(first, seed, "each life has its own seed");
        String::from_utf8_lossy(&disk[0].1).into_owned()
    };
    assert_eq!(disk("unsynced"), "one");
    assert_eq!(disk("kept"), "onetwo");
    let torn: std::collections::BTreeSet<String> =
        (0..30).map(|seed| disk(&format!("torn:{seed}"))).collect();
    assert!(torn.iter().map(|text| &text[..]).eq(["one", "onet", "onetw", "onetwo"]), "{torn:?}");
}

#[test]
fn a_crash_without_end_and_faults_on_the_dead() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(100)).cmd(a, Cmd::Send(b, vec!["x"]));
    });
    let lines = "f1 pause b at=5ms for=50ms\n\
                 f2 crash b at=10ms for=ever disk=kept\n\
                 f3 crash b at=20ms for=1ms disk=kept\n\
                 f4 pause b at=30ms for=1ms";
    let outcome = replay(&sim, lines);
    assert!(outcome.node(b).is_none());
    assert_eq!(outcome.stats.lost_down, 1);
    assert_eq!(outcome.unmatched, ["f3", "f4"]);
}

#[test]
fn disks_in_trouble() {
    let (mut sim, [_, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(10)).cmd(b, append(b"1")).cmd(b, sync());
        w.at(ms(50)).cmd(b, append(b"2")).cmd(b, sync());
    });
    let results = |lines: &str| {
        let outcome = replay(&sim, lines);
        let stored = |(at, event): (Time, &Event)| match event {
            Event::Stored(_, result) => Some((at.as_millis(), *result)),
            _ => None,
        };
        outcome.events(b).filter_map(stored).collect::<Vec<_>>()
    };
    let fine = [(10, Ok(())), (10, Ok(())), (50, Ok(())), (50, Ok(()))];
    assert_eq!(results(""), fine);
    let (full, broken) = (Err(StoreError::NoSpace), Err(StoreError::Io));
    assert_eq!(results("f1 disk b full at=5ms for=20ms"), [(10, full), fine[1], fine[2], fine[3]]);
    assert_eq!(results("f1 disk b error at=5ms for=20ms"), [(10, broken), (10, broken), fine[2], fine[3]]);
    assert_eq!(
        results("f1 disk b slow at=5ms for=20ms"),
        [(11, Ok(())), (61, Ok(())), (61, Ok(())), (61, Ok(()))]
    );
}

#[test]
fn built_in_verdicts() {
    let verdict = |cmd: Cmd| {
        let (mut sim, [a, ..]) = three();
        sim.workload(|w| {
            w.at(ms(5)).cmd(a, cmd);
        });
        replay(&sim, "").verdict
    };
    let oracle = |cmd| verdict(cmd).oracle().map(String::from);
    assert_eq!(oracle(Cmd::Livelock).as_deref(), Some("livelock"));
    assert_eq!(oracle(Cmd::BusyLoop).as_deref(), Some("busy loop"));
    assert_eq!(oracle(Cmd::Lie).as_deref(), Some("node contract"));
    let Verdict::Fail { oracle, at: 3, why } = verdict(Cmd::Panic) else { panic!("it fails") };
    assert!(oracle == "panic" && why.starts_with("asked to (") && why.contains("probe.rs:"), "{why}");
    assert_eq!(verdict(Cmd::Every(1, 0)), Verdict::Pass);
}

#[test]
fn too_many_events_are_no_verdict() {
    let (mut sim, [a, ..]) = three();
    sim.max_events(1_000).workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Every(1, 1));
    });
    let why = "more than 1000 events by 0.997 s".into();
    assert_eq!(replay(&sim, "").verdict, Verdict::Unknown(why));
}

#[test]
fn idle_time_is_free() {
    let (mut sim, [a, ..]) = three();
    sim.run_for(secs(10_000_000)).workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Every(1_000_000, 1_000_000));
    });
    let outcome = replay(&sim, "");
    assert_eq!(outcome.stats.events, 3 + 1 + 10_000);
    assert_eq!(outcome.stats.virtual_nanos, 10_000_000 * 1_000_000_000);
}

#[test]
fn a_checkpoint_goes_on_by_itself() {
    let mut sim = three().0;
    let [a, b, _] = [0, 1, 2].map(NodeId::new);
    sim.links(Link::hostile()).workload(|w| {
        for i in 0..50 {
            w.at(ms(10 * i)).cmd(a, Cmd::Send(b, vec!["X", "Y"]));
        }
    });
    let whole = sim.run(FromSeed::new(9)).hash;
    let mut run = sim.start(FromSeed::new(9));
    run.until(ms(200));
    let mut branch = run.clone();
    assert_eq!(branch.view().now(), Time::from_millis(200));
    branch.command(b, Cmd::Send(a, vec!["Z"]));
    assert_ne!(branch.finish().hash, whole, "the branch took another way");
    assert_eq!(run.finish().hash, whole, "and the run did not notice");
}

#[test]
fn chaos_ends_when_quiet_begins() {
    let (mut sim, [a, b, c]) = three();
    sim.links(Link::hostile()).campaign(Chaos::default().until(secs(2)).quiet_for(secs(2))).workload(|w| {
        for i in 0..400 {
            w.at(ms(10 * i)).cmd(a, Cmd::Send(b, vec!["X"])).cmd(b, Cmd::Send(c, vec!["Y"]));
        }
    });
    sim.invariant("all live in the quiet phase", |v| v.phase() == Phase::Chaos || v.nodes().count() == 3);
    let mut policies = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let outcome = sim.run(FromSeed::new(seed));
        outcome.assert_pass();
        let quiet: Vec<u64> =
            got(&outcome, b).into_iter().map(|(at, _)| at).filter(|at| *at > 2_100).collect();
        assert!(quiet.len() >= 184, "nothing is lost in the quiet phase: {}", quiet.len());
        policies.insert(Kind::FAULTS.map(|kind| outcome.stats.faults(kind).chosen > 0));
    }
    assert!(policies.len() > 5, "runs differ in the kinds of fault that they use");
}

#[test]
fn eventually_is_judged_in_the_quiet_phase() {
    let (mut sim, [a, b, _]) = three();
    sim.campaign(Chaos::none().until(secs(1)).quiet_for(secs(5))).workload(|w| {
        w.at(ms(2_000)).cmd(a, Cmd::Send(b, vec!["x"]));
    });
    let mut stops = sim.clone();
    stops.eventually("got it", move |v| v.node(b).is_some_and(|b| b.got == 1));
    let outcome = stops.run(FromSeed::new(0));
    outcome.assert_pass();
    assert_eq!(outcome.stats.virtual_nanos, 2_001_000_000, "the run ends when all has come true");

    sim.eventually("got two", move |v| match v.node(b).map(|b| b.got) {
        Some(2) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let why = "Some(1) (at the end, 6.000 s)".into();
    assert_eq!(sim.run(FromSeed::new(0)).verdict, Verdict::Fail { oracle: "got two".into(), at: 5, why });
}

#[test]
#[should_panic(expected = "the quiet phase begins earlier")]
fn an_explicit_fault_in_the_quiet_phase() {
    let (mut sim, _) = three();
    sim.campaign(Chaos::none().until(secs(1))).fault(at(secs(2)), Fault::pause("a").for_(ms(1)));
    sim.run(FromSeed::new(0));
}

#[test]
#[should_panic(expected = "which no node is called")]
fn a_fault_on_nobody() {
    three().0.fault(at(us(1)), Fault::crash("nobody"));
}

#[test]
fn a_trigger_takes_whole_words() {
    let hits = |label: &str, seen: &str| on(label).matches("a", "b", seen);
    assert!(hits("Add", "Add") && hits("Add", "Add 1") && hits("Add 1", "Add 1") && hits("Add", "Add(1)"));
    assert!(
        !hits("Add", "Added 1") && !hits("Add 1", "Add 10") && !hits("Add", "Add_all") && !hits("Add", "Ad")
    );
    assert!(hits("Add(", "Add(seq=1)") && hits("", "Add"));
}

#[test]
fn a_boot_knows_the_others() {
    let mut sim = Sim::new("boot");
    let a = sim.node("a", |boot| {
        assert_eq!((boot.name, boot.addr, boot.now.unix_ms), ("a", boot.id.addr(), crate::START_UNIX_MS));
        assert_eq!((boot.addr_of("b"), boot.addr_of("c")), (Some(Addr::new(1)), None));
        Probe::boot(boot)
    });
    let b = sim.node("b", Probe::boot);
    assert_eq!((a.index(), b.addr()), (0, Addr::new(1)));
    sim.run(FromSeed::new(0)).assert_pass();
}

#[test]
fn a_restarted_node_hears_where_the_others_are_now() {
    let mut sim = Sim::new("boot");
    sim.node("a", |boot| {
        let moved = boot.addr_of("b") != Some(Addr::new(1));
        assert_eq!((moved, boot.addr), (boot.life > 0, boot.id.addr()));
        Probe::boot(boot)
    });
    let b = sim.node("b", move |boot| {
        assert_eq!(boot.addr_of("b"), Some(boot.addr));
        Probe::boot(boot)
    });
    sim.fault(at(ms(10)), Fault::rebind("b")).fault(at(ms(20)), Fault::crash("a").for_(ms(10)));
    sim.fault(at(ms(20)), Fault::crash("b").for_(ms(5)));
    sim.finally("both have begun again", move |v| v.node(b).is_some());
    let outcome = sim.run(FromSeed::new(0));
    outcome.assert_pass();
    assert_eq!(outcome.stats.faults(Kind::Crash).mattered, 2);
}

#[derive(Clone, Default)]
struct Diary(Vec<String>);

impl Oracle<Probe> for Diary {
    fn command(&mut self, now: Now, node: NodeId, _cmd: &Cmd) -> crate::Check {
        self.0.push(format!("{} {} cmd", now.mono, node.index()));
        Ok(())
    }

    fn event(&mut self, now: Now, node: NodeId, event: &Event) -> crate::Check {
        if *event == Event::Timer {
            self.0.push(format!("{} {} timer", now.mono, node.index()));
        }
        Ok(())
    }

    fn lifecycle(&mut self, now: Now, node: NodeId, life: Life) -> crate::Check {
        self.0.push(format!("{} {} {life:?}", now.mono, node.index()));
        Ok(())
    }

    fn finally(&mut self, view: &crate::View<'_, Probe>) -> crate::Check {
        Err(format!("{} events on a\n{}", view.events(NodeId::new(0)).count(), self.0.join("\n")))
    }
}

#[test]
fn an_oracle_is_told_everything_once() {
    let mut sim = Sim::new("diary");
    let a = sim.node("a", Probe::boot);
    sim.keep_events(true).run_for(ms(100)).oracle("diary", Diary::default()).workload(|w| {
        w.at(ms(1)).cmd(a, Cmd::Every(40, 0));
        w.at(ms(15)).cmd(a, Cmd::Every(0, 0));
    });
    sim.fault(at(ms(10)), Fault::crash("a").restart_after(ms(10)));
    sim.fault(at(ms(30)), Fault::pause("a").for_(ms(5)));
    sim.workload(|w| {
        w.at(ms(32)).cmd(a, Cmd::Every(50, 0));
    });
    insta::assert_snapshot!(sim.run(FromSeed::new(0)).verdict.to_string(), @r"
    FAIL diary: 5 events on a
    0.000 0 Started
    0.001 0 cmd
    0.010 0 Crashed
    0.020 0 Restarted
    0.030 0 Paused
    0.035 0 Resumed
    0.035 0 cmd
    0.050 0 timer
    ");
}

#[test]
fn links_share_a_bottleneck_and_its_queue() {
    let (mut sim, [a, b, c]) = three();
    let narrow = Link::new().bottleneck(Bottleneck::new(1000, 25).shared("uplink"));
    sim.one_way(a, c, narrow.clone()).one_way(b, c, narrow);
    sim.workload(|w| {
        w.at(ms(0))
            .cmd(a, Cmd::Send(c, vec!["1234567890", "A234567890"]))
            .cmd(b, Cmd::Send(c, vec!["B", "C234567890"]));
        w.at(ms(500)).cmd(b, Cmd::Send(c, vec!["later"]));
    });
    let outcome = replay(&sim, "");
    assert_eq!(got(&outcome, c), texts(&[(11, "1234567890"), (21, "A234567890"), (22, "B"), (506, "later")]));
    assert_eq!(outcome.stats.lost_narrow, 1);
    let [passage] = &outcome.bottlenecks[..] else { panic!("one bottleneck: {:?}", outcome.bottlenecks) };
    assert_eq!((&passage.name[..], passage.passed, passage.dropped), ("uplink", 4, 1));
    assert!(outcome.trace.view(crate::TraceView::messages()).contains("bottleneck full"));
}

#[test]
fn each_direction_has_a_bottleneck_of_its_own() {
    let (mut sim, [a, b, _]) = three();
    sim.links(Link::new().bottleneck(Bottleneck::new(1000, 10)));
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["1234567890"])).cmd(b, Cmd::Send(a, vec!["1234567890"]));
    });
    let outcome = replay(&sim, "");
    assert_eq!(
        (got(&outcome, a), got(&outcome, b)),
        (texts(&[(11, "1234567890")]), texts(&[(11, "1234567890")]))
    );
    let names: Vec<_> = outcome.bottlenecks.iter().map(|passage| &passage.name[..]).collect();
    assert_eq!(names, ["a>b", "b>a"]);
}

#[test]
fn a_wrong_wall_clock_leaves_timers_alone() {
    let (mut sim, [a, ..]) = three();
    sim.workload(|w| {
        w.at(ms(5)).cmd(a, Cmd::Every(100, 100));
    });
    let wrong =
        sim.clone().fault(at(ms(50)), Fault::clock("a", -1_500, 1_000).for_(ms(5_000))).run(FromSeed::new(1));
    let right = sim.run(FromSeed::new(1));
    assert_eq!(times(&wrong, a, &Event::Timer), times(&right, a, &Event::Timer));
    assert_eq!(wrong.stats.faults(Kind::Clock), crate::Tally { chosen: 1, mattered: 1 });
    let run = sim.fault(at(ms(60)), Fault::clock("a", -1_500, 1_000).for_(ms(5_000)));
    let mut run = run.start(FromSeed::new(1));
    let mut wall = |millis| {
        run.until(ms(millis));
        run.now_of(0).unix_ms.cast_signed() - crate::START_UNIX_MS.cast_signed()
    };
    assert_eq!([wall(59), wall(60), wall(4_060), wall(5_061)], [59, -1_440, 2_564, 5_061]);
}

#[test]
fn a_new_address_is_seen_and_the_old_one_is_lost() {
    let (mut sim, [a, b, _]) = three();
    sim.fault(at(ms(10)), Fault::rebind("a")).workload(|w| {
        w.at(ms(5)).cmd(a, Cmd::Send(b, vec!["before"]));
        w.at(ms(20)).cmd(a, Cmd::Send(b, vec!["after"]));
        // Under way when the address changes; then to the old one; then to the new one.
        w.at(us(9_500)).cmd(b, Cmd::Send(a, vec!["late"]));
        w.at(ms(30)).cmd(b, Cmd::Send(a, vec!["old"])).cmd(b, Cmd::SendTo(Addr::new(3)));
    });
    let outcome = sim.run(FromSeed::new(1));
    let from: Vec<(usize, &str)> = outcome
        .events(b)
        .filter_map(|(_, event)| match event {
            Event::Got(from, text) => Some((*from, &text[..])),
            _ => None,
        })
        .collect();
    assert_eq!(from, [(0, "before"), (3, "after")]);
    assert_eq!(got(&outcome, a), [(31, "hello".to_owned())]);
    assert_eq!(outcome.stats.unroutable, 2);
    assert_eq!(outcome.stats.faults(Kind::Rebind).mattered, 1);
    let text = outcome.schedule().to_text();
    assert!(text.contains("f1 rebind a at=10ms\n"), "{text}");
    assert_eq!(sim.run(FromSchedule::new(&Schedule::parse(&text).unwrap())).hash, outcome.hash);
}

#[test]
fn a_datagram_sets_off_its_fault() {
    let (mut sim, [a, b, c]) = three();
    sim.on(on("Text X").nth(2), Effect::Drop)
        .on(on("Text Y").from("a").to("b"), Fault::crash("b").for_(ms(20)));
    sim.workload(|w| {
        w.at(ms(5)).cmd(a, Cmd::Send(b, vec!["X"]));
        w.at(ms(10)).cmd(a, Cmd::Send(b, vec!["X"]));
        w.at(ms(15)).cmd(c, Cmd::Send(b, vec!["Y", "X"]));
        w.at(ms(20)).cmd(a, Cmd::Send(b, vec!["Y"]));
        w.at(ms(50)).cmd(a, Cmd::Send(b, vec!["X"]));
    });
    let outcome = sim.run(FromSeed::new(1));
    let texts: Vec<(u64, String)> = got(&outcome, b);
    let expected = [(6, "X"), (16, "Y"), (16, "X"), (51, "X")];
    assert_eq!(texts, expected.map(|(at, text)| (at, text.to_owned())));
    let schedule = outcome.schedule();
    assert_eq!(
        schedule.lines.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["f1 drop a>b \"Text X\" occ=2", "f2 crash b at=20000001ns for=20ms disk=unsynced"]
    );
    assert_eq!(sim.run(FromSchedule::new(&schedule)).hash, outcome.hash, "once, not twice");
}

#[test]
fn losses_come_in_bursts() {
    let (mut sim, [a, b, _]) = three();
    sim.links(Link::new().bursts(ms(200), ms(50), 1_000_000)).record(false).workload(|w| {
        for i in 0..4_000 {
            w.at(ms(i * 2)).cmd(a, Cmd::Send(b, vec!["X"]));
        }
    });
    let outcome = sim.run(FromSeed::new(3));
    let arrived: Vec<u64> = got(&outcome, b).iter().map(|(at, _)| at / 2).collect();
    let lost = 4_000 - arrived.len();
    assert!((500..1_100).contains(&lost), "a fifth: {lost}");
    let bursts = arrived.windows(2).filter(|pair| pair[1] - pair[0] > 1).count();
    assert!(lost / bursts > 15, "{lost} in {bursts} bursts");
    let replay = sim.run(FromSchedule::new(&outcome.schedule()));
    assert_eq!(replay.hash, outcome.hash);
}

#[test]
fn swizzled_nodes_are_cut_off_one_by_one() {
    let (mut sim, _) = three();
    let chaos = Chaos::none().swizzle(secs(1), ms(100)).until(secs(5)).quiet_for(secs(1));
    sim.campaign(chaos);
    let schedule =
        (0..20).map(|seed| sim.run(FromSeed::new(seed)).schedule()).find(|s| !s.lines.is_empty()).unwrap();
    let mut alone = std::collections::BTreeSet::new();
    for line in &schedule.lines[..3] {
        let LineWhat::Timed {
            fault: Fault { what: What::Partition { from, both: true, .. }, lasts }, ..
        } = &line.what
        else {
            panic!("{line}")
        };
        assert!(*lasts <= Some(ms(200)), "{line}");
        alone.extend(from.clone());
    }
    assert_eq!(alone.len(), 3, "{}", schedule.to_text());
}

#[test]
fn clocks_and_addresses_in_a_campaign_replay() {
    let (mut sim, [a, b, _]) = three();
    sim.campaign(
        Chaos::default().clock(secs(1), ms(10)..ms(500)).rebind(secs(1)).until(secs(3)).quiet_for(secs(1)),
    );
    sim.workload(|w| {
        for i in 0..60 {
            w.at(ms(i * 50)).cmd(a, Cmd::Send(b, vec!["X"])).cmd(b, Cmd::Send(a, vec!["Y"]));
        }
    });
    for seed in 0..30 {
        let outcome = sim.run(FromSeed::new(seed));
        let schedule = Schedule::parse(&outcome.schedule().to_text()).unwrap();
        assert_eq!(sim.run(FromSchedule::new(&schedule)).hash, outcome.hash, "{}", schedule.to_text());
        crate::verify::laws(&outcome.trace).unwrap();
    }
}

/// What each preset does to datagrams sent every 2 ms for 100 s: lost, repeated and overtaken in parts per thousand, and the
/// least and the mean delay in tenths of a millisecond.
fn measured(link: Link) -> [u64; 5] {
    let (mut sim, [a, b, _]) = three();
    sim.links(link).run_for(secs(700)).record(true).workload(|w| {
        for i in 0..50_000 {
            w.at(ms(i * 2)).cmd(a, Cmd::Send(b, vec!["X"]));
        }
    });
    let outcome = sim.run(FromSeed::new(1));
    let mut sent = Vec::new();
    let (mut delays, mut copies, mut newest, mut late) = (Vec::new(), 0, 0, 0);
    for record in &outcome.trace.records {
        match record.what {
            crate::trace::What::Send { .. } => sent.push(record.at),
            crate::trace::What::Arrive { which: crate::trace::Which::Copy, .. } => copies += 1,
            crate::trace::What::Arrive { n, which: crate::trace::Which::Original, .. } => {
                delays.push(record.at.since(sent[n as usize - 1]).as_micros() as u64 / 100);
                late += u64::from(n < newest);
                newest = newest.max(n);
            }
            _ => {}
        }
    }
    let arrived = delays.len() as u64;
    let mean = delays.iter().sum::<u64>() / arrived;
    [(50_000 - arrived) / 50, copies / 50, late / 50, *delays.iter().min().unwrap(), mean]
}

#[test]
fn presets_do_what_they_say() {
    // That none overtakes another makes the means larger than those of the distributions.
    assert_eq!(measured(Link::lan()), [0, 0, 0, 2, 2]);
    assert_eq!(measured(Link::wifi()), [9, 1, 4, 20, 63]);
    assert_eq!(measured(Link::lte()), [4, 0, 17, 250, 485]);
    assert_eq!(measured(Link::satellite()), [5, 0, 0, 2_705, 2_836]);
    assert_eq!(measured(Link::mars()), [0, 0, 0, 4_800_000, 4_800_000]);
    assert_eq!(measured(Link::hostile()), [303, 70, 167, 75, 627]);
}

#[test]
fn a_line_that_never_begins_is_unmatched() {
    let (sim, _) = three();
    let outcome =
        replay(&sim, "f1 crash a at=0s for=1ms disk=unsynced\nf2 crash a at=11s for=1ms disk=unsynced");
    assert!(outcome.verdict.is_pass(), "it lasts for 10 s");
    assert_eq!(outcome.unmatched, ["f2"]);
    let mut twice = Schedule::parse("simtest-sched 1\nf1 drop a>b #1").unwrap();
    twice.lines.push(crate::Line { id: 2, ..twice.lines[0].clone() });
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["x"]));
    });
    assert_eq!(sim.run(FromSchedule::new(&twice)).unmatched, ["f2"], "what f1 is about already");
}
