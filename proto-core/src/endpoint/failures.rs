//! What went wrong too often, by prefix, so that who guesses is slowed down.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::Timestamp;

const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);
/// Prefixes whose failures are counted at once.
const MAX_PREFIXES: usize = 1024;

/// Failures by prefix, since a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(BTreeMap<u64, (Timestamp, u32)>);

impl Failures {
    /// Whether a prefix has failed as often as it may.
    pub(super) fn has_failed(&self, now: Timestamp, prefix: Option<u64>, most: u32) -> bool {
        let failing = prefix.and_then(|prefix| self.0.get(&prefix));
        failing.is_some_and(|&(since, count)| count >= most && now.since(since) < FORGOTTEN_AFTER)
    }

    pub(super) fn note(&mut self, now: Timestamp, prefix: Option<u64>) {
        let Some(prefix) = prefix else { return };
        if self.0.len() >= MAX_PREFIXES && !self.0.contains_key(&prefix) {
            self.0.retain(|_, &mut (since, _)| now.since(since) < FORGOTTEN_AFTER);
            if self.0.len() >= MAX_PREFIXES {
                let oldest = self.0.iter().min_by_key(|(_, (since, _))| *since).map(|(&prefix, _)| prefix);
                oldest.map(|prefix| self.0.remove(&prefix));
            }
        }
        let (since, count) = self.0.entry(prefix).or_insert((now, 0));
        if now.since(*since) >= FORGOTTEN_AFTER {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
    }
}
