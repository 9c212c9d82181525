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
    /// Channels beside the default one, once there was one.
    channels: Option<Box<Channels>>,
}

/// The channels of a connection, but for the default one.
#[derive(Debug, Default)]
struct Channels {
    all: Vec<ChannelId>,
    /// Those that the peer opened and nobody has asked for yet.
    opened: VecDeque<ChannelId>,
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
            channels: None,
        }
    }

    pub(super) fn set_progress(&mut self, progress: Progress) {
        self.progress = progress;
        self.version += 1;
    }

    /// Every channel, the default one included.
    pub(super) fn all_channels(&self) -> impl Iterator<Item = ChannelId> + '_ {
        let others = self.channels.iter().flat_map(|channels| channels.all.iter().copied());
        std::iter::once(ChannelId::DEFAULT).chain(others)
    }

    /// There is another channel.
    pub(super) fn add_channel(&mut self, channel: ChannelId) {
        self.channels.get_or_insert_default().all.push(channel);
    }

    /// There is another channel, which the peer opened.
    pub(super) fn add_opened(&mut self, channel: ChannelId) {
        self.add_channel(channel);
        self.channels.get_or_insert_default().opened.push_back(channel);
    }

    /// The next channel that the peer opened.
    pub(super) fn next_opened(&mut self) -> Option<ChannelId> {
        self.channels.as_mut()?.opened.pop_front()
    }

    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.progress, Progress::Closed(_))
    }
}
