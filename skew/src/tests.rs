use simtest::{
    Addr, Boot, Chaos, Dissect, Kind, Link, Node, Now, RecvMeta, Sim, StreamEvent, StreamId, StreamOp,
    Streams, Time, Transmit, ms, search, secs,
};

use crate::{By, Case, What, now, then};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    Present,
    Reference,
}

#[derive(Clone)]
enum Peer {
    Present(now::Peer),
    Reference(then::Peer),
}

macro_rules! of {
    ($peer:expr, $it:ident => $what:expr) => {
        match $peer {
            Peer::Present($it) => $what,
            Peer::Reference($it) => $what,
        }
    };
}

impl Peer {
    fn new(version: Version, case: Case, server: Option<Addr>, boot: &Boot<'_>) -> Self {
        let (seed, at) = (boot.seed, boot.now.mono);
        match version {
            Version::Present => Self::Present(now::Peer::new(case, server, seed, at)),
            Version::Reference => Self::Reference(then::Peer::new(case, server, seed, at)),
        }
    }
}

impl Node for Peer {
    type Cmd = u32;
    type Event = ();

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
        of!(self, it => it.packet(now.mono, from, bytes));
    }
    fn on_timeout(&mut self, now: Now) {
        of!(self, it => it.timeout(now.mono));
    }
    fn on_cmd(&mut self, now: Now, number: u32) {
        of!(self, it => it.want(now.mono, number));
    }
    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        of!(self, it => it.transmit(now.mono, out))
    }
    fn poll_timeout(&self) -> Option<Time> {
        of!(self, it => it.due())
    }
    fn on_stream(&mut self, now: Now, stream: StreamId, event: StreamEvent<'_>) {
        of!(self, it => it.stream(now.mono, stream, event));
    }
    fn poll_stream(&mut self, now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        of!(self, it => it.stream_op(now.mono, streams, out))
    }
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for Peer {}

const MESSAGES: u32 = 20;

/// One server, a client of each version.
fn mixed(server: Version, case: Case) -> Sim<Peer> {
    let mut sim = Sim::new("skew");
    let s = sim.node("s", move |boot| Peer::new(server, case, None, boot));
    for (name, version) in [("a", Version::Present), ("b", Version::Reference)] {
        let client = sim.node(name, move |boot| Peer::new(version, case, Some(s.addr()), boot));
        sim.workload(|w| {
            for number in 0..MESSAGES {
                w.at(ms(100 * u64::from(number))).cmd(client, number);
            }
        });
    }
    sim.links(Link::wifi());
    let chaos = Chaos::default().without(Kind::Crash).without(Kind::Disk).until(secs(4)).quiet_for(secs(120));
    let dies = case.what == What::Sessions;
    sim.campaign(if dies { chaos.partition(secs(1), ms(800)..secs(2)) } else { chaos });
    sim.invariant("right", |v| {
        v.nodes().find_map(|(_, node)| of!(node, it => it.wrong.clone())).map_or(Ok(()), Err)
    });
    sim.eventually("all echoed", |v| {
        let echoed = |node: &Peer| of!(node, it => it.echoed.len());
        v.nodes().skip(1).all(|(_, node)| echoed(node) == MESSAGES as usize)
    });
    sim.sometimes("a session goes on", |v| {
        v.nodes().skip(1).all(|(_, node)| of!(node, it => it.resumed) > 0)
    });
    sim
}

fn cases() -> impl Iterator<Item = Case> {
    let whats = [What::Messages, What::Requests, What::Batches, What::Sessions];
    let both = |what| [By::Datagrams, By::Streams].map(|by| (what, by));
    let four = |(what, by)| [false, true].map(|is_encrypted| Case { by, what, is_encrypted });
    whats.into_iter().flat_map(both).flat_map(four)
}

/// Every pair of versions, over links of both kinds, in the open and encrypted.
#[test]
fn versions_understand_each_other() {
    for case in cases() {
        for server in [Version::Present, Version::Reference] {
            let Case { by, what, is_encrypted } = case;
            let how = if is_encrypted { "encrypted" } else { "in the open" };
            let name = format!("{what:?} over {by:?}, {how}, server {server:?}, clients of both");
            match search(0..25, |_| mixed(server, case)) {
                Ok(report) => {
                    println!("{name}: {} seeds passed", report.seeds);
                    assert!(what != What::Sessions || report.never.is_empty(), "{name}: {:?}", report.never);
                }
                Err(failure) => panic!("{name}: {}\n{}", failure.report(), failure.trace),
            }
        }
    }
}
