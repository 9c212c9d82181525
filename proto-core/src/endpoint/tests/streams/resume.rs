//! Sessions that go on over another kind of link.

use alloc::vec::Vec;

use super::{At, BY_DATAGRAMS, BY_STREAM, CLIENT, SERVER, World};
use crate::endpoint::tests::{ZERO, ms, secs, server_config};
use crate::{
    Class, CloseReason, ConfigBuilder, ConnectionId, Continuity, Drop, Event, Fate, Message, Reconnect,
    Shard, State,
};

fn quick(config: ConfigBuilder) -> ConfigBuilder {
    let reconnect = Some(Reconnect { spread: ms(200), cap: secs(1), ..Reconnect::default() });
    ConfigBuilder { heartbeat: secs(1), dead: secs(4), reconnect, ..config }
}

fn pair(ways: &[At]) -> (World, ConnectionId, ConnectionId) {
    let mut world = World::new(quick(server_config()), quick(ConfigBuilder::default()));
    let id = world.connect(ways);
    world.run(ms(400));
    let peer = world.established(SERVER)[0];
    assert_eq!(world.established(CLIENT), [id]);
    (world, id, peer)
}

fn numbered(range: core::ops::Range<u8>) -> Vec<Vec<u8>> {
    range.map(|number| [number; 300].to_vec()).collect()
}

fn send_all(world: &mut World, node: usize, id: ConnectionId, range: core::ops::Range<u8>) {
    for payload in numbered(range) {
        world.send(node, id, Message::new(payload).receipt());
    }
}

fn is_over(world: &World, node: usize) -> bool {
    world.events[node].iter().any(|(_, event)| matches!(event, Event::Closed(_) | Event::ConnectFailed(_)))
}

#[test]
fn a_session_begun_on_datagrams_goes_on_over_a_stream_and_back() {
    let (mut world, id, peer) = pair(&[BY_DATAGRAMS, BY_STREAM]);
    assert_eq!(world.dialed, 0, "datagrams are preferred");
    let session = world.nodes[CLIENT].get(id).expect("there").session();
    send_all(&mut world, CLIENT, id, 0..10);
    send_all(&mut world, SERVER, peer, 0..10);
    world.run(ms(5));
    world.loses_datagrams = true;
    send_all(&mut world, CLIENT, id, 10..20);
    send_all(&mut world, SERVER, peer, 10..20);
    world.run(secs(7));
    assert_eq!((world.resumed(CLIENT), world.resumed(SERVER)), (Vec::from([2]), Vec::from([2])));
    assert_eq!(world.nodes[CLIENT].address(id), Some(BY_STREAM));
    assert_eq!(world.nodes[SERVER].address(peer), Some(At::Stream(CLIENT)));
    assert_eq!(world.recv_all(SERVER, peer), numbered(0..20));
    assert_eq!(world.recv_all(CLIENT, id), numbered(0..20));

    // The stream dies, and nobody listens there any more.
    send_all(&mut world, CLIENT, id, 20..30);
    send_all(&mut world, SERVER, peer, 20..30);
    world.drain();
    world.loses_datagrams = false;
    world.dial = Err(crate::DialError::Refused);
    world.cut();
    world.run(secs(4));
    assert_eq!((world.resumed(CLIENT).len(), world.resumed(SERVER).len()), (2, 2));
    assert_eq!(world.nodes[CLIENT].address(id), Some(BY_DATAGRAMS));
    assert_eq!(world.nodes[SERVER].address(peer), Some(At::Datagrams(CLIENT)));
    assert_eq!(world.recv_all(SERVER, peer), numbered(20..30));
    assert_eq!(world.recv_all(CLIENT, id), numbered(20..30));
    for node in [SERVER, CLIENT] {
        assert_eq!(world.fates(node), (0..30).map(|number| (number, Fate::Acked)).collect::<Vec<_>>());
        assert!(!is_over(&world, node));
        assert_eq!(world.nodes[node].len(), 1);
    }
    assert_eq!(world.nodes[CLIENT].get(id).expect("there").session(), session);
    assert_eq!(world.open_streams(), 0);
}

#[test]
fn a_stream_that_dies_takes_nothing_with_it() {
    let (mut world, id, peer) = pair(&[BY_STREAM]);
    send_all(&mut world, CLIENT, id, 0..30);
    send_all(&mut world, SERVER, peer, 0..30);
    world.send(SERVER, peer, Message::new("gone").class(Class::Unreliable));
    world.run(ms(12));
    world.cut();
    world.run(secs(2));
    assert_eq!((world.resumed(CLIENT), world.resumed(SERVER)), (Vec::from([2]), Vec::from([2])));
    let mut heard = world.recv_all(CLIENT, id);
    heard.retain(|payload| payload.len() == 300);
    assert_eq!((world.recv_all(SERVER, peer), heard), (numbered(0..30), numbered(0..30)));
    assert_eq!(world.nodes.each_ref().map(crate::endpoint::Endpoint::unsettled), [0, 0]);
    let told = world.events[CLIENT].iter().any(|(_, event)| matches!(event, Event::Continued { .. }));
    assert!(told);
}

#[test]
fn what_a_stream_carried_and_datagrams_cannot_is_too_large() {
    let (mut world, id, _) = pair(&[BY_STREAM, BY_DATAGRAMS]);
    world.dial = Err(crate::DialError::Refused);
    world.is_stalled = true;
    world.room = 0;
    let message = Message::new(alloc::vec![7; 100_000]).class(Class::Sequenced).receipt();
    world.send(CLIENT, id, message);
    world.cut();
    world.run(secs(3));
    assert_eq!(world.resumed(CLIENT), [2]);
    assert_eq!(world.fates(CLIENT), [(0, Fate::TooLarge)]);
}

#[test]
fn whichever_link_is_confirmed_carries_the_session() {
    // Both claims reach the server, and the answers come back in either order.
    for (stream_first, stall) in [(true, false), (false, false), (false, true)] {
        let (mut world, id, peer) = pair(&[BY_DATAGRAMS, BY_STREAM]);
        world.loses_datagrams = true;
        world.dial = Ok(if stream_first { ms(1) } else { ms(100) });
        send_all(&mut world, CLIENT, id, 0..5);
        while world.dialed == 0 {
            world.run(ms(1));
        }
        world.run(if stream_first { ms(6) } else { ms(99) });
        world.loses_datagrams = false;
        world.is_stalled = stall;
        world.run(secs(1));
        world.is_stalled = false;
        world.run(secs(10));
        assert_eq!(world.resumed(CLIENT), [2], "{stream_first} {stall}");
        assert_eq!(world.resumed(SERVER), [2], "{stream_first} {stall}");
        assert_eq!(world.recv_all(SERVER, peer), numbered(0..5));
        assert_eq!(world.nodes[SERVER].len(), 1, "nothing half open");
        let by_stream = world.nodes[CLIENT].address(id) == Some(BY_STREAM);
        assert_eq!(world.open_streams(), usize::from(by_stream));
        let expected = if by_stream { At::Stream(CLIENT) } else { At::Datagrams(CLIENT) };
        assert_eq!(world.nodes[SERVER].address(peer), Some(expected));
    }
}

#[test]
fn a_stream_that_is_taken_over_is_let_go_of() {
    let (mut world, id, peer) = pair(&[BY_STREAM]);
    world.is_stalled = true;
    send_all(&mut world, CLIENT, id, 0..5);
    world.run(secs(4));
    // The client has given it up; the server has not noticed, or has.
    world.streams.iter_mut().for_each(|stream| stream.ends[CLIENT] = None);
    world.is_stalled = false;
    world.run(secs(3));
    assert_eq!((world.resumed(CLIENT), world.resumed(SERVER)), (Vec::from([2]), Vec::from([2])));
    assert_eq!(world.recv_all(SERVER, peer), numbered(0..5));
    assert_eq!(world.open_streams(), 1);
}

#[test]
fn a_restarted_server_gives_a_new_session_over_the_same_stream() {
    let (mut world, id, _) = pair(&[BY_STREAM]);
    send_all(&mut world, CLIENT, id, 0..3);
    world.drain();
    let now = world.now;
    let config = quick(server_config()).build().expect("sound");
    world.nodes[SERVER] = crate::Endpoint::new(config, crate::Link::datagram(1200), [9; 32], now);
    world.events[SERVER].clear();
    world.streams.iter_mut().for_each(|stream| stream.ends[SERVER] = None);
    world.cut();
    world.run(secs(2));
    assert_eq!(world.end(CLIENT), CloseReason::Reset);
    let next = world.events[CLIENT].iter().find_map(|(_, event)| match event {
        Event::Closed(closed) => closed.next,
        _ => None,
    });
    let next = next.expect("it is replaced");
    assert_eq!(world.nodes[CLIENT].get(next).expect("there").state(), State::Established);
    assert_eq!(world.dropped(SERVER, Drop::ResumeRefused), 1);
    let reset = |(_, event): &&(ConnectionId, Event)| {
        matches!(event, Event::Continued { channel: ZERO, continuity: Continuity::Reset })
    };
    assert_eq!(world.events[CLIENT].iter().filter(reset).count(), 1);
    world.send(CLIENT, next, Message::new("anew"));
    world.run(secs(1));
    let peer = world.established(SERVER)[0];
    assert_eq!(world.recv_all(SERVER, peer), [b"anew"]);
    assert_eq!((world.open_streams(), world.nodes[CLIENT].len()), (1, 1));
}

#[test]
fn datagrams_for_a_session_that_a_stream_carries_are_nothing_to_it() {
    let (mut world, _, _) = pair(&[BY_DATAGRAMS, BY_STREAM]);
    world.loses_datagrams = true;
    let now = world.now;
    let config = quick(server_config()).build().expect("sound");
    world.nodes[SERVER] = crate::Endpoint::new(config, crate::Link::datagram(1200), [9; 32], now);
    world.run(secs(8));
    let next = *world.established(CLIENT).last().expect("it is replaced");
    assert_eq!(world.nodes[CLIENT].address(next), Some(BY_STREAM));
    let conn = world.nodes[CLIENT].get(next).expect("there");
    let mut late = Vec::new();
    let mut record = Vec::new();
    crate::wire::RecordWriter::new(&mut record).write(&crate::wire::Frame::Retry(b"too late"), false);
    let (kind, dcid) = (crate::wire::LongKind::Retry, conn.local_cid());
    let version = crate::wire::packet::VERSION;
    crate::wire::Long { kind, version, dcid: &dcid.0, scid: &[], payload: &record }
        .encode(&mut late, crate::wire::checksum::crc32c);
    let now = world.now;
    for from in [BY_DATAGRAMS, BY_STREAM] {
        world.nodes[CLIENT].handle_packet(now, crate::Meta { path: from, ecn: None }, &late);
    }
    world.run(secs(1));
    assert_eq!(world.nodes[CLIENT].get(next).expect("there").state(), State::Established);
    assert_eq!(world.dropped(CLIENT, Drop::WrongAddress), 2);
}

#[test]
fn those_who_show_credentials_ask_for_the_old_session_only() {
    let mut world = World::new(quick(server_config()), quick(ConfigBuilder::default()));
    let now = world.now;
    world.nodes[CLIENT].connect_any_with(now, &[BY_STREAM], b"sesame").expect("room");
    world.run(ms(300));
    let config = quick(server_config()).build().expect("sound");
    world.nodes[SERVER] = crate::Endpoint::new(config, crate::Link::datagram(1200), [9; 32], now);
    world.streams.iter_mut().for_each(|stream| stream.ends[SERVER] = None);
    world.cut();
    world.run(secs(4));
    assert_eq!(world.end(CLIENT), CloseReason::Reset);
    assert_eq!(world.established(CLIENT).len(), 2, "it came back with its credentials");
}

#[test]
fn the_first_record_of_a_stream_names_the_shard_of_its_session() {
    let server = ConfigBuilder { shard: 7, ..quick(server_config()) };
    let mut world = World::new(server, quick(ConfigBuilder::default()));
    world.connect(&[BY_STREAM]);
    world.run(ms(300));
    world.cut();
    let mut first = Vec::new();
    while first.is_empty() {
        world.run(ms(1));
        world.drain();
        let stream = world.streams.iter().find(|stream| stream.ends[CLIENT].is_some());
        first = stream
            .map(|stream| stream.pipes[CLIENT].bytes.iter().map(|&(_, byte)| byte).collect())
            .unwrap_or_default();
    }
    let mut bytes = &first[..];
    let mut deframer = crate::framing::Deframer::default();
    let record = deframer.next(&mut bytes, 4096).expect("nobody lies").expect("whole").to_vec();
    assert_eq!(crate::Endpoint::<At>::route(&record), Some(Shard(7)));
    let mut anew = World::new(server_config(), ConfigBuilder::default());
    anew.connect(&[BY_STREAM]);
    anew.run(ms(15));
    let first: Vec<u8> = anew.streams[0].pipes[CLIENT].bytes.iter().map(|&(_, byte)| byte).collect();
    let mut deframer = crate::framing::Deframer::default();
    let record = deframer.next(&mut &first[..], 4096).expect("nobody lies").expect("whole").to_vec();
    assert_eq!(crate::Endpoint::<At>::route(&record), None, "any will do");
}
