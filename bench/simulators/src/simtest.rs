//! In simtest.

use ::simtest::{Addr, Dissect, Dist, Ecn, FromSeed, Link, Node, Now, RecvMeta, Sim, Time, Transmit, ms};

/// One side of a pair. The one with rounds to play begins.
#[derive(Clone)]
struct Ping {
    peer: Addr,
    left: u64,
    begins: bool,
    out: Option<u64>,
}

impl Node for Ping {
    type Cmd = ();
    type Event = ();

    fn on_datagram(&mut self, _now: Now, _from: Addr, bytes: &[u8], _meta: RecvMeta) {
        let number = u64::from_le_bytes(bytes.try_into().expect("eight bytes were sent"));
        if self.begins {
            assert_eq!(number, self.left, "the round that was sent");
            self.left -= 1;
            self.out = (self.left > 0).then_some(self.left);
        } else {
            self.out = Some(number);
        }
    }
    fn on_timeout(&mut self, _now: Now) {
        self.out = Some(self.left);
    }
    fn on_cmd(&mut self, _now: Now, (): ()) {
        self.out = Some(self.left);
    }
    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        out.extend_from_slice(&self.out.take()?.to_le_bytes());
        Some(Transmit { dst: self.peer, ecn: Ecn::NotEct, len: 8 })
    }
    fn poll_timeout(&self) -> Option<Time> {
        None
    }
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for Ping {}

pub(crate) fn play(pairs: usize, rounds: u64) {
    let mut sim = Sim::new("ping");
    for id in 0..2 * pairs as u32 {
        let begins = id % 2 == 0;
        let left = if begins { rounds } else { 0 };
        let node =
            sim.node(&format!("h{id}"), move |_| Ping { peer: Addr::new(id ^ 1), left, begins, out: None });
        if begins {
            sim.workload(|w| {
                w.at(ms(1)).cmd(node, ());
            });
        }
    }
    sim.links(Link::new().delay(Dist::fixed(ms(1))));
    sim.run_for(ms(2 * rounds + 10)).max_events(u64::MAX);
    let outcome = sim.run(FromSeed::new(1));
    assert_eq!(outcome.stats.delivered, 2 * rounds * pairs as u64);
}
