//! What goes over the wire, as text that a change of the protocol must change and nothing else.

use std::sync::Arc;

use proto_core::chat::ChatConfig;
use proto_core::{Class, Config, ReceiptKind};
use simtest::{Fault, FromSeed, Link, Sim, TraceView, at, ms};

use crate::chat;
use crate::core::settings;
use crate::peer::{Ask, Cmd, Peer};

const WITH_RECEIPT: Ask = Ask {
    class: Class::ReliableOrdered,
    receipt: ReceiptKind::Arrival,
    lifetime: None,
    key: None,
    max_retransmits: None,
    batch: None,
};

fn pair(name: &str) -> (Sim<Peer>, simtest::NodeId, simtest::NodeId) {
    let mut sim = Sim::new(name);
    let config = |accept| -> Arc<Config> { settings(accept).build().expect("a sound configuration") };
    let (server, client) = (config(true), config(false));
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let a =
        sim.node("a", move |boot| Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono));
    sim.links(Link::lan());
    sim.record(true);
    (sim, s, a)
}

#[test]
fn a_handshake_and_a_message_each_way() {
    let (mut sim, s, a) = pair("handshake");
    let send = Cmd::Send { channel: 0, ask: WITH_RECEIPT, size: 20, count: 1 };
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Connect);
        w.at(ms(100)).cmd(a, send.clone());
        w.at(ms(200)).cmd(s, send);
        w.at(ms(300)).cmd(a, Cmd::Close { linger: ms(500) });
    });
    sim.run_for(ms(900));
    let outcome = sim.run(FromSeed::new(1));
    outcome.assert_pass();
    insta::assert_snapshot!(outcome.trace.view(TraceView::messages()));
}

#[test]
fn a_large_message_over_a_cut() {
    let (mut sim, _, a) = pair("large");
    let send = Cmd::Send { channel: 0, ask: WITH_RECEIPT, size: 8000, count: 1 };
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Connect);
        w.at(ms(100)).cmd(a, send);
    });
    sim.fault(at(ms(100)), Fault::one_way("a", "s").for_(ms(20)));
    sim.run_for(ms(900));
    let outcome = sim.run(FromSeed::new(1));
    outcome.assert_pass();
    insta::assert_snapshot!(outcome.trace.view(TraceView::packets()));
}

#[test]
fn a_chat_whose_server_is_killed() {
    let mut sim = chat::two_words(&ChatConfig::default());
    sim.fault(at(ms(250)), Fault::crash("s").restart_after(ms(50)));
    sim.record(true);
    let outcome = sim.run(FromSeed::new(1));
    outcome.assert_pass();
    insta::assert_snapshot!(outcome.trace.view(TraceView::outcomes()));
}
