//! A connection that has nothing to do for a while can be put away in a few hundred bytes, and be as it was the moment it is
//! touched (docs/decisions/0018-sleep.md).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};
use core::time::Duration;

use super::{Connection, Scratch};
use crate::sleep::{Loader, Pattern, Saved, Saver, expand};
use crate::{Config, Stats, Timestamp};

/// A connection with nothing in flight and nothing new for so many probe timeouts, within these bounds, gives back what it needs only
/// then: what it had learnt of the path's capacity is worth nothing any more.
const RELEASE_AFTER_PTOS: u32 = 3;
const RELEASE_AFTER_AT_LEAST: Duration = Duration::from_millis(250);
const RELEASE_AFTER_AT_MOST: Duration = Duration::from_secs(1);

impl Connection {
    /// When memory is to be given back; `None` while something is in flight, or when nothing happened since the last time.
    pub(super) fn release_at(&self) -> Option<Timestamp> {
        let is_due = self.recovery.is_idle() && !self.is_rested();
        is_due.then(|| {
            let after = self.recovery.pto() * RELEASE_AFTER_PTOS;
            let after = after.clamp(RELEASE_AFTER_AT_LEAST, RELEASE_AFTER_AT_MOST);
            self.touched().max(self.rested) + after
        })
    }

    /// When something that matters last went out or came in.
    fn touched(&self) -> Timestamp {
        self.recovery.last_eliciting().max(self.received.latest())
    }

    /// Whether nothing has happened since memory was given back.
    fn is_rested(&self) -> bool {
        self.touched() <= self.rested && !self.recovery.holds_memory()
    }

    /// All that must be kept of the connection, when nothing is under way and it has given back what it could.
    pub(crate) fn put_away(&mut self, pattern: &Pattern) -> Option<Box<[u8]>> {
        self.can_be_put_away().then(|| {
            let mut saver = Saver::new(self.clock, pattern);
            self.save(&mut saver);
            saver.finish()
        })
    }

    /// Whether nothing is under way, after it has given back what it could.
    fn can_be_put_away(&mut self) -> bool {
        self.is_rested() && {
            self.release_memory();
            self.is_at_rest()
        }
    }

    /// A pattern for connections like this one, when it may be put away.
    pub(crate) fn pattern(&mut self) -> Option<Pattern> {
        self.can_be_put_away().then(|| Pattern::of(self, self.clock))
    }

    /// The connection that was put away.
    pub(crate) fn take_out(bytes: &[u8], config: &Arc<Config>, pattern: &Pattern) -> Option<Self> {
        let conn = Self::load(&mut Loader::new(&expand(bytes), config, pattern)?);
        #[cfg(planted)]
        if config.planted == Some(crate::planted::Planted::SleepForgets) {
            let forgotten =
                |conn: &Self| crate::channel::Channels::new(conn.clock, config, conn.link.max_packet);
            return conn.map(|conn| Self { channels: forgotten(&conn), ..conn });
        }
        conn
    }

    /// The counters of a connection that was put away.
    pub(crate) fn stats_of(bytes: &[u8], config: &Arc<Config>, pattern: &Pattern) -> Option<Stats> {
        Stats::load(&mut Loader::new(&expand(bytes), config, pattern)?)
    }
}

/// Does with every field what must leave none out. What never changes comes second.
macro_rules! every_field {
    ($first:ident, $fixed:ident, $($field:ident),* $(,)?) => {
        crate::sleep::saved!(Connection { $first, $fixed, $($field),* });

        impl Connection {
            /// Appends all that it is; of secrets only that they are there.
            pub(crate) fn write_whole(&self, to: &mut String) -> fmt::Result {
                write!(to, "{:?}", self.$first)?;
                $(write!(to, ";{:?}", self.$field)?;)*
                Ok(())
            }
        }
    };
}

every_field!(
    stats,
    config,
    credentials,
    link,
    first_link,
    is_client,
    rng,
    clock,
    state,
    handshake,
    confirm,
    confirmation,
    secret,
    secrecy,
    incarnation,
    resume,
    unanswered,
    attempts,
    ways,
    begun,
    local_cid,
    remote_cid,
    guard,
    reset_token,
    session,
    heartbeat,
    recovery,
    mtu,
    blocked,
    marks,
    received,
    channels,
    requests,
    batches,
    reports,
    timers,
    events,
    ping_due,
    echo,
    probes_due,
    overdraft,
    wall,
    ending,
    leaving,
    paths,
    arena,
    scratch,
    rested,
);
crate::sleep::awake!(Scratch);
