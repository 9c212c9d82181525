//! What is kept about one connection.

use std::collections::VecDeque;

use proto_core::{ChannelId, CloseReason, Closed, ConnectionId, GoAway, SessionId, Timestamp};

use crate::Peer;

/// How a connection fares.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// An attempt is under way.
    Connecting { attempt: u32 },
    /// The next attempt begins at `at`.
    Waiting { attempt: u32, at: Timestamp, reason: Box<CloseReason> },
    /// Both sides have agreed, and there is a link.
    Established,
    /// The link is lost, and the session waits for another. A client knows why, and when it tries next.
    Suspended { next_attempt: Option<Timestamp>, reason: Option<Box<CloseReason>> },
    /// It is over.
    Closed(Box<Closed>),
}

/// Who holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// It waits to be accepted.
    Backlog,
    /// Handles.
    Handles,
    /// The connection that it takes the place of, for whoever asks that one for its successor. `None`: that one's end has not
    /// been polled yet.
    Predecessor(Option<ConnectionId>),
    /// Nobody: it is closing, and is forgotten when it is closed.
    Nobody,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) peer: Peer,
    pub(crate) progress: Progress,
    /// Grows with each change of `progress`.
    pub(crate) version: u64,
    /// The public name of its session, once there is one.
    pub(crate) session: Option<SessionId>,
    /// What its server said when it began to go away.
    pub(crate) going_away: Option<Box<GoAway>>,
    pub(super) holder: Holder,
    /// What takes its place, until somebody asks for it.
    pub(super) next: Option<ConnectionId>,
    /// Channels beside the default one.
    pub(super) channels: Vec<ChannelId>,
    /// Those that the peer opened and nobody has asked for yet.
    pub(super) opened: VecDeque<ChannelId>,
}

impl Entry {
    pub(super) const fn new(peer: Peer, progress: Progress, holder: Holder) -> Self {
        Self {
            peer,
            progress,
            version: 0,
            session: None,
            going_away: None,
            holder,
            next: None,
            channels: Vec::new(),
            opened: VecDeque::new(),
        }
    }

    pub(super) fn set_progress(&mut self, progress: Progress) {
        self.progress = progress;
        self.version += 1;
    }

    /// Every channel, the default one included.
    pub(super) fn all_channels(&self) -> impl Iterator<Item = ChannelId> + '_ {
        std::iter::once(ChannelId::DEFAULT).chain(self.channels.iter().copied())
    }

    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.progress, Progress::Closed(_))
    }
}
