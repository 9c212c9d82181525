//! Which channel sends next (docs/spec/channels.md, section 2): priority 0 before all others, 1 to 7 by deficit round robin, and
//! the channels of one priority by another.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::{ChannelId, Timestamp};

/// Shares of the priorities, in packets a round; 0 has no share, for it always goes first.
const SHARES: [i64; 8] = [0, 32, 16, 8, 4, 2, 1, 1];
/// A priority that others have been preferred to for this long sends one message.
const AGING: Duration = Duration::from_secs(1);
/// What writing a message uses of a share beside its bytes, so that empty ones are not free.
const HEAD: i64 = 8;

/// The channels of one priority that may have something to send, each at most once in either list: its owner remembers.
#[derive(Clone, Debug)]
struct Level {
    priority: u8,
    /// Those with pieces to be written again, which go first.
    repeats: VecDeque<ChannelId>,
    turns: VecDeque<ChannelId>,
    /// Bytes left of its share of `round`.
    left: i64,
    round: u64,
    /// Since when others have sent while it waited.
    passed_over: Option<Timestamp>,
}

impl Level {
    fn new(priority: u8) -> Self {
        Self {
            priority,
            repeats: VecDeque::new(),
            turns: VecDeque::new(),
            left: 0,
            round: 0,
            passed_over: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.repeats.is_empty() && self.turns.is_empty()
    }

    /// Whether something is left of its share of `round`, which it gets when the round is new to it.
    fn has_share(&mut self, round: u64, packet: i64) -> bool {
        if self.round != round {
            self.round = round;
            self.left = self.left.clamp(-packet, 0) + SHARES[usize::from(self.priority)] * packet;
        }
        self.left > 0
    }
}

/// One place in the order of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    level: usize,
    pub(crate) channel: ChannelId,
    /// Only pieces to be written again count.
    pub(crate) is_repeat: bool,
}

/// What a channel has of the sending of its priority.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) priority: u8,
    /// Packets that it sends when it is its turn.
    pub(crate) weight: u8,
    /// Bytes left of its turn.
    left: i64,
    has_turn: bool,
    has_repeat: bool,
}

impl Turn {
    /// That of the only channel that may have something to send.
    pub(super) const fn alone(channel: ChannelId) -> Self {
        Self { level: 0, channel, is_repeat: false }
    }
}

impl Share {
    pub(crate) const fn has_turn(&self) -> bool {
        self.has_turn
    }

    pub(crate) const fn new(priority: u8, weight: u8) -> Self {
        Self { priority, weight, left: 0, has_turn: false, has_repeat: false }
    }
}

/// The channels of a connection in their order of turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scheduler {
    /// Those in use, by priority.
    levels: Vec<Level>,
    round: u64,
}

impl Scheduler {
    fn level(&mut self, priority: u8) -> &mut Level {
        let at = self.levels.binary_search_by_key(&priority, |level| level.priority);
        let at = at.unwrap_or_else(|at| {
            self.levels.insert(at, Level::new(priority));
            at
        });
        &mut self.levels[at]
    }

    /// Gives `channel` a turn behind the others of its priority, unless it has one.
    #[inline]
    pub(crate) fn push(&mut self, channel: ChannelId, share: &mut Share, packet: u16) {
        if !share.has_turn {
            self.give_turn(channel, share, packet);
        }
    }

    #[inline(never)]
    fn give_turn(&mut self, channel: ChannelId, share: &mut Share, packet: u16) {
        share.has_turn = true;
        share.left = share.left.clamp(-i64::from(packet), 0) + share.quantum(packet);
        self.level(share.priority).turns.push_back(channel);
    }

    /// Lets `channel` write lost pieces again before the others of its priority send.
    pub(crate) fn push_repeat(&mut self, channel: ChannelId, share: &mut Share) {
        if !share.has_repeat {
            share.has_repeat = true;
            self.level(share.priority).repeats.push_back(channel);
        }
    }

    /// Takes the turns of `channel` away.
    pub(crate) fn remove(&mut self, channel: ChannelId, share: &Share) {
        let level = self.level(share.priority);
        if share.has_turn {
            level.turns.retain(|&other| other != channel);
        }
        if share.has_repeat {
            level.repeats.retain(|&other| other != channel);
        }
    }

    /// Moves `channel` to another priority.
    pub(crate) fn change(&mut self, channel: ChannelId, share: &mut Share, priority: u8, weight: u8) {
        let (had_turn, had_repeat) = (share.has_turn, share.has_repeat);
        self.remove(channel, share);
        *share = Share { left: share.left, ..Share::new(priority, weight) };
        if had_turn {
            share.has_turn = true;
            self.level(priority).turns.push_back(channel);
        }
        if had_repeat {
            self.push_repeat(channel, share);
        }
    }

    /// The only channel that may have something to send, when it is nothing to be written again.
    #[inline]
    pub(super) fn alone(&self) -> Option<ChannelId> {
        match &self.levels[..] {
            [level] if level.repeats.is_empty() && level.turns.len() == 1 => level.turns.front().copied(),
            _ => None,
        }
    }

    /// Whose turn it is; with `urgent` only among those of priority 0.
    #[inline]
    pub(crate) fn current(&mut self, now: Timestamp, packet: u16, urgent: bool) -> Option<Turn> {
        let level = if urgent {
            self.levels.first().filter(|level| level.priority == 0 && !level.is_empty()).map(|_| 0)
        } else {
            self.pick(now, packet.into())
        }?;
        let Level { repeats, turns, .. } = &self.levels[level];
        let repeat = repeats.front().copied();
        let channel = repeat.or_else(|| turns.front().copied())?;
        Some(Turn { level, channel, is_repeat: repeat.is_some() })
    }

    #[inline]
    fn pick(&mut self, now: Timestamp, packet: i64) -> Option<usize> {
        match &self.levels[..] {
            [level] => (!level.is_empty()).then_some(0),
            _ => self.pick_of_several(now, packet),
        }
    }

    #[inline(never)]
    fn pick_of_several(&mut self, now: Timestamp, packet: i64) -> Option<usize> {
        let mut waiting = self.levels.iter().enumerate().filter(|(_, level)| !level.is_empty());
        let (first, level) = waiting.next()?;
        let aged = |level: &Level| level.passed_over.filter(|&since| now.since(since) >= AGING);
        let mut oldest = aged(level).map(|since| (since, first));
        let mut is_alone = true;
        for (at, level) in waiting {
            is_alone = false;
            oldest = aged(level).map(|since| (since, at)).into_iter().chain(oldest).min();
        }
        if let Some((_, aged)) = oldest {
            return Some(aged);
        }
        if is_alone || self.levels[first].priority == 0 {
            return Some(first);
        }
        loop {
            let round = self.round;
            let mut waiting = self.levels.iter_mut().enumerate().filter(|(_, level)| !level.is_empty());
            if let Some(at) = waiting.find_map(|(at, level)| level.has_share(round, packet).then_some(at)) {
                return Some(at);
            }
            self.round += 1;
        }
    }

    /// `turn` was used to write `len` bytes; its channel goes on until its part of the turn is used up.
    #[inline]
    pub(crate) fn on_sent(&mut self, now: Timestamp, turn: Turn, share: &mut Share, len: u32, packet: u16) {
        self.on_sent_many(now, turn, share, (1, len.into()), packet);
    }

    /// The same for so many messages, and their bytes, of a packet.
    #[inline]
    pub(crate) fn on_sent_many(
        &mut self,
        now: Timestamp,
        turn: Turn,
        share: &mut Share,
        (messages, bytes): (u64, u64),
        packet: u16,
    ) {
        let cost = bytes.cast_signed() + messages.cast_signed() * HEAD;
        if let [level] = &mut self.levels[..] {
            level.left = level.left.saturating_sub(cost);
            level.passed_over = None;
            self.round += 1;
        } else {
            self.charge_levels(now, turn, cost);
        }
        if turn.is_repeat {
            return;
        }
        share.left -= cost;
        if share.left <= 0 {
            share.left = share.left.max(-i64::from(packet)) + share.quantum(packet);
            let turns = &mut self.levels[turn.level].turns;
            if turns.len() > 1 {
                turns.rotate_left(1);
            }
        }
    }

    #[inline(never)]
    fn charge_levels(&mut self, now: Timestamp, turn: Turn, cost: i64) {
        let waits = |level: &Level| !level.is_empty();
        let mut is_alone = true;
        for (at, level) in self.levels.iter_mut().enumerate().filter(|(_, level)| waits(level)) {
            if at == turn.level {
                level.left = level.left.saturating_sub(cost);
                level.passed_over = None;
                continue;
            }
            is_alone = false;
            level.passed_over.get_or_insert(now);
        }
        if is_alone {
            // Nobody else had a use for a share: whoever comes next has a whole one.
            self.round += 1;
        }
    }

    /// The channel of `turn` has nothing to send, or may not.
    #[inline(never)]
    pub(crate) fn retire(&mut self, turn: Turn, share: Option<&mut Share>) {
        let level = &mut self.levels[turn.level];
        if turn.is_repeat {
            level.repeats.pop_front();
        } else {
            level.turns.pop_front();
        }
        if level.is_empty() {
            level.passed_over = None;
        }
        let Some(share) = share else { return };
        if turn.is_repeat {
            share.has_repeat = false;
        } else {
            share.has_turn = false;
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.levels.retain(|level| !level.is_empty());
        self.levels.shrink_to_fit();
    }
}

impl Share {
    fn quantum(&self, packet: u16) -> i64 {
        i64::from(self.weight) * i64::from(packet)
    }
}

crate::sleep::saved!(Share { priority, weight, left, has_turn, has_repeat });

crate::sleep::saved!(Scheduler { levels, round });

crate::sleep::saved!(Level { priority, repeats, turns, left, round, passed_over });

#[cfg(test)]
mod tests;
