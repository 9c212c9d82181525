use core::time::Duration;

use super::{Bucket, SendRates, lesser};
use crate::Timestamp;
use crate::wire::Rate;

const START: Timestamp = Timestamp::from_millis(5000);

const fn rate(messages: u64, message_burst: u64, bytes: u64, byte_burst: u64) -> Rate {
    Rate { messages, message_burst, bytes, byte_burst }
}

/// Messages of `size` that pass within `span` when one is always waiting.
fn passes(rate: Rate, size: u64, span: Duration) -> u64 {
    let (mut bucket, mut now, mut count) = (Bucket::new(START, rate), START, 0);
    loop {
        bucket.fill(now);
        let at = bucket.ready_at(1, size);
        if at <= now {
            bucket.charge(1, size);
            count += 1;
            continue;
        }
        now = at;
        if now.since(START) >= span {
            return count;
        }
    }
}

#[test]
fn a_burst_and_then_the_rate() {
    let second = Duration::from_secs(1);
    assert_eq!(passes(rate(50, 100, 0, 0), 1000, second * 10), 100 + 500 - 1);
    assert_eq!(passes(rate(0, 0, 10_000, 5000), 100, second * 10), 50 + 1000 - 1);
    assert_eq!(passes(rate(3, 1, 0, 0), 0, second * 1000), 1 + 3000 - 1, "thirds are not rounded");
    assert_eq!(
        passes(rate(1000, 10, 10_000, 10_000), 100, second),
        100 + 100 - 1,
        "the lesser of both counts"
    );
}

#[test]
fn what_is_larger_than_the_burst_passes_and_is_paid_for_afterwards() {
    assert_eq!(passes(rate(0, 0, 1000, 10), 10_000, Duration::from_secs(100)), 10);
    assert_eq!(passes(rate(1, 0, 0, 0), 1, Duration::from_secs(100)), 100, "a burst of 0 is one of 1");
}

#[test]
fn the_largest_numbers_do_no_harm() {
    let most = rate(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    let mut bucket = Bucket::new(START, most);
    for now in [START, Timestamp::from_nanos(u64::MAX)] {
        bucket.fill(now);
        bucket.charge(u64::MAX, u64::MAX);
        bucket.charge(u64::MAX, u64::MAX);
        assert!(bucket.ready_at(u64::MAX, u64::MAX) >= now);
    }
    let mut slow = Bucket::new(START, rate(1, 1, 1, 1));
    slow.charge(1, u64::MAX);
    assert_eq!(slow.ready_at(1, 1), Timestamp::from_nanos(u64::MAX));
}

#[test]
fn changing_the_rate_gives_nothing_back() {
    let mut bucket = Bucket::new(START, rate(10, 100, 0, 0));
    bucket.charge(100, 0);
    for _ in 0..1000 {
        bucket.change(START, rate(10, 100, 0, 0));
        assert!(bucket.ready_at(1, 0) > START);
    }
}

#[test]
fn the_lesser_of_two_rates_holds() {
    let (a, b) = (rate(10, 5, 0, 0), rate(3, 9, 100, 1000));
    assert_eq!(lesser(Some(a), Some(b)), Some(rate(3, 5, 100, 1000)));
    assert_eq!(lesser(Some(b), Some(a)), Some(rate(3, 5, 100, 1000)));
    assert_eq!(lesser(None, Some(a)), Some(a));
    assert_eq!(lesser(Some(a), None), Some(a));
    assert_eq!(lesser(None, None), None);
}

#[test]
fn a_rate_that_comes_late_means_nothing() {
    let mut rates = SendRates::new(None, None, false);
    rates.hear(START, 10, rate(1, 1, 0, 0));
    rates.hear(START, 9, rate(1_000_000, 1000, 0, 0));
    let mut channel = None;
    assert_eq!(rates.ready_at(START, &mut channel, false, 1), START);
    rates.charge(None, 1);
    assert_eq!(rates.ready_at(START, &mut channel, false, 1), START + Duration::from_secs(1));
    rates.hear(START, 11, rate(0, 0, 0, 0));
    assert_eq!(rates.ready_at(START, &mut channel, false, 1), START, "no limit any more");
}
