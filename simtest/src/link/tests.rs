use super::*;
use crate::time::{ms, us};

fn numbers(link: &Link) -> String {
    let Link { delay, rates: r, mtu } = link;
    format!(
        "{delay:?} mtu {mtu} loss {} duplicate {} {:?} reorder {} {:?} corrupt {} resealed {}",
        r.loss, r.duplicate, r.duplicate_extra, r.reorder, r.reorder_extra, r.corrupt, r.resealed
    )
}

#[test]
fn presets() {
    insta::assert_snapshot!(numbers(&Link::lan()), @"Dist(Uniform { min: 200000, span: 200000 }) mtu 1472 loss 0 duplicate 0 (0, 0) reorder 0 (0, 0) corrupt 0 resealed 0");
    insta::assert_snapshot!(numbers(&Link::wifi()), @"Dist(Exp { min: 2000000, mean: 3000000 }) mtu 1472 loss 10000 duplicate 2000 (100000, 5000000) reorder 5000 (1000000, 20000000) corrupt 0 resealed 0");
    insta::assert_snapshot!(numbers(&Link::lte()), @"Dist(Exp { min: 25000000, mean: 10000000 }) mtu 1400 loss 5000 duplicate 0 (0, 0) reorder 10000 (5000000, 80000000) corrupt 0 resealed 0");
    insta::assert_snapshot!(numbers(&Link::hostile()), @"Dist(Uniform { min: 5000000, span: 55000000 }) mtu 1280 loss 300000 duplicate 100000 (0, 100000000) reorder 200000 (1000000, 200000000) corrupt 10000 resealed 0");
}

#[test]
fn presets_as_data() {
    assert_eq!(Preset::ALL.map(Preset::link), [Link::lan(), Link::wifi(), Link::lte(), Link::hostile()]);
    assert_eq!(Preset::ALL.map(Preset::name), ["lan", "wifi", "lte", "hostile"]);
}

#[test]
fn jitter_is_on_top_of_the_least_delay() {
    let link = Link::new().delay(Dist::fixed(ms(5))).jitter(us(700));
    assert_eq!(link.delay, Dist::uniform(ms(5)..us(5_700)));
}
