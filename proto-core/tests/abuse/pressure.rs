//! Many at once, each within its own limits.

use std::net::SocketAddr;

use proto_core::wire::params::Params;
use proto_core::wire::{Cid, Frame, Rate, RecordWriter};
use proto_core::{
    ChannelId, Class, CloseReason, ConfigBuilder, ConnectionId, Credentials, Drop, Event, Link, LinkId,
    State, UnixPeer, code,
};

use crate::peer::{Peer, frames, half, init_and_record, msg, piece, plenty};
use crate::world::{World, host, ms, secs};

const ORDERED: Class = Class::ReliableOrdered;

/// Close to all that one channel may hold: 1 MiB.
fn hoard(world: &mut World, peer: &mut Peer) {
    for id in 0..950 {
        peer.say(world, &[Frame::Msg(msg(ORDERED, id, &[b'x'; 1000]))]);
    }
}

/// The most bytes that the server has said the whole session may have sent.
fn granted(world: &World, peer: &Peer) -> u64 {
    let credits = world.sent_to(peer.at).flat_map(frames).filter_map(|frame| match frame {
        Frame::Credit(credit) if credit.channel.is_none() => Some(credit.bytes),
        _ => None,
    });
    credits.max().unwrap_or(0)
}

/// The application takes everything of a peer.
fn take(world: &mut World, peer: &Peer) -> usize {
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    let count = std::iter::from_fn(|| conn.channel(ChannelId::DEFAULT).recv(now)).count();
    drop(conn);
    world.drain();
    count
}

/// A server with two clients that have said a word: one is there, and one has lost its link.
fn peaceful(config: ConfigBuilder) -> (World, Peer, Peer) {
    let mut world = World::new(config);
    let [honest, sleeper] = [1, 2].map(|number| {
        let mut peer = Peer::join(&mut world, host(number));
        peer.say(&mut world, &[Frame::Msg(msg(ORDERED, 0, b"hello"))]);
        peer
    });
    let now = world.now;
    world.server.connection(sleeper.id()).expect("it is there").link_lost(now);
    (world, honest, sleeper)
}

#[test]
pub(crate) fn row_51_all_connections_together_have_a_budget() {
    const BUDGET: usize = 8 << 20;
    let config = ConfigBuilder { max_bytes: BUDGET, session_bytes: 1 << 20, ..ConfigBuilder::default() };
    let (mut world, mut honest, sleeper) = peaceful(config);
    let mut hoarders: Vec<Peer> = (10..18).map(|index| Peer::join(&mut world, host(index))).collect();
    Peer::half_open(&mut world, host(3), Cid([3; 8]), &plenty());
    world.run(secs(3));
    for peer in &mut hoarders[..6] {
        hoard(&mut world, peer);
    }
    assert!(world.server.held_bytes() < BUDGET / 10 * 8);
    assert_eq!(take(&mut world, &hoarders[0]), 950);
    world.run(ms(100));
    let generous = granted(&world, &hoarders[0]);
    assert!(generous > 1_900_000, "as much again: {generous}");
    for peer in &mut hoarders[6..] {
        hoard(&mut world, peer);
    }
    let held = world.server.held_bytes();
    assert!((BUDGET / 10 * 8..BUDGET / 100 * 95).contains(&held), "{held}");
    // Above four fifths of it no more than an eighth is granted to whoever has it.
    assert_eq!(take(&mut world, &hoarders[1]), 950);
    world.run(ms(100));
    let meagre = granted(&world, &hoarders[1]);
    assert!(meagre < 1_400_000, "the largest message, and no more: {meagre}");
    assert_eq!((world.dropped(Drop::MemoryEvicted), world.stats().evictions, world.server.len()), (0, 0, 11));
    // Those who took theirs come again, and there are others.
    let mut more: Vec<Peer> = (20..24).map(|index| Peer::join(&mut world, host(index))).collect();
    let mut most = world.server.held_bytes();
    for peer in &mut more {
        for id in 0..950 {
            peer.say(&mut world, &[Frame::Msg(msg(ORDERED, id, &[b'x'; 1000]))]);
            most = most.max(world.server.held_bytes());
        }
    }
    assert!(most < BUDGET / 100 * 95 + 20_000, "{most}");
    let stats = world.stats();
    assert_eq!((stats.drops.get(Drop::HandshakeEvicted), stats.evictions), (1, 1));
    let ended = stats.drops.get(Drop::MemoryEvicted);
    assert!((1..=4).contains(&ended), "{ended}");
    assert!(world.closed(sleeper.id()).is_some());
    honest.assert_open(&world, "it holds little");
    let gone = hoarders.iter().chain(&more).filter(|peer| world.closed(peer.id()).is_some());
    for peer in gone {
        let closed = world.closed(peer.id()).expect("it is over");
        assert_eq!(closed.reason, CloseReason::Local { code: code::BUSY });
        assert_eq!(peer.close(&world).map(|(code, _)| code), Some(code::BUSY));
        assert_eq!(peer.held(&world), 0, "nothing of it is kept");
    }
    // What the application takes is there for others.
    for peer in hoarders.iter().chain(&more) {
        if world.server.get(peer.id()).is_some_and(|conn| conn.state() == State::Established) {
            take(&mut world, peer);
        }
    }
    world.run(secs(1));
    assert!(world.server.held_bytes() < BUDGET / 10);
    honest.say(&mut world, &[Frame::Msg(msg(ORDERED, 1, b"still there"))]);
    assert_eq!(take(&mut world, &honest), 2);
}

/// A piece costs the whole message, but only what has come can be freed.
#[test]
pub(crate) fn row_51_what_is_only_claimed_ends_nobody() {
    const BUDGET: usize = 8 << 20;
    const TOTAL: u64 = 250_000;
    let config = ConfigBuilder { max_bytes: BUDGET, ..ConfigBuilder::default() };
    let (mut world, honest, _) = peaceful(config);
    let mut liars: Vec<Peer> = (10..22).map(|index| Peer::join(&mut world, host(index))).collect();
    for peer in &mut liars {
        for id in 0..4 {
            peer.say(&mut world, &[piece(ORDERED, id, TOTAL, 0, b"x")]);
        }
    }
    world.run(ms(100));
    assert!(world.server.held_bytes() > BUDGET, "so much is claimed");
    assert_eq!((world.dropped(Drop::MemoryEvicted), world.stats().evictions), (0, 0));
    // Now it comes, over a while.
    for offset in (0..TOTAL).step_by(1000) {
        for peer in &mut liars {
            for id in 0..4 {
                peer.say(&mut world, &[piece(ORDERED, id, TOTAL, offset, &[b'x'; 1000])]);
            }
        }
        world.run(ms(25));
    }
    assert!(world.dropped(Drop::MemoryEvicted) > 0);
    let alive = liars.iter().filter(|peer| world.closed(peer.id()).is_none()).count();
    assert!((6..12).contains(&alive), "{alive} hold a megabyte each");
    honest.assert_open(&world, "it holds little");
    assert_eq!(world.stats().evictions, 1, "the one without a link goes first");
}

/// A peer at the same host as others of this number.
fn at_host(world: &mut World, number: u32, port: u16) -> Peer {
    Peer::join(world, (host(number).ip(), port).into())
}

const fn rate(messages: u64, message_burst: u64) -> Rate {
    Rate { messages, message_burst, bytes: 0, byte_burst: 0 }
}

/// How many messages a peer has been granted, as it knows by ACCEPT and CREDIT.
fn granted_messages(world: &World, peer: &Peer) -> u64 {
    let said = world.sent_to(peer.at).flat_map(frames).filter_map(|frame| match frame {
        Frame::Credit(credit) if credit.channel.is_none() => Some(credit.messages),
        Frame::Accept(accept) => Some(Params::decode(accept.params).expect("of the server").session_messages),
        _ => None,
    });
    said.max().unwrap_or(0)
}

#[test]
pub(crate) fn row_32_connections_from_one_network_share_a_budget() {
    let config = ConfigBuilder { receive_rate_per_prefix: Some(rate(10, 50)), ..ConfigBuilder::default() };
    let mut world = World::new(config);
    let mut peers: Vec<Peer> = (0..4).map(|port| at_host(&mut world, 1, 5000 + port)).collect();
    let mut other = at_host(&mut world, 2, 5000);
    for peer in peers.iter_mut().chain([&mut other]) {
        for id in 0..40 {
            peer.say(&mut world, &[Frame::Msg(msg(Class::Unreliable, id, b"x"))]);
        }
    }
    let held: usize = peers.iter().map(|peer| peer.held(&world)).sum();
    assert_eq!((held, other.held(&world), world.dropped(Drop::RateLimited)), (50, 40, 110));
    // Who comes again finds it as it was.
    let mut again = at_host(&mut world, 1, 6000);
    assert_eq!(granted_messages(&world, &again), 0);
    again.say(&mut world, &[Frame::Msg(msg(Class::Unreliable, 0, b"x"))]);
    assert_eq!((again.held(&world), world.dropped(Drop::RateLimited)), (0, 111));
    // Time fills it, for reliable messages as well, and nobody is shut out.
    world.run(secs(2));
    let granted = granted_messages(&world, &again);
    assert!((1..=20).contains(&granted), "{granted}");
    for id in 0..granted as u32 {
        again.say(&mut world, &[Frame::Msg(msg(ORDERED, id, b"x"))]);
    }
    again.assert_open(&world, "it keeps to what it was granted");
    peers[0].say(&mut world, &[Frame::Msg(msg(Class::Unreliable, 40, b"x"))]);
    let left = 20 - granted.min(20);
    assert_eq!(world.dropped(Drop::RateLimited), 111 + u64::from(left == 0), "what one uses another lacks");
    // In the long run everybody together gets the rate, however many they are.
    take(&mut world, &again);
    let before = world.stats().messages_delivered;
    for round in 0..100_u32 {
        world.run(ms(100));
        for peer in &mut peers {
            for id in 0..5 {
                peer.say(&mut world, &[Frame::Msg(msg(Class::Unreliable, 100 + round * 5 + id, b"x"))]);
            }
            take(&mut world, peer);
        }
    }
    let delivered = world.stats().messages_delivered - before;
    assert!((100..=40 + 50 + 102).contains(&delivered), "{delivered} in 10 s");
}

/// Whoever has shown who he is: here two processes of one user of the system.
#[test]
pub(crate) fn row_32_connections_of_one_user_share_a_budget() {
    let config = ConfigBuilder { receive_rate_per_user: Some(rate(10, 20)), ..ConfigBuilder::default() };
    let mut world = World::new(config);
    let streams: Vec<Talker> =
        [(1, 7), (2, 7), (3, 8)].map(|(index, uid)| Talker::join(&mut world, host(index), uid)).into();
    for stream in &streams {
        for id in 0..15 {
            stream.say(&mut world, &Frame::Msg(msg(Class::Unreliable, id, b"x")));
        }
    }
    let held: Vec<usize> = streams.iter().map(|stream| stream.held(&world)).collect();
    assert_eq!((held, world.dropped(Drop::RateLimited)), (vec![15, 5, 15], 10));
    // Of whom nothing is known is nobody's user: his connection has what it is granted.
    let mut stranger = Peer::join(&mut world, host(9));
    world.run(ms(10));
    assert_eq!(granted_messages(&world, &stranger), 4096);
    for id in 0..100 {
        stranger.say(&mut world, &[Frame::Msg(msg(Class::Unreliable, id, b"x"))]);
    }
    assert_eq!(stranger.held(&world), 100);
}

/// A record of one frame comes in on a stream.
fn record(world: &mut World, link: LinkId, frame: &Frame<'_>) {
    let mut record = Vec::new();
    RecordWriter::new(&mut record).write(frame, true);
    world.server.handle_record(world.now, link, &record);
    world.drain();
}

/// A client by hand on a stream.
struct Talker {
    link: LinkId,
    id: ConnectionId,
}

impl Talker {
    /// A process of the user `uid`.
    fn join(world: &mut World, at: SocketAddr, uid: u32) -> Self {
        let mut vouched = Credentials::default();
        vouched.unix = Some(UnixPeer { pid: None, uid, gid: 0 });
        let link = world.server.link_up_from(world.now, at, Link::stream(16_384), vouched);
        let (_, init) = init_and_record([8; 32], Cid([5; 8]), &[], &plenty(), None);
        world.server.handle_record(world.now, link, &init);
        let mut accept = Vec::new();
        world.server.poll_record(world.now, link, &mut accept);
        let mut hashed = half(blake3::hash(&init)).to_vec();
        hashed.extend(&accept);
        let before = world.events.len();
        record(world, link, &Frame::Confirm(half(blake3::hash(&hashed))));
        let established =
            |(id, event): &(_, Event)| matches!(event, Event::Established { .. }).then_some(*id);
        let id = world.events[before..].iter().find_map(established);
        Self { link, id: id.expect("the handshake is as it is written") }
    }

    fn say(&self, world: &mut World, frame: &Frame<'_>) {
        record(world, self.link, frame);
    }

    fn held(&self, world: &World) -> usize {
        world.server.get(self.id).map_or(0, |conn| conn.held_bytes())
    }
}
