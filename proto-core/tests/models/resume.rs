//! Every state that a client and a server can be in while they shake hands and while a session goes on over another link: packets are
//! lost, repeated and overtake each other, and timers run out at any time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{
    ChannelId, CloseReason, Config, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message, Meta,
    Reconnect, Timestamp,
};
use stateright::{Checker as _, Model, Property};

use crate::whole::Whole;

const CLIENT: usize = 0;
const SERVER: usize = 1;
/// Packets that are under way to one side at most; what comes on top of them is lost.
const UNDER_WAY: usize = 2;

/// How far it goes.
#[derive(Clone, Copy)]
struct Small {
    losses: u8,
    repeats: u8,
    cuts: u8,
    timeouts: u8,
}

#[derive(Clone, Debug)]
struct World {
    now: Timestamp,
    ends: [Endpoint<SocketAddr>; 2],
    id: ConnectionId,
    served: Vec<ConnectionId>,
    /// By receiver.
    under_way: [Vec<Vec<u8>>; 2],
    sent: u8,
    received: Vec<u8>,
    /// The client has a link that works.
    is_up: bool,
    resumed: u8,
    losses: u8,
    repeats: u8,
    cuts: u8,
    timeouts: u8,
    broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The first of the packets that are under way to a side arrives, or the second before it.
    Deliver(usize, usize),
    Lose(usize),
    Repeat(usize),
    /// The client's link dies, and the client says one thing more.
    Cut,
    /// Time passes until something is due.
    Timeout,
}

fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + side as u8], 4000))
}

fn config(accept: bool) -> Arc<Config> {
    let reconnect = (!accept).then(Reconnect::default);
    let config = ConfigBuilder { accept, reconnect, ..ConfigBuilder::default() };
    config.build().expect("a sound configuration")
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_millis(1000);
        let mut ends = [CLIENT, SERVER].map(|side| {
            Endpoint::new(config(side == SERVER), Link::datagram(1200), [side as u8 + 1; 32], now)
        });
        let id = ends[CLIENT].connect(now, address(SERVER)).expect("there is room");
        let mut world = Self {
            now,
            ends,
            id,
            served: Vec::new(),
            under_way: [Vec::new(), Vec::new()],
            sent: 0,
            received: Vec::new(),
            is_up: false,
            resumed: 0,
            losses: 0,
            repeats: 0,
            cuts: 0,
            timeouts: 0,
            broken: None,
        };
        world.say();
        world.settle();
        world
    }

    /// The client says the next number.
    fn say(&mut self) {
        let Some(mut conn) = self.ends[CLIENT].connection(self.id) else { return };
        let message = Message::new(vec![self.sent]);
        if conn.channel(ChannelId::DEFAULT).send(self.now, message).is_ok() {
            self.sent += 1;
        }
    }

    fn settle(&mut self) {
        for side in [CLIENT, SERVER] {
            let mut packet = Vec::new();
            while self.ends[side].poll_transmit(self.now, &mut packet).is_some() {
                if self.under_way[1 - side].len() < UNDER_WAY {
                    self.under_way[1 - side].push(packet.clone());
                }
                packet.clear();
            }
            while let Some((id, event)) = self.ends[side].poll_event() {
                match event {
                    Event::Established { .. } if side == SERVER => self.served.push(id),
                    Event::Established { .. } => self.is_up = true,
                    Event::Resumed { .. } if side == CLIENT => {
                        self.is_up = true;
                        self.resumed += 1;
                    }
                    Event::Suspended { .. } if side == CLIENT => self.is_up = false,
                    Event::Closed(closed) | Event::ConnectFailed(closed) => {
                        self.broken = match closed.reason {
                            CloseReason::PeerMisbehaved(_) => Some("an honest peer is accused"),
                            CloseReason::TimedOut => self.broken,
                            _ => Some("the connection ends although nobody wants it"),
                        };
                    }
                    _ => {}
                }
            }
        }
        for &id in &self.served {
            let Some(mut conn) = self.ends[SERVER].connection(id) else { continue };
            let mut channel = conn.channel(ChannelId::DEFAULT);
            while let Some(message) = channel.recv(self.now) {
                self.received.extend_from_slice(&message.payload);
            }
        }
        if self.ends.iter().any(|end| end.poll_timeout().is_some_and(|at| at < self.now)) {
            self.broken = Some("a timer in the past");
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Deliver(to, index) => {
                let packet = self.under_way[to].remove(index);
                let meta = Meta { path: address(1 - to), ecn: None };
                self.ends[to].handle_packet(self.now, meta, &packet);
            }
            Step::Lose(to) => {
                self.losses += 1;
                self.under_way[to].remove(0);
            }
            Step::Repeat(to) => {
                self.repeats += 1;
                let packet = self.under_way[to][0].clone();
                self.under_way[to].push(packet);
            }
            Step::Cut => {
                self.cuts += 1;
                self.is_up = false;
                if let Some(mut conn) = self.ends[CLIENT].connection(self.id) {
                    conn.link_lost(self.now);
                }
                self.say();
            }
            Step::Timeout => {
                self.timeouts += 1;
                let next = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
                self.now = next.map_or(self.now, |at| at.max(self.now));
                self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
            }
        }
        self.settle();
    }

    /// What comes of it when the network is well from now on.
    fn end_well(mut self) -> Self {
        let until = self.now + Duration::from_secs(30);
        while self.now < until {
            while let Some(to) = [CLIENT, SERVER].into_iter().find(|&to| !self.under_way[to].is_empty()) {
                self.take(Step::Deliver(to, 0));
            }
            if self.received.len() == usize::from(self.sent) && self.is_up {
                break;
            }
            self.take(Step::Timeout);
        }
        self
    }
}

/// The debug output of an endpoint leaves most of its connections out.
fn whole(world: World) -> Whole<World> {
    let text = format!("{world:?}{}{}", world.ends[CLIENT].whole(), world.ends[SERVER].whole());
    Whole::told_by(world, &text)
}

/// What the model must not take for the same.
#[test]
fn states_that_differ_inside_a_connection_are_different() {
    let of_priority = |priority| {
        let mut world = World::new();
        let mut conn = world.ends[CLIENT].connection(world.id).expect("it is there");
        conn.channel(ChannelId::DEFAULT).set_priority(world.now, priority, 1).expect("a priority");
        drop(conn);
        world
    };
    let (world, other) = (of_priority(6), of_priority(7));
    assert_eq!(format!("{world:?}"), format!("{other:?}"), "by their debug output they are the same");
    assert!(whole(world) != whole(other));
}

impl Model for Small {
    type State = Whole<World>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        let mut world = World::new();
        // How a session begins has a test of its own.
        while self.cuts > 0
            && let Some(to) = [CLIENT, SERVER].into_iter().find(|&to| !world.under_way[to].is_empty())
        {
            world.take(Step::Deliver(to, 0));
        }
        vec![whole(world)]
    }

    fn actions(&self, world: &Self::State, actions: &mut Vec<Step>) {
        let world = &world.state;
        for to in [CLIENT, SERVER] {
            let count = world.under_way[to].len();
            actions.extend((0..count.min(2)).map(|index| Step::Deliver(to, index)));
            if count > 0 && world.losses < self.losses {
                actions.push(Step::Lose(to));
            }
            if count > 0 && world.repeats < self.repeats {
                actions.push(Step::Repeat(to));
            }
        }
        // A session that the server has not yet could only begin anew.
        if world.cuts < self.cuts && world.is_up && !world.served.is_empty() {
            actions.push(Step::Cut);
        }
        if world.timeouts < self.timeouts {
            actions.push(Step::Timeout);
        }
    }

    fn next_state(&self, world: &Self::State, step: Step) -> Option<Self::State> {
        let mut world = world.state.clone();
        world.take(step);
        Some(whole(world))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("nobody breaks a rule", |_, world: &Self::State| world.state.broken.is_none()),
            Property::always("everything arrives once and in order", |_, world: &Self::State| {
                world.state.received.iter().copied().eq(0..world.state.received.len() as u8)
            }),
            Property::always("one session is one connection of the server", |_, world: &Self::State| {
                world.state.served.len() <= 1 && world.state.ends[SERVER].len() <= 2
            }),
            Property::always("a network that becomes well delivers everything", |_, world: &Self::State| {
                let end = world.state.clone().end_well();
                end.broken.is_none() && end.received.iter().copied().eq(0..end.sent)
            }),
            // The model is not void: what it is about happens.
            Property::sometimes("everything has arrived", |_, world: &Self::State| {
                world.state.sent > 0 && world.state.received.len() == usize::from(world.state.sent)
            }),
        ];
        if self.cuts > 0 {
            properties.push(Property::sometimes("a session goes on", |_, world: &Self::State| {
                world.state.resumed > 0 && world.state.received.len() > 1
            }));
        }
        properties
    }
}

fn explore(small: Small) {
    let checker = small.checker().spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn a_handshake_over_a_bad_network() {
    explore(Small { losses: 1, repeats: 1, cuts: 0, timeouts: 1 });
}

#[test]
fn a_session_that_goes_on_over_a_bad_network() {
    explore(Small { losses: 1, repeats: 0, cuts: 1, timeouts: 3 });
}
