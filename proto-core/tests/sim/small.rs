//! Small scenarios, of which every schedule with at most two faults is run: what campaigns meet by chance, here is counted.
//!
//! Their stored schedules are the smallest that break them where a defect is planted (`planted.rs` sees to it that they still do), and are
//! run first.

use std::sync::Arc;

use proto_core::chat::ChatConfig;
use proto_core::{Config, ConfigBuilder, ReceiptKind};
use simtest::{Chaos, Kind, Link, Sim, ms, secs};

use crate::chat::{self, ChatNode};
use crate::core::settings;
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Peer};
use crate::streams::By;

/// Less happens while nothing happens.
fn calm(accept: bool) -> ConfigBuilder {
    ConfigBuilder { heartbeat: secs(2), ..settings(accept) }
}

/// A client that connects, and one message each way.
pub(crate) fn greeting(by: By, change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Sim<Peer> {
    let [server, client]: [Arc<Config>; 2] =
        [true, false].map(|accept| change(calm(accept)).build().expect("a sound configuration"));
    let mut sim = Sim::new("greeting");
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let a = sim.node("a", move |boot| {
        let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono).by(by);
        if boot.life == 0 { peer } else { peer.connected(boot.now.mono) }
    });
    sim.links(Link::lan());
    sim.workload(|w| {
        let ask = Ask { receipt: ReceiptKind::Processing, ..Ask::default() };
        w.at(ms(0)).cmd(a, Cmd::Connect);
        for (at, node) in [(200, a), (250, s)] {
            w.at(ms(at)).cmd(node, Cmd::Send { channel: 0, ask, size: 20, count: 2 });
        }
    });
    let guarantees = Guarantees::new(None);
    sim.oracle("guarantees", if by == By::Datagrams { guarantees } else { guarantees.over_streams() });
    sim.invariant("conservation", crate::core::conserves);
    sim.eventually("settled", |v| v.nodes().all(|(_, peer)| peer.is_settled() && peer.is_connected()));
    sim.campaign(brief().victims(Kind::Crash, ["s"]).without(Kind::Disk));
    sim
}

fn brief() -> Chaos {
    Chaos::default().until(ms(500)).quiet_for(secs(10))
}

/// Two clients, and one word of each.
pub(crate) fn words(config: &ChatConfig) -> Sim<ChatNode> {
    let mut sim = chat::two_words(config);
    sim.eventually("everybody has everything", chat::agree);
    sim.campaign(brief().victims(Kind::Crash, ["s"]).victims(Kind::Disk, ["s"]));
    sim
}

#[simtest::test(seeds = 0..200, exhaustive = 2, weathers = 2)]
fn a_greeting_arrives_once(sim: &mut Sim<Peer>) {
    *sim = greeting(By::Datagrams, |config| config);
}

#[simtest::test(seeds = 0..200, exhaustive = 2, weathers = 2)]
fn a_greeting_over_a_stream_arrives_once(sim: &mut Sim<Peer>) {
    *sim = greeting(By::Streams, |config| config);
}

#[simtest::test(seeds = 0..200, exhaustive = 2, weathers = 2)]
fn two_words_are_one_log(sim: &mut Sim<ChatNode>) {
    *sim = words(&ChatConfig::default());
}

#[cfg(planted)]
mod planted {
    use std::path::Path;
    use std::{env, fs};

    use proto_core::chat::Planted as InChat;
    use proto_core::planted::Planted;
    use simtest::{Bounds, Budget, FromSchedule, Node, Schedule, certify, search, shrink};

    use super::*;

    /// The stored schedule of a defect breaks the scenario in which the defect is. `SCHEDULES=write` looks for it anew.
    fn breaks<N: Node>(test: &str, defect: &str, build: impl Fn() -> Sim<N> + Sync) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        let path = corpus.join(format!("sim-small-{test}")).join(format!("{defect}.sched"));
        if env::var("SCHEDULES").is_ok_and(|what| what == "write") {
            fs::create_dir_all(path.parent().expect("a folder")).unwrap();
            let schedule = Schedule { test: format!("small::{test}"), ..smallest(&build) };
            fs::write(&path, schedule.to_text()).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let schedule = Schedule::parse(&text).unwrap();
        let outcome = build().run(FromSchedule::new(&schedule));
        assert_eq!(outcome.verdict.oracle(), schedule.expect.as_deref(), "{defect}: {}", outcome.verdict);
        assert_eq!(outcome.unmatched, [""; 0], "{defect}");
    }

    fn smallest<N: Node>(build: &(impl Fn() -> Sim<N> + Sync)) -> Schedule {
        let bounds = Bounds::faults(2).like(&build()).weathers(1);
        let failure = match certify(build, &bounds) {
            Err(failure) => failure,
            Ok(_) => search(0..5_000, |_| build()).expect_err("a planted defect went unnoticed"),
        };
        let story = shrink(&build(), &failure.schedule, Budget::default()).expect("it fails when replayed");
        println!("{story}");
        story.schedule
    }

    #[test]
    fn stored_greetings_break() {
        breaks("a_greeting_arrives_once", "dedup-off", || {
            greeting(By::Datagrams, |config| ConfigBuilder { planted: Some(Planted::DedupOff), ..config })
        });
    }

    #[test]
    fn stored_words_break() {
        for (name, planted) in
            [("ack-before-persist", InChat::AckBeforePersist), ("dedup-off", InChat::DedupOff)]
        {
            breaks("two_words_are_one_log", name, || {
                words(&ChatConfig { planted: Some(planted), ..ChatConfig::default() })
            });
        }
    }
}
