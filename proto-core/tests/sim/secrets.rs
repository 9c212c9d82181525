//! Whatever a simulation tells of a run, no secret of the encrypted connections in it is in there, however it is written.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proto_core::wire::checksum::crc32c;
use proto_core::wire::{Frame, Packet, Record};
use simtest::{
    Addr, Dissect, Fault, FromSeed, Link, Node, NodeId, Now, RecvMeta, Sim, Time, TraceView, Transmit, at,
    ms, secs,
};

use crate::core::settings;
use crate::peer::{Ask, Cmd, Ev, Peer};
use crate::sealed::{KEYS, encrypted};

/// The start of a secret that gives it away.
const PART: usize = 8;
/// What the configuration has for the server's key.
const SERVER_KEY: [u8; 32] = [9; 32];

/// A peer, and the secrets that it has had or has sent.
#[derive(Clone, Debug)]
struct Watched {
    peer: Peer,
    sessions: BTreeSet<Vec<u8>>,
    tokens: BTreeSet<Vec<u8>>,
    proofs: BTreeSet<Vec<u8>>,
}

impl Watched {
    fn look(&mut self) {
        self.sessions.extend(self.peer.connections().map(|conn| conn.session_secret().to_vec()));
    }

    fn note(&mut self, packet: &[u8]) {
        let Ok(Packet::Long(long)) = Packet::decode(packet, crc32c) else { return };
        match Record::new(long.payload).next() {
            Some(Ok(Frame::Init(init))) => {
                self.proofs.extend(init.attach.claim().map(|claim| claim.proof.to_vec()));
            }
            Some(Ok(Frame::Retry(token) | Frame::Key { token, .. })) => {
                self.tokens.insert(token.to_vec());
            }
            _ => {}
        }
    }
}

impl Node for Watched {
    type Cmd = Cmd;
    type Event = Ev;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        self.peer.on_datagram(now, from, bytes, with);
        self.look();
    }

    fn on_timeout(&mut self, now: Now) {
        self.peer.on_timeout(now);
        self.look();
    }

    fn on_cmd(&mut self, now: Now, cmd: Cmd) {
        self.peer.on_cmd(now, cmd);
        self.look();
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let start = out.len();
        let transmit = self.peer.poll_transmit(now, out);
        self.note(&out[start..]);
        transmit
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.peer.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<Ev> {
        self.peer.poll_event()
    }
}

impl Dissect for Watched {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        Peer::dissect(bytes, text)
    }
}

/// Two that talk, whose link dies and whose server is killed.
fn eventful(seed: u64) -> Sim<Watched> {
    let [server, client] = [true, false].map(|accept| encrypted(settings(accept), seed.is_multiple_of(2)));
    let mut sim = Sim::new("eventful");
    let watched =
        |peer| Watched { peer, sessions: BTreeSet::new(), tokens: BTreeSet::new(), proofs: BTreeSet::new() };
    let s = sim.node("s", move |boot| watched(Peer::new(server.clone(), None, boot.seed, boot.now.mono)));
    let a = sim.node("a", move |boot| {
        let peer = Peer::new(client.clone(), Some(s.addr()), boot.seed, boot.now.mono);
        watched(peer.connected(boot.now.mono))
    });
    sim.links(Link::lan());
    sim.workload(|w| {
        for step in 0..40 {
            let send = Cmd::Send { channel: 0, ask: Ask::default(), size: 40, count: 1 };
            w.at(ms(100 + 200 * step)).cmd(if step % 2 == 0 { s } else { a }, send);
        }
    });
    sim.fault(at(ms(900)), Fault::rebind("a"));
    // Longer than a silent peer is waited for, and not as long as a session.
    sim.fault(at(ms(1500)), Fault::partition(["a"], ["s"]).for_(secs(5)));
    sim.fault(at(secs(9)), Fault::crash("s").restart_after(ms(50)));
    sim.record(true);
    sim.run_for(secs(20));
    sim
}

/// How the start of a secret could be written.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let part = &secret[..PART.min(secret.len())];
    let hexadecimal = |upper: bool| {
        part.iter().fold(String::new(), |mut text, byte| {
            let written = if upper { write!(text, "{byte:02X}") } else { write!(text, "{byte:02x}") };
            written.expect("a string takes everything");
            text
        })
    };
    let list = |between: &str| part.iter().map(u8::to_string).collect::<Vec<_>>().join(between);
    let escaped = part.escape_ascii().to_string();
    [hexadecimal(false), hexadecimal(true), list(", "), list(","), escaped]
        .into_iter()
        .map(String::into_bytes)
        .chain([part.to_vec()])
        .collect()
}

fn tells(text: &[u8], secret: &[u8]) -> bool {
    forms(secret).iter().any(|form| text.windows(form.len()).any(|window| window == form))
}

#[test]
fn no_trace_tells_a_secret() {
    let mut counts = [0; 3];
    for seed in 0..6 {
        let outcome = eventful(seed).run(FromSeed::new(seed));
        outcome.assert_pass();
        let mut told = outcome.schedule().to_text() + &outcome.html();
        for view in [TraceView::outcomes(), TraceView::messages(), TraceView::packets()] {
            told += &outcome.trace.view(view.header());
        }
        let mut secrets: BTreeSet<Vec<u8>> = KEYS.iter().map(|key| key.to_vec()).collect();
        secrets.insert(SERVER_KEY.to_vec());
        for node in [0, 1].map(NodeId::new) {
            let Some(node) = outcome.node(node) else { continue };
            write!(told, "{:?} {:?}", node.peer.endpoint, node.peer.endpoint.stats())
                .expect("it is a string");
            node.peer.connections().for_each(|conn| write!(told, "{conn:?}").expect("it is a string"));
            let resets = node.peer.called.keys().map(|id| {
                let hashed = [&b"stateless reset"[..], id].concat();
                blake3::keyed_hash(&SERVER_KEY, &hashed).as_bytes()[..16].to_vec()
            });
            secrets.extend(resets);
            for (count, set) in counts.iter_mut().zip([&node.sessions, &node.tokens, &node.proofs]) {
                *count += set.len();
                secrets.extend(set.iter().cloned());
            }
        }
        secrets.retain(|secret| secret.iter().any(|byte| *byte != 0));
        for secret in &secrets {
            assert!(!tells(told.as_bytes(), secret), "seed {seed}: {secret:02x?} is told");
            // And it would be found.
            for form in [format!("{secret:?}"), format!("{secret:02x?}").replace(", ", "")] {
                assert!(tells((told.clone() + &form).as_bytes(), secret), "{form}");
            }
        }
    }
    assert!(counts.iter().all(|&count| count >= 6), "what could be told: {counts:?}");
}
