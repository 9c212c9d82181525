//! A toy with a bug: a server counts requests, clients repeat each until it is acknowledged. The server knows the latest
//! request of each client; an older one that comes late counts again.

use std::collections::{BTreeMap, VecDeque};

use simtest::{Addr, Chaos, Dissect, Ecn, Kind, Link, Node, Now, RecvMeta, Sim, Time, Transmit, ms, secs};

#[derive(Clone, Default)]
pub(super) struct Adder {
    latest: BTreeMap<u32, u32>,
    counted: u32,
    /// The client's side: what is to be counted, and when the first is repeated.
    done: u32,
    todo: VecDeque<u32>,
    due: Option<Time>,
    server: Option<Addr>,
    out: VecDeque<(Addr, u8, u32)>,
}

const ADD: u8 = 1;
const ADDED: u8 = 2;

impl Adder {
    fn ask(&mut self, now: Now) {
        let Some((server, number)) = self.server.zip(self.todo.front()) else {
            self.due = None;
            return;
        };
        self.out.push_back((server, ADD, *number));
        self.due = Some(now.mono + ms(60));
    }
}

impl Node for Adder {
    type Cmd = (Addr, u32);
    type Event = ();

    fn on_cmd(&mut self, now: Now, (server, number): (Addr, u32)) {
        self.server = Some(server);
        self.todo.push_back(number);
        if self.todo.len() == 1 {
            self.ask(now);
        }
    }
    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
        let Some((&kind, number)) = bytes.split_first() else { return };
        let Ok(number) = number.try_into().map(u32::from_le_bytes) else { return };
        match kind {
            ADD => {
                if self.latest.insert(from.number(), number) != Some(number) {
                    self.counted += 1;
                }
                self.out.push_back((from, ADDED, number));
            }
            _ if self.todo.front() == Some(&number) => {
                self.todo.pop_front();
                self.done += 1;
                self.ask(now);
            }
            _ => {}
        }
    }
    fn on_timeout(&mut self, now: Now) {
        self.ask(now);
    }
    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let (dst, kind, number) = self.out.pop_front()?;
        out.push(kind);
        out.extend(number.to_le_bytes());
        Some(Transmit { dst, ecn: Ecn::NotEct, len: 5 })
    }
    fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for Adder {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        let (&kind, number) = bytes.split_first()?;
        let number = u32::from_le_bytes(number.try_into().ok()?);
        text.push_str(&number.to_string());
        match kind {
            ADD => Some("Add"),
            ADDED => Some("Added"),
            _ => None,
        }
    }
}

/// Three clients with 80 requests each, some 1,000 events; datagrams are lost, repeated and held back, and links cut.
pub(super) fn adders() -> Sim<Adder> {
    let mut sim = Sim::new("adders");
    let server = sim.node("server", |_| Adder::default());
    for name in ["a", "b", "c"] {
        let client = sim.node(name, |_| Adder::default());
        sim.workload(|w| {
            for number in 0..80 {
                w.at(ms(60 * u64::from(number))).cmd(client, (server.addr(), number));
            }
        });
    }
    sim.links(Link::lte());
    let kinds = [Kind::Crash, Kind::Corrupt, Kind::Disk];
    sim.campaign(kinds.into_iter().fold(Chaos::default(), Chaos::without).until(secs(8)).quiet_for(secs(60)));
    sim.eventually("done", |v| v.nodes().all(|(_, node)| node.todo.is_empty()));
    sim.finally("once", |v| {
        let (counted, done) =
            v.nodes().fold((0, 0), |sum, (_, node)| (sum.0 + node.counted, sum.1 + node.done));
        if counted == done { Ok(()) } else { Err(format!("{done} requests, counted {counted} times")) }
    });
    sim
}
