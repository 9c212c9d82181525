//! The glue by which `simtest replay FILE.rec` runs a recorded server again.

use std::collections::BTreeMap;

use driver::recorded::{Get, Put, checksum, get, said};
use driver::{Machine, Path};
use proto_core::chat::RoomState;
use proto_core::server::{Front, Order, Report};
use proto_core::wire::{DecodeError, Reader};
use proto_core::{Credentials, Ecn, Link, LinkId, Meta, Now, Timestamp, Transmit};
use simtest::{Input, Recording};
use tungstenite::Message;

use super::{PROTOCOL, Rooms, Said, kind, taken};
use crate::gateway::GuestId;
use crate::serve::{House, ServeError, Start, Wish};
use crate::store;

/// What is wrong with an input.
#[derive(Debug)]
pub(super) enum Wrong {
    Bytes(DecodeError),
    Birth(ServeError),
    Said(&'static str),
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        Self::Bytes(error)
    }
}

impl From<ServeError> for Wrong {
    fn from(error: ServeError) -> Self {
        Self::Birth(error)
    }
}

fn same(is_same: bool, what: &'static str) -> Result<(), Wrong> {
    if is_same { Ok(()) } else { Err(Wrong::Said(what)) }
}

/// Gives all inputs to a new server, or to a new shard. With `compare`, the first output that is not the recorded one is an error.
pub(super) fn replay(recording: &Recording, compare: bool) -> Result<(), String> {
    let mut replay: Option<Replay> = None;
    for (number, input) in recording.inputs.iter().enumerate() {
        match given(&mut replay, input) {
            Err(Wrong::Said(what)) if compare => return Err(format!("input {number}: {what}")),
            Ok(()) | Err(Wrong::Said(_)) => {}
            Err(Wrong::Bytes(error)) => {
                return Err(format!("input {number} (kind {}): {error}", input.kind));
            }
            Err(Wrong::Birth(error)) => return Err(format!("input {number}: {error}")),
        }
    }
    Ok(())
}

fn given(replay: &mut Option<Replay>, input: &Input) -> Result<(), Wrong> {
    let (now, kind, bytes) = in_time(input)?;
    let mut rest = Reader::new(bytes);
    match (kind, replay) {
        (kind::START, replay) => {
            let (start, Rooms(rooms)) = <(Start, Rooms<Vec<RoomState>>)>::get(&mut rest)?;
            *replay = Some(Replay::new(Whose::House(start.house(rooms, now)?)));
            Ok(())
        }
        (kind::START_SHARD, replay) => {
            let (start, (shard, seed)) = <(Start, (u8, _))>::get(&mut rest)?;
            *replay = Some(Replay::new(Whose::Front(start.front(shard, seed, now)?)));
            Ok(())
        }
        (_, None) => Err(Wrong::Bytes(DecodeError::Invalid("it does not begin with a birth"))),
        (kind, Some(replay)) => replay.input(now, kind, bytes),
    }
}

/// When an input came, its sort, and what came with it.
pub(super) fn in_time(input: &Input) -> Result<(Now, u8, &[u8]), DecodeError> {
    let mut rest = Reader::new(&input.bytes);
    let late = if input.kind & kind::LATE == 0 { 0 } else { rest.vi64()? };
    let mono = Timestamp::from_nanos(input.at.saturating_sub(late));
    Ok((Now { mono, unix_ms: input.unix_ms }, input.kind & !kind::LATE, rest.rest()))
}

/// Whose inputs they are.
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Whose {
    House(House),
    Front(Front<Path>),
}

struct Replay {
    whose: Whose,
    paths: Vec<Path>,
    /// The streams by the numbers that they had when they were recorded. In a shrunk recording they have others.
    links: BTreeMap<LinkId, LinkId>,
    /// The guests likewise.
    guests: BTreeMap<GuestId, GuestId>,
    buf: Vec<u8>,
    packets: Vec<Transmit<Path>>,
}

impl Replay {
    const fn new(whose: Whose) -> Self {
        Self {
            whose,
            paths: Vec::new(),
            links: BTreeMap::new(),
            guests: BTreeMap::new(),
            buf: Vec::new(),
            packets: Vec::new(),
        }
    }

    fn input(&mut self, now: Now, kind: u8, bytes: &[u8]) -> Result<(), Wrong> {
        if kind == kind::PATH {
            let (number, path) = get::<(u32, Path)>(bytes)?;
            self.paths.truncate(number as usize);
            self.paths.push(path);
            return Ok(());
        }
        let Self { whose, paths, links, buf, packets, .. } = self;
        let machine: &mut dyn Machine = match whose {
            Whose::House(house) => house,
            Whose::Front(front) => front,
        };
        // What a shrunk recording lacks is passed over.
        let path_of = |number: u32| paths.get(number as usize).copied();
        let mut rest = Reader::new(bytes);
        match kind {
            kind::PACKETS => {
                let (path, ecn, stride) = <(u32, Option<Ecn>, usize)>::get(&mut rest)?;
                let Some(path) = path_of(path) else { return Ok(()) };
                match stride {
                    0 => machine.handle_packet(now, Meta { path, ecn }, rest.rest()),
                    stride => machine.handle_packets(now, Meta { path, ecn }, rest.rest(), stride),
                }
            }
            kind::TIMEOUT => machine.handle_timeout(now),
            kind::TRANSMIT => {
                let (max, sent, sum) = get::<(usize, usize, u32)>(bytes)?;
                buf.clear();
                packets.clear();
                let is_same = machine.poll_packets(now, max, buf, packets) == sent;
                same(is_same && checksum(packets, buf) == sum, "other packets are sent than were recorded")?;
            }
            kind::LINK_UP => {
                let (path, link, vouched, recorded) = get::<(u32, Link, Credentials, Option<LinkId>)>(bytes)?;
                let (Some(path), Some(recorded)) = (path_of(path), recorded) else { return Ok(()) };
                let Some(id) = machine.link_up(now, path, link, vouched) else { return Ok(()) };
                links.insert(recorded, id);
                same(id == recorded, "the stream has another number")?;
            }
            kind::POLL_LINK => {
                same(machine.poll_link() == get(bytes)?, "another stream wants to write")?;
            }
            kind::LINK_DOWN | kind::LINK_BROKEN | kind::RECORD | kind::POLL_RECORD | kind::RELEASE_LINK => {
                let Some(id) = links.get(&LinkId::get(&mut rest)?).copied() else { return Ok(()) };
                match kind {
                    kind::LINK_DOWN => machine.link_down(now, id),
                    kind::LINK_BROKEN => {
                        let why = String::get(&mut rest)?;
                        // A replay is a short process.
                        machine.link_broken(now, id, Box::leak(why.into_boxed_str()));
                    }
                    kind::RECORD => machine.handle_record(now, id, rest.rest()),
                    kind::RELEASE_LINK => {
                        let is_same = machine.release_link(now, id) == bool::get(&mut rest)?;
                        same(is_same, "another stream is handed over")?;
                    }
                    _ => {
                        let recorded = <(usize, u32)>::get(&mut rest)?;
                        buf.clear();
                        let output = machine.poll_record(now, id, buf);
                        let is_same = said(output, buf) == recorded;
                        same(is_same, "another record is written than was recorded")?;
                    }
                }
            }
            _ => match &mut self.whose {
                Whose::House(house) => return told_house(house, &mut self.guests, now, kind, bytes),
                Whose::Front(front) => return told_front(front, now, kind, bytes),
            },
        }
        Ok(())
    }
}

/// What the services of a server are told beside what every machine is.
fn told_house(
    house: &mut House,
    guests: &mut BTreeMap<GuestId, GuestId>,
    now: Now,
    kind: u8,
    bytes: &[u8],
) -> Result<(), Wrong> {
    let mut rest = Reader::new(bytes);
    match kind {
        kind::SETTLE => {
            while house.server.poll_event().is_some() {}
            house.tell_guests(now).for_each(drop);
        }
        kind::PERSIST => drop(house.server.poll_persist(now)),
        kind::READ => drop(house.server.poll_read()),
        kind::REPORT => house.reported(now, get::<store::Report>(bytes)?),
        kind::ANSWER => house.answered(now, &get::<store::Answer>(bytes)?),
        kind::DRAIN => house.leave(now),
        kind::NOT_TAKEN => house.not_taken(now, get(bytes)?),
        kind::NOT_READ => house.not_read(now, get(bytes)?),
        kind::WISH => _ = house.operate(now, get::<Wish>(bytes)?),
        kind::GUEST_CAME => {
            let (address, recorded) = get::<(_, Option<GuestId>)>(bytes)?;
            let id = house.guest_came(now, address);
            if let (Some(recorded), Some(id)) = (recorded, id) {
                guests.insert(recorded, id);
            }
            same(id == recorded, "a guest has another number")?;
        }
        kind::GUEST_SAID => {
            let Said(id, messages) = Said::<Vec<Message>>::get(&mut rest)?;
            if let Some(&id) = guests.get(&id) {
                house.guest_said(now, id, &messages);
            }
        }
        kind::GUEST_TAKES => {
            let (id, sum) = get::<(GuestId, u32)>(bytes)?;
            let Some(&id) = guests.get(&id) else { return Ok(()) };
            let mut texts = Vec::new();
            let end = house.guest_takes(now, id, &mut texts);
            same(taken(end, &texts) == sum, "a guest is given other texts than were recorded")?;
        }
        kind::GUEST_GONE => {
            if let Some(id) = guests.remove(&get(bytes)?) {
                house.guest_gone(now, id);
            }
        }
        kind::SHARD_REPORT => house.server.handle_report(now, get::<Report<Path>>(bytes)?),
        kind::POLL_ORDERS => polled(bytes, || house.server.poll_order())?,
        _ => return Err(Wrong::Bytes(DecodeError::Invalid("a kind is unknown"))),
    }
    Ok(())
}

/// What a shard is told beside what every machine is.
fn told_front(front: &mut Front<Path>, now: Now, kind: u8, bytes: &[u8]) -> Result<(), Wrong> {
    match kind {
        kind::ORDER => front.handle_order(now, get::<Order>(bytes)?),
        kind::POLL_REPORTS => polled(bytes, || front.poll_report())?,
        _ => return Err(Wrong::Bytes(DecodeError::Invalid("a kind is unknown"))),
    }
    Ok(())
}

/// Polls as often as it was when it was recorded.
fn polled<T: Put>(bytes: &[u8], mut poll: impl FnMut() -> Option<T>) -> Result<(), Wrong> {
    let (count, sum) = get::<(u64, u32)>(bytes)?;
    let mut all = Vec::new();
    let mut left = count;
    while left > 0 {
        let Some(one) = poll() else { break };
        one.put(&mut all);
        left -= 1;
    }
    same(left == 0 && checksum(&[], &all) == sum, "shards and services say something else than was recorded")
}

#[test]
fn simtest_recording() {
    simtest::replay_recording(PROTOCOL, replay);
}
