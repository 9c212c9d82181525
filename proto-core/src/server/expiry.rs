//! Logs of rooms in which nobody has been for long (spec: chat.md, section 10).

use core::time::Duration;

use super::Server;
use crate::room::{AWKWARD, LOBBY};
use crate::{Address, Now, Timestamp};

/// How many logs end at once, so that nothing else waits for them.
const AT_ONCE: usize = 64;
/// When it is looked again after so many.
const SOON: Duration = Duration::from_secs(1);
/// How often it is looked at most, and at least.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_hours(1);

/// When it is looked for logs that are over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    keep: Duration,
    /// Not at once: after a restart people come back to their rooms.
    pub(super) due: Timestamp,
}

impl Expiry {
    pub(super) fn new(now: Timestamp, keep: Duration) -> Self {
        Self { keep, due: now + Self::interval(keep) }
    }

    fn interval(keep: Duration) -> Duration {
        (keep / 8).clamp(OFTEN, SELDOM)
    }
}

impl<A: Address> Server<A> {
    pub(super) fn expire_logs(&mut self, now: Now) {
        let Some(expiry) = self.expiry.as_mut().filter(|expiry| expiry.due <= now.mono) else { return };
        let is_kept = |log: &str| [LOBBY, AWKWARD].contains(&log);
        let ended = self.chat.expire(now, expiry.keep, AT_ONCE, is_kept);
        expiry.due = now.mono + if ended < AT_ONCE { Expiry::interval(expiry.keep) } else { SOON };
    }
}
