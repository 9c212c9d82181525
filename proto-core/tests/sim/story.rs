//! What a test tells a node, and what a node's application tells of itself.

use std::fmt;
use std::time::Duration;

use proto_core::{
    Batch, ChannelId, Class, ConnectionId, Drain, Event, MessageId, ReceiptKind, RequestId, SendLimits,
    SessionId,
};

/// What a message asks for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ask {
    pub(crate) class: Class,
    pub(crate) receipt: ReceiptKind,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) key: Option<u64>,
    pub(crate) max_retransmits: Option<u32>,
    pub(crate) batch: Option<Batch>,
}

/// What is asked for beside the default.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.class)?;
        match self.receipt {
            ReceiptKind::None => {}
            receipt => write!(f, ", receipt of {receipt:?}")?,
        }
        if let Some(lifetime) = self.lifetime {
            write!(f, ", lives {lifetime:?}")?;
        }
        if let Some(key) = self.key {
            write!(f, ", key {key}")?;
        }
        if let Some(times) = self.max_retransmits {
            write!(f, ", repeated {times} times")?;
        }
        self.batch.map_or(Ok(()), |batch| write!(f, ", batch {}", batch.number))
    }
}

impl Ask {
    /// Whether such a message may be given up by its sender.
    pub(crate) const fn is_expendable(&self) -> bool {
        self.lifetime.is_some() || self.key.is_some() || self.max_retransmits.is_some()
    }
}

/// What a test tells a node. Clients act on their newest connection, servers on all they have.
#[derive(Clone, Debug)]
pub(crate) enum Cmd {
    Connect,
    /// The endpoint goes away.
    Drain(Drain),
    Send {
        channel: u32,
        ask: Ask,
        size: u32,
        count: u32,
    },
    /// As one batch.
    Batch {
        ask: Ask,
        size: u32,
        count: u32,
    },
    /// Takes back the last message that was accepted.
    Cancel,
    /// Changes what channel 0 queues.
    LimitQueue(SendLimits),
    Open {
        reliable_sequenced: bool,
    },
    Request {
        size: u32,
        timeout: Duration,
    },
    /// Gives up the newest request that is not over.
    CancelRequest,
    Close {
        linger: Duration,
    },
    /// Whether messages that arrive are taken.
    Read(bool),
    /// Messages a second that the node takes in, and as many at once; `None`: no limit.
    Limit(Option<u64>),
    /// Another priority for channel 0.
    Prioritize(u8),
}

/// What a node's application sees and does.
#[derive(Clone)]
pub(crate) enum Ev {
    Asked(ConnectionId),
    Core {
        conn: ConnectionId,
        session: SessionId,
        pto: Duration,
        event: Event,
    },
    Accepted {
        conn: ConnectionId,
        message: MessageId,
        hash: u64,
        ask: Ask,
        /// Its sender may give it up.
        expendable: bool,
    },
    Opened {
        conn: ConnectionId,
        channel: ChannelId,
        reliable_sequenced: bool,
    },
    /// Channel 0 drops what it may not from now on, what is queued included.
    Limited {
        conn: ConnectionId,
    },
    /// Its application takes a message back.
    CancelCalled {
        conn: ConnectionId,
        message: MessageId,
    },
    /// Its application has spoken about a message.
    Judged {
        session: SessionId,
        hash: u64,
        rejected: Option<u64>,
    },
    Refused {
        conn: ConnectionId,
        channel: ChannelId,
    },
    Received {
        conn: ConnectionId,
        session: SessionId,
        channel: ChannelId,
        class: Class,
        number: u64,
        gap: u32,
        hash: u64,
    },
    RequestSent {
        conn: ConnectionId,
        request: RequestId,
        hash: u64,
        expendable: bool,
    },
    /// A part of a reply was taken, or what ended the request; `index` as its sender counted.
    Answered {
        conn: ConnectionId,
        request: RequestId,
        index: u8,
        is_last: bool,
    },
    Handled {
        session: SessionId,
        request: RequestId,
    },
    CloseCalled {
        conn: ConnectionId,
        linger: Duration,
    },
}

/// As it stands in traces: without random ids and measured times, which change for no reason that a reviewer cares about.
impl fmt::Debug for Ev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(conn) => write!(f, "{conn} asked for"),
            Self::Core { conn, event, .. } => match event {
                Event::Established { .. } => write!(f, "{conn} established"),
                Event::Suspended { .. } => write!(f, "{conn} suspended"),
                Event::Resumed { incarnation, .. } => write!(f, "{conn} resumed, link {incarnation}"),
                Event::RetryAt { attempt, .. } => write!(f, "{conn} will retry, attempt {attempt}"),
                Event::Fate { message, fate } => write!(f, "{conn} fate {} {fate:?}", name(*message)),
                Event::Closed(closed) => {
                    write!(f, "{conn} closed: {:?}, next {:?}", closed.reason, closed.next)
                }
                event => write!(f, "{conn} {event:?}"),
            },
            Self::Accepted { conn, message, .. } => write!(f, "{conn} accepted {}", name(*message)),
            Self::Opened { conn, channel, .. } => write!(f, "{conn} opened {}", channel.0),
            Self::Limited { conn } => write!(f, "{conn} limited"),
            Self::CancelCalled { conn, message } => write!(f, "{conn} cancels {}", name(*message)),
            Self::Judged { rejected: None, .. } => write!(f, "processed"),
            Self::Judged { rejected: Some(reason), .. } => write!(f, "rejected, {reason}"),
            Self::Refused { conn, channel } => write!(f, "{conn} refused on {}", channel.0),
            Self::Received { conn, channel, class, number, gap, .. } => {
                write!(f, "{conn} received {}/{}#{number}", channel.0, *class as u8)?;
                if *gap > 0 { write!(f, " after a gap of {gap}") } else { Ok(()) }
            }
            Self::RequestSent { conn, request, .. } => write!(f, "{conn} requested {}", request.0),
            Self::Answered { conn, request, index, .. } => write!(f, "{conn} answered {}.{index}", request.0),
            Self::Handled { request, .. } => write!(f, "handled request {}", request.0),
            Self::CloseCalled { conn, linger } => write!(f, "{conn} close called, linger {linger:?}"),
        }
    }
}

fn name(message: MessageId) -> String {
    format!("{}/{}#{}", message.channel.0, message.class as u8, message.number)
}
