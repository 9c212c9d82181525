use driver::{LINK, Machine, Peer};
use proto_core::{Config, ConfigBuilder, Endpoint, Timestamp};
use simtest::Recording;

use super::replay::replay;
use super::*;
use crate::gateway::GatewayConfig;
use crate::serve::{Hub, born};

const SERVER: &str = "127.0.0.1:4100";

fn at(millis: u64) -> Now {
    Now { mono: Timestamp::from_millis(millis), unix_ms: 1_700_000_000_000 + millis }
}

fn path(port: u16) -> Path {
    Path { socket: 0, peer: Peer::Udp(format!("[2001:db8::7]:{port}").parse().unwrap()) }
}

/// A server that is recorded, a client that connects and goes, packets that mean nothing; every third packet is lost.
fn session(file: &File, limit: u64) -> u64 {
    let start = Start { seed: [3; 32], server_key: [4; 32] };
    let record = Record::create(file, limit, at(1_000), &start, &[]).unwrap();
    let mut hub = Hub::new(
        born(&start, Vec::new(), at(1_000)).unwrap(),
        Some(record),
        GatewayConfig::default(),
        at(1_000),
    );
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
    hub.flush_record();
    assert!(sent > 3, "the client has said something");
    std::fs::metadata(file).unwrap().len()
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
    let sent = |input: &&simtest::Input| input.kind == kind::TRANSMIT && !input.bytes.is_empty();
    assert!(recording.inputs.iter().filter(sent).count() > 3, "the server has answered");
    replay(&recording, true).unwrap();

    // Another seed, and it is another session.
    recording.inputs[0].bytes[0] ^= 1;
    assert!(replay(&recording, true).unwrap_err().contains("another packet is sent"));
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
        .filter(|input| matches!(input.kind, kind::PACKET | kind::START))
        .map(|input| input.bytes.len())
        .sum();
    let each = (size as usize - payload) / recording.inputs.len();
    assert!(each <= 24, "{each} bytes");
}
