//! Sessions that outlive their links.

use alloc::vec::Vec;
use core::time::Duration;

use super::{SERVER, World, ZERO, client_config, ms, secs, server_config};
use crate::wire::{Attach, Frame, Packet, Record, checksum};
use crate::{
    Batch, ChannelId, ChannelOptions, Class, Close, CloseReason, ConfigBuilder, ConnectionId, Continuity,
    Drop, Event, Fate, Message, Reconnect, RequestOutcome, State, Timestamp,
};

pub(super) fn quick(config: ConfigBuilder) -> ConfigBuilder {
    let reconnect = Some(Reconnect { spread: ms(200), cap: secs(1), ..Reconnect::default() });
    ConfigBuilder { heartbeat: secs(1), dead: secs(4), handshake_timeout: secs(5), reconnect, ..config }
}

fn pair() -> (World, ConnectionId, ConnectionId) {
    World::connected(quick(server_config()), &quick(client_config()))
}

fn silence(world: &mut World, span: Duration) {
    world.lose(|_| true);
    world.run(span);
    world.lose(|_| false);
}

fn take(world: &mut World, node: usize, id: ConnectionId, channel: ChannelId) -> Vec<Vec<u8>> {
    let now = world.now;
    let mut taken = Vec::new();
    while let Some(received) =
        world.nodes[node].connection(id).and_then(|mut conn| conn.channel(channel).recv(now))
    {
        taken.push(received.payload.to_vec());
    }
    taken
}

fn told(world: &World, node: usize, wanted: impl Fn(&Event) -> bool) -> usize {
    world.events[node].iter().filter(|(_, event)| wanted(event)).count()
}

fn suspended(world: &World, node: usize) -> usize {
    told(world, node, |event| matches!(event, Event::Suspended { .. }))
}

fn resumed(world: &World, node: usize) -> Vec<u32> {
    let incarnation = |(_, event): &(_, Event)| match event {
        Event::Resumed { incarnation, .. } => Some(*incarnation),
        _ => None,
    };
    world.events[node].iter().filter_map(incarnation).collect()
}

fn continuity(world: &World, node: usize) -> Vec<Continuity> {
    let continued = |(_, event): &(_, Event)| match event {
        Event::Continued { continuity, .. } => Some(*continuity),
        _ => None,
    };
    world.events[node].iter().filter_map(continued).collect()
}

#[test]
fn a_silence_of_ten_seconds_loses_nothing_and_repeats_nothing() {
    let (mut world, id, peer) = pair();
    for side in [1, SERVER] {
        let conn = if side == 1 { id } else { peer };
        for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
            for n in 0..5_u8 {
                world.send(side, conn, Message::new([n; 3].to_vec()).class(class).receipt());
            }
        }
    }
    // Everything arrives, and no word of that comes back.
    world.lose(|sent| sent.packet.len() < 60);
    world.run(ms(15));
    for (side, conn) in [(1, id), (SERVER, peer)] {
        world.send(side, conn, Message::new("under way"));
    }
    silence(&mut world, secs(10));
    assert_eq!((suspended(&world, 1), suspended(&world, SERVER)), (1, 1));
    for (side, conn) in [(1, id), (SERVER, peer)] {
        assert_eq!(world.nodes[side].get(conn).unwrap().state(), State::Suspended);
        world.send(side, conn, Message::new("while there is no link"));
    }
    world.run(secs(4));
    for (side, conn) in [(1, id), (SERVER, peer)] {
        let incarnations = resumed(&world, side);
        assert_eq!(incarnations.len(), 1, "{:?}", world.events[side]);
        assert!(incarnations[0] >= 2);
        assert_eq!(continuity(&world, side), [Continuity::Continuous]);
        assert_eq!(world.nodes[side].get(conn).unwrap().state(), State::Established);
        let taken = take(&mut world, side, conn, ZERO);
        assert_eq!(taken.len(), 12, "{taken:?}");
        assert_eq!(told(&world, side, |event| matches!(event, Event::Fate { fate: Fate::Acked, .. })), 10);
        assert_eq!(world.nodes[side].stats().resumptions, 1);
        assert_eq!(world.nodes[side].get(conn).unwrap().unsettled(), 0);
    }
}

/// Two silences, the second of which begins while the first link's successor is not confirmed.
#[test]
fn a_lost_answer_does_not_lock_the_client_out() {
    let (mut world, id, peer) = pair();
    let first = *world.nodes[1].get(id).unwrap().session_secret();
    silence(&mut world, secs(6));
    // The server answers, and none of its answers arrives for longer than an attempt lasts.
    world.lose(|sent| sent.from == SERVER);
    world.run(secs(8));
    let server = world.nodes[SERVER].get(peer).unwrap();
    assert!(server.incarnation() >= 2 && server.state() == State::Suspended);
    assert_ne!(*server.session_secret(), first, "another one with each attachment");
    world.lose(|_| false);
    world.run(secs(8));
    let incarnations = resumed(&world, 1);
    assert_eq!(incarnations.len(), 1);
    assert!(incarnations[0] > 2, "each attempt asks for a number of its own: {incarnations:?}");
    let (client, server) = (world.nodes[1].get(id).unwrap(), world.nodes[SERVER].get(peer).unwrap());
    assert_eq!(client.session_secret(), server.session_secret());
    assert_ne!(*client.session_secret(), first);
    assert_eq!(client.incarnation(), server.incarnation());
    assert_eq!((suspended(&world, 1), suspended(&world, SERVER)), (1, 1));
}

/// The client has taken an answer of which the server never heard, so that its next claim is proven by what that answer brought; and
/// of that claim the answer is lost.
#[test]
fn a_lost_confirmation_and_a_lost_answer_do_not_lock_the_client_out() {
    let (mut world, id, peer) = pair();
    silence(&mut world, secs(6));
    world.lose(|sent| sent.from == 1 && sent.packet[0] & 0x80 == 0);
    world.run(secs(2));
    let secrets = |world: &World| {
        [(1, id), (SERVER, peer)].map(|(node, id)| *world.nodes[node].get(id).unwrap().session_secret())
    };
    let [client, server] = secrets(&world);
    assert_eq!(client, server, "the client has had the answer");
    assert!(resumed(&world, SERVER).is_empty());
    world.lose(|_| true);
    world.run(secs(5));
    world.lose(|sent| sent.from == SERVER);
    world.run(secs(8));
    let [client, server] = secrets(&world);
    assert_ne!(client, server, "it has claimed the session again, and had no answer");
    world.lose(|_| false);
    world.run(secs(6));
    assert_eq!(resumed(&world, 1).len(), 1, "{:?}", world.events[1]);
    assert_eq!(continuity(&world, 1), [Continuity::Continuous]);
}

/// The INIT that claims the session, as the client sends it while nothing arrives.
fn claim(world: &mut World) -> Vec<u8> {
    world.sent.clear();
    silence(world, secs(7));
    let claims = world.sent_by(1).rev_claims();
    let newest = claims.first().expect("the client asks").clone();
    world.sent.clear();
    newest
}

trait Claims {
    fn rev_claims(self) -> Vec<Vec<u8>>;
}

impl<'a, I: Iterator<Item = &'a super::Sent>> Claims for I {
    fn rev_claims(self) -> Vec<Vec<u8>> {
        let mut claims: Vec<_> = self
            .filter(|sent| {
                let Ok(Packet::Long(long)) = Packet::decode(&sent.packet, checksum::crc32c) else { return false };
                matches!(Record::new(long.payload).next(), Some(Ok(Frame::Init(init))) if init.attach != Attach::New)
            })
            .map(|sent| sent.packet.clone())
            .collect();
        claims.reverse();
        claims
    }
}

#[cfg(planted)]
#[test]
fn planted_links_that_are_not_fenced_are_found() {
    let planted = Some(crate::planted::Planted::FenceOpen);
    let server = ConfigBuilder { planted, ..quick(server_config()) };
    let (mut world, id, peer) = World::connected(server, &quick(client_config()));
    world.send(1, id, Message::new("late"));
    world.lose(|_| true);
    world.drain();
    let late = world.sent_by(1).last().expect("the message").packet.clone();
    world.run(secs(5));
    world.lose(|_| false);
    world.run(secs(5));
    assert_eq!(resumed(&world, SERVER), [2]);
    assert_eq!(take(&mut world, SERVER, peer, ZERO).len(), 1);
    let before = world.nodes[SERVER].stats().drops.get(Drop::DuplicateMessage);
    world.hand_in(SERVER, 1, &late);
    let after = world.nodes[SERVER].stats().drops.get(Drop::DuplicateMessage);
    assert_eq!(after - before, 1, "it was looked at");
}

#[test]
fn the_old_attachment_is_fenced_by_one_packet() {
    let (mut world, id, peer) = pair();
    world.send(1, id, Message::new("late"));
    world.lose(|_| true);
    world.drain();
    let late = world.sent_by(1).last().expect("the message").packet.clone();
    let init = claim(&mut world);
    let shard = world.nodes[SERVER].get(peer).unwrap().session().0[0];
    assert_eq!(crate::Endpoint::<core::net::SocketAddr>::route(&init), Some(crate::Shard(shard)));
    world.hand_in(SERVER, 1, &init);
    let mut answer = Vec::new();
    assert!(world.nodes[SERVER].poll_transmit(world.now, &mut answer).is_some(), "in one round trip");
    let Ok(Packet::Long(long)) = Packet::decode(&answer, checksum::crc32c) else { panic!("ACCEPT") };
    let Some(Ok(Frame::Accept(accept))) = Record::new(long.payload).next() else { panic!("ACCEPT") };
    assert_eq!(accept.session_id, world.nodes[SERVER].get(peer).unwrap().session().0);
    assert!(accept.incarnation >= 2);
    world.hand_in(SERVER, 1, &late);
    assert_eq!(world.dropped(SERVER, Drop::Fenced), 1);
    assert!(take(&mut world, SERVER, peer, ZERO).is_empty());
    // It is known for three probe timeouts, and then a stranger's.
    world.now += secs(30);
    world.hand_in(SERVER, 1, &late);
    assert_eq!(world.dropped(SERVER, Drop::Fenced), 1);
    assert_eq!(world.dropped(SERVER, Drop::UnknownConnection), 1);
}

/// The INIT with another claim in it.
fn forged(init: &[u8], change: &dyn Fn(&mut crate::wire::Claim)) -> Vec<u8> {
    rewritten(init, &|frame| {
        let mut claim = *frame.attach.claim().unwrap();
        change(&mut claim);
        frame.attach = Attach::Resume(claim);
    })
}

fn rewritten<'a>(init: &'a [u8], change: &dyn Fn(&mut crate::wire::Init<'a>)) -> Vec<u8> {
    let Ok(Packet::Long(long)) = Packet::decode(init, checksum::crc32c) else { panic!("INIT") };
    let Some(Ok(Frame::Init(mut frame))) = Record::new(long.payload).next() else { panic!("INIT") };
    change(&mut frame);
    let mut record = Vec::new();
    crate::wire::RecordWriter::new(&mut record).write(&Frame::Init(frame), false);
    record.resize(1200, 0);
    let mut packet = Vec::new();
    crate::wire::Long { payload: &record, ..long }.encode(&mut packet, checksum::crc32c);
    packet
}

/// Somebody in the client's network, or who says so, guesses proofs.
#[test]
fn forgers_cost_their_neighbours_a_round_trip_and_not_their_sessions() {
    for retry in [crate::Retry::UnderPressure, crate::Retry::Always] {
        let server = ConfigBuilder { retry, ..quick(server_config()) };
        let (mut world, _, _) = World::connected(server, &quick(client_config()));
        let init = claim(&mut world);
        for _ in 0..6 {
            world.hand_in(SERVER, 1, &forged(&init, &|claim| claim.proof[31] ^= 1));
        }
        assert_eq!(world.dropped(SERVER, Drop::ResumeRefused), 5);
        world.drain();
        world.flying.clear();
        world.run(secs(4));
        assert_eq!(resumed(&world, 1).len(), 1, "{:?}", world.events[1]);
    }
}

#[test]
fn claims_that_are_forged_old_or_repeated_move_nothing() {
    let (mut world, _, peer) = pair();
    let init = claim(&mut world);
    let forge = |change: &dyn Fn(&mut crate::wire::Claim)| forged(&init, change);
    let incarnation = world.nodes[SERVER].get(peer).unwrap().incarnation();
    // The mode and the number are part of what is proven.
    let changes: [&dyn Fn(&mut crate::wire::Claim); 4] =
        [&|_| {}, &|claim| claim.proof[31] ^= 1, &|claim| claim.incarnation += 1, &|claim| {
            claim.session_id[9] ^= 1;
        }];
    for (index, change) in changes.iter().enumerate() {
        world.hand_in(SERVER, 5, &forge(change));
        assert_eq!(world.dropped(SERVER, Drop::ResumeRefused), 1 + index as u64);
        let mut answer = Vec::new();
        assert!(world.nodes[SERVER].poll_transmit(world.now, &mut answer).is_some());
        let Ok(Packet::Long(long)) = Packet::decode(&answer, checksum::crc32c) else { panic!("an answer") };
        let Some(Ok(Frame::Close(close))) = Record::new(long.payload).next() else { panic!("CLOSE") };
        assert_eq!(close.code, crate::code::RESUME_UNKNOWN);
        assert!(answer.len() < 100);
    }
    assert_eq!(world.nodes[SERVER].get(peer).unwrap().incarnation(), incarnation);
    // After a fifth failure of its prefix nothing is looked at before the address is proven.
    world.hand_in(SERVER, 5, &forge(changes[1]));
    world.hand_in(SERVER, 5, &forge(changes[1]));
    assert_eq!((world.dropped(SERVER, Drop::ResumeRefused), world.dropped(SERVER, Drop::Retried)), (5, 2));
    // The right one, once; then it is old.
    world.hand_in(SERVER, 1, &init);
    let moved = world.nodes[SERVER].get(peer).unwrap();
    assert!(moved.incarnation() > incarnation);
    let (incarnation, secret) = (moved.incarnation(), *moved.session_secret());
    world.hand_in(SERVER, 1, &init);
    let moved = world.nodes[SERVER].get(peer).unwrap();
    assert_eq!((moved.incarnation(), *moved.session_secret()), (incarnation, secret), "the same handshake");
    assert_eq!(world.nodes[SERVER].len(), 1, "nothing is kept of what failed");
}

/// Who owns a session could have its packets sent to somebody who never asked for them.
#[test]
fn a_repeated_claim_moves_the_session_to_proven_addresses_only() {
    let (mut world, _, peer) = pair();
    let init = claim(&mut world);
    let secret = *world.nodes[SERVER].get(peer).unwrap().session_secret();
    world.hand_in(SERVER, 1, &init);
    let incarnation = world.nodes[SERVER].get(peer).unwrap().incarnation();
    world.drain();
    world.sent.clear();
    world.hand_in(SERVER, 6, &init);
    world.drain();
    let answers: Vec<_> = world.sent_by(SERVER).map(|sent| (sent.to, sent.packet.clone())).collect();
    let [(6, answer)] = &answers[..] else { panic!("one answer, to who asked: {answers:?}") };
    assert!(answer.len() < 100);
    assert_eq!(world.nodes[SERVER].address(peer), Some(super::address(1)));
    let Ok(Packet::Long(retry)) = Packet::decode(answer, checksum::crc32c) else { panic!("RETRY") };
    let Some(Ok(Frame::Retry(token))) = Record::new(retry.payload).next() else { panic!("a token") };
    // It was somebody after all.
    let with_token = rewritten(&init, &|frame| {
        let mut claim = *frame.attach.claim().unwrap();
        frame.token = token;
        claim.proof = *crate::connection::prove(&secret, frame).as_bytes();
        frame.attach = Attach::ResumeOrNew(claim);
    });
    world.hand_in(SERVER, 6, &with_token);
    let moved = world.nodes[SERVER].get(peer).unwrap();
    assert_eq!(moved.incarnation(), incarnation, "the same handshake");
    assert_eq!(world.nodes[SERVER].address(peer), Some(super::address(6)));
}

#[test]
fn of_two_clients_with_one_session_the_one_with_the_newer_secret_has_it() {
    let (mut world, id, peer) = pair();
    let twin = world.nodes[1].clone();
    silence(&mut world, secs(5));
    world.run(secs(4));
    let session = world.nodes[SERVER].get(peer).unwrap().session();
    let incarnation = world.nodes[SERVER].get(peer).unwrap().incarnation();
    world.nodes.push(twin);
    world.events.push(Vec::new());
    world.run(secs(10));
    let mine = world.nodes[1].get(id).unwrap();
    assert_eq!((mine.state(), mine.session()), (State::Established, session));
    assert_eq!(world.nodes[SERVER].get(peer).unwrap().incarnation(), incarnation);
    let theirs: Vec<_> = world.nodes[2].slots.iter().filter_map(|slot| slot.entry.as_ref()).collect();
    assert_eq!(theirs.len(), 1);
    assert_ne!(theirs[0].conn.look().session(), session, "the other one has a new session");
    assert!(theirs[0].conn.look().state() == State::Established);
}

#[test]
fn a_restarted_server_says_so_and_the_client_goes_on_anew() {
    let (mut world, id, _) = pair();
    world.lose(|_| true);
    world.send(1, id, Message::new("lost with the server").receipt());
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("there");
    let asked = conn.channel(ZERO).request(now, Message::new("?"), secs(60)).expect("room");
    drop(conn);
    world.run(secs(6));
    world.restart_server();
    world.lose(|_| false);
    world.run(secs(4));
    assert_eq!(continuity(&world, 1), [Continuity::Reset]);
    let fate = |event: &Event| matches!(event, Event::Fate { fate: Fate::Unknown, .. });
    assert_eq!(told(&world, 1, fate), 1);
    let outcome = RequestOutcome::Disconnected { not_processed: false };
    assert_eq!(told(&world, 1, |event| *event == Event::RequestDone { request: asked, outcome }), 1);
    let closed = world.events[1].iter().find_map(|(_, event)| match event {
        Event::Closed(closed) => Some(closed.clone()),
        _ => None,
    });
    let closed = closed.expect("the session is over");
    assert_eq!(closed.reason, CloseReason::Reset);
    let next = closed.next.expect("the server gave another one at once");
    assert_eq!(world.nodes[1].get(next).unwrap().state(), State::Established);
    let reset = world.events[1].iter().position(|(_, event)| matches!(event, Event::Continued { .. }));
    let end = world.events[1].iter().position(|(_, event)| matches!(event, Event::Closed(_)));
    assert!(reset < end);
    assert_eq!(world.established(SERVER).len(), 1, "{:?}", world.events[SERVER]);
}

#[test]
fn a_session_ends_with_its_window() {
    let window = ConfigBuilder { resume_window: secs(3), ..quick(client_config()) };
    let (mut world, id, peer) = World::connected(quick(server_config()), &window);
    silence(&mut world, secs(9));
    for node in [1, SERVER] {
        assert_eq!(suspended(&world, node), 1);
        let until = world.events[node].iter().find_map(|(_, event)| match event {
            Event::Suspended { until } => Some(*until),
            _ => None,
        });
        assert!(until.is_some_and(|until| until < world.now));
        assert_eq!(told(&world, node, |event| matches!(event, Event::Closed(_))), 1);
    }
    assert!(world.nodes[SERVER].get(peer).is_none() && world.nodes[1].get(id).is_none());
    world.run(secs(5));
    assert_eq!(world.nodes[1].len(), 1, "the client came back anew");
    assert_eq!(world.nodes[SERVER].len(), 1);
}

#[test]
fn without_a_window_of_both_sides_there_is_none() {
    let without = |config: ConfigBuilder| ConfigBuilder { resume_window: Duration::ZERO, ..config };
    for (server, client) in [
        (without(quick(server_config())), quick(client_config())),
        (quick(server_config()), without(quick(client_config()))),
        (quick(server_config()), ConfigBuilder { reconnect: None, ..quick(client_config()) }),
    ] {
        let (mut world, ..) = World::connected(server, &client);
        silence(&mut world, secs(6));
        for node in [1, SERVER] {
            assert_eq!(suspended(&world, node), 0);
            assert_eq!(told(&world, node, |event| matches!(event, Event::Closed(_))), 1);
        }
    }
}

#[test]
fn what_may_be_kept_without_links_is_limited() {
    for (limited, left) in [
        (ConfigBuilder { max_suspended: 2, ..quick(server_config()) }, 2),
        (ConfigBuilder { suspended_bytes: 2500, ..quick(server_config()) }, 2),
        (quick(server_config()), 4),
    ] {
        let mut world = World::new(limited, 4, &quick(client_config()));
        for client in 1..=4 {
            world.connect(client);
        }
        world.run(ms(500));
        let ids = world.established(SERVER);
        world.lose(|_| true);
        for &id in &ids {
            world.send(SERVER, id, Message::new([7; 1000].to_vec()));
        }
        world.run(secs(6));
        assert_eq!(world.nodes[SERVER].len(), left);
        assert_eq!(world.nodes[SERVER].stats().evictions, 4 - left as u64);
    }
}

#[test]
fn a_new_client_takes_the_room_of_a_session_without_a_link() {
    let full = ConfigBuilder { max_connections: 1, ..quick(server_config()) };
    let mut world = World::new(full, 2, &quick(client_config()));
    world.connect(1);
    world.run(ms(500));
    silence(&mut world, secs(6));
    world.lose(|sent| sent.from == 1 || sent.to == 1);
    world.connect(2);
    world.run(secs(2));
    assert_eq!(world.established(SERVER).len(), 2);
    assert_eq!(world.nodes[SERVER].stats().evictions, 1);
}

#[test]
fn channels_of_both_sides_go_on_and_lifetimes_run_out() {
    let (mut world, id, peer) = pair();
    let now = world.now;
    let options = ChannelOptions { name: "extra".into(), ..ChannelOptions::default() };
    let mut ours = [ZERO; 2];
    for (index, (node, conn)) in [(1, id), (SERVER, peer)].into_iter().enumerate() {
        let mut conn = world.nodes[node].connection(conn).expect("there");
        ours[index] = conn.open_channel(now, &options).expect("room");
        let on = |class| Message::new("x").class(class).receipt();
        conn.channel(ours[index]).send(now, on(Class::ReliableOrdered)).unwrap();
        conn.channel(ours[index]).send(now, on(Class::Unreliable)).unwrap();
        conn.channel(ours[index]).send(now, on(Class::Sequenced)).unwrap();
        conn.channel(ours[index]).send(now, on(Class::ReliableUnordered).lifetime(secs(3))).unwrap();
    }
    // Nothing of it arrives, the announcements included.
    silence(&mut world, secs(8));
    world.run(secs(4));
    for (node, conn, from) in [(1, id, ours[1]), (SERVER, peer, ours[0])] {
        assert_eq!(resumed(&world, node).len(), 1);
        let taken = take(&mut world, node, conn, from);
        assert_eq!(taken.len(), 2, "the ordered one, and the newest sequenced one");
        let fates = |wanted: fn(&Fate) -> bool| {
            told(&world, node, |event| matches!(event, Event::Fate { fate, .. } if wanted(fate)))
        };
        assert_eq!(fates(|fate| *fate == Fate::Acked), 2);
        assert_eq!(fates(|fate| *fate == Fate::Lost), 1);
        assert_eq!(fates(|fate| matches!(fate, Fate::Expired { .. })), 1);
    }
}

#[test]
fn requests_are_answered_over_another_link() {
    let (mut world, id, peer) = pair();
    let now = world.now;
    let ask = |world: &mut World, text: &'static str| {
        let mut conn = world.nodes[1].connection(id).expect("there");
        conn.channel(ZERO).request(now, Message::new(text), secs(100)).expect("room")
    };
    let answered = ask(&mut world, "answered, and the answer is lost");
    world.run(ms(12));
    let mut conn = world.nodes[SERVER].connection(peer).expect("there");
    let received = conn.channel(ZERO).recv(now).expect("it came");
    conn.reply(now, received.request.expect("a request"), "yes").unwrap();
    drop(conn);
    world.lose(|_| true);
    let unheard = ask(&mut world, "lost");
    silence(&mut world, secs(9));
    world.run(secs(4));
    let replied = |request| Event::RequestDone { request, outcome: RequestOutcome::Replied };
    assert_eq!(told(&world, 1, |event| *event == replied(answered)), 1);
    let now = world.now;
    let mut conn = world.nodes[SERVER].connection(peer).expect("there");
    let received = conn.channel(ZERO).recv(now).expect("it came after all");
    assert_eq!(received.payload, "lost");
    conn.reply(now, received.request.expect("a request"), "late").unwrap();
    assert!(conn.channel(ZERO).recv(now).is_none(), "once");
    drop(conn);
    world.run(secs(1));
    assert_eq!(told(&world, 1, |event| *event == replied(unheard)), 1);
}

#[test]
fn a_server_that_gave_up_too_soon_hears_the_old_link() {
    let patient = ConfigBuilder { dead: secs(30), ..quick(client_config()) };
    let (mut world, id, peer) = World::connected(quick(server_config()), &patient);
    silence(&mut world, secs(5));
    assert_eq!((suspended(&world, 1), suspended(&world, SERVER)), (0, 1));
    world.send(1, id, Message::new("still here"));
    world.run(secs(4));
    assert_eq!(resumed(&world, SERVER), [1]);
    assert_eq!(take(&mut world, SERVER, peer, ZERO).len(), 1);
}

#[test]
fn closing_a_session_without_a_link_ends_it_at_once() {
    let (mut world, id, peer) = pair();
    silence(&mut world, secs(6));
    let now: Timestamp = world.now;
    for (node, conn) in [(1, id), (SERVER, peer)] {
        world.nodes[node].connection(conn).expect("there").close(now, Close::default());
        world.run(ms(1));
        assert!(
            matches!(world.events[node].last(), Some((_, Event::Closed(closed))) if closed.next.is_none())
        );
        assert!(world.nodes[node].is_empty());
    }
}

#[test]
fn what_nobody_answered_for_goes_to_the_next_server() {
    let (mut world, id, peer) = pair();
    for text in ["answered", "given and not answered", "not given"] {
        world.send(1, id, Message::new(text).receipt_of_processing());
    }
    world.send(1, id, Message::new("nobody asked").receipt());
    world.run(ms(50));
    let now = world.now;
    let mut conn = world.nodes[SERVER].connection(peer).expect("there");
    let first = conn.channel(ZERO).recv(now).and_then(|received| received.receipt).expect("it asks");
    assert!(conn.ack(now, first));
    assert!(conn.channel(ZERO).recv(now).is_some());
    drop(conn);
    world.run(ms(200));
    world.lose(|_| true);
    world.send(1, id, Message::new("under way").receipt_of_processing());
    world.run(ms(5));
    world.restart_server();
    world.lose(|_| false);
    world.run(secs(5));
    let fates: Vec<Fate> = world.events[1]
        .iter()
        .filter_map(|(conn, event)| match event {
            Event::Fate { fate, .. } if *conn == id => Some(*fate),
            _ => None,
        })
        .collect();
    let moved = fates.iter().filter(|fate| matches!(fate, Fate::Moved(_))).count();
    assert!(fates.contains(&Fate::Processed) && fates.contains(&Fate::Acked) && moved == 3, "{fates:?}");
    let server = world.established(SERVER)[0];
    let now = world.now;
    let mut again = Vec::new();
    let mut conn = world.nodes[SERVER].connection(server).expect("there");
    while let Some(received) = conn.channel(ZERO).recv(now) {
        assert!(conn.ack(now, received.receipt.expect("it asks")));
        again.push(received.payload);
    }
    drop(conn);
    assert_eq!(again, ["given and not answered", "not given", "under way"]);
    world.run(secs(1));
    let next = world.established(1)[0];
    let processed = |(conn, event): &&(ConnectionId, Event)| {
        *conn == next && matches!(event, Event::Fate { fate: Fate::Processed, .. })
    };
    assert_eq!(world.events[1].iter().filter(processed).count(), 3);
    assert_eq!(world.nodes[1].stats().messages_moved, 3);
}

#[test]
fn channels_and_batches_that_nobody_answered_for_go_to_the_next_server() {
    let (mut world, id, peer) = pair();
    let now = world.now;
    let options = ChannelOptions { name: "work".into(), priority: 2, ..ChannelOptions::default() };
    let mut conn = world.nodes[1].connection(id).expect("there");
    let idle = conn.open_channel(now, &ChannelOptions::default()).expect("room");
    let work = conn.open_channel(now, &options).expect("room");
    conn.channel(idle).send(now, Message::new("nobody asked")).expect("room");
    for (number, text) in ["one", "two", "three"].into_iter().enumerate() {
        let batch = Batch { number: 5, is_last: number == 2 };
        let message = Message::new(text).receipt_of_processing();
        conn.channel(work).send(now, Message { batch: Some(batch), ..message }).expect("room");
    }
    conn.channel(work).send(now, Message::new("alone").receipt_of_processing()).expect("room");
    drop(conn);
    world.run(ms(200));
    let now = world.now;
    let mut conn = world.nodes[SERVER].connection(peer).expect("there");
    let first = conn.channel(work).recv(now).and_then(|received| received.receipt).expect("it asks");
    assert!(conn.ack(now, first));
    drop(conn);
    world.run(ms(200));
    world.restart_server();
    world.run(secs(5));
    let next = world.established(1)[0];
    let told: Vec<_> =
        world.events[1].iter().filter(|(conn, _)| *conn == id).map(|(_, event)| event).collect();
    let is_moved = |event: &&&Event| match event {
        Event::Batch { channel, batch: 5, fate: Fate::Moved(to) } => *channel == work && to.channel != work,
        Event::Fate { message, fate: Fate::Moved(to) } => message.channel == work && to.channel != work,
        _ => false,
    };
    assert_eq!(told.iter().filter(is_moved).count(), 2, "{told:?}");
    let server = world.established(SERVER)[0];
    let opened = world.events[SERVER].iter().rev().find_map(|(_, event)| match event {
        Event::Readable(channel) => Some(*channel),
        _ => None,
    });
    let channel = opened.expect("it was opened again");
    let now = world.now;
    let mut conn = world.nodes[SERVER].connection(server).expect("there");
    assert_eq!(conn.channel(channel).name(), Some("work"));
    let mut again = Vec::new();
    while let Some(received) = conn.channel(channel).recv(now) {
        again.push((received.payload, received.batch.map(|batch| batch.is_last)));
        assert!(conn.ack(now, received.receipt.expect("it asks")));
    }
    drop(conn);
    let expected = [("two", Some(false)), ("three", Some(true)), ("alone", None)];
    assert_eq!(again, expected.map(|(text, batch)| (bytes::Bytes::from_static(text.as_bytes()), batch)));
    world.run(secs(1));
    let ended = told_of(&world, next, |event| {
        matches!(event, Event::Batch { batch: 5, fate: Fate::Processed, .. })
            || matches!(event, Event::Fate { fate: Fate::Processed, .. })
    });
    assert_eq!(ended, 2);
}

/// Whether a packet of the client has its state in it.
fn has_state(sent: &super::Sent) -> bool {
    let Ok(Packet::Short(short)) = Packet::decode(&sent.packet, checksum::crc32c) else { return false };
    sent.from == 1 && Record::new(short.payload).any(|frame| matches!(frame, Ok(Frame::ResumeState(_))))
}

/// The server loses the new link before it has heard all about the old one, and the client does not notice.
#[test]
fn a_server_that_gave_up_in_the_middle_hears_the_rest() {
    let (mut world, id, peer) = pair();
    silence(&mut world, secs(6));
    world.lose(has_state);
    world.run(secs(4));
    assert_eq!(world.nodes[SERVER].get(peer).unwrap().state(), State::Established, "it was confirmed");
    assert!(resumed(&world, SERVER).is_empty());
    world.lose(|sent| sent.from == 1);
    world.run(ms(4500));
    assert_eq!(world.nodes[SERVER].get(peer).unwrap().state(), State::Suspended);
    world.send(SERVER, peer, Message::new("down"));
    world.send(1, id, Message::new("up"));
    world.lose(|_| false);
    world.run(secs(4));
    for (side, conn) in [(1, id), (SERVER, peer)] {
        assert_eq!((suspended(&world, side), resumed(&world, side)), (1, Vec::from([2])));
        assert_eq!(continuity(&world, side), [Continuity::Continuous]);
        assert_eq!(take(&mut world, side, conn, ZERO).len(), 1);
    }
}

#[test]
fn what_came_over_a_link_that_was_never_told_is_not_told_at_the_end() {
    let (mut world, id, _) = pair();
    silence(&mut world, secs(6));
    world.lose(has_state);
    world.run(secs(4));
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("there");
    conn.open_channel(now, &ChannelOptions::default()).expect("room");
    drop(conn);
    world.run(ms(100));
    let now = world.now;
    world.nodes[1].connection(id).expect("there").close(now, Close::default());
    world.run(secs(5));
    let told: Vec<_> = world.events[SERVER].iter().map(|(_, event)| event).collect();
    assert!(matches!(told[..], [.., Event::Suspended { .. }, Event::Closed(_)]), "{told:?}");
}

#[test]
fn batches_that_are_spoilt_are_not_moved() {
    let (mut world, id, _) = pair();
    world.lose(|_| true);
    let now = world.now;
    for number in 0..2 {
        let batch = Some(Batch { number: 5, is_last: number == 1 });
        let message = Message::new("one of them").receipt_of_processing();
        let mut conn = world.nodes[1].connection(id).expect("there");
        conn.channel(ZERO).send(now, Message { batch, key: Some(1), ..message }).expect("room");
    }
    world.restart_server();
    world.lose(|_| false);
    world.run(secs(8));
    let spoilt = |event: &Event| matches!(event, Event::Batch { batch: 5, fate: Fate::Superseded, .. });
    assert_eq!(told_of(&world, id, spoilt), 1, "{:?}", world.events[1]);
    assert_eq!(world.nodes[1].stats().messages_moved, 0);
}

fn told_of(world: &World, conn: ConnectionId, wanted: impl Fn(&Event) -> bool) -> usize {
    world.events[1].iter().filter(|(of, event)| *of == conn && wanted(event)).count()
}
