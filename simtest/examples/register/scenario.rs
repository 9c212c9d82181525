//! The register as a simulation, and what must hold.

use std::collections::BTreeMap;

use simtest::{Check, DiskModel, Dist, Link, NodeId, Now, Oracle, Sim, View, ms, us};

use super::protocol::{Bug, Cmd, Event, Register, Tag};

const REPLICAS: [&str; 3] = ["r1", "r2", "r3"];

/// The register is linearizable: what is done before an operation begins is seen by it. Tags are the witness.
#[derive(Clone, Default)]
pub(crate) struct Linearizable {
    /// The highest version among the operations that are done.
    done: Tag,
    /// For each operation that is on, that version when it began.
    begun: BTreeMap<u32, Tag>,
    values: BTreeMap<Tag, u32>,
}

impl Oracle<Register> for Linearizable {
    fn event(&mut self, _now: Now, _node: NodeId, event: &Event) -> Check {
        match *event {
            Event::Begun { op } => {
                self.begun.insert(op, self.done);
            }
            Event::Done { op, tag, value } => {
                let least = self.begun.remove(&op).ok_or("an operation is done that has not begun")?;
                if tag < least {
                    return Err(format!("version {tag:?} comes after {least:?} was done"));
                }
                let known = *self.values.entry(tag).or_insert(value);
                if known != value {
                    return Err(format!("version {tag:?} is both {known} and {value}"));
                }
                self.done = self.done.max(tag);
            }
        }
        Ok(())
    }

    fn finally(&mut self, _view: &View<'_, Register>) -> Check {
        Ok(())
    }
}

/// Three replicas, and clients that each write and read in turn.
pub(crate) fn register(sim: &mut Sim<Register>, bug: Bug, clients: usize, turns: u32) {
    for name in REPLICAS {
        sim.node(name, move |boot| Register::replica(boot, bug));
    }
    for name in ["a", "b", "c"].into_iter().take(clients) {
        let client = sim.node(name, move |boot| Register::client(boot, bug, &REPLICAS));
        sim.workload(|w| {
            for turn in 0..turns {
                let first = ms(u64::from(turn) * 60);
                w.at(first).cmd(client, Cmd::Write(turn * 10 + client.index() as u32));
                w.at(first + ms(30)).cmd(client, Cmd::Read);
            }
        });
    }
    sim.links(Link::lan());
    // A slow disk: a crash often finds it at work.
    sim.disk(DiskModel { append: Dist::fixed(us(50)), sync: Dist::uniform(ms(5)..ms(40)) });
    sim.oracle("linearizable", Linearizable::default());
    sim.eventually("done", |v| v.nodes().all(|(_, node)| node.is_idle()));
}
