//! A peer that lies about connection ids, in packets that are sealed as they should be.

mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::crypto::Crypto;
use proto_core::wire::{Cid, Frame, NewCid, RecordWriter};
use proto_core::{CloseReason, ConfigBuilder, ConnectionId, Drop, Stats, code};
use world::{Alteration, Altered, CLIENT, SERVER, World, client_config, party, server_config};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(5);

/// A client that lies when it is told to, and a server that has its peers keep `spare` ids.
struct Lying {
    world: World,
    id: ConnectionId,
    alteration: Alteration,
}

impl Lying {
    fn new(spare: u8) -> Self {
        let alteration = Alteration::default();
        let config = client_config();
        let identity = Arc::new(Altered(party(8), alteration.clone()));
        let crypto = config.crypto.clone().map(|crypto| Crypto { identity, ..crypto });
        let client = ConfigBuilder { crypto, reconnect: None, ..config };
        let mut world = World::new(client, ConfigBuilder { spare_cids: spare, ..server_config() });
        let id = world.connect();
        world.run(SECOND);
        Self { world, id, alteration }
    }

    /// The client's next packet has these frames in it, and no others.
    fn lie(&mut self, frames: &[Frame<'_>]) {
        let mut record = Vec::new();
        let mut writer = RecordWriter::new(&mut record);
        for frame in frames {
            writer.write(frame, false);
        }
        *self.alteration.lie.lock().unwrap() = record;
        self.world.send(CLIENT, self.id, &[b'x'; 1000]);
        self.world.run(SECOND);
        assert!(self.alteration.lie.lock().unwrap().is_empty(), "it was told");
    }
}

fn new(number: u64, first: u8) -> Frame<'static> {
    Frame::NewCid(NewCid { number, cid: Cid([first; Cid::LEN]), token: [0; 16] })
}

#[test]
fn a_lie_about_ids_ends_the_connection_and_says_which() {
    let back = |number| Frame::RetireCid(number);
    for (spare, lie, text) in [
        (0, vec![new(1, 1)], "a connection id that nobody asked for"),
        (0, vec![back(0)], "a connection id is given back that was never given"),
        (1, vec![back(2)], "a connection id is given back that was never given"),
        (2, vec![back(u64::MAX >> 2)], "a connection id is given back that was never given"),
        (2, vec![new(1, 9)], "two connection ids of one number"),
        (2, vec![new(3, 3)], "more connection ids than were asked for"),
        (3, vec![new(4, 4), new(5, 5)], "more connection ids than were asked for"),
        (2, (0..101).map(|_| back(1)).collect(), "too many frames about paths"),
    ] {
        let mut lying = Lying::new(spare);
        lying.lie(&lie);
        let end = lying.world.ended(SERVER);
        assert_eq!(end, Some(CloseReason::PeerMisbehaved(text)), "{spare} ids: {text}");
        let told = lying.world.ended(CLIENT);
        let codes = [code::PROTOCOL_VIOLATION, code::EXCESSIVE];
        assert!(
            matches!(&told, Some(CloseReason::Peer { code, .. }) if codes.contains(code)),
            "{text}: {told:?}"
        );
    }
}

/// An id that is given back is replaced, once. The client behind the lie never gave it back, and has no room for another.
#[test]
fn an_id_is_given_back_once() {
    let mut lying = Lying::new(2);
    let before = lying.world.drops(SERVER, Drop::CidUnknown);
    lying.lie(&[Frame::RetireCid(2), Frame::RetireCid(2), Frame::RetireCid(2)]);
    assert_eq!(lying.world.drops(SERVER, Drop::CidUnknown) - before, 2);
    let end = lying.world.ended(CLIENT);
    assert_eq!(end, Some(CloseReason::PeerMisbehaved("more connection ids than were asked for")));
}

/// The client's last packet comes from another place as well, before anything else comes.
fn show_elsewhere(lying: &mut Lying, place: u8) {
    let elsewhere = SocketAddr::from(([198, 51, 100, place], 9));
    lying.world.tamper = Box::new(|from, _| from != CLIENT);
    lying.world.send(CLIENT, lying.id, b"x");
    lying.world.run(STEP);
    let packet = lying.world.seen.iter().rfind(|(from, _)| *from == CLIENT).unwrap().1.clone();
    lying.world.tamper = Box::new(|_, _| true);
    lying.world.hand_in_from(SERVER, elsewhere, &packet);
}

fn stats(lying: &Lying) -> Stats {
    lying.world.nodes[SERVER].stats()
}

/// The client is elsewhere, and proves it.
fn move_to(lying: &mut Lying, place: u8) {
    let moves = stats(lying).moves;
    lying.world.client_at = SocketAddr::from(([192, 0, 2, place], 4000));
    lying.world.send(CLIENT, lying.id, b"here");
    while stats(lying).moves == moves {
        lying.world.run(STEP);
    }
}

#[test]
fn who_goes_back_while_another_place_is_asked_costs_no_id() {
    let mut lying = Lying::new(1);
    let home = lying.world.client_at;
    move_to(&mut lying, 50);
    lying.world.run(20 * STEP);
    show_elsewhere(&mut lying, 1);
    assert_eq!((stats(&lying).paths_challenged, stats(&lying).paths_given_up), (2, 0));
    lying.world.client_at = home;
    lying.world.send(CLIENT, lying.id, b"back");
    lying.world.run(STEP);
    lying.world.run(STEP);
    assert_eq!((stats(&lying).moves, stats(&lying).paths_given_up), (2, 1));
    lying.world.run(10 * SECOND);
    let before = stats(&lying).cids_renewed;
    move_to(&mut lying, 60);
    assert_eq!(stats(&lying).cids_renewed - before, 1, "there is an id for the next place");
}

/// The server has taken the client's id 1 for a place, and is told of it again.
#[test]
fn an_id_that_is_taken_for_a_place_is_not_taken_again() {
    let mut lying = Lying::new(2);
    show_elsewhere(&mut lying, 1);
    assert_eq!((stats(&lying).paths_challenged, stats(&lying).paths_given_up), (1, 0));
    lying.lie(&[new(1, 1)]);
    lying.world.run(10 * SECOND);
    assert_eq!((stats(&lying).paths_given_up, lying.world.ended(SERVER)), (1, None));
    let before = stats(&lying).cids_renewed;
    move_to(&mut lying, 60);
    assert_eq!(stats(&lying).cids_renewed - before, 1);
}

/// The server took the client's id 1 for a place where the client was not, and has given it back.
#[test]
fn an_id_that_is_told_late_is_not_taken_for_a_new_one() {
    let mut lying = Lying::new(2);
    show_elsewhere(&mut lying, 1);
    lying.world.run(10 * SECOND);
    assert_eq!((stats(&lying).paths_challenged, stats(&lying).paths_given_up), (1, 1));
    lying.lie(&[new(1, 1)]);
    assert_eq!(lying.world.ended(SERVER), None, "ids 2 and 3 are there, and 1 is gone");
}

/// The client tells of ids that are older than the one in use, and never of those in between.
#[test]
fn ids_that_are_given_back_and_not_acknowledged_are_bounded() {
    for (count, ends) in [(5, false), (6, true)] {
        let mut lying = Lying::new(1);
        let home = lying.world.client_at;
        move_to(&mut lying, 50);
        // The packet that would tell of the next id tells of number 60.
        let mut record = Vec::new();
        RecordWriter::new(&mut record).write(&new(60, 60), false);
        *lying.alteration.lie.lock().unwrap() = record;
        while !lying.alteration.lie.lock().unwrap().is_empty() {
            lying.world.run(STEP);
        }
        // Who goes back is called otherwise without another proof.
        lying.world.client_at = home;
        lying.world.send(CLIENT, lying.id, b"back");
        lying.world.run(STEP);
        lying.world.run(STEP);
        assert_eq!((stats(&lying).moves, stats(&lying).cids_renewed), (2, 2));
        // Numbers 0 to 2 are given back, and the client says of none that it has heard.
        lying.world.tamper = Box::new(|from, _| from == CLIENT);
        lying.lie(&(40..40 + count).map(|number| new(number, number as u8)).collect::<Vec<_>>());
        let end = ends.then_some(CloseReason::PeerMisbehaved("connection ids that were used and given back"));
        assert_eq!(lying.world.ended(SERVER), end, "{count}");
    }
}
