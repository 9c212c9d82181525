use super::*;
use crate::choice::FromSeed;

fn names() -> Vec<String> {
    ["s", "a", "b"].map(String::from).into()
}

fn plan(chaos: &Chaos, seed: u64) -> Vec<Timed> {
    chaos.plan(&mut FromSeed::new(seed), &Policy([1_000; 17]), &names())
}

#[test]
fn policies_are_mixed_half_quarter_quarter() {
    let policies: Vec<Policy> = (0..10_000).map(|seed| Policy::draw(&mut FromSeed::new(seed))).collect();
    let of = |policy: &Policy| Kind::FAULTS.map(|kind| policy.0[kind as usize]);
    let all_on = policies.iter().filter(|policy| of(policy) == [1_000; 15]).count();
    let scaled = policies.iter().filter(|policy| of(policy).iter().any(|x| ![0, 1_000].contains(x))).count();
    assert!((4_800..5_200).contains(&all_on), "{all_on}");
    assert!((2_300..2_700).contains(&scaled), "{scaled}");
    assert!(policies.iter().flat_map(of).all(|x| x == 0 || (500..=3_000).contains(&x)));
}

#[test]
fn timed_faults_come_as_often_as_they_should() {
    let chaos = Chaos::default().until(secs(3_000));
    let plan = plan(&chaos, 1);
    let count = |kind| plan.iter().filter(|timed| timed.fault.what.kind() == kind).count();
    assert!((2_850..3_150).contains(&count(Kind::Crash)), "3 nodes every 3 s: {}", count(Kind::Crash));
    assert!((2_100..2_400).contains(&count(Kind::Pause)), "3 nodes every 4 s: {}", count(Kind::Pause));
    assert!((800..1_050).contains(&count(Kind::Partition)), "every 3 s: {}", count(Kind::Partition));
    for Timed { at, fault, .. } in &plan {
        let lasts = fault.lasts.expect("all end");
        assert!(*at < chaos.until && lasts >= ms(1) && lasts <= secs(2), "{fault:?}");
    }
}

#[test]
fn victims_are_the_only_ones() {
    let chaos = Chaos::default().until(secs(100)).without(Kind::Partition).victims(Kind::Crash, ["s"]);
    let plan = plan(&chaos, 1);
    assert!(plan.iter().all(|timed| timed.fault.what.kind() != Kind::Partition));
    let crashed = plan.iter().filter(|timed| timed.fault.what.kind() == Kind::Crash);
    assert!(crashed.flat_map(|timed| timed.fault.nodes()).all(|name| name == "s"));
    assert!(plan.iter().flat_map(|timed| timed.fault.nodes()).any(|name| name == "a"));
}

#[test]
fn partitions_have_two_sides() {
    let mut forms = std::collections::BTreeSet::new();
    for word in 0..64 {
        for alt in 1..=4 {
            let Some(What::Partition { from, to, both }) = partition(alt, mix(word), &names()) else {
                continue;
            };
            assert_eq!(from.len() + to.len(), 3);
            assert!(from.iter().all(|name| !to.contains(name)));
            forms.insert((alt, from.len(), both));
        }
    }
    assert!(
        forms.is_superset(&[(1, 1, true), (2, 1, false), (3, 2, false), (4, 1, true), (4, 2, true)].into())
    );
    assert_eq!(partition(1, 5, &names()[..1]), None, "nobody to be cut off from");
}

#[test]
fn without_leaves_out_a_family() {
    let none = Kind::FAULTS.into_iter().fold(Chaos::default().corrupt_resealed(5), Chaos::without);
    assert_eq!(plan(&none, 1), []);
    assert!(!none.rates(&Rates::default(), &Policy([1_000; 17])).any());
}
