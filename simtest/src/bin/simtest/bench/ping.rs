//! A toy: pairs of hosts that send one datagram back and forth, again and again.

use std::time::Duration;

use simtest::{Addr, Chaos, Dissect, Dist, Ecn, Link, Node, Now, RecvMeta, Sim, Time, Transmit, ms, us};

#[derive(Clone)]
pub(super) struct Ping {
    peer: Addr,
    rounds: u64,
    out: Option<u64>,
    /// When to send again what seems lost, or what is to be sent at set times.
    due: Option<Time>,
    retry: Duration,
    /// Rounds begin at the timer, not when the last is over.
    paced: bool,
}

impl Node for Ping {
    type Cmd = ();
    type Event = ();

    fn on_datagram(&mut self, now: Now, _from: Addr, bytes: &[u8], _meta: RecvMeta) {
        let Some(round) = unseal(bytes) else { return };
        if round >= self.rounds {
            self.rounds = round + 1;
            if !self.paced {
                self.out = Some(self.rounds);
                self.due = self.due.map(|_| now.mono + self.retry);
            } else if self.due.is_none() {
                self.out = Some(self.rounds);
            }
        }
    }
    fn on_timeout(&mut self, now: Now) {
        self.out = Some(self.rounds);
        self.due = Some(now.mono + self.retry);
    }
    fn on_cmd(&mut self, _now: Now, (): ()) {}
    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        out.extend_from_slice(&seal(self.out.take()?));
        Some(Transmit { dst: self.peer, ecn: Ecn::NotEct, len: 8 })
    }
    fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for Ping {}

/// A number and its check: what is damaged is thrown away.
fn seal(round: u64) -> [u8; 8] {
    (round << 32 | (!round & 0xffff_ffff)).to_le_bytes()
}

fn unseal(bytes: &[u8]) -> Option<u64> {
    let word = u64::from_le_bytes(bytes.try_into().ok()?);
    (word >> 32 == !word & 0xffff_ffff).then_some(word >> 32)
}

fn pairs(hosts: u32, retry: Duration, paced: bool) -> Sim<Ping> {
    let mut sim = Sim::new("ping");
    for id in 0..hosts {
        let due = (id % 2 == 0).then(|| Time::from_millis(1) + us(u64::from(id)));
        let peer = Addr::new(id ^ 1);
        sim.node(&format!("h{id}"), move |_| Ping { peer, rounds: 0, out: None, due, retry, paced });
    }
    sim.max_events(u64::MAX);
    sim
}

/// As fast as the link allows: 1 ms each way. Without faults; nobody judges.
pub(super) fn calm(hosts: u32, span: Duration) -> Sim<Ping> {
    let mut sim = pairs(hosts, ms(50), false);
    sim.links(Link::new().delay(Dist::fixed(ms(1)))).run_for(span);
    sim
}

/// So many rounds a second and pair.
pub(super) fn paced(hosts: u32, each: Duration, span: Duration) -> Sim<Ping> {
    let mut sim = pairs(hosts, each, true);
    sim.links(Link::lan()).run_for(span);
    sim
}

/// Two hosts, all faults of a usual campaign, and an invariant.
pub(super) fn stormy(span: Duration) -> Sim<Ping> {
    let mut sim = pairs(2, ms(5), false);
    sim.links(Link::lan()).campaign(Chaos::default().until(span).quiet_for(ms(1)));
    sim.invariant("few", |v| v.nodes().all(|(_, node)| node.rounds < 1 << 60));
    sim
}

/// A hundred decisions.
pub(super) fn small() -> Sim<Ping> {
    let mut sim = calm(2, ms(26));
    sim.links(Link::new().delay(Dist::fixed(us(900))));
    sim
}
