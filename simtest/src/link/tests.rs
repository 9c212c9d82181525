use super::*;
use crate::time::{ms, us};

#[test]
fn presets() {
    insta::assert_debug_snapshot!(Link::lan(), @"");
    insta::assert_debug_snapshot!(Link::wifi(), @"");
    insta::assert_debug_snapshot!(Link::lte(), @"");
    insta::assert_debug_snapshot!(Link::hostile(), @"");
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
