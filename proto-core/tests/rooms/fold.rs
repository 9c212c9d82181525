//! A room is restored by folding its log.

use std::collections::BTreeMap;
use std::time::Duration;

use quickcheck::{Arbitrary, Gen};

use crate::world::{World, entry, raw, user};
use proto_core::chat::{ClientId, Kind, StoredEntry};
use proto_core::room::fact::{Authority, Ban, BanTarget, Checkpoint, Crown, Fact, ROOM, ROOM_AUTHOR};
use proto_core::room::*;

/// Any fact at all.
#[derive(Clone, Debug)]
struct Any(Fact);

impl Arbitrary for Any {
    fn arbitrary(g: &mut Gen) -> Self {
        let small = |g: &mut Gen| u8::arbitrary(g) % 4;
        let epoch = u64::arbitrary(g) % 6;
        let authority = if epoch == 0 { Authority::Operator } else { Authority::Crown(epoch) };
        let target = |g: &mut Gen| {
            let number = small(g);
            if bool::arbitrary(g) { BanTarget::User(user(number)) } else { BanTarget::Prefix(number.into()) }
        };
        let settings = |g: &mut Gen| {
            let change = SettingsChange {
                chat: Option::arbitrary(g),
                visible: Option::arbitrary(g),
                allow_bots: Option::arbitrary(g),
                limit: Option::arbitrary(g),
                min_online_ms: Option::arbitrary(g),
                color2: Some(bool::arbitrary(g).then(|| Color([small(g); 3]))),
                ..SettingsChange::default()
            };
            Settings::new(RoomKind::Normal).changed(&change.clamped())
        };
        let crown = |g: &mut Gen| Crown {
            epoch: u64::arbitrary(g) % 6,
            holder: bool::arbitrary(g).then(|| user(small(g))),
            last: bool::arbitrary(g).then(|| user(small(g))),
            since_ms: u64::arbitrary(g),
            ..Crown::default()
        };
        Self(match u8::arbitrary(g) % 8 {
            0 => Fact::Settings(authority, settings(g)),
            1..=3 => Fact::Crown(crown(g)),
            4 => Fact::Ban(Ban {
                authority,
                target: target(g),
                until_ms: u64::arbitrary(g) % 100,
                length_ms: u32::arbitrary(g) % 3_600_001,
                by: user(small(g)),
                by_name: "ann".into(),
                name: "bob".into(),
            }),
            5 => Fact::Unban(authority, target(g)),
            6 => Fact::Reset,
            _ => Fact::Checkpoint(Checkpoint {
                upto: u64::arbitrary(g) % 100,
                settings: settings(g),
                crown: crown(g),
                bans: (0..small(g)).map(|_| (target(g), u64::arbitrary(g) % 100)).collect(),
            }),
        })
    }
}

/// A log of anything: facts, chat, and bytes that are neither.
fn log(facts: Vec<Result<Any, Vec<u8>>>) -> Vec<StoredEntry> {
    let entry = |(slot, fact): (u64, Result<Any, Vec<u8>>)| match fact {
        Ok(Any(fact)) => entry(slot, slot, &fact),
        Err(bytes) if bytes.len() % 2 == 0 => raw(slot, slot, ClientId([7; 16]), ROOM, bytes.into()),
        Err(bytes) if bytes.len() % 3 == 0 => raw(slot, slot, ROOM_AUTHOR, ROOM, bytes.into()),
        Err(bytes) => raw(slot, slot, ROOM_AUTHOR, Kind::TEXT, bytes.into()),
    };
    (1..).zip(facts).map(entry).collect()
}

fn fold(state: State, entries: &[StoredEntry]) -> State {
    entries.iter().fold(state, |mut state, entry| {
        state.apply(entry).expect("slots follow each other");
        state
    })
}

quickcheck::quickcheck! {
    fn replicas_that_fold_the_same_log_are_equal(facts: Vec<Result<Any, Vec<u8>>>, cut: usize) -> bool {
        let log = log(facts);
        [RoomKind::Normal, RoomKind::Lobby].into_iter().all(|kind| {
            let whole = fold(State::new(kind), &log);
            // One that was stopped half way and went on, and one that began at a checkpoint.
            let cut = cut.checked_rem(log.len()).unwrap_or(0);
            let half = fold(State::new(kind), &log[..cut]);
            let from_checkpoint = State::from_checkpoint(kind, half.to_checkpoint());
            let went_on = fold(half, &log[cut..]);
            let mut short = fold(from_checkpoint, &log[cut..]);
            if !log[cut..].iter().any(|entry| entry.slot == short.checkpoint) {
                short.checkpoint = whole.checkpoint;
            }
            whole == went_on && (cut == log.len() || cut == 0 || whole == short)
        })
    }

    fn facts_have_one_encoding(fact: Any) -> bool {
        let Any(fact) = fact;
        let bytes = fact.to_bytes();
        Fact::decode(&bytes).is_ok_and(|again| again == fact && again.to_bytes() == bytes)
            && (0..bytes.len()).all(|cut| Fact::decode(&bytes[..cut]).is_err())
    }

    fn whatever_is_a_fact_encodes_to_the_same_bytes(bytes: Vec<u8>) -> bool {
        Fact::decode(&bytes).map_or(true, |fact| fact.to_bytes() == bytes)
    }

    /// Whatever happens in a room, its log says what holds, and nobody who is banned is there.
    fn a_live_room_is_the_fold_of_its_log(steps: Vec<(u8, u8, u8)>, drops: bool, lazily: bool) -> bool {
        let mut world = World::new("a room");
        if drops {
            world.config.crown_on_leave = CrownOnLeave::Drop;
        }
        world.config.ban_prefix = lazily;
        let mut epochs = BTreeMap::new();
        steps.into_iter().all(|(what, who, whom)| {
            let (who, whom) = (who % 5 * 7, whom % 5 * 7);
            let (now, epoch) = (world.now, world.epoch());
            let by = By::User(user(who), epoch);
            // Refused or not, the log must agree.
            let _ = match what % 12 {
                0..=2 => world.try_join(who, 0),
                3 => { world.leave(who, Departure::Left); Ok(()) }
                4 => { world.leave(who, Departure::Lost); Ok(()) }
                5 => world.room.give_crown(now, user(who), epoch, user(whom)),
                6 => world.room.drop_crown(now, user(who), epoch, Position::default()),
                7 => world.room.kick_ban(now, &world.config, by, user(whom), Some(5000)),
                8 => world.room.unban(now, by, BanTarget::User(user(whom))),
                9 => world.room.set(now, by, &SettingsChange { limit: Some(Some(3)), ..SettingsChange::default() }),
                10 => { world.room.checkpoint(now); Ok(()) }
                _ => { world.pass(Duration::from_secs(u64::from(whom))); Ok(()) }
            };
            if !lazily || what % 3 == 0 {
                world.settle();
            }
            let crown = world.room.state().crown;
            let fine = epochs.insert(crown.epoch, crown.holder).is_none_or(|holder| holder == crown.holder);
            let state = world.room.state();
            let nobody_banned = world.room.participants().iter().all(|one| {
                state.banned_for(one.user, None, world.now.unix_ms).is_none()
            });
            fine && nobody_banned && *state == fold(State::new(RoomKind::Normal), &world.log)
        })
    }
}
