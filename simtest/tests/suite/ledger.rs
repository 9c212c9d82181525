//! The simulator at work on a small protocol: campaigns, planted bugs, replay, traces.

use quickcheck::quickcheck;

use crate::common::ledger::{Bug, Ledger};
use crate::common::setup::ledger;
use simtest::{
    Chaos, DiskLoss, Fault, FromSchedule, FromSeed, Kind, Link, NodeId, Order, Preset, Scenario, Schedule,
    Sim, Times, TraceView, at, check_determinism, ms, run_seeds, search, secs,
};

fn campaign(bug: Bug) -> Sim<Ledger> {
    let mut sim = ledger(bug, 2, 15, Link::wifi());
    sim.campaign(Chaos::default().until(secs(5)).quiet_for(secs(30)));
    sim
}

#[test]
fn survives_a_campaign() {
    let report = run_seeds(0..300, |_| campaign(Bug::None));
    assert_eq!(report.seeds, 300);
    assert_eq!(report.without_effect(), []);
    assert_eq!(report.stats.unlabelled, 0);
}

#[track_caller]
fn found(bug: Bug, within: u64, oracle: &str, why: &str) {
    let failure = search(0..within, |_| campaign(bug)).expect_err("the bug is found");
    assert_eq!(failure.verdict.oracle(), Some(oracle), "{}", failure.verdict);
    assert!(failure.verdict.to_string().contains(why), "{}", failure.verdict);
}

#[test]
fn finds_missing_dedup() {
    found(Bug::NoDedup, 10, "history", "exactly-once");
}

#[test]
fn finds_acknowledgements_before_the_disk() {
    found(Bug::AckBeforeSync, 50, "history", "agreement");
}

#[test]
fn finds_ignored_disk_errors() {
    found(Bug::SyncBlind, 50, "history", "agreement");
}

#[test]
fn finds_unchecked_checksums() {
    found(Bug::NoChecksum, 50, "history", "");
}

#[test]
fn finds_delivery_over_gaps() {
    found(Bug::OverGaps, 10, "history", "no-gaps");
}

#[test]
fn finds_a_lost_put_that_is_never_repeated() {
    found(Bug::NoRetry, 10, "all acknowledged", "at the end");
}

#[test]
fn forged_content_is_found_too() {
    let forged = |_| {
        let mut sim = campaign(Bug::None);
        sim.campaign(Chaos::none().corrupt_resealed(20_000));
        sim
    };
    assert_eq!(
        search(0..20, forged).expect_err("a checksum is no signature").verdict.oracle(),
        Some("history")
    );
}

#[test]
fn a_seed_is_one_run() {
    let hash = check_determinism(3, |_| campaign(Bug::None)).unwrap();
    assert_eq!(campaign(Bug::None).run(FromSeed::new(3)).hash, hash, "recording changes nothing");
    assert_ne!(campaign(Bug::None).run(FromSeed::new(4)).hash, hash);
}

/// The hash of one run, the same on every platform and in every build. It changes with the simulator's own
/// behaviour only.
#[test]
fn golden_hash() {
    insta::assert_snapshot!(format!("{:032x}", campaign(Bug::None).run(FromSeed::new(7)).hash), @"1b3087960c004ec2959966135cf89a62");
}

/// The hashes of a thousand seeds in one, in debug and in release builds.
#[test]
fn golden_hash_of_a_thousand_seeds() {
    let sum = (0..1_000)
        .fold(0_u128, |sum, seed| sum.rotate_left(7) ^ campaign(Bug::None).run(FromSeed::new(seed)).hash);
    insta::assert_snapshot!(format!("{sum:032x}"), @"ad3cebaf05068d6c4de13b632e4b353e");
}

#[test]
fn a_failing_run_is_replayed_from_its_text() {
    let failure = search(0..50, |_| campaign(Bug::AckBeforeSync)).unwrap_err();
    let seed = failure.seed.unwrap();
    let original = campaign(Bug::AckBeforeSync).run(FromSeed::new(seed));
    let schedule = Schedule::parse(&failure.schedule.to_text()).unwrap();
    assert_eq!(schedule, failure.schedule);
    let replay = campaign(Bug::AckBeforeSync).run(FromSchedule::new(&schedule));
    assert_eq!(replay.verdict, original.verdict);
    assert_eq!(replay.hash, original.hash);
    assert_eq!(replay.schedule(), schedule);
    assert!(replay.unmatched.is_empty());
}

/// One acknowledgement lost and the server killed: the smallest story in which dedup matters.
const STORY: &str = r#"simtest-sched 1
test ledger
nodes 1
weather flat
f1 drop s>a "Ack 1.0 slot=0" occ=1
f2 crash s at=40ms for=50ms disk=unsynced
expect history
"#;

fn story(bug: Bug) -> Sim<Ledger> {
    let mut sim = ledger(bug, 1, 1, Link::lan());
    sim.record(true);
    sim
}

#[test]
fn the_story_as_a_snapshot() {
    let outcome = story(Bug::None).run(FromSchedule::new(&Schedule::parse(STORY).unwrap()));
    insta::assert_snapshot!(outcome.trace.view(TraceView::messages()), @r##"
    s   f2 CRASH
    s   f2 restart log=16
      s>a#1    Ack 1.0 slot=0                 f1 drop
      s>a#2    Ack 1.0 slot=0                 ok
      s>a#3    Entry slot=0 1.0 0             ok
    a!1 Put(0)
    a   Invoked { client: 1, seq: 0, amount: 0 }
    a   Acked { client: 1, seq: 0, slot: 0 }
    a   Deliver { slot: 0, client: 1, seq: 0, amount: 0 }
      a>s#1    Put 1.0 0                      ok
      a>s#2    Put 1.0 0                      ok
      a>s#3    Fetch 0                        ok
    PASS
    "##);
}

#[test]
fn the_story_with_a_bug_in_time_order() {
    let outcome = story(Bug::NoDedup).run(FromSchedule::new(&Schedule::parse(STORY).unwrap()));
    insta::assert_snapshot!(outcome.trace.view(TraceView::packets()), @r##"
       0.000 a!1 Put(0)
       0.000 a>s#1    Put 1.0 0                      ok
       0.000 a   Invoked { client: 1, seq: 0, amount: 0 }
       0.000 s   < a>s#1
       0.000 s   store 1: truncate log 0
       0.000 s   store 2: append log 16 B
       0.000 s   store 3: sync log
       0.000 s   stored 1
       0.000 s   stored 2
       0.000 s   stored 3
       0.000 s>a#1    Ack 1.0 slot=0                 f1 drop
       0.040 s   f2 CRASH
       0.090 s   f2 restart log=16
       0.100 a.timer#1
       0.100 a>s#2    Put 1.0 0                      ok
       0.100 a>s#3    Fetch 0                        ok
       0.100 s   < a>s#2
       0.100 s   store 1: truncate log 16
       0.100 s   store 2: append log 16 B
       0.100 s   store 3: sync log
       0.100 s   < a>s#3
       0.100 s>a#2    Entry slot=0 1.0 0             ok
       0.100 s   stored 1
       0.100 s   stored 2
       0.100 a   < s>a#2
       0.100 a   Deliver { slot: 0, client: 1, seq: 0, amount: 0 }
       0.100 s   stored 3
       0.100 s>a#3    Ack 1.0 slot=1                 ok
       0.100 a   < s>a#3
       0.100 a   Acked { client: 1, seq: 0, slot: 1 }
    FAIL history: exactly-once: step 3: acknowledged is 1#0 in slot 1, but in step 2 reader 1 got it in slot 0
    "##);
    assert_eq!(outcome.schedule().to_text(), STORY);
}

#[test]
fn the_story_as_outcomes() {
    let outcome = story(Bug::NoDedup).run(FromSchedule::new(&Schedule::parse(STORY).unwrap()));
    let view = TraceView::outcomes().group(Order::Merged).time(Times::Delta);
    insta::assert_snapshot!(outcome.trace.view(view), @r##"
          +0 a   Invoked { client: 1, seq: 0, amount: 0 }
         +40 s   f2 CRASH
         +50 s   f2 restart log=16
         +10 a   Deliver { slot: 0, client: 1, seq: 0, amount: 0 }
          +0 a   Acked { client: 1, seq: 0, slot: 1 }
    FAIL history: exactly-once: step 3: acknowledged is 1#0 in slot 1, but in step 2 reader 1 got it in slot 0
    "##);
    insta::assert_snapshot!(outcome.trace.view(TraceView::outcomes().hosts(["s"])), @r##"
    s   f2 CRASH
    s   f2 restart log=16
    FAIL history: exactly-once: step 3: acknowledged is 1#0 in slot 1, but in step 2 reader 1 got it in slot 0
    "##);
}

#[test]
fn a_schedule_that_no_longer_applies_says_so() {
    let text = STORY.replace("slot=0", "slot=9").replace("crash s at=40ms", "crash gone at=40ms");
    let outcome = story(Bug::None).run(FromSchedule::new(&Schedule::parse(&text).unwrap()));
    assert_eq!(outcome.unmatched, ["f1", "f2"]);
    assert_eq!(outcome.schedule().lines, []);
}

#[test]
fn one_fault_less_leaves_the_others_where_they_were() {
    let mut sim = campaign(Bug::None);
    sim.keep_events(true);
    let whole = sim.run(FromSeed::new(5)).schedule();
    let some = Schedule { lines: whole.lines.iter().skip(1).step_by(2).cloned().collect(), ..whole.clone() };
    let outcome = sim.run(FromSchedule::new(&some));
    assert!(outcome.verdict.is_pass(), "{}", outcome.verdict);
    let applied = outcome.schedule().lines.len();
    assert!(applied * 10 >= some.lines.len() * 7, "{applied} of {} lines apply", some.lines.len());
}

#[test]
fn an_explicit_crash_without_restart_stays() {
    let mut sim = ledger(Bug::None, 2, 5, Link::lan());
    sim.campaign(Chaos::none().until(secs(2)).quiet_for(secs(2)));
    sim.fault(at(ms(250)), Fault::crash("b").disk(DiskLoss::Kept));
    let outcome = sim.run(FromSeed::new(1));
    assert_eq!(outcome.stats.faults(Kind::Crash).chosen, 1);
    assert_eq!(outcome.stats.cmds_lost, 2, "commands of 300 and 400 ms");
    assert!(outcome.node(NodeId::new(2)).is_none());
}

quickcheck! {
    fn any_scenario_replays_to_the_same_end(scenario: Scenario) -> bool {
        let mut sim = ledger(Bug::None, scenario.hosts, scenario.messages, scenario.link.link());
        sim.campaign(Chaos::default().until(secs(4)).quiet_for(secs(60)));
        let outcome = sim.run(scenario.chooser());
        outcome.assert_pass();
        let replay = sim.run(FromSchedule::new(&outcome.schedule()));
        replay.hash == outcome.hash && replay.unmatched.is_empty()
    }
}

/// What quickcheck's greedy loop does with a failing scenario.
#[test]
fn shrinking_leaves_a_small_story() {
    let run = |scenario: &Scenario| {
        let mut sim = ledger(Bug::AckBeforeSync, scenario.hosts, scenario.messages, scenario.link.link());
        sim.campaign(Chaos::default().until(secs(4)).quiet_for(secs(60)));
        sim.run(scenario.chooser())
    };
    let fails = |scenario: &Scenario| run(scenario).verdict.oracle() == Some("history");
    let scenario =
        |seed| Scenario { hosts: 4, messages: 20, link: Preset::Hostile, seed, keep: vec![(0, u32::MAX)] };
    let mut scenario = (0..50).map(scenario).find(fails).expect("some seed fails");
    let before = run(&scenario).schedule().lines.len();
    while let Some(simpler) = scenario.simpler().into_iter().find(fails) {
        scenario = simpler;
    }
    let schedule = run(&scenario).schedule();
    let after = schedule.lines.len();
    assert!(before > 50 && after <= 3, "{before} faults, then {after}: {scenario:?}\n{}", schedule.to_text());
    assert!(schedule.lines.iter().any(|line| line.kind() == Kind::Crash), "{}", schedule.to_text());
}
