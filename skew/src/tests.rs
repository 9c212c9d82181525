use simtest::{
    Addr, Boot, Chaos, Dissect, Kind, Link, Node, Now, RecvMeta, Sim, Time, Transmit, ms, search, secs,
};

use crate::{now, then};

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
    fn new(version: Version, server: Option<Addr>, boot: &Boot<'_>) -> Self {
        let (seed, at) = (boot.seed, boot.now.mono);
        match version {
            Version::Present => Self::Present(now::Peer::new(server, seed, at)),
            Version::Reference => Self::Reference(then::Peer::new(server, seed, at)),
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
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for Peer {}

const MESSAGES: u32 = 20;

/// One server, a client of each version.
fn mixed(server: Version) -> Sim<Peer> {
    let mut sim = Sim::new("skew");
    let s = sim.node("s", move |boot| Peer::new(server, None, boot));
    for (name, version) in [("a", Version::Present), ("b", Version::Reference)] {
        let client = sim.node(name, move |boot| Peer::new(version, Some(s.addr()), boot));
        sim.workload(|w| {
            for number in 0..MESSAGES {
                w.at(ms(100 * u64::from(number))).cmd(client, number);
            }
        });
    }
    sim.links(Link::wifi());
    sim.campaign(
        Chaos::default().without(Kind::Crash).without(Kind::Disk).until(secs(4)).quiet_for(secs(120)),
    );
    sim.invariant("right", |v| {
        v.nodes().find_map(|(_, node)| of!(node, it => it.wrong.clone())).map_or(Ok(()), Err)
    });
    sim.eventually("all echoed", |v| {
        let echoed = |node: &Peer| of!(node, it => it.echoed.len());
        v.nodes().skip(1).all(|(_, node)| echoed(node) == MESSAGES as usize)
    });
    sim
}

#[test]
fn versions_understand_each_other() {
    for server in [Version::Present, Version::Reference] {
        match search(0..150, |_| mixed(server)) {
            Ok(report) => println!("server {server:?}, clients of both: {} seeds passed", report.seeds),
            Err(failure) => panic!("server {server:?}: {}\n{}", failure.report(), failure.trace),
        }
    }
}
