use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use driver::{LINK, Machine, Peer, Scheme, UnixCredentials};
use proto_core::{Config, ConfigBuilder, Credentials, Dial, Endpoint, Link, LinkId, Meta, Output, Timestamp};
use simtest::Recording;

use driver::recorded::get;
use proto_core::chat::RoomState;

use super::replay::{in_time, replay};
use super::*;
use crate::serve::{Hub, Start};

const SERVER: &str = "127.0.0.1:4100";

fn at(millis: u64) -> Now {
    Now { mono: Timestamp::from_millis(millis), unix_ms: 1_700_000_000_000 + millis }
}

fn start() -> Start {
    let (seed, server_key) = ([3; 32], [4; 32]);
    Start {
        seed: seed.into(),
        server_key: server_key.into(),
        max_logs: 10,
        max_rooms: 10,
        shards: 1,
        ..Start::default()
    }
}

fn path(port: u16) -> Path {
    Path { socket: 0, peer: Peer::Udp(format!("[2001:db8::7]:{port}").parse().unwrap()) }
}

/// A server that is recorded in `file`.
fn hub(file: &File, limit: u64) -> Hub {
    let start = start();
    let record = Record::create(file, limit, at(1_000), kind::START, &(&start, Rooms(&[][..]))).unwrap();
    let house = start.house(Vec::new(), at(1_000)).unwrap();
    Hub::new(Taped::new(house, Some(record)), at(1_000))
}

/// A server that is recorded, a client that connects and goes, packets that mean nothing; every third packet is lost.
fn session(file: &File, limit: u64) -> u64 {
    let mut hub = hub(file, limit);
    let config: std::sync::Arc<Config> = ConfigBuilder::chat().build().unwrap();
    let mut client = Endpoint::<Path>::new(config, LINK, [9; 32], at(1_000).mono);
    let server = Path { socket: 0, peer: Peer::Udp(SERVER.parse().unwrap()) };
    client.connect(at(1_000).mono, server).unwrap();
    let (mut sent, mut wakes) = (0, driver::Wakes::default());
    for millis in 1_000..4_000 {
        let now = at(millis);
        let mut buf = Vec::new();
        if client.poll_timeout().is_some_and(|due| due <= now.mono) {
            client.handle_timeout(now.mono);
        }
        while client.poll_transmit(now.mono, &mut buf).is_some() {
            sent += 1;
            if sent % 3 != 0 {
                hub.handle_packet(now, Meta { path: path(7), ecn: None }, &buf);
            }
            buf.clear();
        }
        if millis % 100 == 0 {
            hub.handle_packet(now, Meta { path: path(millis as u16), ecn: None }, &[0xaa; 60]);
        }
        if hub.poll_timeout().is_some_and(|due| due <= now.mono) {
            hub.handle_timeout(now);
        }
        while Machine::poll_transmit(&mut hub, now, &mut buf).is_some() {
            client.handle_packet(now.mono, Meta { path: server, ecn: None }, &buf);
            buf.clear();
        }
        hub.settle(now, &mut wakes);
        if millis == 3_500 {
            hub.drain(now);
        }
    }
    drop(hub.end_record());
    assert!(sent > 3, "the client has said something");
    std::fs::metadata(file).unwrap().len()
}

/// A stream as its server sees it: what the client writes, and what the client is told.
struct Wire {
    id: LinkId,
    client: Endpoint<Path>,
    at_client: LinkId,
}

impl Wire {
    fn accepted(hub: &mut Hub, now: Now, seed: u8) -> Self {
        let peer = match seed {
            1 => Peer::Stream(Scheme::Tcp, "127.0.0.1:7001".parse().unwrap()),
            2 => Peer::Stream(Scheme::Wss, "[2001:db8::8]:7002".parse().unwrap()),
            3 => Peer::Unix(Some(UnixCredentials { pid: 7, uid: 1_000, gid: 100 })),
            _ => Peer::Unix(None),
        };
        let link = Link::stream(16 << 10);
        let id =
            hub.link_up(now, Path { socket: u16::from(seed), peer }, link, Credentials::default()).unwrap();
        let config: std::sync::Arc<Config> = ConfigBuilder::chat().build().unwrap();
        let mut client = Endpoint::<Path>::new(config, LINK, [seed; 32], now.mono);
        client.connect(now.mono, Path { socket: 0, peer: Peer::Dialed(Scheme::Tcp, 0) }).unwrap();
        let Some(Dial::Begin { id: dial, .. }) = client.poll_dial() else { panic!("the client dials") };
        let at_client = client.dialed(now.mono, dial, link).unwrap();
        Self { id, client, at_client }
    }

    /// Carries what there is in both directions; gives how many records came from the server.
    fn carry(&mut self, hub: &mut Hub, now: Now) -> usize {
        let (mut buf, mut got) = (Vec::new(), 0);
        if self.client.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.client.handle_timeout(now.mono);
        }
        while let Output::Record(_) = self.client.poll_record(now.mono, self.at_client, &mut buf) {
            hub.handle_record(now, self.id, &buf);
            buf.clear();
        }
        while let Output::Record(_) = hub.poll_record(now, self.id, &mut buf) {
            self.client.handle_record(now.mono, self.at_client, &buf);
            got += 1;
            buf.clear();
        }
        got
    }
}

#[test]
fn a_session_over_streams_runs_again_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("streams.rec");
    let mut hub = hub(&file, 1 << 20);
    let mut wires: Vec<Wire> = (1..=4).map(|seed| Wire::accepted(&mut hub, at(1_000), seed)).collect();
    let (mut got, mut driver_wakes) = (0, driver::Wakes::default());
    for millis in 1_000..3_000 {
        let now = at(millis);
        if hub.poll_timeout().is_some_and(|due| due <= now.mono) {
            hub.handle_timeout(now);
        }
        while hub.poll_link().is_some() {}
        got += wires.iter_mut().map(|wire| wire.carry(&mut hub, now)).sum::<usize>();
        hub.settle(now, &mut driver_wakes);
        match millis {
            1_500 => hub.link_down(now, wires[0].id),
            1_600 => hub.link_broken(now, wires[1].id, "what came is no record"),
            1_700 => hub.handle_record(now, wires[2].id, &[0xaa; 60]),
            1_800 => wires.push(Wire::accepted(&mut hub, now, 1)),
            _ => {}
        }
    }
    drop(hub.end_record());
    assert!(got > 8, "the server has answered: {got}");

    let mut recording = read(&file);
    let has = |kind| recording.inputs.iter().any(|input| input.kind == kind);
    for kind in kind::LINK_UP..=kind::POLL_RECORD {
        assert!(has(kind), "kind {kind} was not recorded");
    }
    replay(&recording, true).unwrap();
    for step in [2, 3, 7] {
        let mut part = recording.clone();
        let mut n = 0;
        part.inputs.retain(|input| {
            n += 1;
            input.kind == kind::START || n % step != 0
        });
        replay(&part, false).unwrap();
    }
    recording.inputs[0].bytes[0] ^= 1;
    assert!(replay(&recording, true).unwrap_err().contains("another record is written"));
}

/// Its first record says so.
#[test]
fn streams_of_other_shards_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shard.rec");
    let (start, own) = (Start { shards: 2, ..start() }, (1_u8, [6; 32]));
    let record = Record::create(&file, 1 << 20, at(1_000), kind::START_SHARD, &(&start, own)).unwrap();
    let mut front = Taped::new(start.front(own.0, own.1, at(1_000)).unwrap(), Some(record));
    let link = Link::stream(16 << 10);
    let ids = [1, 2].map(|zone| {
        let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 7, 0, zone).into();
        let path = Path { socket: 0, peer: Peer::Stream(Scheme::Tcp, address) };
        front.link_up(at(1_001), path, link, Credentials::default()).expect("there is room")
    });
    let releases = [(ids[0], true), (ids[0], false), (ids[1], true)];
    for (id, is_released) in releases {
        assert_eq!(front.release_link(at(1_002), id), is_released);
    }
    drop(front.end_record());

    let mut recording = read(&file);
    let of = |kind| recording.inputs.iter().filter(move |input| input.kind == kind);
    let zone = |input: &simtest::Input| match get::<(u32, Path)>(&input.bytes).unwrap().1.peer {
        Peer::Stream(_, SocketAddr::V6(address)) => address.scope_id(),
        _ => 0,
    };
    assert_eq!(of(kind::PATH).map(zone).collect::<Vec<_>>(), [1, 2]);
    let released = of(kind::RELEASE_LINK).map(|input| get::<(LinkId, bool)>(&input.bytes).unwrap());
    assert_eq!(released.collect::<Vec<_>>(), releases);
    replay(&recording, true).unwrap();
    *recording.inputs.last_mut().unwrap().bytes.last_mut().unwrap() = 0;
    let why = replay(&recording, true).unwrap_err();
    assert!(why.ends_with("another stream is handed over"), "{why}");
    replay(&recording, false).unwrap();
}

/// A thread may have looked at the clock before another one that was faster.
#[test]
fn what_comes_late_is_told_again_with_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.rec");
    let mut hub = hub(&file, 1 << 20);
    let times = [2_000, 1_007, 1_007, 2_000, 1_999, 3_000, 1_000].map(at);
    for now in times {
        hub.handle_packet(now, Meta { path: path(7), ecn: None }, &[0xaa; 60]);
    }
    drop(hub.end_record());
    let recording = read(&file);
    let inputs = recording.inputs.iter().map(|input| (input, in_time(input).unwrap()));
    let told = inputs.clone().filter(|(_, (_, kind, _))| *kind == kind::PACKETS).map(|(_, (now, ..))| now);
    assert_eq!(told.collect::<Vec<_>>(), times);
    assert_eq!(inputs.filter(|(input, _)| input.kind & kind::LATE != 0).count(), 4);
    replay(&recording, true).unwrap();
}

#[test]
fn what_a_server_is_born_with_is_read_as_it_was_written() {
    let with = Start { ban_prefix: true, salt: Some(vec![5; 16].into()), ..start() };
    let other = Start {
        drops_crowns: true,
        keep_ms: 3_600_000,
        max_logs: 1 << 40,
        max_rooms: 0,
        exempt: vec!["10.0.0.0/8".parse().unwrap()],
        ..start()
    };
    for start in [start(), with, other] {
        let mut bytes = Vec::new();
        (&start, Rooms(&[][..])).put(&mut bytes);
        let (read, Rooms(rooms)) = get::<(Start, Rooms<Vec<RoomState>>)>(&bytes).unwrap();
        assert_eq!((read, rooms), (start, Vec::new()));
    }
}

fn read(file: &File) -> Recording {
    Recording::parse(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_recorded_session_runs_again_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.rec");
    session(&file, 1 << 20);
    let mut recording = read(&file);
    assert_eq!(recording.protocol, PROTOCOL);
    let sent = |input: &&simtest::Input| {
        input.kind == kind::TRANSMIT && get::<(usize, usize, u32)>(&input.bytes).unwrap().1 > 0
    };
    assert!(recording.inputs.iter().filter(sent).count() > 3, "the server has answered");
    replay(&recording, true).unwrap();

    // Another seed, and it is another session.
    recording.inputs[0].bytes[0] ^= 1;
    assert!(replay(&recording, true).unwrap_err().contains("other packets are sent"));
    replay(&recording, false).unwrap();
}

#[test]
fn a_recording_ends_when_it_is_full_and_can_be_replayed_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("full.rec");
    assert!(session(&file, 3_000) <= 3_000);
    replay(&read(&file), true).unwrap();
}

#[test]
fn any_part_of_a_recording_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.rec");
    session(&file, 1 << 20);
    let whole = read(&file);
    for step in [2, 3, 7] {
        let mut part = whole.clone();
        let mut n = 0;
        part.inputs.retain(|input| {
            n += 1;
            input.kind == kind::START || n % step != 0
        });
        replay(&part, false).unwrap();
    }
}

#[test]
fn an_input_costs_little_more_than_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cost.rec");
    let size = session(&file, 1 << 20);
    let recording = read(&file);
    let payload: usize = recording
        .inputs
        .iter()
        .filter(|input| matches!(input.kind, kind::PACKETS | kind::START))
        .map(|input| input.bytes.len())
        .sum();
    let each = (size as usize - payload) / recording.inputs.len();
    assert!(each <= 24, "{each} bytes");
}
