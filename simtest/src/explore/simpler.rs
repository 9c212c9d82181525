//! Simpler forms of one fault.

use std::time::Duration;

use crate::disk::DiskLoss;
use crate::fault::{Fault, What};
use crate::schedule::{DatagramFault, Effect, Line, LineWhat};
use crate::time::{Time, nanos};

const MS: u64 = 1_000_000;

/// For schedules: faults of datagrams first, then the others by time.
pub(super) fn begins(line: &Line) -> Time {
    match &line.what {
        LineWhat::Datagram(_) => Time::ZERO,
        LineWhat::Timed { at, .. } => *at,
    }
}

/// The boldest first. Each is simpler by an order that has no cycles: kind, then time, then span.
pub(super) fn lines(line: &Line) -> Vec<Line> {
    let with = |what| Line { id: line.id, what };
    match &line.what {
        LineWhat::Datagram(fault) => {
            let with = |effect| with(LineWhat::Datagram(DatagramFault { effect, ..fault.clone() }));
            effects(fault.effect).into_iter().map(with).collect()
        }
        LineWhat::Timed { at, fault } => {
            let mut all: Vec<Line> =
                faults(fault).into_iter().map(|fault| with(LineWhat::Timed { at: *at, fault })).collect();
            let earlier = rounder(at.as_nanos(), 0)
                .into_iter()
                .map(|at| with(LineWhat::Timed { at: Time::from_nanos(at), fault: fault.clone() }));
            all.extend(earlier);
            all
        }
    }
}

fn effects(effect: Effect) -> Vec<Effect> {
    match effect {
        Effect::Drop => Vec::new(),
        Effect::Break(bytes) => {
            let simple = [0, u32::MAX, 1].map(Effect::Break).into_iter();
            simple.take_while(|simple| *simple != Effect::Break(bytes)).collect()
        }
        Effect::Stall(by) => rounder(by, MS).into_iter().map(Effect::Stall).collect(),
        Effect::Split(at) => [1, 2].into_iter().filter(|less| *less < at).map(Effect::Split).collect(),
        Effect::Delay(by) => {
            let shorter = rounder(by, MS).into_iter().map(Effect::Delay);
            [Effect::Drop].into_iter().chain(shorter).collect()
        }
        Effect::Duplicate(by) => {
            let shorter = rounder(by, MS).into_iter().map(Effect::Duplicate);
            [Effect::Drop].into_iter().chain(shorter).collect()
        }
        Effect::Replay(by) => {
            let shorter = rounder(by, MS).into_iter();
            let copies = shorter.clone().take(1).map(Effect::Duplicate);
            [Effect::Drop].into_iter().chain(copies).chain(shorter.map(Effect::Replay)).collect()
        }
        Effect::Splice { back, at, reseal } => {
            let splice = |back, at| Effect::Splice { back, at, reseal };
            let nearer = [1, 2].into_iter().filter(|less| *less < back).map(|back| splice(back, at));
            let sooner = [0, 1, at / 2].into_iter().filter(|less| *less < at).map(|at| splice(back, at));
            [Effect::Drop].into_iter().chain(nearer).chain(sooner).collect()
        }
        Effect::Corrupt(damage, bits) => {
            let small = [1_u32, 2, 3].into_iter().filter(|small| *small < bits);
            [Effect::Drop].into_iter().chain(small.map(|bits| Effect::Corrupt(damage, bits))).collect()
        }
    }
}

fn faults(fault: &Fault) -> Vec<Fault> {
    let mut all = Vec::new();
    if let What::Crash { node, disk } = &fault.what
        && *disk != DiskLoss::Unsynced
    {
        let what = What::Crash { node: node.clone(), disk: DiskLoss::Unsynced };
        all.push(Fault { what, ..fault.clone() });
    }
    if let What::Partition { from, to, .. } = &fault.what
        && from.len() + to.len() > 2
    {
        for i in 0..from.len() + to.len() {
            let mut what = fault.what.clone();
            if let What::Partition { from, to, .. } = &mut what {
                let (side, i) = if i < from.len() { (from, i) } else { (to, i - from.len()) };
                side.remove(i);
                if side.is_empty() {
                    continue;
                }
            }
            all.push(Fault { what, ..fault.clone() });
        }
    }
    if let Some(lasts) = fault.lasts {
        let shorter = rounder(nanos(lasts), MS).into_iter();
        all.extend(shorter.map(|span| Fault { lasts: Some(Duration::from_nanos(span)), ..fault.clone() }));
    }
    all
}

/// Smaller numbers, the smallest first: `least`, the half, the whole seconds, tenths and thousandths in it.
fn rounder(nanos: u64, least: u64) -> Vec<u64> {
    let whole = |unit: u64| nanos / unit * unit;
    let mut all =
        vec![least, whole(1_000 * MS), nanos / 2 / MS * MS, whole(100 * MS), whole(10 * MS), whole(MS)];
    all.retain(|smaller| (least..nanos).contains(smaller));
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    fn simpler(line: &str) -> Vec<String> {
        let schedule = Schedule::parse(&format!("simtest-sched 1\n{line}")).unwrap();
        lines(&schedule.lines[0]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_drop_is_as_simple_as_it_gets() {
        assert_eq!(simpler("f1 drop a>b \"X\" occ=2"), [""; 0]);
    }

    #[test]
    fn other_effects_become_drops_or_smaller() {
        let all = simpler("f1 delay a>b \"X\" occ=2 by=23ms");
        assert_eq!(
            all,
            [
                "f1 drop a>b \"X\" occ=2",
                "f1 delay a>b \"X\" occ=2 by=1ms",
                "f1 delay a>b \"X\" occ=2 by=11ms",
                "f1 delay a>b \"X\" occ=2 by=20ms"
            ]
        );
    }

    #[test]
    fn crashes_become_plain_short_and_early() {
        let all = simpler("f1 crash s at=1240ms for=7ms disk=torn:0x1");
        assert_eq!(
            all,
            [
                "f1 crash s at=1240ms for=7ms disk=unsynced",
                "f1 crash s at=1240ms for=1ms disk=torn:0x1",
                "f1 crash s at=1240ms for=3ms disk=torn:0x1",
                "f1 crash s at=0s for=7ms disk=torn:0x1",
                "f1 crash s at=620ms for=7ms disk=torn:0x1",
                "f1 crash s at=1s for=7ms disk=torn:0x1",
                "f1 crash s at=1200ms for=7ms disk=torn:0x1"
            ]
        );
    }

    #[test]
    fn partitions_lose_members() {
        let all = simpler("f1 partition a|s,b at=0ms for=1ms");
        assert_eq!(all, ["f1 partition a|b at=0s for=1ms", "f1 partition a|s at=0s for=1ms"]);
    }
}
