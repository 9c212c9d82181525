//! A whole test as one value, for quickcheck.

use std::fmt;

use crate::choice::FromSeed;
use crate::link::Preset;

/// What varies between runs of one test: how many hosts, how much work, which links, which seed, and which of
/// its faults.
///
/// With the feature `quickcheck` it is `Arbitrary`. Shrinking makes the links kinder, takes hosts and
/// messages away, and leaves out faults half by half, quarter by quarter, ...: faults are named by content,
/// so those that stay are the same ones. `Debug` prints a literal that can be pasted into a test.
#[derive(Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Number of hosts besides those that the test always has; 1 to 5.
    pub hosts: u8,
    /// Amount of work, in the test's own unit; 1 to 40.
    pub messages: u16,
    /// The links.
    pub link: Preset,
    /// The seed of the run.
    pub seed: u64,
    /// Which faults of that seed happen, see [`FromSeed::keep`].
    pub keep: Vec<(u32, u32)>,
}

impl Scenario {
    /// The chooser to run it with.
    pub fn chooser(&self) -> FromSeed {
        FromSeed::new(self.seed).keep(&self.keep)
    }

    /// Simpler scenarios, the boldest steps first.
    pub fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut push = |change: &dyn Fn(&mut Self)| {
            let mut simpler = self.clone();
            change(&mut simpler);
            all.push(simpler);
        };
        if !self.keep.is_empty() {
            push(&|s| s.keep.clear());
        }
        for parts in [2_u64, 4, 8, 16, 32, 64, 256] {
            for part in 0..parts {
                if let Some(keep) = self.less(parts, part) {
                    push(&|s| s.keep.clone_from(&keep));
                }
            }
        }
        for kinder in Preset::ALL.into_iter().filter(|preset| *preset < self.link) {
            push(&|s| s.link = kinder);
        }
        for hosts in [1, self.hosts / 2, self.hosts.saturating_sub(1)] {
            if (1..self.hosts).contains(&hosts) {
                push(&|s| s.hosts = hosts);
            }
        }
        for messages in [1, self.messages / 2, self.messages.saturating_sub(1)] {
            if (1..self.messages).contains(&messages) {
                push(&|s| s.messages = messages);
            }
        }
        all
    }

    /// The kept ranges without the `part`-th of `parts` equal parts of what they cover; `None` if there is
    /// nothing to cut.
    fn less(&self, parts: u64, part: u64) -> Option<Vec<(u32, u32)>> {
        let covered: u64 = self.keep.iter().map(|(low, high)| u64::from(high - low) + 1).sum();
        if covered < parts {
            return None;
        }
        let cut = covered * part / parts..covered * (part + 1) / parts;
        let mut position = 0;
        let mut kept = Vec::new();
        for (low, high) in &self.keep {
            let (low, size) = (u64::from(*low), u64::from(high - low) + 1);
            let before = cut.start.clamp(position, position + size) - position;
            let after = cut.end.clamp(position, position + size) - position;
            let ends = [(low, low + before), (low + after, low + size)];
            kept.extend(
                ends.iter().filter(|(from, to)| from < to).map(|(from, to)| (*from as u32, (*to - 1) as u32)),
            );
            position += size;
        }
        Some(kept)
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, messages, link, seed, keep } = self;
        write!(
            f,
            "Scenario {{ hosts: {hosts}, messages: {messages}, link: Preset::{link:?}, seed: {seed}, \
             keep: vec!{keep:?} }}"
        )
    }
}

/// Without [`Preset::Mars`], over which nothing is answered in a test of a minute.
#[cfg(feature = "quickcheck")]
const WITHIN_SECONDS: [Preset; 6] =
    [Preset::Lan, Preset::Wifi, Preset::Lte, Preset::Cellular, Preset::Satellite, Preset::Hostile];

#[cfg(feature = "quickcheck")]
impl quickcheck::Arbitrary for Scenario {
    fn arbitrary(g: &mut quickcheck::Gen) -> Self {
        Self {
            hosts: 1 + u8::arbitrary(g) % 5,
            messages: 1 + u16::arbitrary(g) % 40,
            link: *g.choose(&WITHIN_SECONDS).unwrap_or(&Preset::Lan),
            seed: u64::arbitrary(g),
            keep: vec![(0, u32::MAX)],
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.simpler().into_iter())
    }
}

#[cfg(test)]
mod tests;
