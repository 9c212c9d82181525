use super::*;
use crate::link::Pace;
use crate::probe::{Cmd, three};
use crate::{Bottleneck, Chaos, DiskOp, Fault, FromSeed, Link, RateTrace, Time, at, ms, secs};

/// A run in which everything happens that the laws speak of.
fn busy(seed: u64) -> Trace {
    let (mut sim, [a, b, c]) = three();
    sim.links(Link::hostile().mtu(40).splice(50_000).replay(50_000, ms(100)..secs(3)));
    sim.campaign(Chaos::default().until(secs(4)).quiet_for(secs(1)));
    sim.fault(at(ms(700)), Fault::partition(["a"], ["b", "c"]).for_(ms(400)));
    sim.workload(|w| {
        for i in 0..80 {
            let store = if i % 3 == 0 {
                DiskOp::Sync { file: "log".into() }
            } else {
                DiskOp::Append { file: "log".into(), bytes: vec![7; i as usize] }
            };
            w.at(ms(i * 50))
                .cmd(a, Cmd::Send(b, vec!["X", "Yes, indeed", "a text that is larger than the link allows"]));
            w.cmd(b, Cmd::Store(store)).cmd(c, Cmd::Every(i * 50 + 20, 10));
        }
    });
    sim.run(FromSeed::new(seed)).trace
}

#[test]
fn runs_keep_the_laws() {
    for seed in 0..60 {
        laws(&busy(seed)).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

/// Changes the first record that `change` can change, and expects a law to be broken.
#[track_caller]
fn broken(expected: &str, change: impl Fn(&mut Record) -> bool) {
    let changed =
        (1..60).map(busy).find_map(|mut trace| trace.records.iter_mut().any(&change).then_some(trace));
    let trace = changed.expect("something to change");
    let why = laws(&trace).expect_err("a law is broken");
    assert!(why.contains(expected), "{why}");
}

/// More is sent through a bottleneck than it can take.
fn crowded() -> Trace {
    let (mut sim, [a, b, _]) = three();
    sim.links(
        Link::new()
            .bottleneck(Bottleneck::new(1_000, 20).burst(30).overhead(2))
            .loss(100_000)
            .duplicate(100_000, ms(0)..ms(5)),
    );
    sim.workload(|w| {
        for i in 0..200 {
            w.at(ms(i * 3)).cmd(a, Cmd::Send(b, vec!["eight by"]));
        }
    });
    let outcome = sim.run(FromSeed::new(1));
    assert!(outcome.stats.lost_narrow > 20 && outcome.stats.delivered > 20, "{}", outcome.stats);
    outcome.trace
}

#[test]
fn bottlenecks_keep_their_promises() {
    laws(&crowded()).unwrap();
    let mut trace = crowded();
    trace.gates[0].pace = Pace::Rate(980);
    assert!(laws(&trace).unwrap_err().contains("sooner than its bottleneck allows"));
    let mut trace = crowded();
    trace.gates[0].queue = 15;
    assert!(laws(&trace).unwrap_err().contains("wait before a bottleneck"));
}

/// The same, where the oldest make room, as fast as a trace.
fn lined_up() -> Trace {
    let (mut sim, [a, b, _]) = three();
    let trace = RateTrace::parse("0\n3\n7\n20\n").unwrap();
    sim.links(Link::new().bottleneck(Bottleneck::traced(trace, 600).overhead(700).drop_head()).loss(100_000));
    sim.workload(|w| {
        for i in 0..200 {
            w.at(ms(i * 3)).cmd(a, Cmd::Flood(b, 1)).cmd(a, Cmd::Send(b, vec!["A", "B"]));
        }
        w.at(ms(30)).cmd(a, Cmd::Flood(b, 1_000));
    });
    sim.run(FromSeed::new(1)).trace
}

#[test]
fn lines_keep_their_promises() {
    laws(&lined_up()).unwrap();
    let broken = |expected: &str, change: &dyn Fn(&mut Trace)| {
        let mut trace = lined_up();
        change(&mut trace);
        let why = laws(&trace).expect_err("a law is broken");
        assert!(why.contains(expected), "{why}");
    };
    broken("sooner than its bottleneck allows", &|trace| {
        trace.gates[0].pace = Pace::Trace(RateTrace::parse("1\n4\n8\n20\n").unwrap());
    });
    broken("wait before a bottleneck", &|trace| trace.gates[0].queue = 300);
    broken("not the oldest makes room", &|trace| {
        let lost = trace
            .records
            .iter()
            .position(|r| matches!(r.what, What::Lost { why: Loss::Narrow, .. }))
            .unwrap();
        if let What::Lost { n, .. } = &mut trace.records[lost].what {
            *n += 4;
        }
    });
}

#[test]
fn each_law_can_be_broken() {
    broken("time goes back", |r| {
        let late = r.at > Time::from_millis(500);
        r.at = if late { Time::ZERO } else { r.at };
        late
    });
    broken("it was never sent", |r| match &mut r.what {
        What::Arrive { n, .. } => {
            *n += 1_000;
            true
        }
        _ => false,
    });
    broken("not as it was sent", |r| {
        let arrives = matches!(r.what, What::Arrive { .. });
        r.content ^= u64::from(arrives);
        arrives
    });
    broken("out of turn", |r| match &mut r.what {
        What::Timer { n } => {
            *n += 1;
            true
        }
        _ => false,
    });
    broken("numbered out of turn", |r| match &mut r.what {
        What::Send { n, .. } if *n > 3 => {
            *n -= 1;
            true
        }
        _ => false,
    });
    broken("nobody asked for it", |r| match r.what {
        What::Store { .. } => {
            r.what = What::Event;
            true
        }
        _ => false,
    });
    broken("heals what was not cut", |r| match r.what {
        What::Cut { .. } => {
            r.what = What::Heal { fault: 99 };
            true
        }
        _ => false,
    });
    broken("a fault in the quiet phase", |r| match r.what {
        What::Event => {
            (r.what, r.node) = (What::Quiet, NO_NODE);
            true
        }
        _ => false,
    });
    broken("a node does something that is not up", |r| match r.what {
        What::Start => {
            r.what = What::Trouble { fault: 1 };
            true
        }
        _ => false,
    });
    broken("a replay of what was not replayed", |r| match &mut r.what {
        What::Arrive { which, .. } if *which == Which::Original => {
            *which = Which::Replay;
            true
        }
        _ => false,
    });
    broken("spliced with none before it", |r| match &mut r.what {
        What::Spliced { back, .. } => std::mem::take(back) > 0,
        _ => false,
    });
    broken("a splice", |r| match &mut r.what {
        What::Spliced { at, back: 1, .. } => {
            *at = 0;
            true
        }
        _ => false,
    });
    broken("a copy of what was not duplicated", |r| match &mut r.what {
        What::Arrive { which, n: 1, .. } if *which == Which::Original => {
            *which = Which::Copy;
            true
        }
        _ => false,
    });
}

#[test]
fn speed_size_and_direction_are_watched() {
    let mut trace = busy(1);
    for limit in &mut trace.limits {
        limit.delay = 50_000_000;
    }
    assert!(laws(&trace).unwrap_err().contains("sooner than its link allows"));
    let mut trace = busy(1);
    for limit in &mut trace.limits {
        limit.mtu = 0;
    }
    assert!(laws(&trace).unwrap_err().contains("larger than its link allows"));
}

#[test]
fn disks_keep_what_they_promised() {
    let finds_a_log = |trace: &Trace| {
        let restart =
            |r: &Record| matches!(r.what, What::Restart { .. }) && trace.text_of(r).contains("log=");
        trace.records.iter().position(restart)
    };
    let mut found = (0..60).map(busy).filter_map(|trace| Some((finds_a_log(&trace)?, trace)));
    let (restart, mut trace) = found.next().expect("b crashes");
    trace.text.push_str(" log=123456");
    let end = trace.text.len() as u32;
    trace.records[restart].text = (end - 11, end);
    assert!(laws(&trace).unwrap_err().contains("log has 123456 bytes, but must have "));
}

#[test]
fn disks_keep_the_bytes_that_they_promised() {
    let finds_a_log = |trace: &Trace| {
        let restart = |r: &Record| matches!(r.what, What::Restart { .. }) && r.bytes.1 > r.bytes.0 + 20;
        trace.records.iter().position(restart)
    };
    let mut found = (0..60).map(busy).filter_map(|trace| Some((finds_a_log(&trace)?, trace)));
    let (restart, mut trace) = found.next().expect("b crashes");
    assert_eq!(laws(&trace), Ok(()));
    trace.bytes[trace.records[restart].bytes.0 as usize] ^= 1;
    let why = laws(&trace).unwrap_err();
    assert!(why.contains("byte 0 of log is not as it was written"), "{why}");
}

#[test]
fn timers_fire_when_they_should() {
    let (mut sim, [.., c]) = three();
    sim.run_for(ms(100)).workload(|w| {
        w.at(ms(1)).cmd(c, Cmd::Every(10, 10));
    });
    let trace = sim.run(FromSeed::new(1)).trace;
    assert_eq!(laws(&trace), Ok(()));
    let changed = |content: u64| {
        let mut trace = trace.clone();
        let second = trace.records.iter_mut().filter(|r| matches!(r.what, What::Timer { .. })).nth(1);
        second.unwrap().content = content;
        laws(&trace).unwrap_err()
    };
    assert!(changed(20_000_001).contains("a timer before its deadline"), "{}", changed(20_000_001));
    assert!(changed(10_000_000).contains("a timer that was not set again"), "{}", changed(10_000_000));
}

#[test]
fn every_fault_is_told() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["X"]));
    });
    let mut outcome = crate::probe::replay(&sim, "f1 drop a>b \"Text X\" occ=1");
    assert_eq!(run(&outcome), Ok(()));
    for record in &mut outcome.trace.records {
        if let What::Lost { fault, .. } = &mut record.what {
            *fault = 0;
        }
    }
    let why = run(&outcome).unwrap_err();
    assert_eq!(why, "nothing in the trace tells of f1 drop a>b \"Text X\" occ=1");
}
