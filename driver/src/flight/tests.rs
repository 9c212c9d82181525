//! That what was recorded runs again is also looked at by the harness, at the end of every other test.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use proto_core::{
    Advice, ChannelId, ChannelOptions, Class, Close, ConfigBuilder, Credentials, DialError, Distrust, Drain,
    Ecn, Link, LinkId, Message, MessageId, Meta, Policy, Rate, ReceiptKind, ReceiveLimits, SendLimits,
    UnixPeer,
};
use simtest::Recording;

use super::code::{Get, Put, get};
use super::replay::in_time;
use super::tape::kind;
use super::*;
use crate::tests::harness::{CLIENT, Net, SERVER, now, replay};
use crate::{End, Machine, Path, Peer, Scheme, UnixCredentials};

fn read<T: Put + Get + PartialEq + std::fmt::Debug>(value: &T) {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    assert_eq!(get::<T>(&bytes).unwrap(), *value);
    for cut in 0..bytes.len() {
        assert!(get::<T>(&bytes[..cut]).is_err(), "{value:?} cut at {cut}");
    }
    bytes.push(0);
    assert!(get::<T>(&bytes).is_err(), "{value:?} and more");
}

#[test]
fn what_inputs_hold_is_read_as_it_was_written() {
    let rate = Rate { messages: 1, message_burst: 1 << 40, bytes: u64::MAX, byte_burst: 0 };
    read(&Some(rate));
    read(&None::<Rate>);
    let message = Message::new("text").class(Class::Sequenced).lifetime(Duration::new(7, 999_999_999));
    read(&message.receipt_of_processing().key(u64::MAX).max_retransmits(3).last_of_batch(9));
    read(&Message::new(vec![0; 3_000]));
    for class in Class::ALL {
        read(&MessageId { channel: ChannelId(u32::MAX), class, number: 1 });
    }
    let send =
        SendLimits { messages: Some(7), bytes: None, low_water: Some(3), policy: Some(Policy::Replace) };
    let receive = ReceiveLimits { messages: None, bytes: Some(1 << 20) };
    let classes = [Class::Unreliable, Class::ReliableOrdered].into();
    let name = "a name".into();
    read(&ChannelOptions {
        name,
        classes,
        send,
        receive,
        reliable_sequenced: true,
        ..ChannelOptions::default()
    });
    for advice in [Advice::Never, Advice::Now, Advice::After, Advice::Elsewhere] {
        read(&Close { code: 0x1234, reason: "why".into(), advice, ..Close::default() });
        read(&Drain { advice, uri: "elsewhere".into(), spread: Some(Duration::MAX), ..Drain::default() });
    }
    for kind in [ReceiptKind::None, ReceiptKind::Arrival, ReceiptKind::Processing] {
        read(&kind);
    }
    read(&[Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce), None].map(|mark| (mark, 1_u64)).to_vec());
    read(&(DialError::Refused, DialError::Unreachable, DialError::NoAddress, DialError::TimedOut));
    read(&(DialError::Unauthenticated, DialError::NotAllowed, DialError::Unsupported, DialError::Http(429)));
    read(&(DialError::Foreign, DialError::HungUp));
    for why in [Distrust::UnknownIssuer, Distrust::WrongName, Distrust::Authority, Distrust::Other] {
        read(&DialError::Untrusted(why));
    }
    let mut vouched = Credentials::default();
    vouched.unix = Some(UnixPeer { pid: Some(-7), uid: 1, gid: u32::MAX });
    vouched.certificates = vec!["one".into(), "two".into()];
    read(&vouched);
}

#[test]
fn paths_of_every_kind_are_read_as_they_were_written() {
    let v4: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let peers = Scheme::ALL.into_iter().flat_map(|scheme| {
        let accepted = match scheme {
            Scheme::Udp => Peer::Udp(v4),
            Scheme::Uds => Peer::Unix(None),
            scheme => Peer::Stream(scheme, v4),
        };
        let dialed = (scheme != Scheme::Udp).then_some(Peer::Dialed(scheme, u32::MAX));
        [accepted].into_iter().chain(dialed)
    });
    let credentials = UnixCredentials { pid: -1, uid: 2, gid: u32::MAX };
    let six = Peer::Udp("[2001:db8::1]:65535".parse().unwrap());
    let link_local = Peer::Udp(neighbour(u32::MAX));
    for (socket, peer) in (0..).zip(peers.chain([Peer::Unix(Some(credentials)), six, link_local])) {
        read(&Path { socket, peer });
    }
}

/// An address that means another host in every zone.
fn neighbour(zone: u32) -> SocketAddr {
    SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7), 7, 0xf_ffff, zone).into()
}

#[test]
fn neighbours_in_two_zones_and_streams_of_other_shards_run_again() {
    let net = Net::recorded(ConfigBuilder::default(), |record| record);
    let server = net.hosts[SERVER].shared.clone();
    let place = |zone| Path { socket: 0, peer: Peer::Stream(Scheme::Tcp, neighbour(zone)) };
    let link = Link::stream(16 << 10);
    let accepted =
        |zone| server.turn(|node, now| node.link_up(now, place(zone), link, Credentials::default()));
    let ids = [1, 2].map(|zone| accepted(zone).expect("there is room"));
    for (id, is_released) in [(ids[0], true), (ids[0], false), (ids[1], true)] {
        assert_eq!(server.turn(|node, now| node.release_link(now, id)), is_released);
    }
    let (mut recording, config) = net.recordings().swap_remove(SERVER);
    let of = |kind| recording.inputs.iter().filter(move |input| input.kind == kind);
    let paths: Vec<Path> = of(kind::PATH).map(|input| get::<(u32, Path)>(&input.bytes).unwrap().1).collect();
    assert_eq!(paths, [place(1), place(2)]);
    let released: Vec<(LinkId, bool)> =
        of(kind::RELEASE_LINK).map(|input| get(&input.bytes).unwrap()).collect();
    assert_eq!(released, [(ids[0], true), (ids[0], false), (ids[1], true)]);

    let last = recording.inputs.iter_mut().rfind(|input| input.kind == kind::RELEASE_LINK).unwrap();
    *last.bytes.last_mut().unwrap() = 0;
    let why = replay(&recording, &config, true).unwrap_err();
    assert!(why.ends_with("another stream is handed over"), "{why}");
}

/// A thread may have looked at the clock before another one that was faster.
#[test]
fn what_comes_late_is_told_again_with_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let record = RecordOptions::new(folder.path().join("late.rec"));
    let config = ConfigBuilder::default().build().unwrap();
    let birth = Birth { seed: [1; 32], server_key: None, generation: 0 };
    let born = now();
    let mut tape = Tape::new(&record, &config, &birth, born).unwrap();
    let times = [5_000_000, 7, 7, 5_000_000, 4_999_999, 6_000_000, 0]
        .map(|nanos| born.mono + Duration::from_nanos(nanos));
    for time in times {
        tape.note_with(time, kind::PACKETS, &(0_u32, None::<Ecn>, 0_usize), b"late or not");
    }
    tape.flush();
    let recording = Recording::parse(&std::fs::read(&record.file).unwrap()).unwrap();
    let late = recording.inputs.iter().filter(|input| input.kind & kind::LATE != 0).count();
    assert_eq!(late, 4);
    let told = recording.inputs[1..].iter().map(|input| in_time(input.at, input.kind, &input.bytes).unwrap());
    for ((told, kind, bytes), time) in told.zip(times) {
        assert_eq!((told, kind, &bytes[bytes.len() - 11..]), (time, kind::PACKETS, &b"late or not"[..]));
    }
    assert_eq!(recording.inputs.len(), times.len() + 1);
}

/// A conversation with something of everything.
fn converse(net: &mut Net) {
    let (client, server) = net.connect();
    for number in 0..40 {
        net.run(client.send(Message::new(vec![number; usize::from(number) * 200]))).unwrap();
        net.run(server.send(Message::new("answer").class(Class::Unreliable))).unwrap();
        assert!(net.run(server.recv()).is_some());
        net.run(client.recv()).unwrap();
    }
    net.hosts[SERVER].is_linked = false;
    client.send_now(Message::new("lost at first")).unwrap();
    net.pass(Duration::from_millis(700));
    net.hosts[SERVER].is_linked = true;
    assert_eq!(net.run(server.recv()).unwrap().payload, "lost at first");
    let channel = client.open_channel(&ChannelOptions::default()).unwrap();
    net.run(channel.send(Message::new("on another channel").lifetime(Duration::from_secs(9)))).unwrap();
    net.pass(Duration::from_secs(30));
    client.close(Close { reason: "enough".into(), ..Close::default() });
    net.run(server.closed());
    net.pass(Duration::from_secs(5));
}

fn conversation() -> Net {
    let mut net = Net::new(ConfigBuilder::default());
    converse(&mut net);
    net
}

fn has(recording: &Recording, kind: u8) -> bool {
    recording.inputs.iter().any(|input| input.kind & !kind::LATE == kind)
}

#[test]
fn another_seed_or_another_input_is_another_session() {
    let net = conversation();
    for (recording, config) in net.recordings() {
        for kind in [kind::PACKETS, kind::TIMEOUT, kind::TRANSMIT, kind::EVENTS, kind::SEND, kind::RECV] {
            assert!(has(&recording, kind), "kind {kind} was not recorded");
        }
        replay(&recording, &config, true).unwrap();
        let mut other = recording.clone();
        other.inputs[0].bytes[0] ^= 1;
        let why = replay(&other, &config, true).unwrap_err();
        assert!(why.contains("than were recorded"), "{why}");
        replay(&other, &config, false).unwrap();
        let mut other = recording.clone();
        let sent = other.inputs.iter_mut().find(|input| input.kind == kind::SEND).unwrap();
        *sent.bytes.last_mut().unwrap() = 1;
        assert!(replay(&other, &config, true).is_err());
    }
}

#[test]
fn other_settings_are_told() {
    let net = conversation();
    let (recording, config) = net.recordings().swap_remove(CLIENT);
    let config = ConfigBuilder { heartbeat: Duration::from_secs(4), ..config };
    let why = replay(&recording, &config, true).unwrap_err();
    assert_eq!(why, "input 0: it was recorded with other settings: heartbeat: 10s, here heartbeat: 4s");
}

#[test]
fn any_part_of_a_recording_can_be_replayed() {
    for (whole, config) in conversation().recordings() {
        for step in [2, 3, 7] {
            let mut part = whole.clone();
            let mut number = 0;
            part.inputs.retain(|input| {
                number += 1;
                input.kind == kind::BIRTH || number % step != 0
            });
            replay(&part, &config, false).unwrap();
        }
    }
}

#[test]
fn bytes_that_mean_nothing_are_errors() {
    let (recording, config) = conversation().recordings().swap_remove(SERVER);
    for kind in 0..=u8::MAX {
        for bytes in (0..64).map(|len| &[0xff; 64][..len]) {
            let mut replay = Replay::new(config.clone(), false);
            let birth = &recording.inputs[0];
            assert!(replay.input(birth.at, kind::PACKETS, &[0; 9]).is_err(), "nothing is born yet");
            replay.input(birth.at, birth.kind, &birth.bytes).unwrap();
            // Some of them say something.
            let _ = replay.input(birth.at, kind, bytes);
        }
    }
}

#[test]
fn a_recording_ends_when_it_is_full_and_what_is_missing_is_counted() {
    let full = |record| RecordOptions { limit: 9_000, ..record };
    let mut net = Net::recorded(ConfigBuilder::default(), full);
    converse(&mut net);
    for host in &net.hosts {
        let why = host.endpoint().recording_ended();
        assert_eq!(why.as_deref(), Some("the file has its full size"));
        assert!(host.endpoint().counters().unrecorded > 10);
    }
    assert!(net.recordings().iter().all(|(recording, _)| has(recording, kind::TRANSMIT)));
    let sizes = net.records.iter().map(|(record, _)| record.file.metadata().unwrap().len());
    assert!(sizes.max() <= Some(9_000));
}

#[test]
fn what_is_refused_is_not_in_the_file_each_time() {
    let mut net = Net::recorded(ConfigBuilder::default(), |record| record);
    let (client, _server) = net.connect();
    let message = || Message::new(vec![7; 10_000]);
    let (mut taken, mut refused) = (0, 0);
    while refused < 1_000 {
        match client.send_now(message()) {
            Ok(()) => taken += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 0);
    let (recording, config) = net.recordings().swap_remove(CLIENT);
    let bytes = |kind| {
        let inputs = recording.inputs.iter().filter(move |input| input.kind == kind);
        inputs.map(|input| input.bytes.len()).collect::<Vec<_>>()
    };
    assert_eq!(bytes(kind::SEND).len(), taken);
    let refusals = bytes(kind::SEND_REFUSED);
    assert_eq!(refusals.len(), refused);
    assert!(refusals.iter().all(|len| *len < 40), "{refusals:?}");
    replay(&recording, &config, true).unwrap();
}

/// Looks at what it is told of when it is dropped: nobody may hold the lock then.
#[derive(Debug)]
struct Looks(crate::Shared<Ends>, std::sync::mpsc::Sender<()>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.inspect(|_| ());
        self.1.send(()).unwrap();
    }
}

struct Ends(Option<Looks>);

impl Machine for Ends {
    fn handle_packet(&mut self, _: proto_core::Now, _: Meta<Path>, _: &[u8]) {}
    fn handle_timeout(&mut self, _: proto_core::Now) {}
    fn poll_transmit(&mut self, _: proto_core::Now, _: &mut Vec<u8>) -> Option<proto_core::Transmit<Path>> {
        None
    }
    fn poll_timeout(&self) -> Option<proto_core::Timestamp> {
        None
    }
    fn handle_end(&mut self, _: End, wakes: &mut crate::Wakes) {
        wakes.drop_later(self.0.take());
    }
}

#[test]
fn nobody_waits_for_the_disk_where_an_endpoint_ends() {
    let (tell, told) = std::sync::mpsc::channel();
    let shared = crate::Shared::new(Ends(None), now);
    let looks = Looks(shared.clone(), tell);
    shared.turn(|machine, _| machine.0 = Some(looks));
    let end = std::thread::spawn(move || shared.end(End::Over));
    told.recv_timeout(Duration::from_secs(20)).expect("it was dropped, and not under the lock");
    end.join().unwrap();
}

#[test]
fn what_was_noted_goes_to_the_disk_although_nothing_more_happens() {
    let net = Net::recorded(ConfigBuilder::default(), |record| record);
    net.pass(Duration::from_secs(2));
    let server = net.hosts[SERVER].shared.clone();
    assert_eq!(server.inspect(Machine::poll_timeout), None);
    let meta = Meta { path: Path { socket: 0, peer: Peer::Udp(([10, 0, 0, 9], 9).into()) }, ecn: None };
    server.turn(|node, now| node.handle_packet(now, meta, b"the last that came"));
    let due = server.inspect(Machine::poll_timeout).expect("it is to be written");
    assert!(due <= now().mono + Duration::from_secs(1));
    net.pass(Duration::from_secs(2));
    assert_eq!(server.inspect(Machine::poll_timeout), None, "once");
    let (record, _) = &net.records[SERVER];
    let has_come = |bytes: &[u8]| bytes.windows(18).any(|part| part == b"the last that came");
    while !has_come(&std::fs::read(&record.file).unwrap()) {
        std::thread::yield_now();
    }
}

#[test]
fn a_recording_begins_anew_when_nobody_is_connected() {
    let again = |record| RecordOptions { limit: 300_000, again: true, ..record };
    let mut net = Net::recorded(ConfigBuilder::default(), again);
    let (mut ids, mut sent) = (Vec::new(), 0);
    for round in 1..=4 {
        let (client, server) = net.connect();
        ids.extend([client.id(), server.id()]);
        drop((client, server));
        converse(&mut net);
        net.pass(Duration::from_mins(3));
        let now = net.client().endpoint().stats().messages_accepted;
        assert!(now > sent, "what was counted before counts on");
        sent = now;
        assert_eq!(net.recordings().len(), 4, "round {round}");
    }
    let all = ids.len();
    ids.sort_unstable();
    // A client and a server may have ids of one number.
    ids.dedup();
    assert_eq!(ids.len(), all / 2, "no id comes twice");
    for (recording, _) in net.recordings() {
        assert_eq!(recording.inputs[0].kind, kind::BIRTH);
    }
    assert!(net.records.iter().all(|(record, _)| record.file.metadata().unwrap().len() <= 300_000));
    assert_eq!(net.client().endpoint().recording_ended(), None);
}

#[test]
fn a_recording_that_has_ended_begins_anew_when_nobody_is_connected() {
    let again = |record| RecordOptions { limit: 9_000, again: true, ..record };
    let mut net = Net::recorded(ConfigBuilder::default(), again);
    converse(&mut net);
    net.pass(Duration::from_mins(3));
    for host in &net.hosts {
        assert_eq!(host.endpoint().recording_ended(), None, "a new one");
        assert!(host.endpoint().counters().unrecorded > 10, "of the one before");
    }
}

#[test]
fn what_led_to_a_panic_is_in_the_file() {
    let net = conversation();
    let before = net.recordings();
    for host in &net.hosts {
        _ = host.shared.quietly(|node| node.endpoint_mut().turn_away());
        host.shared.end(End::Panicked);
    }
    for ((after, config), (before, _)) in net.recordings().into_iter().zip(before) {
        assert_eq!(after.inputs.len(), before.inputs.len() + 1, "the last input");
        replay(&after, &config, true).unwrap();
    }
}

#[test]
fn a_question_that_panics_is_in_the_file_without_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let record = RecordOptions::new(folder.path().join("panic.rec"));
    let config = ConfigBuilder::default().build().unwrap();
    let birth = Birth { seed: [1; 32], server_key: None, generation: 0 };
    let mut tape = Tape::new(&record, &config, &birth, now()).unwrap();
    let ask =
        || tape.asking(now().mono, kind::TRANSMIT, &(7_usize, usize::MAX, 0_u32), || panic!("as planned"));
    let panic = catch_unwind(AssertUnwindSafe(ask)).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"as planned"));
    tape.flush();
    let recording = Recording::parse(&std::fs::read(&record.file).unwrap()).unwrap();
    // Who does not panic has another answer.
    let why = replay(&recording, &ConfigBuilder::default(), true).unwrap_err();
    assert_eq!(why, "input 1: other packets are sent than were recorded");
    replay(&recording, &ConfigBuilder::default(), false).unwrap();
}

#[test]
fn an_input_costs_little_more_than_its_bytes() {
    let net = conversation();
    for ((recording, _), (record, _)) in net.recordings().iter().zip(&net.records) {
        let size = record.file.metadata().unwrap().len() as usize;
        let holds = |kind| matches!(kind & !kind::LATE, kind::BIRTH | kind::PACKETS | kind::SEND);
        let inputs = recording.inputs.iter();
        let payload: usize = inputs.filter(|input| holds(input.kind)).map(|input| input.bytes.len()).sum();
        let each = (size - payload) / recording.inputs.len();
        assert!(each <= 12, "{each} bytes");
    }
}

#[test]
fn shards_have_files_of_their_own() {
    let file = |file: &str, shard| RecordOptions::new(file).of_shard(shard).file;
    assert_eq!(file("a/session.rec", 0).to_str(), Some("a/session.rec"));
    assert_eq!(file("a/session.rec", 2).to_str(), Some("a/session.2.rec"));
    assert_eq!(file("session", 1).to_str(), Some("session.1"));
    assert_eq!(RecordOptions::new("a/session.1.rec").old_file().to_str(), Some("a/session.1.old.rec"));
}
