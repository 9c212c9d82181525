//! What a snapshot holds: the default view is short, and does not change with times.

use std::collections::VecDeque;
use std::time::Duration;

use crate::common::ledger::Bug;
use crate::common::setup::ledger;
use simtest::{
    Addr, Dissect, Dist, Ecn, Effect, FromSeed, Link, Node, Now, RecvMeta, Sim, Time, TraceView, Transmit,
    ms, on, secs, us,
};

fn two_clients(link: Link) -> String {
    let mut sim = ledger(Bug::None, 2, 2, link);
    sim.record(true);
    let outcome = sim.run(FromSeed::new(1));
    outcome.assert_pass();
    outcome.trace.view(TraceView::messages())
}

#[test]
fn three_hosts_fit_on_a_page_and_another_round_trip_changes_no_line() {
    let view = two_clients(Link::new().delay(Dist::fixed(us(300))));
    assert!((20..=60).contains(&view.lines().count()), "{view}");
    for delay in [us(200), us(900), ms(3)] {
        assert_eq!(two_clients(Link::new().delay(Dist::fixed(delay))), view);
    }
}

/// Asks every so often until it is answered.
#[derive(Clone)]
struct Asker {
    every: Duration,
    due: Option<Time>,
    out: VecDeque<(Addr, u8)>,
    peer: Option<Addr>,
}

impl Node for Asker {
    type Cmd = Addr;
    type Event = &'static str;

    fn on_cmd(&mut self, now: Now, peer: Addr) {
        self.peer = Some(peer);
        self.out.push_back((peer, 1));
        self.due = Some(now.mono + self.every);
    }
    fn on_datagram(&mut self, _now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
        match bytes {
            [1] => self.out.push_back((from, 2)),
            _ => self.due = None,
        }
    }
    fn on_timeout(&mut self, now: Now) {
        self.out.extend(self.peer.map(|peer| (peer, 1)));
        self.due = Some(now.mono + self.every);
    }
    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let (dst, byte) = self.out.pop_front()?;
        out.push(byte);
        Some(Transmit { dst, ecn: Ecn::NotEct, len: 1 })
    }
    fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
    fn poll_event(&mut self) -> Option<&'static str> {
        None
    }
}

impl Dissect for Asker {
    fn dissect(bytes: &[u8], _text: &mut String) -> Option<&'static str> {
        Some(if bytes == [1] { "Ask" } else { "Answer" })
    }
}

fn asking(every: Duration) -> String {
    let mut sim = Sim::new("asking");
    let make = move |_: &simtest::Boot<'_>| Asker { every, due: None, out: VecDeque::new(), peer: None };
    let a = sim.node("a", make);
    let b = sim.node("b", make);
    sim.on(on("Ask").nth(1), Effect::Drop).on(on("Answer").nth(1), Effect::Drop);
    sim.workload(|w| {
        w.at(ms(1)).cmd(a, b.addr());
    });
    sim.run_for(secs(2)).record(true);
    sim.run(FromSeed::new(1)).trace.view(TraceView::messages())
}

#[test]
fn another_timer_changes_no_line() {
    let view = asking(ms(100));
    assert_eq!(view.matches("Ask").count(), 3, "{view}");
    for every in [ms(40), ms(101), ms(350)] {
        assert_eq!(asking(every), view);
    }
}
