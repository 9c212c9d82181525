use std::collections::BTreeSet;
use std::time::Duration;

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::disk::DiskLoss;
use crate::fault::{Fault, Trouble, What};
use crate::time::Time;

fn name(g: &mut Gen) -> String {
    (*g.choose(&["s", "a", "b-1", "client_2"]).unwrap()).to_owned()
}

fn names(g: &mut Gen) -> Vec<String> {
    (0..=usize::arbitrary(g) % 3).map(|_| name(g)).collect()
}

impl Arbitrary for Effect {
    fn arbitrary(g: &mut Gen) -> Self {
        let ways = [Damage::Flip, Damage::FlipResealed, Damage::Truncate];
        match u8::arbitrary(g) % 9 {
            4 => Self::Break(*g.choose(&[0, 17, u32::MAX]).unwrap()),
            5 => Self::Stall(u64::arbitrary(g)),
            6 => Self::Split(u32::arbitrary(g)),
            7 => Self::Replay(u64::arbitrary(g)),
            8 => {
                let (back, at) = (1 + u32::arbitrary(g) % Self::FURTHEST_BACK, u32::arbitrary(g));
                Self::Splice { back, at, reseal: bool::arbitrary(g) }
            }
            0 => Self::Drop,
            1 => Self::Delay(u64::arbitrary(g)),
            2 => Self::Duplicate(u64::from(u32::arbitrary(g)) * 1_000_000),
            _ => Self::Corrupt(*g.choose(&ways).unwrap(), u32::arbitrary(g)),
        }
    }
}

impl Arbitrary for DatagramFault {
    fn arbitrary(g: &mut Gen) -> Self {
        let (content, occ) = if bool::arbitrary(g) {
            (Content::Label(String::arbitrary(g)), u32::arbitrary(g))
        } else {
            (Content::Ordinal(u32::arbitrary(g)), 1)
        };
        Self { src: name(g), dst: name(g), content, occ, effect: Effect::arbitrary(g) }
    }
}

impl Arbitrary for What {
    fn arbitrary(g: &mut Gen) -> Self {
        let seed = u32::arbitrary(g);
        let losses = [DiskLoss::Unsynced, DiskLoss::Kept, DiskLoss::Torn(seed), DiskLoss::Garbled(seed)];
        match u8::arbitrary(g) % 6 {
            4 => Self::Clock { node: name(g), step_ms: i64::arbitrary(g), drift_ppm: i32::arbitrary(g) },
            5 => Self::Rebind { node: name(g) },
            0 => Self::Crash { node: name(g), disk: *g.choose(&losses).unwrap() },
            1 => Self::Pause { node: name(g) },
            2 => Self::Partition { from: names(g), to: names(g), both: bool::arbitrary(g) },
            _ => {
                let trouble = *g.choose(&[Trouble::Full, Trouble::Error, Trouble::Slow]).unwrap();
                Self::Disk { node: name(g), trouble }
            }
        }
    }
}

impl Arbitrary for LineWhat {
    fn arbitrary(g: &mut Gen) -> Self {
        if bool::arbitrary(g) {
            return Self::Datagram(DatagramFault::arbitrary(g));
        }
        let at = Time::from_nanos(u64::arbitrary(g));
        let lasts = Option::<u64>::arbitrary(g).map(Duration::from_nanos);
        let what = What::arbitrary(g);
        let lasts = lasts.filter(|_| !matches!(what, What::Rebind { .. }));
        Self::Timed { at, fault: Fault { what, lasts } }
    }
}

impl Arbitrary for Without {
    fn arbitrary(g: &mut Gen) -> Self {
        let host = (*g.choose(&["b", "host-2"]).unwrap()).to_owned();
        if bool::arbitrary(g) { Self::Host(host) } else { Self::Cmd(host, u32::arbitrary(g)) }
    }
}

impl Arbitrary for Schedule {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut keys = BTreeSet::new();
        let mut lines = Vec::<LineWhat>::arbitrary(g);
        lines.retain(|line| match line {
            LineWhat::Datagram(fault) => keys.insert(fault.key()),
            LineWhat::Timed { .. } => true,
        });
        Self {
            test: "some test".into(),
            nodes: u64::arbitrary(g),
            weather: if bool::arbitrary(g) { Weather::Flat } else { Weather::Seed(u64::arbitrary(g)) },
            without: Vec::<Without>::arbitrary(g),
            lines: (1..).zip(lines).map(|(id, what)| Line { id, what }).collect(),
            expect: bool::arbitrary(g).then(|| "exactly-once".into()),
        }
    }
}

quickcheck! {
    fn text_and_schedule_are_inverse(schedule: Schedule) -> bool {
        Schedule::parse(&schedule.to_text()) == Ok(schedule)
    }

    fn any_text_is_parsed_or_refused(lines: Vec<String>) -> bool {
        let text = format!("simtest-sched 1\n{}", lines.join("\n"));
        Schedule::parse(&text).map_or_else(|error| error.line > 0, |s| Schedule::parse(&s.to_text()) == Ok(s))
    }

    fn damaged_text_does_not_panic(schedule: Schedule, at: usize, with: char) -> bool {
        let mut chars: Vec<char> = schedule.to_text().chars().collect();
        let at = at % chars.len();
        chars[at] = with;
        let text: String = chars.into_iter().collect();
        Schedule::parse(&text).map_or_else(|error| error.line > 0, |s| Schedule::parse(&s.to_text()) == Ok(s))
    }
}

const TEXT: &str = r#"simtest-sched 1
test lease
nodes 42
weather flat
f1 drop s>a "Ack seq=0" occ=1
f2 delay a>s "say \"hi\"\n" occ=2 by=13ms
f3 duplicate a>s #7 by=1500us
f4 corrupt s>a "Ack seq=0" occ=3 flip=0x1a2b3c4d reseal
f5 crash s at=100ms for=50ms disk=torn:0x17
f6 pause b at=1s for=ever
f7 partition a|s,b at=2s for=3s
f8 disk s full at=3001ms for=1ns
expect exactly-once
"#;

#[test]
fn the_form_is_stable() {
    assert_eq!(Schedule::parse(TEXT).unwrap().to_text(), TEXT);
}

#[test]
fn comments_and_empty_lines_are_skipped() {
    let spaced = TEXT.replace('\n', "\n\n  # why\n");
    assert_eq!(Schedule::parse(&spaced), Schedule::parse(TEXT));
}

#[test]
fn errors_say_where_and_what() {
    let error =
        |line: &str| Schedule::parse(&format!("simtest-sched 1\ntest x\n{line}")).unwrap_err().to_string();
    let cases = [
        ("x", "expected `test`, `nodes`, `weather`, `without`, `expect` or a fault id like `f1`, found `x`"),
        (
            "f0 drop",
            "expected `test`, `nodes`, `weather`, `without`, `expect` or a fault id like `f1`, found `f0`",
        ),
        ("nodes many", "expected a seed, found `many`"),
        ("weather wet", "expected `flat` or a seed, found `wet`"),
        (
            "f1",
            "expected drop, delay, duplicate, replay, corrupt, splice, break, stall, split, crash, pause, partition, disk, clock or rebind at the end",
        ),
        (
            "f1 lose",
            "expected drop, delay, duplicate, replay, corrupt, splice, break, stall, split, crash, pause, partition, disk, clock or rebind, found `lose`",
        ),
        (
            "f01 drop",
            "expected `test`, `nodes`, `weather`, `without`, `expect` or a fault id like `f1`, found `f01`",
        ),
        ("f1 drop s>a #4294967296", "expected # and a position, found `4294967296`"),
        ("f1 drop sa", "expected a flow like a>s, found `sa`"),
        ("f1 drop s>a Ack", "expected a label in quotes or #n, found `Ack`"),
        ("f1 drop s>a \"Ack", "the label has no closing quote"),
        ("f1 drop s>a \"Ack\"", "expected occ=a number at the end"),
        ("f1 drop s>a \"Ack\" 3", "expected occ=a number, found `3`"),
        ("f1 drop s>a \"Ack\" occ=1 now", "expected the end of the line, found `now`"),
        ("f1 delay s>a \"Ack\" occ=1 by=13", "expected a time like 20ms, found `13`"),
        (
            "f1 corrupt s>a #1 cut=1 reseal",
            "expected flip=0x.. or cut=0x.. (reseal goes with flip only), found `cut=1`",
        ),
        (
            "f1 crash s at=1ms for=2ms disk=wet",
            "expected unsynced, kept, torn:0x.. or garbled:0x.., found `wet`",
        ),
        ("f1 disk s wet at=1ms for=1ms", "expected full, error or slow, found `wet`"),
        ("f1 partition s at=1ms for=1ms", "expected sides like a|s,b or a>s, found `s`"),
        ("f1 pause s at=1ms for=99999999999999999s", "expected a time like 20ms, found `99999999999999999s`"),
    ];
    for (line, message) in cases {
        assert_eq!(error(line), format!("schedule line 3: {message}"));
    }
    let twice = "f1 drop s>a #1\nf1 drop s>a #2";
    assert_eq!(error(twice), "schedule line 4: f1 is there already");
    let same = "f1 drop s>a #1\nf2 delay s>a #1 by=1ms\nf3 drop s>a #1";
    assert_eq!(error(same), "schedule line 5: f3 is about the same as f1");
    assert_eq!(error("nodes 1\nnodes 2"), "schedule line 4: nodes is there already");
    let magic = Schedule::parse("simtest-sched 2").unwrap_err();
    assert_eq!(magic.to_string(), "schedule line 1: expected `simtest-sched 1`, found `simtest-sched 2`");
}
