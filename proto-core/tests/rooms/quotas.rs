//! Quotas, beside a copy of the original's script.

use std::time::Duration;

use proto_core::Timestamp;
use proto_core::room::*;

/// `NoteQuota.js`, line by line.
struct Script {
    allowance: i64,
    max: i64,
    points: i64,
    history: Vec<i64>,
}

impl Script {
    fn new(params: QuotaParams) -> Self {
        let (allowance, max) = (params.allowance.into(), params.max.into());
        Self { allowance, max, points: max, history: vec![max; 3] }
    }

    fn tick(&mut self) {
        self.history.insert(0, self.points);
        self.history.truncate(3);
        if self.points < self.max {
            self.points += self.allowance;
            if self.points > self.max {
                self.points = self.max;
            }
        }
    }

    fn spend(&mut self, needed: i64) -> bool {
        let sum: i64 = self.history.iter().sum();
        let needed = if sum <= 0 { needed * self.allowance } else { needed };
        if self.points < needed {
            return false;
        }
        self.points -= needed;
        true
    }
}

quickcheck::quickcheck! {
    fn the_quota_is_the_originals(steps: Vec<(u16, u16)>, kind: u8) -> bool {
        let params = [QuotaParams::LOBBY, QuotaParams::NORMAL, QuotaParams::HOLDER][usize::from(kind % 3)];
        let (mut quota, mut script) = (NoteQuota::new(Timestamp::ZERO, params), Script::new(params));
        let (mut now, mut ticks) = (0, 0);
        steps.into_iter().all(|(wait, notes)| {
            now += u64::from(wait) % 30_000;
            while (ticks + 1) * 2000 <= now {
                script.tick();
                ticks += 1;
            }
            // Mostly all there is, so that it is often exhausted.
            let needed = if notes % 3 == 0 { u32::from(notes) % 700 } else { u32::try_from(script.points).unwrap_or(0) };
            let at = Timestamp::from_millis(now);
            quota.spend(at, needed) == script.spend(needed.into()) && i64::from(quota.points(at)) == script.points
        })
    }
}

#[test]
fn after_three_ticks_at_nothing_a_note_costs_the_allowance() {
    let params = QuotaParams::LOBBY;
    let mut quota = NoteQuota::new(Timestamp::ZERO, params);
    let at = |tick: u64| Timestamp::from_millis(tick * 2000);
    assert!(quota.spend(at(0), 600));
    assert!(!quota.spend(at(0), 1));
    for tick in 1..=2 {
        assert!(quota.spend(at(tick), 200), "what a tick gives");
    }
    assert_eq!(quota.points(at(3)), 200);
    assert!(!quota.can_spend(at(3), 2));
    assert!(quota.spend(at(3), 1), "200 points, at the price of 200");
    assert_eq!(quota.points(at(3)), 0);
    quota.set_params(at(3), QuotaParams::HOLDER);
    assert_eq!(quota.points(at(3)), 1800, "other parameters fill it");
}

#[test]
fn a_bucket_gives_a_burst_and_then_its_rate() {
    let allowed = Allowed::times(4, Duration::from_secs(4));
    let mut bucket = Bucket::default();
    let start = Timestamp::from_millis(50);
    let taken = (0..10).filter(|_| bucket.take(start, allowed)).count();
    assert_eq!(taken, 4);
    let taken: Vec<u64> =
        (0..4000).filter(|ms| bucket.take(start + Duration::from_millis(*ms), allowed)).collect();
    assert_eq!(taken, [1000, 2000, 3000]);
    let mut free = Bucket::default();
    assert!((0..1000).all(|_| free.take(start, Allowed::UNLIMITED)));
    assert!(!Bucket::default().take(start, Allowed { burst: 0, ..allowed }));
}

#[test]
fn colours_can_be_read_on_white() {
    for number in 0..=255 {
        let Color([r, g, b]) = UserId([number; 12]).color();
        assert!(u32::from(r) + u32::from(g) + u32::from(b) <= 0x282);
    }
    assert_eq!(Color::from_hex("#0aFf10"), Some(Color([0x0A, 0xFF, 0x10])));
    for text in ["#0aff1", "0aff10", "#0aff1g", "<script>", "#+aff10", ""] {
        assert_eq!(Color::from_hex(text), None, "{text}");
    }
    let id = UserId([0xA5; 12]);
    assert_eq!(UserId::from_hex(&id.to_hex()), Some(id));
    assert_eq!(UserId::from_hex("xyz"), None);
}
