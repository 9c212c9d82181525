use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Scheduler, Share};
use crate::{ChannelId, Timestamp};

const PACKET: u16 = 1200;

/// Channels that always have something to send.
struct World {
    scheduler: Scheduler,
    shares: BTreeMap<ChannelId, Share>,
    now: Timestamp,
}

impl World {
    fn new(channels: &[(u32, u8, u8)]) -> Self {
        let mut world =
            Self { scheduler: Scheduler::default(), shares: BTreeMap::new(), now: Timestamp::from_millis(1) };
        for &(id, priority, weight) in channels {
            world.shares.insert(ChannelId(id), Share::new(priority, weight));
            world.wake(id);
        }
        world
    }

    fn wake(&mut self, id: u32) {
        let share = self.shares.get_mut(&ChannelId(id)).expect("known");
        self.scheduler.push(ChannelId(id), share, PACKET);
    }

    fn sleep(&mut self, id: u32) {
        let turn = self.scheduler.current(self.now, PACKET, false).expect("somebody's turn");
        assert_eq!(turn.channel, ChannelId(id));
        self.scheduler.retire(turn, self.shares.get_mut(&ChannelId(id)));
    }

    fn send(&mut self, len: u32) -> u32 {
        let turn = self.scheduler.current(self.now, PACKET, false).expect("somebody's turn");
        let share = self.shares.get_mut(&turn.channel).expect("known");
        self.scheduler.on_sent(self.now, turn, share, len, PACKET);
        turn.channel.0
    }

    /// Bytes that each channel sends of `count` messages.
    fn shares(&mut self, count: usize, len: impl Fn(u32) -> u32) -> BTreeMap<u32, u64> {
        let mut sent = BTreeMap::new();
        for _ in 0..count {
            let turn = self.scheduler.current(self.now, PACKET, false).expect("somebody's turn").channel.0;
            let len = len(turn);
            assert_eq!(self.send(len), turn);
            *sent.entry(turn).or_default() += u64::from(len);
        }
        sent
    }
}

#[test]
fn priorities_share_by_weight_whatever_the_size_of_their_messages() {
    let mut world =
        World::new(&[(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 1), (5, 5, 1), (6, 6, 1), (7, 7, 1)]);
    let sent = world.shares(200_000, |id| if id % 2 == 0 { 1150 } else { 300 });
    let total: u64 = sent.values().sum();
    for (id, weight) in [(1, 32), (2, 16), (3, 8), (4, 4), (5, 2), (6, 1), (7, 1)] {
        let part = sent[&id] * 64 * 100 / total;
        assert!(part.abs_diff(weight * 100) <= weight * 5, "priority {id} has {part} of {weight}00");
    }
}

#[test]
fn channels_of_one_priority_share_by_weight() {
    let mut world = World::new(&[(1, 4, 1), (2, 4, 3), (3, 4, 6)]);
    let sent = world.shares(100_000, |id| id * 250);
    let total: u64 = sent.values().sum();
    for (id, weight) in [(1, 1), (2, 3), (3, 6)] {
        let part = sent[&id] * 1000 / total;
        assert!(part.abs_diff(weight * 100) <= weight * 5, "channel {id} has {part} of {weight}00");
    }
}

#[test]
fn priority_0_goes_first_and_starves_nobody() {
    let mut world = World::new(&[(1, 0, 1), (2, 1, 1), (3, 7, 1)]);
    let mut sent = Vec::new();
    for _ in 0..5000 {
        world.now += Duration::from_millis(1);
        sent.push(world.send(1100));
    }
    let count = |id| sent.iter().filter(|&&sender| sender == id).count();
    assert_eq!((count(2), count(3)), (4, 4), "one message a second each");
}

#[test]
fn who_wakes_up_does_not_wait_for_a_round() {
    let mut world = World::new(&[(7, 7, 1), (4, 4, 1), (1, 1, 1)]);
    for round in 0..100 {
        world.sleep(1);
        for _ in 0..round % 7 {
            assert_ne!(world.send(1150), 1);
        }
        world.wake(1);
        assert_eq!(world.send(100), 1, "round {round}");
    }
}

#[test]
fn waking_up_again_and_again_gives_no_more_than_a_share() {
    let mut world = World::new(&[(2, 2, 1), (1, 1, 1)]);
    let mut sent = BTreeMap::<u32, u64>::new();
    for _ in 0..10_000 {
        let sender = world.send(1150);
        *sent.entry(sender).or_default() += 1;
        if sender == 1 {
            let turn = world.scheduler.current(world.now, PACKET, false).expect("somebody's turn");
            if turn.channel.0 == 1 {
                world.sleep(1);
                world.wake(1);
            }
        }
    }
    assert!(sent[&1] <= 2 * sent[&2] + 64, "{sent:?}");
}

#[test]
fn lost_pieces_go_to_the_front_of_their_priority() {
    let mut world = World::new(&[(1, 4, 1), (2, 4, 1), (3, 4, 1), (9, 2, 1)]);
    let share = world.shares.get_mut(&ChannelId(3)).expect("known");
    world.scheduler.push_repeat(ChannelId(3), share);
    world.scheduler.push_repeat(ChannelId(3), share);
    assert_eq!(world.send(1100), 9, "not before a higher one");
    world.sleep(9);
    let turn = world.scheduler.current(world.now, PACKET, false).expect("somebody's turn");
    assert!(turn.is_repeat && turn.channel == ChannelId(3));
    world.scheduler.retire(turn, world.shares.get_mut(&ChannelId(3)));
    assert_eq!(world.send(1100), 1);
}

#[test]
fn a_priority_can_be_changed_while_it_waits() {
    let mut world = World::new(&[(1, 4, 1), (2, 4, 1)]);
    let share = world.shares.get_mut(&ChannelId(2)).expect("known");
    world.scheduler.push_repeat(ChannelId(2), share);
    world.scheduler.change(ChannelId(2), share, 0, 5);
    assert_eq!((share.priority, share.weight), (0, 5));
    let turn = world.scheduler.current(world.now, PACKET, true).expect("it is urgent now");
    assert!(turn.is_repeat && turn.channel == ChannelId(2));
    world.scheduler.retire(turn, world.shares.get_mut(&ChannelId(2)));
    assert_eq!(world.send(1), 2);
    world.sleep(2);
    assert!(world.scheduler.current(world.now, PACKET, true).is_none());
    world.sleep(1);
    assert!(world.scheduler.current(world.now, PACKET, false).is_none());
    world.scheduler.shrink();
    assert!(world.scheduler.levels.is_empty());
}
