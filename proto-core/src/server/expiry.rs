//! Logs of rooms in which nobody has been for long (spec: chat.md, section 10).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Server;
use crate::chat::RejectReason;
use crate::room::{AWKWARD, LOBBY, has_place};
use crate::{Address, Now, Timestamp};

/// How many logs end at once, so that nothing else waits for them.
const AT_ONCE: usize = 64;
/// When it is looked again after so many.
const SOON: Duration = Duration::from_secs(1);
/// How often it is looked at most, and at least.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_hours(1);

/// When it is looked for logs that are over.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    keep: Option<Duration>,
    /// Not at once: after a restart people come back to their rooms.
    due: Option<Timestamp>,
    keep_silent: Option<Duration>,
    /// When logs end in which nothing was said, unless somebody comes before; each is there once.
    silent: BTreeSet<(Timestamp, Arc<str>)>,
    by_log: BTreeMap<Arc<str>, Timestamp>,
}

pub(super) fn is_kept(log: &str) -> bool {
    [LOBBY, AWKWARD].contains(&log)
}

impl Expiry {
    pub(super) fn new(now: Timestamp, keep: Option<Duration>, keep_silent: Option<Duration>) -> Self {
        Self { keep, due: keep.map(|keep| now + Self::interval(keep)), keep_silent, ..Self::default() }
    }

    fn interval(keep: Duration) -> Duration {
        (keep / 8).clamp(OFTEN, SELDOM)
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.due.into_iter().chain(self.silent.first().map(|(at, _)| *at)).min()
    }

    /// Everybody has left a room in which nothing was said, and from `now` on nobody is banned from it.
    pub(super) fn is_silent(&mut self, now: Timestamp, log: Arc<str>) {
        let Some(keep) = self.keep_silent.filter(|_| !is_kept(&log)) else { return };
        self.put(now + keep, log);
    }

    fn put(&mut self, at: Timestamp, log: Arc<str>) {
        if let Some(before) = self.by_log.insert(Arc::clone(&log), at) {
            self.silent.remove(&(before, Arc::clone(&log)));
        }
        self.silent.insert((at, log));
    }

    /// Somebody has come, or has said something.
    pub(super) fn is_used(&mut self, log: &str) {
        if let Some((log, at)) = self.by_log.remove_entry(log) {
            self.silent.remove(&(at, log));
        }
    }

    /// That which ends next, if that is by `until`.
    fn take_silent(&mut self, until: Timestamp) -> Option<Arc<str>> {
        self.silent.first().filter(|(at, _)| *at <= until)?;
        let (_, log) = self.silent.pop_first()?;
        self.by_log.remove(&log);
        Some(log)
    }

    /// That which nobody can miss any more, although its time is not over: those who were banned may come again.
    fn take_silent_early(&mut self, now: Timestamp) -> Option<Arc<str>> {
        self.take_silent(now + self.keep_silent?)
    }
}

impl<A: Address> Server<A> {
    pub(super) fn expire_logs(&mut self, now: Now) {
        let expiry = &mut self.expiry;
        if let Some(keep) = expiry.keep_silent {
            let over: Vec<_> = core::iter::from_fn(|| expiry.take_silent(now.mono)).take(AT_ONCE).collect();
            if !over.is_empty() && !self.chat.end_silent(now, keep, &over) {
                // The store is busy, and what waits for it would only wait longer.
                for log in over {
                    expiry.put(now.mono + SOON, log);
                }
            }
        }
        if let Some(keep) = expiry.keep.filter(|_| expiry.due.is_some_and(|due| due <= now.mono)) {
            let ended = self.chat.expire(now, keep, AT_ONCE, is_kept);
            expiry.due = Some(now.mono + if ended < AT_ONCE { Expiry::interval(keep) } else { SOON });
        }
    }

    /// Sees to it that there is this log. Where there are as many as there may be, those in which nothing was said end for it before
    /// their time.
    pub(super) fn open_log(&mut self, now: Now, log: &str) -> Result<(u64, u64), RejectReason> {
        self.expiry.is_used(log);
        let has_place = has_place(log);
        while !has_place && self.chat.is_full_for(log) {
            let Some(silent) = self.expiry.take_silent_early(now.mono) else { break };
            if !self.chat.end_silent(now, Duration::ZERO, core::slice::from_ref(&silent)) {
                self.expiry.put(now.mono + SOON, silent);
                break;
            }
        }
        self.chat.open_log(log, has_place)
    }
}
