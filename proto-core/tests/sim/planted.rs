//! Defects planted on purpose: the campaigns must find every one of them.

use std::sync::Arc;

use proto_core::chat::{self, ChatConfig};
use proto_core::planted::Planted;
use proto_core::{Class, Config, ConfigBuilder};
use simtest::{Budget, Chaos, Failure, Node, NodeId, Sim, ms, search, secs, shrink};

use crate::core::{chaos, everything, settings, sleepy};
use crate::peer::{Ask, Cmd};

const SEEDS: std::ops::Range<u64> = 0..1000;
/// What led to a failure is told in so many lines at most.
const LINES: usize = 40;

/// The fewest faults with which each defect has ever shown in these tests. A story has at most one more.
const LEAST_FAULTS: [(&str, usize); 41] = [
    ("AnySequence", 1),
    ("BusyLoop", 0),
    ("ClosedTwice", 1),
    ("CreditLeak", 0),
    ("DedupOff", 1),
    ("DeliverOverGap", 1),
    ("EstablishedTwice", 0),
    ("GapTwice", 1),
    ("GateOpen", 4),
    ("Immortal", 0),
    ("LingersOn", 1),
    ("Panics", 0),
    ("PiecesCountTwice", 1),
    ("PtoNeverFires", 1),
    ("RateLosesNewest", 1),
    ("RateUnenforced", 0),
    ("ReceiptOnce", 1),
    ("ReplyPartsUnordered", 1),
    ("ResumeForgets", 1),
    ("ResumeTwice", 1),
    ("SilentlySuperseded", 1),
    ("SkipLeak", 1),
    ("SkipOnce", 3),
    ("SleepForgets", 0),
    ("TokenForAnyone", 1),
    ("Uncounted", 1),
    ("WritableTwice", 0),
    ("chat AckBeforePersist", 3),
    ("chat AgesByWallClock", 1),
    ("chat DedupOff", 3),
    ("chat DeliverOverGap", 3),
    ("chat Panics", 0),
    ("chat StaleIncarnation", 4),
    ("rooms BansIgnored", 0),
    ("rooms CrownBeforeDurable", 1),
    ("rooms DiffsLost", 3),
    ("rooms Ghosts", 1),
    ("rooms QuotaOff", 0),
    ("sealed UpdateForgetsSide", 0),
    ("sealed WindowBeforeTag", 1),
    ("streams WrittenIsAcked", 1),
];

fn config(accept: bool, planted: Planted) -> Arc<Config> {
    ConfigBuilder { planted: Some(planted), ..settings(accept) }.build().expect("a sound configuration")
}

/// The campaign over the core finds `planted`, and says so by the oracle that it concerns.
fn core_finds(planted: Planted, oracles: &[&str]) {
    core_finds_in(planted, oracles, chaos);
}

fn core_finds_in(planted: Planted, oracles: &[&str], weather: fn() -> Chaos) {
    let (server, client) = (config(true, planted), config(false, planted));
    let build = move |seed| {
        let mut sim = everything(seed, &server, &client);
        sim.campaign(weather());
        sim
    };
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    let oracle = failure.verdict.oracle().unwrap_or_default();
    assert!(oracles.contains(&oracle), "{planted:?} was found by {oracle}: {}", failure.verdict);
    told_shortly(&format!("{planted:?}"), &failure, build);
}

/// The story of a defect is short: no more faults than a reader can follow.
fn told_shortly<N: Node>(planted: &str, failure: &Failure, build: impl Fn(u64) -> Sim<N>) {
    let budget = Budget { events: 3_000_000, schedules: 2_000, ..Budget::default() };
    let sim = build(failure.seed.expect("a seed has failed"));
    let story = shrink(&sim, &failure.schedule, budget).expect("it fails when replayed");
    println!("{planted}, seed {}: {story}", failure.seed.unwrap_or_default());
    let least = LEAST_FAULTS.iter().find(|(name, _)| *name == planted).expect("in the table").1;
    let faults = story.after.faults;
    assert!(faults <= least + 1, "{planted}: {faults} faults, and {least} are enough");
    assert!(faults >= least, "{planted}: fewer faults than ever before; the table is to be mended");
    assert!(story.slice.lines.len() <= LINES, "{planted}: it takes {} lines", story.slice.lines.len());
}

fn chat_finds(planted: chat::Planted) {
    chat_finds_by(planted, "one log");
}

fn chat_finds_by(planted: chat::Planted, oracle: &str) {
    let config = ChatConfig { planted: Some(planted), ..ChatConfig::default() };
    let build = move |seed| crate::chat::stormy_with(seed, &config);
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some(oracle), "{planted:?}: {}", failure.verdict);
    told_shortly(&format!("chat {planted:?}"), &failure, build);
}

fn rooms_find(planted: proto_core::room::Planted, oracles: &[&str]) {
    let rooms = proto_core::room::RoomConfig { planted: Some(planted), ..crate::rooms::rooms() };
    let build = move |seed| crate::rooms::stormy_with(seed, 4, &rooms);
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    let oracle = failure.verdict.oracle().unwrap_or_default();
    assert!(oracles.contains(&oracle), "{planted:?} was found by {oracle}: {}", failure.verdict);
    told_shortly(&format!("rooms {planted:?}"), &failure, build);
}

#[test]
fn a_crown_that_is_shown_before_it_is_durable_is_found() {
    rooms_find(proto_core::room::Planted::CrownBeforeDurable, &["rooms", "everybody sees what is"]);
}

#[test]
fn ghosts_are_found() {
    rooms_find(proto_core::room::Planted::Ghosts, &["everybody sees what is"]);
}

#[test]
fn bans_that_nobody_looks_at_are_found() {
    rooms_find(proto_core::room::Planted::BansIgnored, &["nobody who is banned is present"]);
}

#[test]
fn a_diff_that_is_lost_is_found() {
    rooms_find(proto_core::room::Planted::DiffsLost, &["rooms", "everybody sees what is"]);
}

#[test]
fn notes_over_the_quota_are_found() {
    rooms_find(proto_core::room::Planted::QuotaOff, &["rooms"]);
}

#[test]
fn events_that_are_told_twice_are_found() {
    core_finds(Planted::EstablishedTwice, &["guarantees"]);
    core_finds(Planted::ClosedTwice, &["guarantees"]);
    core_finds(Planted::WritableTwice, &["guarantees"]);
}

#[test]
fn lingering_for_too_long_is_found() {
    core_finds(Planted::LingersOn, &["guarantees"]);
}

#[test]
fn hoarding_is_found() {
    let (server, client) = (config(true, Planted::Hoards), config(false, Planted::Hoards));
    let found = search(SEEDS, move |seed| {
        let mut sim = everything(seed, &server, &client);
        sim.workload(|w| {
            let (s, ask) = (NodeId::new(0), Ask { class: Class::Unreliable, ..Ask::default() });
            w.at(ms(400)).cmd(s, Cmd::Read(false));
            for step in 0..100 {
                let send = Cmd::Send { channel: 0, ask, size: 15_000, count: 2 };
                w.at(ms(500 + 40 * step)).cmd(NodeId::new(1), send);
            }
        });
        sim.run_for(secs(6));
        sim
    });
    let failure = found.expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some("bounded"), "{}", failure.verdict);
}

#[test]
fn a_panic_is_found() {
    core_finds(Planted::Panics, &["panic"]);
    chat_finds_by(chat::Planted::Panics, "panic");
}

#[test]
fn a_busy_loop_is_found() {
    core_finds(Planted::BusyLoop, &["busy loop"]);
}

#[test]
fn a_run_that_cannot_be_repeated_is_found() {
    let (server, client) = (config(true, Planted::Unrepeatable), config(false, Planted::Unrepeatable));
    let diverged = simtest::check_determinism(1, |seed| {
        let mut sim = everything(seed, &server, &client);
        sim.campaign(chaos());
        sim
    });
    assert!(diverged.is_err(), "a planted defect went unnoticed");
}

#[test]
fn drops_that_are_not_counted_are_found() {
    core_finds(Planted::Uncounted, &["conservation"]);
}

#[test]
fn what_is_forgotten_while_asleep_is_found() {
    let config = |accept| ConfigBuilder { planted: Some(Planted::SleepForgets), ..sleepy(accept) };
    let [server, client] = [true, false].map(|accept| config(accept).build().expect("sound"));
    let build = move |seed| {
        let mut sim = everything(seed, &server, &client);
        sim.campaign(chaos());
        sim
    };
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    let oracle = failure.verdict.oracle().unwrap_or_default();
    assert!(["guarantees", "settled", "conservation"].contains(&oracle), "{}", failure.verdict);
    told_shortly("SleepForgets", &failure, build);
}

#[test]
fn messages_delivered_twice_are_found() {
    core_finds(Planted::DedupOff, &["guarantees"]);
    chat_finds(chat::Planted::DedupOff);
}

#[test]
fn delivery_over_a_gap_is_found() {
    core_finds(Planted::DeliverOverGap, &["guarantees"]);
    chat_finds(chat::Planted::DeliverOverGap);
}

#[test]
fn pieces_that_are_counted_twice_are_found() {
    core_finds(Planted::PiecesCountTwice, &["guarantees"]);
}

#[test]
fn acknowledgement_before_durability_is_found() {
    chat_finds(chat::Planted::AckBeforePersist);
}

#[test]
fn a_probe_timeout_that_never_fires_is_found() {
    core_finds(Planted::PtoNeverFires, &["settled"]);
}

#[test]
fn a_credit_leak_is_found() {
    core_finds(Planted::CreditLeak, &["settled"]);
}

fn rates_find(planted: Planted, oracle: &str) {
    let build = |seed| {
        let config =
            |accept| ConfigBuilder { planted: Some(planted), ..crate::rates::limited_settings(accept) };
        crate::rates::limited(seed, config)
    };
    let failure = search(SEEDS, build).expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some(oracle), "{}", failure.verdict);
    told_shortly(&format!("{planted:?}"), &failure, build);
}

#[test]
fn a_rate_limit_that_is_not_enforced_is_found() {
    rates_find(Planted::RateUnenforced, "rate");
}

#[test]
fn a_rate_limit_that_loses_the_newest_is_found() {
    rates_find(Planted::RateLosesNewest, "guarantees");
}

#[test]
fn a_stream_that_is_trusted_with_delivery_is_found() {
    let planted = Planted::WrittenIsAcked;
    let (server, client) = (config(true, planted), config(false, planted));
    let build = move |seed| crate::streams::stormy_with(seed, &server, &client);
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some("guarantees"), "{}", failure.verdict);
    told_shortly("streams WrittenIsAcked", &failure, build);
}

#[test]
fn clients_that_were_sent_away_and_begin_anew_are_found() {
    let config = |config| ConfigBuilder { planted: Some(Planted::BeginsAnew), ..config };
    let found = search(0..20, |seed| crate::drain::rolling_with(seed, config));
    let failure = found.expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some("guarantees"), "{}", failure.verdict);
}

#[test]
fn parts_of_a_reply_that_overtake_each_other_are_found() {
    // It takes a loss between two parts of one reply, which fill more than a packet.
    core_finds_in(Planted::ReplyPartsUnordered, &["guarantees"], || chaos().loss(250_000));
}

#[test]
fn older_sequenced_messages_are_found() {
    // It takes two messages of one channel that overtake each other.
    core_finds_in(Planted::AnySequence, &["guarantees"], || chaos().reorder(200_000, ms(0)..ms(100)));
}

#[test]
fn messages_delivered_after_their_time_are_found() {
    core_finds(Planted::Immortal, &["guarantees"]);
}

#[test]
fn a_skip_that_is_not_repeated_is_found() {
    // It takes a loss of what may be given up, and then one of the SKIP.
    core_finds_in(Planted::SkipOnce, &["guarantees", "settled"], || chaos().loss(250_000));
}

#[test]
fn a_receipt_that_is_not_repeated_is_found() {
    core_finds(Planted::ReceiptOnce, &["settled"]);
}

#[test]
fn a_fate_that_is_not_told_is_found() {
    core_finds(Planted::SilentlySuperseded, &["guarantees"]);
}

/// The campaign over sessions finds `planted`.
fn sessions_find(planted: Planted, oracles: &[&str]) {
    let config = |accept| -> Arc<Config> {
        let restless = crate::sessions::restless(accept);
        ConfigBuilder { planted: Some(planted), ..restless }.build().expect("a sound configuration")
    };
    let (server, client) = (config(true), config(false));
    let build = move |seed| {
        let mut sim = everything(seed, &server, &client);
        sim.campaign(crate::sessions::weather());
        sim
    };
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    let oracle = failure.verdict.oracle().unwrap_or_default();
    assert!(oracles.contains(&oracle), "{planted:?} was found by {oracle}: {}", failure.verdict);
    told_shortly(&format!("{planted:?}"), &failure, build);
}

#[test]
fn messages_forgotten_with_a_link_are_found() {
    sessions_find(Planted::ResumeForgets, &["guarantees", "settled"]);
}

#[test]
fn what_is_told_before_the_session_goes_on_is_found() {
    sessions_find(Planted::GateOpen, &["guarantees"]);
}

#[test]
fn messages_asked_for_again_are_found() {
    sessions_find(Planted::ResumeTwice, &["guarantees"]);
}

#[test]
fn gaps_that_are_announced_and_are_not_there_are_found() {
    sessions_find(Planted::GapTwice, &["guarantees"]);
}

#[test]
fn the_credit_of_what_was_skipped_is_missed() {
    core_finds(Planted::SkipLeak, &["guarantees", "settled"]);
}

/// Encrypted campaigns find `planted`.
fn sealed_finds(
    planted: Planted,
    oracles: &[&str],
    build: fn(u64, &Arc<Config>, &Arc<Config>) -> Sim<crate::peer::Peer>,
) {
    let config = |accept| {
        let config = ConfigBuilder { planted: Some(planted), ..settings(accept) };
        crate::sealed::encrypted(config, true)
    };
    let (server, client) = (config(true), config(false));
    let build = move |seed| build(seed, &server, &client);
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    let oracle = failure.verdict.oracle().unwrap_or_default();
    assert!(oracles.contains(&oracle), "{planted:?} was found by {oracle}: {}", failure.verdict);
    told_shortly(&format!("sealed {planted:?}"), &failure, build);
}

#[test]
fn a_window_that_is_written_before_the_tag_is_verified_is_found() {
    sealed_finds(Planted::WindowBeforeTag, &["guarantees", "settled"], |seed, server, client| {
        let mut sim = everything(seed, server, client);
        sim.campaign(chaos());
        sim
    });
}

#[test]
fn a_key_update_that_forgets_a_side_is_found() {
    sealed_finds(Planted::UpdateForgetsSide, &["nothing is forged"], crate::sealed::chatty);
}

#[test]
fn a_token_that_is_good_for_everybody_is_found() {
    let planted = Some(Planted::TokenForAnyone);
    let build = move |_| crate::roaming::knocking(|config| ConfigBuilder { planted, ..config });
    let failure = search(SEEDS, build).expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some("proven"), "{}", failure.verdict);
    told_shortly("TokenForAnyone", &failure, build);
}

#[test]
fn logs_that_end_by_the_wall_clock_are_found() {
    let planted = chat::Planted::AgesByWallClock;
    let config = ChatConfig { planted: Some(planted), ..ChatConfig::default() };
    let build = move |seed| crate::rooms::passing(seed, &config);
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some("rooms"), "{planted:?}: {}", failure.verdict);
    told_shortly("chat AgesByWallClock", &failure, build);
}

#[test]
fn a_join_from_the_grave_is_found() {
    let planted = Some(chat::Planted::StaleIncarnation);
    let config = ChatConfig { planted, ..ChatConfig::default() };
    let build = move |_| crate::chat::hasty_with(&config);
    let failure = search(SEEDS, &build).expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some("one log"), "{}", failure.verdict);
    told_shortly("chat StaleIncarnation", &failure, build);
}
