//! Connections that have nothing to do are put away, and taken out when they are touched.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};
use core::ops::Deref;

use crate::secret::wipe;
use crate::sleep::Pattern;
use crate::{Config, Connection, Stats, Timestamp};

/// A connection, put away or not.
#[derive(Clone, Debug)]
pub(super) enum Sleeper {
    Awake(Box<Connection>),
    Asleep(Asleep),
}

/// What the connections of an endpoint that are put away have in common.
#[derive(Debug)]
pub(super) struct Common {
    config: Arc<Config>,
    pattern: Pattern,
}

#[derive(Clone)]
pub(super) struct Asleep {
    common: Arc<Common>,
    deadline: Option<Timestamp>,
    bytes: Box<[u8]>,
}

impl fmt::Debug for Asleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// What is put away has secrets in it.
impl Drop for Asleep {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

const SAVED: &str = "what is put away was saved by the same program and never changed";

impl Asleep {
    fn take_out(&self) -> Box<Connection> {
        Box::new(Connection::take_out(&self.bytes, &self.common.config, &self.common.pattern).expect(SAVED))
    }
}

impl Sleeper {
    pub(super) fn new(conn: Connection) -> Self {
        Self::Awake(Box::new(conn))
    }

    /// The connection, if it is awake.
    pub(super) fn awake(&self) -> Option<&Connection> {
        match self {
            Self::Awake(conn) => Some(conn),
            Self::Asleep(_) => None,
        }
    }

    pub(super) fn awake_mut(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Awake(conn) => Some(conn),
            Self::Asleep(_) => None,
        }
    }

    /// The connection, taken out if it was put away.
    pub(super) fn wake(&mut self) -> &mut Connection {
        if let Self::Asleep(asleep) = self {
            *self = Self::Awake(asleep.take_out());
        }
        match self {
            Self::Awake(conn) => conn,
            Self::Asleep(_) => unreachable!("it was taken out"),
        }
    }

    /// The connection to look at: a copy of one that was put away.
    pub(super) fn look(&self) -> ConnectionRef<'_> {
        ConnectionRef(match self {
            Self::Awake(conn) => Look::Borrowed(conn),
            Self::Asleep(asleep) => Look::Copied(asleep.take_out()),
        })
    }

    /// Puts the connection away, if it has nothing to do and has had nothing for a while. `common` is made after the first.
    pub(super) fn doze(&mut self, config: &Arc<Config>, common: &mut Option<Arc<Common>>) {
        let Self::Awake(conn) = self else { return };
        if common.is_none() {
            let pattern = conn.pattern();
            *common = pattern.map(|pattern| Arc::new(Common { config: Arc::clone(config), pattern }));
        }
        let Some(common) = common else { return };
        if let Some(bytes) = conn.put_away(&common.pattern) {
            let (common, deadline) = (Arc::clone(common), conn.poll_timeout());
            *self = Self::Asleep(Asleep { common, deadline, bytes });
        }
    }

    /// What it takes while it is put away.
    pub(super) fn asleep_bytes(&self) -> usize {
        match self {
            Self::Awake(_) => 0,
            Self::Asleep(asleep) => asleep.bytes.len(),
        }
    }

    /// Appends all that the connection is; of secrets only that they are there.
    pub(super) fn write_whole(&self, to: &mut String) -> fmt::Result {
        match self {
            Self::Awake(conn) => conn.write_whole(to),
            Self::Asleep(asleep) => to.write_str(&blake3::hash(&asleep.bytes).to_hex()),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Awake(conn) => conn.poll_timeout(),
            Self::Asleep(asleep) => asleep.deadline,
        }
    }

    pub(super) fn add_stats(&self, to: &mut Stats) {
        match self {
            Self::Awake(conn) => *to += conn.stats(),
            Self::Asleep(Asleep { bytes, common, .. }) => {
                *to += &Connection::stats_of(bytes, &common.config, &common.pattern).expect(SAVED);
            }
        }
    }
}

/// A connection to look at, as it was when it was asked for.
#[derive(Clone)]
pub struct ConnectionRef<'a>(Look<'a>);

#[derive(Clone)]
enum Look<'a> {
    Borrowed(&'a Connection),
    /// Of one that has nothing to do and was put away.
    Copied(Box<Connection>),
}

impl Deref for ConnectionRef<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.0 {
            Look::Borrowed(conn) => conn,
            Look::Copied(conn) => conn,
        }
    }
}

impl fmt::Debug for ConnectionRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
