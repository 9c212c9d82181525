//! Campaigns over the whole chat: server machine, store on a disk that tears, clients that come and go.

mod node;
mod oracle;
mod shards;
pub(crate) mod store;

use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::ChatConfig;
use proto_core::{Config, ConfigBuilder};
use simtest::{Boot, Chaos, Kind, Link, Sim, View, ms, secs};

pub(crate) use self::node::ChatNode;
use self::node::{ClientNode, Say, ServerNode};
use self::oracle::OneLog;
use crate::core::{Draw, balanced, idle, settings};
use crate::oracles::Guarantees;

fn config(accept: bool) -> Arc<Config> {
    roomy(settings(accept)).build().expect("a sound configuration")
}

fn roomy(settings: ConfigBuilder) -> ConfigBuilder {
    // The server's queue for each client is short, so that entries are skipped and clients meet gaps.
    let send_messages = if settings.accept { 6 } else { settings.send_messages };
    ConfigBuilder {
        send_messages,
        max_message: 256 * 1024,
        send_bytes: 512 * 1024,
        receive_bytes: 1024 * 1024,
        session_bytes: 2 * 1024 * 1024,
        ..settings
    }
}

/// Three clients in one room, one of which joins late and wants only the last entries.
pub(crate) fn chat(
    seed: u64,
    server: &Arc<Config>,
    client: &Arc<Config>,
    chat: &ChatConfig,
) -> Sim<ChatNode> {
    let (server, for_server) = (Arc::clone(server), chat.clone());
    chat_of(seed, move |boot| ServerNode::boot(boot, &server, &for_server), client, chat)
}

/// The same with a server that is booted in this way.
fn chat_of(
    seed: u64,
    server: impl Fn(&Boot<'_>) -> ChatNode + 'static,
    client: &Arc<Config>,
    chat: &ChatConfig,
) -> Sim<ChatNode> {
    let mut sim = Sim::new("chat");
    let for_clients = chat.clone();
    let s = sim.node("s", server);
    let clients: Vec<_> = [("a", None), ("b", None), ("c", Some(3))]
        .into_iter()
        .map(|(name, last)| {
            let (client, chat) = (Arc::clone(client), for_clients.clone());
            sim.node(name, move |boot| ClientNode::boot(boot, &client, &chat, s.addr(), last))
        })
        .collect();
    sim.links(Link::new().delay(simtest::Dist::uniform(ms(5)..ms(40))));
    sim.workload(|w| {
        let mut draw = Draw(seed);
        for number in 0..24 {
            let node = clients[draw.below(3) as usize];
            let text = format!("{number}{}", "x".repeat(draw.below(400) as usize));
            w.at(ms(draw.below(5000))).cmd(node, Say(text));
        }
    });
    sim.oracle("one log", OneLog::default());
    sim.oracle("guarantees", Guarantees::new(None));
    sim.eventually("everybody has everything", agree);
    sim.invariant("conservation", |view| match view.latest() {
        Some((_, ChatNode::Server(server))) => balanced(&server.endpoint_stats(), server.unsettled()),
        _ => Ok(()),
    });
    sim
}

/// Every client has all that it waits for, and the same as the others.
pub(crate) fn agree(view: &View<'_, ChatNode>) -> Result<(), String> {
    let ends: Vec<_> = view
        .nodes()
        .filter_map(|(_, node)| match node {
            ChatNode::Client(client) => Some(client.settled()),
            ChatNode::Server(_) => None,
        })
        .collect();
    let agree = ends.iter().all(|end| end.is_some() && *end == ends[0]);
    if agree { Ok(()) } else { Err(format!("next slots {ends:?}")) }
}

/// A client that gives a connection up long before the server does, and packets that are under way for so long that a join arrives
/// behind that of the next connection.
pub(crate) fn hasty_with(config_of_chat: &ChatConfig) -> Sim<ChatNode> {
    let settings = |accept| ConfigBuilder { resume_window: Duration::ZERO, ..settings(accept) };
    let server = ConfigBuilder { dead: secs(9), ..settings(true) };
    let client =
        ConfigBuilder { heartbeat: ms(200), dead: ms(700), handshake_timeout: secs(2), ..settings(false) };
    let [server, client] = [server, client].map(|config| roomy(config).build().expect("sound"));
    let mut sim = Sim::new("hasty");
    let (for_server, for_client) = (config_of_chat.clone(), config_of_chat.clone());
    let s = sim.node("s", move |boot| ServerNode::boot(boot, &server, &for_server));
    let a = sim.node("a", move |boot| ClientNode::boot(boot, &client, &for_client, s.addr(), None));
    sim.workload(|w| {
        w.at(ms(100)).cmd(a, Say("ahoy".into()));
        w.at(ms(4000)).cmd(a, Say("belay".into()));
    });
    sim.links(Link::new().delay(simtest::Dist::uniform(ms(5)..ms(40))));
    sim.oracle("one log", OneLog::default());
    sim.oracle("guarantees", Guarantees::new(None));
    sim.eventually("settled", |v| v.nodes().all(|(_, node)| node.is_settled()));
    let late = Chaos::none().until(secs(6)).quiet_for(secs(20)).reorder(300_000, ms(100)..secs(4));
    sim.campaign(late.partition(secs(1), ms(300)..ms(1500)));
    sim
}

/// Two clients that say one word each.
pub(crate) fn two_words(chat: &ChatConfig) -> Sim<ChatNode> {
    let mut sim = Sim::new("two_words");
    let (server, client) = (config(true), config(false));
    let (for_server, for_clients) = (chat.clone(), chat.clone());
    let s = sim.node("s", move |boot| ServerNode::boot(boot, &server, &for_server));
    for (name, word, when) in [("a", "ahoy", 100), ("b", "belay", 260)] {
        let (client, chat) = (Arc::clone(&client), for_clients.clone());
        let node = sim.node(name, move |boot| ClientNode::boot(boot, &client, &chat, s.addr(), None));
        sim.workload(|w| {
            w.at(ms(when)).cmd(node, Say(word.into()));
        });
    }
    sim.links(Link::lan());
    sim.oracle("one log", OneLog::default());
    sim.run_for(secs(12));
    sim
}

fn chaos() -> Chaos {
    Chaos::default().until(secs(6)).quiet_for(secs(90)).victims(Kind::Disk, ["s"])
}

/// The campaign with a given configuration of the chat log.
pub(crate) fn stormy_with(seed: u64, config_of_chat: &ChatConfig) -> Sim<ChatNode> {
    let mut sim = chat(seed, &config(true), &config(false), config_of_chat);
    sim.campaign(chaos());
    sim
}

fn stormy(seed: u64) -> Sim<ChatNode> {
    stormy_with(seed, &ChatConfig::default())
}

#[test]
fn the_weather_of_chat_has_every_kind_of_fault() {
    assert_eq!(idle(stormy), []);
}

#[simtest::test(seeds = 0..10_000, strict)]
fn everybody_sees_one_log_whatever_happens(sim: &mut Sim<ChatNode>, seed: u64) {
    *sim = stormy(seed);
}

#[simtest::test(seeds = 0..1000)]
fn who_comes_back_is_not_driven_out_by_what_it_said_before(sim: &mut Sim<ChatNode>) {
    *sim = hasty_with(&ChatConfig::default());
}

#[test]
fn runs_are_the_same_on_every_thread() {
    for seed in 0..20 {
        simtest::check_determinism(seed, stormy).expect("the same run twice");
    }
}
