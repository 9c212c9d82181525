use super::*;

fn key(occ: u32) -> ChoiceKey {
    ChoiceKey { kind: Kind::Drop, locus: 77, occ }
}

const ALTS: [Alt; 2] = [Alt { ppm: 200_000, min: 10, max: 19 }, Alt { ppm: 50_000, min: 0, max: u64::MAX }];

#[test]
fn a_seed_does_not_care_in_which_order_it_is_asked() {
    let mut forwards = FromSeed::new(4);
    let mut backwards = FromSeed::new(4);
    let a: Vec<Choice> = (0..500).map(|occ| forwards.choose(key(occ), &ALTS)).collect();
    let mut b: Vec<Choice> = (0..500).rev().map(|occ| backwards.choose(key(occ), &ALTS)).collect();
    b.reverse();
    assert_eq!(a, b);
}

#[test]
fn alternatives_come_as_often_as_they_should() {
    let mut seed = FromSeed::new(4);
    let choices: Vec<Choice> = (0..100_000).map(|occ| seed.choose(key(occ), &ALTS)).collect();
    let count = |alt| choices.iter().filter(|choice| choice.alt == alt).count();
    assert!((19_500..20_500).contains(&count(1)), "{}", count(1));
    assert!((4_700..5_300).contains(&count(2)), "{}", count(2));
    let params: std::collections::BTreeSet<u64> =
        choices.iter().filter(|choice| choice.alt == 1).map(|choice| choice.param).collect();
    assert!(params.into_iter().eq(10..=19));
}

#[test]
fn keeping_half_of_the_choices_leaves_the_others_as_they_were() {
    let mut all = FromSeed::new(4);
    let mut half = FromSeed::new(4).keep(&[(0, u32::MAX / 2)]);
    let mut kept = 0;
    for occ in 0..10_000 {
        let (a, b) = (all.choose(key(occ), &ALTS), half.choose(key(occ), &ALTS));
        let inside = FromSeed::position(key(occ)) <= u32::MAX / 2;
        assert_eq!(b, if inside { a } else { Choice::DEFAULT });
        kept += u32::from(b.alt > 0);
    }
    assert!((1_000..1_500).contains(&kept), "{kept}");
}

#[test]
fn a_schedule_chooses_what_it_lists() {
    let text = "simtest-sched 1\n\
                f3 delay a>b \"X\" occ=2 by=5ms\n\
                f9 drop a>b \"X\" occ=1\n\
                f4 crash a at=1ms for=1ms disk=kept";
    let schedule = Schedule::parse(text).unwrap();
    let mut chooser = FromSchedule::new(&schedule);
    let LineWhat::Datagram(delay) = &schedule.lines[0].what else {
        unreachable!("the first line is a delay")
    };
    let choice = chooser.choose(delay.key(), &ALTS[..1]);
    assert_eq!(choice, Choice { alt: 1, param: 5_000_000, line: 3 });
    assert_eq!(chooser.choose(key(1), &ALTS), Choice::DEFAULT);
    assert_eq!(chooser.unmatched(), [9]);
    assert_eq!(chooser.timed().unwrap().len(), 1);
    assert_eq!(chooser.origin(), Origin { nodes: 0, weather: Weather::Flat });
}
