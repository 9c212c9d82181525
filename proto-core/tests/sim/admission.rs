//! A server whose application decides about its clients, sometimes late, sometimes never, in any weather: nothing is heard of
//! a client before it was let in, and who was refused learns it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use proto_core::{
    Advice, ChannelId, Close, CloseReason, Config, ConfigBuilder, ConnectionId, Endpoint, Event, Link,
    Message, Reconnect,
};
use simtest::{
    Addr, Chaos, Check, Dissect, Kind, Life, Node, NodeId, Now, Oracle, RecvMeta, Sim, Time, Transmit,
};
use simtest::{ms, secs};

use crate::core::settings;
use crate::net::{At, dissect, ecn_to, meta, reseal, time, timestamp};

/// What the server's application says to who shows this.
const YES: u8 = b'y';
const NO: u8 = b'n';
const NEVER: u8 = b'?';
/// What it says to those whom it refuses.
const REFUSED: u64 = 0x777;
/// Fewer than there are clients.
const MAX_UNDECIDED: usize = 2;

#[derive(Clone, Debug)]
struct Connect;

/// What the application sees and does.
#[derive(Clone, Debug)]
enum Seen {
    Core(ConnectionId, Event),
    Admitted(ConnectionId),
}

#[derive(Clone, Debug)]
struct Door {
    endpoint: Endpoint<At>,
    server: Option<Addr>,
    shows: u8,
    /// Decisions that take their time.
    decisions: BTreeMap<(Time, ConnectionId), u8>,
    is_in: bool,
    is_refused: bool,
    events: VecDeque<Seen>,
}

impl Door {
    fn new(config: Arc<Config>, server: Option<Addr>, shows: u8, seed: [u8; 32], now: Time) -> Self {
        Self {
            endpoint: Endpoint::new(config, Link::datagram(1200), seed, timestamp(now)),
            server,
            shows,
            decisions: BTreeMap::new(),
            is_in: false,
            is_refused: false,
            events: VecDeque::new(),
        }
    }

    fn connect(&mut self, now: Time) {
        let Some(server) = self.server else { return };
        let id =
            self.endpoint.connect_with(timestamp(now), At::Datagrams(server), &[self.shows]).expect("room");
        let mut conn = self.endpoint.connection(id).expect("just made");
        conn.channel(ChannelId::DEFAULT).send(timestamp(now), Message::new("here I am")).expect("room");
    }

    fn decide(&mut self, now: Now) {
        while let Some(entry) = self.decisions.first_entry().filter(|entry| entry.key().0 <= now.mono) {
            let ((_, id), shown) = entry.remove_entry();
            let at = timestamp(now.mono);
            if shown == YES {
                if self.endpoint.admit(at, id) {
                    self.events.push_back(Seen::Admitted(id));
                }
            } else {
                let close = Close { code: REFUSED, advice: Advice::Never, ..Close::default() };
                self.endpoint.refuse(at, id, close);
            }
        }
    }

    fn drain(&mut self, now: Now) {
        self.decide(now);
        while let Some((id, event)) = self.endpoint.poll_event() {
            match &event {
                Event::Undecided(credentials) if credentials.token[0] != NEVER => {
                    // The time of day decides how long it takes.
                    let takes = ms(now.mono.as_millis() * 37 % 900);
                    self.decisions.insert((now.mono + takes, id), credentials.token[0]);
                }
                Event::Readable(channel) => {
                    let mut conn = self.endpoint.connection(id).expect("it is readable");
                    while conn.channel(*channel).recv(timestamp(now.mono)).is_some() {}
                }
                Event::Established { .. } => self.is_in = true,
                Event::Closed(_) => self.is_in = false,
                Event::ConnectFailed(closed) => {
                    self.is_refused |= matches!(closed.reason, CloseReason::Peer { code: REFUSED, .. });
                }
                _ => {}
            }
            self.events.push_back(Seen::Core(id, event));
        }
    }
}

impl Dissect for Door {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        dissect(bytes, text)
    }

    fn reseal(original: &[u8], corrupted: &mut [u8]) {
        reseal(original, corrupted);
    }
}

impl Node for Door {
    type Cmd = Connect;
    type Event = Seen;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        self.endpoint.handle_packet(timestamp(now.mono), meta(from, with.ecn), bytes);
        self.drain(now);
    }

    fn on_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(timestamp(now.mono));
        self.drain(now);
    }

    fn on_cmd(&mut self, now: Now, _: Connect) {
        self.connect(now.mono);
        self.drain(now);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.endpoint.poll_transmit(timestamp(now.mono), out)?;
        self.drain(now);
        Some(Transmit { dst: transmit.path.addr(), ecn: ecn_to(transmit.ecn), len: transmit.len })
    }

    fn poll_timeout(&self) -> Option<Time> {
        let decision = self.decisions.keys().next().map(|&(at, _)| at);
        self.endpoint.poll_timeout().map(time).into_iter().chain(decision).min()
    }

    fn poll_event(&mut self) -> Option<Seen> {
        self.events.pop_front()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Undecided,
    Admitted,
    Over,
}

/// Whoever was not admitted is not heard of, and of everybody who was announced the end is told.
#[derive(Clone, Debug, Default)]
struct Doorkeeper {
    standing: BTreeMap<(NodeId, u32, ConnectionId), Standing>,
    lives: BTreeMap<NodeId, u32>,
}

const SERVER: NodeId = NodeId::new(0);

impl Oracle<Door> for Doorkeeper {
    fn event(&mut self, _: Now, node: NodeId, event: &Seen) -> Check {
        if node != SERVER {
            return Ok(());
        }
        let life = self.lives.get(&node).copied().unwrap_or_default();
        let (Seen::Core(id, _) | Seen::Admitted(id)) = event;
        let standing = self.standing.get(&(node, life, *id)).copied();
        let becomes = match (event, standing) {
            (Seen::Core(_, Event::Undecided(_)), None) => Standing::Undecided,
            (Seen::Admitted(_), Some(Standing::Undecided)) => Standing::Admitted,
            (Seen::Core(_, Event::ConnectFailed(_)), Some(Standing::Undecided | Standing::Admitted))
            | (Seen::Core(_, Event::Closed(_)), Some(Standing::Admitted)) => Standing::Over,
            (Seen::Core(..), Some(Standing::Admitted)) => return Ok(()),
            _ => return Err(format!("{event:?} of a client that is {standing:?}")),
        };
        self.standing.insert((node, life, *id), becomes);
        let waiting = self
            .standing
            .iter()
            .filter(|&(&(_, of, _), &standing)| of == life && standing == Standing::Undecided);
        let waiting = waiting.count();
        if waiting > MAX_UNDECIDED { Err(format!("{waiting} clients are undecided")) } else { Ok(()) }
    }

    fn lifecycle(&mut self, _: Now, node: NodeId, life: Life) -> Check {
        if life == Life::Crashed {
            *self.lives.entry(node).or_default() += 1;
        }
        Ok(())
    }
}

fn settled(door: &Door) -> Check {
    match door.shows {
        YES if !door.is_in => Err("not let in".into()),
        NO if !door.is_refused => Err("nobody said no".into()),
        NEVER if door.is_in => Err("nobody let it in".into()),
        _ => Ok(()),
    }
}

#[cfg(planted)]
fn guarded(change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Sim<Door> {
    let mut sim = Sim::new("admission");
    guard(&mut sim, change);
    sim
}

fn guard(sim: &mut Sim<Door>, change: impl Fn(ConfigBuilder) -> ConfigBuilder) {
    let admission_timeout = secs(2);
    let reconnect = Some(Reconnect { cap: secs(2), ..Reconnect::default() });
    let server =
        ConfigBuilder { admission: true, admission_timeout, max_undecided: MAX_UNDECIDED, ..settings(true) };
    let server = change(server).build().expect("sound");
    let client = ConfigBuilder { reconnect, ..settings(false) }.build().expect("sound");
    let s = sim.node("s", move |boot| Door::new(Arc::clone(&server), None, 0, boot.seed, boot.now.mono));
    for (name, shows) in [("yes", YES), ("no", NO), ("never", NEVER)] {
        let client = Arc::clone(&client);
        let node = sim.node(name, move |boot| {
            let mut door = Door::new(Arc::clone(&client), Some(s.addr()), shows, boot.seed, boot.now.mono);
            if boot.life > 0 {
                door.connect(boot.now.mono);
            }
            door
        });
        sim.workload(|w| {
            w.at(ms(u64::from(shows))).cmd(node, Connect);
        });
    }
    sim.campaign(Chaos::default().until(secs(6)).quiet_for(secs(60)).without(Kind::Disk));
    sim.oracle("admission", Doorkeeper::default());
    sim.eventually("decided", |v| v.nodes().skip(1).try_for_each(|(_, door)| settled(door)));
}

#[simtest::test(seeds = 0..2000)]
fn only_the_admitted_come_through_in_every_weather(sim: &mut Sim<Door>) {
    guard(sim, |config| config);
}

#[cfg(planted)]
#[test]
fn a_planted_open_door_is_found() {
    let planted = Some(proto_core::planted::Planted::AdmitsAnyone);
    let found = simtest::search(0..100, |_| guarded(|config| ConfigBuilder { planted, ..config }));
    let failure = found.expect_err("a planted defect went unnoticed");
    assert_eq!(failure.verdict.oracle(), Some("admission"), "{}", failure.verdict);
}
