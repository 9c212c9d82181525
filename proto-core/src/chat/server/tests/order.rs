use super::*;

#[test]
fn the_earlier_author_goes_first() {
    let mut f = fixture();
    f.join(1);
    f.join(2);
    let now = f.now.unix_ms;
    f.append_at(1, 1, now - 10, "later");
    f.append_at(2, 1, now - 500, "earlier");
    assert_eq!(f.commit(), ["earlier", "later"]);
}

#[test]
fn a_clock_moves_an_append_by_at_most_two_seconds() {
    let mut f = fixture();
    for i in 1..=3 {
        f.join(i);
    }
    let start = f.now.unix_ms;
    f.append_at(1, 1, start, "honest");
    f.wait(1_999);
    f.append_at(2, 1, 0, "1.999 s later, from 1970");
    f.wait(2);
    f.append_at(3, 1, 0, "2.001 s later, from 1970");
    assert_eq!(f.commit(), ["1.999 s later, from 1970", "honest", "2.001 s later, from 1970"]);

    let start = f.now.unix_ms;
    f.append_at(1, 2, u64::MAX, "from the future");
    f.append_at(2, 2, start, "honest");
    f.wait(1);
    f.append_at(3, 2, f.now.unix_ms, "next");
    let committed = f.commit();
    assert_eq!(committed.last().map(String::as_str), Some("next"), "the future counts as now");
}

#[test]
fn ties_are_broken_by_client() {
    let order = |first: u32, second: u32| {
        let mut f = fixture();
        f.join(1);
        f.join(2);
        f.append(first, 1, &first.to_string());
        f.append(second, 1, &second.to_string());
        f.commit()
    };
    assert_eq!(order(1, 2), order(2, 1));
}

#[test]
fn a_clients_own_order_stands() {
    let mut f = fixture();
    f.join(1);
    let now = f.now.unix_ms;
    f.append_at(1, 1, now, "a");
    f.append_at(1, 2, now - 2_000, "b");
    f.append_at(1, 3, now - 1_000, "c");
    assert_eq!(f.commit(), ["a", "b", "c"]);
}

#[test]
fn a_client_does_not_fall_behind_its_own_past() {
    let mut f = fixture();
    f.join(1);
    f.join(2);
    let now = f.now.unix_ms;
    f.append_at(1, 1, now, "a1");
    assert_eq!(f.commit(), ["a1"]);
    f.append_at(1, 2, 0, "a2, at the time of a1");
    f.append_at(2, 1, now - 500, "b1");
    assert_eq!(f.commit(), ["b1", "a2, at the time of a1"]);
}

#[test]
fn a_flooder_does_not_starve_anybody() {
    let mut f = with(ChatConfig { batch_records: 4, max_batches: 1, ..ChatConfig::default() });
    f.join(1);
    f.join(2);
    let mut sequence = 0;
    let mut waited = 0;
    f.wait(1);
    f.append(2, 1, "quiet");
    loop {
        while f.server.is_ready(connection(1)) {
            sequence += 1;
            f.append_at(1, sequence, 0, "flood");
        }
        let batch = f.batch().expect("there is always something");
        f.server.handle_persisted(f.now, batch.number);
        f.said();
        if bodies(&batch).iter().any(|body| body == "quiet") {
            break;
        }
        waited += 1;
        f.wait(100);
        assert!(waited <= 20 + 16, "it takes at most 2 s, and what was queued before");
    }
}

#[test]
fn a_step_of_the_wall_clock_changes_nothing() {
    let mut f = fixture();
    f.join(1);
    f.join(2);
    f.append(1, 1, "before");
    f.now.unix_ms -= 500_000;
    f.wait(5);
    f.append(2, 1, "after");
    assert_eq!(f.commit(), ["before", "after"]);
}

#[test]
fn a_clock_that_runs_backwards_is_clamped() {
    let mut f = fixture();
    f.join(1);
    f.join(2);
    f.append(1, 1, "first");
    f.now.mono = Timestamp::ZERO;
    f.append(2, 1, "second");
    f.append(1, 2, "third");
    let committed = f.commit();
    let at = |body: &str| committed.iter().position(|other| other == body);
    assert!(at("first") < at("third") && committed.len() == 3);
}
