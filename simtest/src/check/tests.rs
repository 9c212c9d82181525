use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::oracle::Check;

#[derive(Clone, Copy, Debug, PartialEq)]
enum E {
    Invoke(u64, u64, u64),
    Acked(u64, u64, u64),
    Rejected(u64, u64),
    Deliver(u64, u64, u64, u64, u64),
    Starts(u64, u64),
    Read(u64, u64),
}
use E::{Acked, Deliver, Invoke, Read, Rejected, Starts};

fn judge(spec: LogSpec, history: &[E]) -> Check {
    let mut log = SlotLog::new(spec);
    let mut online = Ok(());
    for event in history {
        let check = match *event {
            Invoke(c, s, b) => log.invoke(c, s, b),
            Acked(c, s, slot) => log.acked(c, s, slot),
            Rejected(c, s) => log.rejected(c, s),
            Deliver(r, slot, c, s, b) => log.deliver(r, slot, c, s, b),
            Starts(r, slot) => log.reader_starts(r, slot),
            Read(c, next) => log.read(c, next),
        };
        online = online.and(check);
    }
    let end = log.finally();
    if online.is_err() {
        assert_eq!(online, end, "the end repeats the first failure");
    }
    end
}

/// Keeps every rule: two clients, two readers, one of which comes back and reads a slot again, and an append
/// that stays open.
const GOOD: [E; 16] = [
    Invoke(3, 0, 30),
    Invoke(1, 0, 10),
    Invoke(2, 0, 20),
    Acked(1, 0, 0),
    Read(1, 1),
    Invoke(1, 1, 11),
    Deliver(7, 0, 1, 0, 10),
    Deliver(7, 1, 2, 0, 20),
    Starts(7, 1),
    Deliver(7, 1, 2, 0, 20),
    Acked(2, 0, 1),
    Deliver(8, 0, 1, 0, 10),
    Deliver(8, 1, 2, 0, 20),
    Deliver(8, 2, 1, 1, 11),
    Deliver(7, 2, 1, 1, 11),
    Acked(1, 1, 2),
];

/// The good history goes on in a way that breaks this rule, and no other; returns the witness.
fn broken(rule: Rule, more: &[E]) -> String {
    let history = [&GOOD, more].concat();
    assert_eq!(judge(LogSpec::all().without(rule), &history), Ok(()), "another rule is broken too");
    judge(LogSpec::only([rule]), &history).expect_err("the rule is broken")
}

#[test]
fn a_good_history_passes() {
    assert_eq!(judge(LogSpec::all(), &GOOD), Ok(()));
}

#[test]
fn two_entries_in_one_slot() {
    let why = broken(Rule::Agreement, &[Starts(9, 2), Deliver(9, 2, 3, 0, 30)]);
    assert_eq!(
        why,
        "agreement: step 18: reader 9 gets 3#0 in slot 2, but in step 14 reader 8 got it 1#1 there"
    );
}

#[test]
fn a_slot_is_left_out() {
    let why = broken(Rule::NoGaps, &[Deliver(7, 4, 3, 0, 30)]);
    assert_eq!(why, "no-gaps: step 17: reader 7 gets slot 4, after step 15 slot 3 was next");
}

#[test]
fn a_slot_comes_again() {
    let why = broken(Rule::MonotonicReads, &[Deliver(7, 2, 1, 1, 11)]);
    assert_eq!(why, "monotonic-reads: step 17: reader 7 gets slot 2, after step 15 slot 3 was next");
}

#[test]
fn the_log_shrinks() {
    let why = broken(Rule::MonotonicReads, &[Read(2, 3), Read(2, 2)]);
    assert_eq!(why, "monotonic-reads: step 18: client 2 reads below slot 2, but read below 3 in step 17");
}

#[test]
fn an_append_is_there_twice() {
    let why = broken(Rule::ExactlyOnce, &[Deliver(7, 3, 2, 0, 20)]);
    assert_eq!(
        why,
        "exactly-once: step 17: reader 7 gets 2#0 in slot 3, but in step 8 reader 7 got it in slot 1"
    );
}

#[test]
fn nobody_appended_it() {
    let why = broken(Rule::NoInvention, &[Deliver(7, 3, 4, 0, 40)]);
    assert_eq!(why, "no-invention: step 17: reader 7 gets 4#0 in slot 3, but nobody has appended it");
}

#[test]
fn it_was_refused() {
    let why = broken(Rule::NoInvention, &[Rejected(3, 0), Deliver(7, 3, 3, 0, 30)]);
    assert_eq!(why, "no-invention: step 18: reader 7 gets 3#0 in slot 3, but step 17 rejected it");
    let why = broken(Rule::NoInvention, &[Deliver(7, 3, 3, 0, 30), Rejected(3, 0)]);
    assert_eq!(why, "no-invention: step 18: 3#0 was rejected, but in step 17 reader 7 got it in slot 3");
}

#[test]
fn it_was_damaged() {
    let why = broken(Rule::Integrity, &[Deliver(7, 3, 3, 0, 31)]);
    assert_eq!(why, "integrity: step 17: reader 7 gets 3#0 with body 0x1f, but step 1 appended 0x1e");
}

#[test]
fn it_was_acknowledged_and_lost() {
    let why = broken(Rule::NoLoss, &[Acked(3, 0, 3)]);
    assert_eq!(why, "no-loss: step 17 acknowledged 3#0 in slot 3, and no reader got that slot");
    let why = broken(Rule::NoLoss, &[Acked(3, 0, 3), Deliver(7, 3, 3, 0, 30)]);
    assert_eq!(why, "no-loss: step 17 acknowledged 3#0 in slot 3, and reader 8 still waits for slot 3");
}

#[test]
fn a_later_append_is_in_an_earlier_slot() {
    let more = [
        Starts(7, 10),
        Deliver(7, 10, 3, 0, 30),
        Acked(3, 0, 10),
        Invoke(4, 0, 40),
        Starts(7, 5),
        Deliver(7, 5, 4, 0, 40),
        Starts(7, 11),
        Starts(8, 11),
    ];
    let why = broken(Rule::RealTime, &more);
    let expected = "real-time: step 22: reader 7 gets 4#0 in slot 5, but it was invoked in step 20, after step 19 \
                    acknowledged slot 10";
    assert_eq!(why, expected);
}

#[test]
fn a_client_is_overtaken_by_itself() {
    let more = [Invoke(1, 2, 12), Invoke(1, 3, 13), Deliver(7, 3, 1, 3, 13), Deliver(7, 4, 1, 2, 12)];
    let why = broken(Rule::ClientOrder, &more);
    assert_eq!(why, "client-order: step 20: reader 7 gets 1#2 in slot 4, but 1#3 is in slot 3");
}

#[test]
fn a_client_misses_its_own() {
    let why = broken(Rule::ReadYourWrites, &[Read(1, 2)]);
    let expected =
        "read-your-writes: step 17: client 1 reads below slot 2, but step 16 acknowledged its slot 2";
    assert_eq!(why, expected);
}

#[test]
fn a_reader_that_is_gone_need_not_read_on() {
    let mut log = SlotLog::new(LogSpec::all().first_slot(1));
    log.invoke(1, 0, 5).unwrap();
    log.reader_starts(8, 1).unwrap();
    log.deliver(7, 1, 1, 0, 5).unwrap();
    log.acked(1, 0, 1).unwrap();
    assert!(log.finally().unwrap_err().contains("reader 8 still waits"));
    log.reader_gone(8).unwrap();
    assert_eq!(log.finally(), Ok(()));
    assert_eq!(log.reader_next(7), 2);
}

impl Arbitrary for E {
    /// Small numbers, so that events have to do with each other.
    fn arbitrary(g: &mut Gen) -> Self {
        let mut below = |n: u64| u64::arbitrary(g) % n;
        let (c, s, slot, reader) = (below(3), below(3), below(5), below(2));
        let body = c * 10 + s + u64::from(below(3) == 0);
        match below(16) {
            0..=3 => Invoke(c, s, c * 10 + s),
            4..=6 => Acked(c, s, slot),
            7 => Rejected(c, s),
            8..=12 => Deliver(reader, slot, c, s, body),
            13 => Starts(reader, slot),
            _ => Read(c, slot + 1),
        }
    }
}

/// (position, slot, append) of everything that says where an append is.
fn claims(h: &[E]) -> Vec<(usize, u64, (u64, u64))> {
    let claim = |(i, event): (usize, &E)| match *event {
        Acked(c, s, slot) | Deliver(_, slot, c, s, _) => Some((i, slot, (c, s))),
        _ => None,
    };
    h.iter().enumerate().filter_map(claim).collect()
}

fn invoked(h: &[E], op: (u64, u64)) -> Option<(usize, u64)> {
    h.iter().enumerate().find_map(|(i, event)| match *event {
        Invoke(c, s, body) if (c, s) == op => Some((i, body)),
        _ => None,
    })
}

/// The slot that a reader expects before event `i`.
fn expected(h: &[E], reader: u64, i: usize) -> u64 {
    let step = |event: &E| match *event {
        Deliver(r, slot, ..) if r == reader => Some(slot + 1),
        Starts(r, slot) if r == reader => Some(slot),
        _ => None,
    };
    h[..i].iter().rev().find_map(step).unwrap_or(0)
}

/// Each rule once more, as plainly as possible: whether the history keeps it.
fn naive(rule: Rule, h: &[E]) -> bool {
    let claims = claims(h);
    let all = || h.iter().enumerate();
    let first_slot = |op| claims.iter().find(|(.., other)| *other == op).map(|(_, slot, _)| *slot);
    match rule {
        Rule::Agreement => {
            let same_op = claims.iter().all(|(_, x, a)| claims.iter().all(|(_, y, b)| x != y || a == b));
            let bodies =
                |event: &E| if let Deliver(_, slot, .., body) = *event { Some((slot, body)) } else { None };
            let bodies: Vec<_> = h.iter().filter_map(bodies).collect();
            same_op && bodies.iter().all(|(x, a)| bodies.iter().all(|(y, b)| x != y || a == b))
        }
        Rule::NoGaps => all().all(|(i, e)| match *e {
            Deliver(r, slot, ..) => slot <= expected(h, r, i),
            _ => true,
        }),
        Rule::MonotonicReads => all().all(|(i, e)| match *e {
            Deliver(r, slot, ..) => slot >= expected(h, r, i),
            Read(c, next) => !h[..i].iter().any(|e| matches!(*e, Read(d, longer) if d == c && longer > next)),
            _ => true,
        }),
        Rule::ExactlyOnce => claims.iter().all(|(_, x, a)| claims.iter().all(|(_, y, b)| a != b || x == y)),
        Rule::NoInvention => claims.iter().all(|(i, _, op)| {
            let rejected = h.iter().any(|e| matches!(*e, Rejected(c, s) if (c, s) == *op));
            !rejected && invoked(h, *op).is_some_and(|(when, _)| when < *i)
        }),
        Rule::Integrity => all().all(|(i, e)| match *e {
            Deliver(_, _, c, s, body) => {
                invoked(&h[..i], (c, s)).is_none_or(|(_, appended)| appended == body)
            }
            _ => true,
        }),
        Rule::NoLoss => all().all(|(i, e)| match *e {
            Acked(c, s, slot) => {
                let first = !h[..i].iter().any(|e| matches!(*e, Acked(d, t, _) if (c, s) == (d, t)));
                let read = h.iter().any(|e| matches!(*e, Deliver(_, at, ..) if at == slot));
                let reads = |r: u64| h.iter().any(|e| matches!(*e, Deliver(q, ..) | Starts(q, _) if q == r));
                !first || (read && (0..2).all(|r| !reads(r) || expected(h, r, h.len()) > slot))
            }
            _ => true,
        }),
        Rule::RealTime => claims.iter().all(|(i, slot, op)| {
            invoked(&h[..*i], *op).is_none_or(|(when, _)| {
                !h[..when].iter().any(|e| matches!(*e, Acked(_, _, lower) if *slot <= lower))
            })
        }),
        Rule::ClientOrder => claims.iter().all(|(.., a)| {
            let higher = claims.iter().filter(|(.., b)| a.0 == b.0 && a.1 < b.1);
            higher.into_iter().all(|(.., b)| first_slot(*a) < first_slot(*b))
        }),
        Rule::ReadYourWrites => all().all(|(i, e)| match *e {
            Read(c, next) => {
                !h[..i].iter().any(|e| matches!(*e, Acked(d, _, slot) if d == c && slot >= next))
            }
            _ => true,
        }),
    }
}

#[test]
fn every_rule_agrees_with_a_plain_reading_of_it() {
    for rule in Rule::ALL {
        let (mut kept, mut broken) = (0, 0);
        let mut agrees = |history: Vec<E>| {
            let holds = naive(rule, &history);
            if holds {
                kept += 1;
            } else {
                broken += 1;
            }
            judge(LogSpec::only([rule]), &history).is_ok() == holds
        };
        let mut g = Gen::new(12);
        for _ in 0..5_000 {
            let history = Vec::<E>::arbitrary(&mut g);
            assert!(agrees(history.clone()), "{}: {history:?}", rule.name());
        }
        assert!(kept > 100 && broken > 100, "{}: {kept} histories keep it, {broken} break it", rule.name());
    }
}

quickcheck! {
    fn all_rules_together_fail_where_one_does(history: Vec<E>) -> bool {
        let one = Rule::ALL.into_iter().any(|rule| judge(LogSpec::only([rule]), &history).is_err());
        judge(LogSpec::all(), &history).is_err() == one
    }
}
