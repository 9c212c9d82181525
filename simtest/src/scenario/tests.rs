use super::*;

fn scenario(keep: Vec<(u32, u32)>) -> Scenario {
    Scenario { hosts: 3, messages: 9, link: Preset::Lte, seed: 5, keep }
}

fn size(keep: &[(u32, u32)]) -> u64 {
    keep.iter().map(|(low, high)| u64::from(high - low) + 1).sum()
}

#[test]
fn parts_are_cut_out_of_what_is_kept() {
    let whole = scenario(vec![(0, 99), (200, 299)]);
    assert_eq!(whole.less(2, 0), Some(vec![(200, 299)]));
    assert_eq!(whole.less(2, 1), Some(vec![(0, 99)]));
    assert_eq!(whole.less(4, 1), Some(vec![(0, 49), (200, 299)]));
    assert_eq!(whole.less(4, 3), Some(vec![(0, 99), (200, 249)]));
    assert_eq!(scenario(vec![(0, 11)]).less(3, 1), Some(vec![(0, 3), (8, 11)]));
    assert_eq!(scenario(vec![(5, 5)]).less(2, 0), None);
    assert_eq!(scenario(vec![(0, u32::MAX)]).less(2, 1), Some(vec![(0, u32::MAX / 2)]));
}

#[test]
fn every_step_is_simpler_and_some_step_is_always_left_until_the_end() {
    let mut scenario = scenario(vec![(0, u32::MAX)]);
    let mut steps = 0;
    while !scenario.simpler().is_empty() {
        let all = scenario.simpler();
        for simpler in &all {
            let measure = |s: &Scenario| (size(&s.keep), s.link, s.hosts, s.messages);
            let (a, b) = (measure(simpler), measure(&scenario));
            assert!(a.0 <= b.0 && a.1 <= b.1 && a.2 <= b.2 && a.3 <= b.3 && a != b, "{simpler:?}");
        }
        scenario = all[steps * 7 % all.len()].clone();
        steps += 1;
        assert!(steps < 1_000);
    }
    assert_eq!(
        (scenario.hosts, scenario.messages, scenario.link, scenario.keep),
        (1, 1, Preset::Lan, vec![])
    );
}

#[test]
fn debug_is_a_literal() {
    let literal = "Scenario { hosts: 3, messages: 9, link: Preset::Lte, seed: 5, keep: vec![(1, 2)] }";
    assert_eq!(format!("{:?}", scenario(vec![(1, 2)])), literal);
}
