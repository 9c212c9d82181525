//! A session that is claimed over a stream first, and goes on over datagrams.

use std::sync::Arc;
use std::time::Duration;

use proto_core::crypto::{Crypto, Identity as _, Trust};
use proto_core::{
    Address, ChannelId, ConfigBuilder, Dial, Endpoint, Event, Link, LinkId, Message, Meta, Output, Reconnect,
    State, Timestamp,
};
use seal::Party;

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// A node, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Datagrams(usize),
    Stream(usize),
}

impl Address for At {
    fn token_bytes(&self, out: &mut Vec<u8>) {
        let (Self::Datagrams(node) | Self::Stream(node)) = self;
        out.push(*node as u8);
    }

    fn prefix(&self) -> Option<u64> {
        None
    }

    fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

struct World {
    now: Timestamp,
    nodes: [Endpoint<At>; 2],
    events: [Vec<Event>; 2],
    /// Whether datagrams arrive; those that do not are kept here.
    arrives: bool,
    lost: Vec<(usize, Vec<u8>)>,
}

impl World {
    fn hand_in(&mut self, to: usize, packet: &[u8]) {
        let meta = Meta { path: At::Datagrams(1 - to), ecn: None };
        self.nodes[to].handle_packet(self.now, meta, packet);
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(5);
        for from in [CLIENT, SERVER] {
            self.nodes[from].handle_timeout(self.now);
            let mut packet = Vec::new();
            while self.nodes[from].poll_transmit(self.now, &mut packet).is_some() {
                let packet = std::mem::take(&mut packet);
                if self.arrives {
                    self.hand_in(1 - from, &packet);
                } else {
                    self.lost.push((from, packet));
                }
            }
            self.events[from]
                .extend(std::iter::from_fn(|| self.nodes[from].poll_event()).map(|(_, event)| event));
        }
    }

    fn run_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        for _ in 0..2000 {
            if is_done(self) {
                return;
            }
            self.step();
        }
        panic!("it never came: {:?}", self.events);
    }

    /// The stream that the client wants, as far as its first record.
    fn dial(&mut self) -> (LinkId, Vec<u8>) {
        loop {
            if let Some(Dial::Begin { id, .. }) = self.nodes[CLIENT].poll_dial() {
                let link =
                    self.nodes[CLIENT].dialed(self.now, id, Link::stream(60_000)).expect("it is wanted");
                let mut record = Vec::new();
                assert!(matches!(
                    self.nodes[CLIENT].poll_record(self.now, link, &mut record),
                    Output::Record(_)
                ));
                return (link, record);
            }
            self.step();
        }
    }
}

fn endpoint(config: ConfigBuilder, seed: u8, now: Timestamp) -> Endpoint<At> {
    Endpoint::new(config.build().expect("sound"), Link::datagram(1200), [seed; 32], now)
}

#[test]
fn ids_have_tokens_that_nobody_can_guess_whatever_the_claim_came_by_first() {
    let party = |seed| Party::from_private(&[seed; 32]).repeatable();
    let crypto = |seed, trust| Some(Crypto::new(Arc::new(party(seed)), trust));
    let server_key = Some([5; 32].into());
    let crypto_of_server = crypto(7, Trust::FirstUse);
    let server =
        ConfigBuilder { accept: true, server_key, crypto: crypto_of_server, ..ConfigBuilder::default() };
    let pinned = Trust::Pinned(party(7).public_key());
    let reconnect = Some(Reconnect::default());
    let client = ConfigBuilder { crypto: crypto(8, pinned), reconnect, ..ConfigBuilder::default() };
    let now = Timestamp::from_millis(1000);
    let nodes = [endpoint(client, 1, now), endpoint(server, 2, now)];
    let mut world = World { now, nodes, events: Default::default(), arrives: true, lost: Vec::new() };
    let ways = [At::Datagrams(SERVER), At::Stream(SERVER)];
    let id = world.nodes[CLIENT].connect_any(now, &ways).expect("there is room");
    let is_up = |event: &Event| matches!(event, Event::Established { .. });
    world.run_until(|world| world.events[SERVER].iter().any(is_up));

    // The claim by the stream is there first, and the answer to that by a datagram.
    world.arrives = false;
    world.nodes[CLIENT].connection(id).expect("it is there").link_lost(world.now);
    let (_, record) = world.dial();
    let link = world.nodes[SERVER].link_up(world.now, At::Stream(CLIENT), Link::stream(60_000));
    world.nodes[SERVER].handle_record(world.now, link, &record);
    world.arrives = true;
    for (_, packet) in std::mem::take(&mut world.lost) {
        world.hand_in(SERVER, &packet);
    }
    let is_resumed = |event: &Event| matches!(event, Event::Resumed { .. });
    world.run_until(|world| world.events[CLIENT].iter().any(is_resumed));
    assert_eq!(world.nodes[CLIENT].address(id), Some(At::Datagrams(SERVER)));

    // The client hears nothing, and calls the server otherwise.
    for _ in 0..100 {
        world.step();
    }
    world.arrives = false;
    let mut conn = world.nodes[CLIENT].connection(id).expect("it is there");
    conn.channel(ChannelId::DEFAULT).send(world.now, Message::new("x")).expect("room");
    drop(conn);
    world.run_until(|world| world.nodes[CLIENT].stats().cids_renewed > 0);
    let guess = [&[0x40; 50][..], &[0; 16]].concat();
    world.hand_in(CLIENT, &guess);
    world.step();
    let state = world.nodes[CLIENT].get(id).map(|conn| conn.state());
    assert_eq!(state, Some(State::Established), "{:?}", world.events[CLIENT]);
}
