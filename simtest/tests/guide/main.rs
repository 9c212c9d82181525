//! The code of the guide (docs/simtest.md), as it is there.

#[expect(unreachable_pub, reason = "it is a library in the guide")]
mod counter;
mod streams;

use simtest::{Addr, Chaos, Dissect, Ecn, Kind, Link, Node, Now, RecvMeta, Sim, Time, Transmit, ms, secs};

#[derive(Clone, Default)]
struct Peer(counter::Counter);

impl Node for Peer {
    type Cmd = Addr;
    type Event = ();

    fn on_cmd(&mut self, now: Now, server: Addr) {
        self.0.add(server.number(), now.mono.as_nanos());
    }
    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
        self.0.receive(from.number(), bytes, now.mono.as_nanos());
    }
    fn on_timeout(&mut self, now: Now) {
        self.0.repeat(now.mono.as_nanos());
    }
    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let (to, bytes) = self.0.send()?;
        out.extend_from_slice(&bytes);
        Some(Transmit { dst: Addr::new(to), ecn: Ecn::NotEct, len: bytes.len() })
    }
    fn poll_timeout(&self) -> Option<Time> {
        self.0.due().map(Time::from_nanos)
    }
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for Peer {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        let [kind, n] = bytes else { return None };
        text.push_str(&n.to_string());
        match kind {
            1 => Some("Add"),
            2 => Some("Added"),
            _ => None,
        }
    }
}

#[simtest::test(seeds = 0..500, exhaustive = 2)]
fn every_request_counts_once(sim: &mut Sim<Peer>) {
    let server = sim.node("server", |_| Peer::default());
    let client = sim.node("client", |_| Peer::default());
    sim.links(Link::wifi());
    sim.campaign(Chaos::default().without(Kind::Crash).without(Kind::Corrupt).until(secs(5)));
    sim.workload(|w| {
        for i in 0..3 {
            w.at(ms(500 * i)).cmd(client, server.addr());
        }
    });
    sim.eventually("counted", move |v| v.node(server).is_some_and(|s| s.0.count >= 3));
    sim.invariant("once", move |v| match v.node(server).map_or(0, |s| s.0.count) {
        0..=3 => Ok(()),
        count => Err(format!("three requests, counted {count} times")),
    });
}

/// The guide shows this code, and the two mistakes that it makes in it first.
#[test]
fn the_guide_shows_this_code() {
    let guide = include_str!("../../../docs/simtest.md");
    let fixed = include_str!("counter.rs");
    let counted = "                if n > self.last {\n                    self.last = n;\n                    self.count += 1;\n                }\n";
    let in_turn = "        if self.waiting.is_none() && self.todo > 0 {\n";
    assert!(fixed.contains(counted) && fixed.contains(in_turn));
    let broken = fixed
        .replace(counted, "                self.count += 1;\n")
        .replace(in_turn, "        if self.todo > 0 {\n");
    assert!(guide.contains(&broken), "the library");
    assert!(guide.contains(counted) && guide.contains(in_turn), "the two fixes");
    let test = include_str!("main.rs");
    let test = &test[test.find("use simtest").unwrap()..test.find("\n/// The guide shows").unwrap()];
    assert!(guide.contains(test), "the test");
}

/// And this one, which takes bytes as they come for records first.
#[test]
fn the_guide_shows_the_code_over_streams() {
    let guide = include_str!("../../../docs/simtest.md");
    let all = include_str!("streams.rs");
    let fixed = &all[all.find("use simtest").unwrap()..];
    let arm = |code: &str| {
        let begin = code.find("            StreamEvent::Read").unwrap();
        code[begin..begin + code[begin..].find("            StreamEvent::Refused").unwrap()].to_owned()
    };
    let kept = arm(fixed);
    let shown = arm(guide);
    assert!(guide.contains(&format!("```rust\n{kept}```\n")), "the fix");
    assert!(
        shown.contains("for message in bytes.chunks(2)") && guide.contains(&fixed.replace(&kept, &shown)),
        "the test"
    );
}
