//! G18 and G19: one dense log, each client's own order, exactly once, nothing acknowledged lost, over any number of lives.

use std::collections::{BTreeMap, BTreeSet};

use proto_core::chat::ClientEvent;
use proto_core::{CloseReason, Event};
use simtest::check::{LogSpec, SlotLog};
use simtest::{Check, Life, NodeId, Now, Oracle, View, hash_bytes};

use super::node::{ChatNode, Ev};

/// With what the chat log closes a connection.
const ENDED: u64 = 0x100;

/// The history of all clients, and what each append was answered.
#[derive(Clone, Debug)]
pub(super) struct OneLog {
    log: SlotLog,
    lives: BTreeMap<NodeId, u32>,
    started: BTreeMap<u64, u64>,
    answered: BTreeSet<(u64, u64)>,
    epoch: Option<u64>,
}

impl Default for OneLog {
    fn default() -> Self {
        Self {
            log: SlotLog::new(LogSpec::all().first_slot(1)),
            lives: BTreeMap::new(),
            started: BTreeMap::new(),
            answered: BTreeSet::new(),
            epoch: None,
        }
    }
}

/// A client in one life of a node, as one number.
fn key(node: &str, life: u32) -> u64 {
    hash_bytes(life.into(), node.as_bytes())
}

/// All clients keep to the protocol, and nobody else has the secret of one: at most its own earlier connection can drive it out.
fn not_ended(reason: &CloseReason) -> Check {
    match reason {
        CloseReason::Peer { code: ENDED, reason } => Err(format!("G18: a client is sent away: {reason}")),
        _ => Ok(()),
    }
}

impl OneLog {
    fn answer(&mut self, client: u64, sequence: u64) -> Check {
        if self.answered.insert((client, sequence)) {
            Ok(())
        } else {
            Err(format!("G18: append {sequence} was answered twice"))
        }
    }

    fn on_chat(&mut self, client: u64, event: &ClientEvent) -> Check {
        match event {
            ClientEvent::Joined { epoch, next, resumed, .. } => {
                if self.epoch.is_some_and(|known| known != *epoch) {
                    return Err("G19: the epoch changed although nothing was lost".into());
                }
                self.epoch = Some(*epoch);
                if *resumed != self.started.contains_key(&client) {
                    return Err(format!("G19: joined with resumed = {resumed}"));
                }
                if self.started.insert(client, *next).is_none() {
                    return self.log.reader_starts(client, *next);
                }
                Ok(())
            }
            ClientEvent::Entry(entry) => {
                let (name, life) = entry.name.split_once('#').ok_or("a name without a life")?;
                let author = key(name, life.parse().map_err(|_| "a life that is no number")?);
                self.log.deliver(client, entry.slot, author, entry.sequence, hash_bytes(0, &entry.body))
            }
            ClientEvent::Acked { sequence, slot, .. } => {
                self.answer(client, *sequence)?;
                self.log.acked(client, *sequence, *slot)
            }
            ClientEvent::Rejected { sequence, reason } => {
                self.answer(client, *sequence)?;
                Err(format!("append {sequence} was rejected: {reason:?}"))
            }
            ClientEvent::LogReset { .. } => Err("G19: a log reset although nothing was lost".into()),
            _ => Ok(()),
        }
    }
}

impl Oracle<ChatNode> for OneLog {
    fn event(&mut self, _: Now, node: NodeId, event: &Ev) -> Check {
        let names = ["s", "a", "b", "c"];
        let client = key(names[node.index()], self.lives.get(&node).copied().unwrap_or(0));
        match event {
            Ev::Said { sequence, hash } => self.log.invoke(client, *sequence, *hash),
            Ev::Chat(event) => self.on_chat(client, event),
            Ev::Core(crate::peer::Ev::Core { event: Event::Closed(closed), .. }) => not_ended(&closed.reason),
            Ev::Core(_) => Ok(()),
        }
    }

    fn lifecycle(&mut self, _: Now, node: NodeId, life: Life) -> Check {
        if life == Life::Crashed {
            let names = ["s", "a", "b", "c"];
            let life = self.lives.entry(node).or_default();
            let reader = key(names[node.index()], *life);
            *life += 1;
            if self.started.contains_key(&reader) {
                return self.log.reader_gone(reader);
            }
        }
        Ok(())
    }

    fn finally(&mut self, _: &View<'_, ChatNode>) -> Check {
        self.log.finally()
    }
}
