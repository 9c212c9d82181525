//! The ledger as a simulation, with its oracle.

use simtest::check::{LogSpec, Rule, SlotLog};
use simtest::{Check, Life, Link, NodeId, Now, Oracle, Sim, View, ms};

use super::ledger::{Bug, Event, Ledger, Put};

/// Feeds a `SlotLog`. A client that pipelines puts and repeats some makes no promise about their order.
#[derive(Clone)]
struct History(SlotLog);

impl History {
    fn new() -> Self {
        Self(SlotLog::new(LogSpec::all().without(Rule::ClientOrder)))
    }
}

impl Oracle<Ledger> for History {
    fn event(&mut self, _now: Now, node: NodeId, event: &Event) -> Check {
        match *event {
            Event::Invoked { client, seq, amount } => self.0.invoke(client.into(), seq.into(), amount.into()),
            Event::Acked { client, seq, slot } => self.0.acked(client.into(), seq.into(), slot.into()),
            Event::Deliver { slot, client, seq, amount } => {
                self.0.deliver(node.index() as u64, slot.into(), client.into(), seq.into(), amount.into())
            }
        }
    }

    fn lifecycle(&mut self, _now: Now, node: NodeId, life: Life) -> Check {
        let forgets = life == Life::Restarted && node.index() > 0;
        if forgets { self.0.reader_starts(node.index() as u64, 0) } else { Ok(()) }
    }

    fn finally(&mut self, _view: &View<'_, Ledger>) -> Check {
        self.0.finally()
    }
}

pub(crate) fn ledger(bug: Bug, clients: u8, puts: u16, link: Link) -> Sim<Ledger> {
    let mut sim = Sim::new("ledger");
    fill(&mut sim, bug, clients, puts, link);
    sim
}

pub(crate) fn fill(sim: &mut Sim<Ledger>, bug: Bug, clients: u8, puts: u16, link: Link) {
    let server = sim.node("s", move |boot| Ledger::server(boot, bug));
    for name in ["a", "b", "c", "d", "e"].into_iter().take(clients.into()) {
        let client = sim.node(name, move |boot| Ledger::client(boot, server.addr(), bug));
        sim.workload(|w| {
            for i in 0..puts {
                w.at(ms(100 * u64::from(i))).cmd(client, Put(u32::from(i)));
            }
        });
    }
    sim.links(link);
    sim.eventually("all acknowledged", |v| v.nodes().all(|(_, node)| node.open() == 0));
    sim.eventually("all read", move |v| {
        v.node(server).is_some_and(|server| v.nodes().all(|(_, node)| node.len() == server.len()))
    });
    sim.oracle("history", History::new());
}
