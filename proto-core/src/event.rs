//! What the application learns from a connection, and in which words.

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use crate::wire::Advice;
use crate::{
    ChannelId, ConnectionId, Credentials, GoAway, MessageId, Phase, Policy, Refusal, RequestId, SessionId,
    Timestamp,
};

/// Something happened. Events carry no payloads: `recv` and `take_reply` fetch those.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first packet of an attempt to connect goes out.
    Connecting {
        /// Counted from 1.
        attempt: u32,
    },
    /// An attempt failed; the next one begins at `at`.
    RetryAt {
        /// When.
        at: Timestamp,
        /// The number of the attempt that will begin then.
        attempt: u32,
        /// Why the one before failed, or how the connection was lost.
        reason: CloseReason,
    },
    /// A client wants to come in: `admit` or `refuse` decides, within `admission_timeout`. Nothing else is heard of it before.
    /// `Established` or `ConnectFailed` follows.
    Undecided(Box<Credentials>),
    /// Both sides have agreed. Comes once.
    Established {
        /// The public name of the session.
        session: SessionId,
        /// 1: the first link of the session.
        incarnation: u32,
    },
    /// The link is lost, and the session waits for another one. Messages are accepted as before, and their lifetimes run on; those
    /// that had arrived can still be taken. `Resumed` follows, or `Closed`.
    Suspended {
        /// When the session ends if there is no other link by then.
        until: Timestamp,
    },
    /// The session goes on over another link. A `Continued` follows for each of its channels, and then what came over that link.
    Resumed {
        /// The public name of the session.
        session: SessionId,
        /// The number of the link: greater than that of all before it, or, on a server, the same when the old link was heard from
        /// again.
        incarnation: u32,
    },
    /// What became of a channel when the link changed: after `Resumed`; or, as `Continuity::Reset`, before `Closed` when the peer
    /// has lost the session.
    Continued {
        /// The channel.
        channel: ChannelId,
        /// What became of it.
        continuity: Continuity,
    },
    /// No attempt succeeded, or a client that was `Undecided` was refused or did not finish its handshake. The last event of a
    /// connection that was never established.
    ConnectFailed(Closed),
    /// The server is going away. Nothing new can be sent from here on, what has begun may end, and `Closed` follows.
    GoingAway(Box<GoAway>),
    /// The peer opened a channel.
    Opened(ChannelId),
    /// The channel had nothing to receive and now has.
    Readable(ChannelId),
    /// The channel refused a message with `SendError::Full` and now has room.
    Writable(ChannelId),
    /// What became of a message that asked for a receipt. Comes once for each.
    Fate {
        /// The message.
        message: MessageId,
        /// What became of it.
        fate: Fate,
    },
    /// A part of the reply to this side's request is there, which `take_reply` has. Comes once for each, before `RequestDone`.
    PartialReply(RequestId),
    /// The peer no longer waits for the reply to this request of its, which the application has received: it was cancelled, or
    /// `reply_timeout` has passed. Whoever works for it can stop, and says so by `reply` or `reply_error`, which are refused: until
    /// then it counts among those under way, or for 10 s.
    RequestCancelled(RequestId),
    /// What became of a batch, once its last message was sent and all of its messages have fates. Comes once for each, in place of
    /// theirs.
    Batch {
        /// The channel it was sent on.
        channel: ChannelId,
        /// The number that its messages were given.
        batch: u64,
        /// `Acked` when all of them arrived, `Processed` when all that asked were processed, or the first other fate among them.
        fate: Fate,
    },
    /// How a request ended. Comes once for each. After `RequestOutcome::Replied`, `take_reply` has the payload.
    RequestDone {
        /// The request.
        request: RequestId,
        /// How it ended.
        outcome: RequestOutcome,
    },
    /// The connection is over. The last event of a connection that was established.
    Closed(Closed),
}

/// What a change of links did to the messages of the peer on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// Nothing is missing: what was under way comes again. [`Received::gap`](crate::Received::gap) tells as ever what the peer
    /// gave up by itself.
    Continuous,
    /// So many unreliable messages were under way and will never come; nothing else is missing.
    Gap(u32),
    /// The peer has lost its state: what was not acknowledged has the fate `Unknown`, and a new connection begins from nothing.
    Reset,
}

/// What became of a message. One for each accepted message that asked, and final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// The peer's transport received all of it. What its application does with it shows only where [`ReceiptKind::Processing`]
    /// was asked for.
    ///
    /// [`ReceiptKind::Processing`]: crate::ReceiptKind::Processing
    Acked,
    /// The peer's application said that it has processed it.
    Processed,
    /// The peer's application rejected it, for this reason of its own.
    Rejected(u64),
    /// The peer's transport received it, and dropped it before the application saw it.
    Refused(Refusal),
    /// It was handed to a reliable link; unreliable messages are not followed further there.
    Written,
    /// It was sent as often as it may be, and is lost.
    Lost,
    /// Its lifetime ended first.
    Expired {
        /// Where it was then.
        phase: Phase,
    },
    /// It was cancelled.
    Cancelled,
    /// A newer message took its place.
    Superseded,
    /// It found the queue full, or was pushed out of it.
    Dropped {
        /// The policy that said so.
        policy: Policy,
    },
    /// The peer turned out to take no message that large.
    TooLarge,
    /// The connection ended before the peer's application had answered for it, and the one that takes its place delivers it again,
    /// under this id: its fate is told there.
    Moved(MessageId),
    /// The connection ended first.
    Unknown,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The reply is there.
    Replied,
    /// The peer answered with an error; `take_reply` has its payload.
    Failed {
        /// Below 0x100 the transport's, above the application's.
        code: u64,
        /// Whether it is sure that the peer's application never saw the request.
        not_processed: bool,
    },
    /// The deadline passed first. The peer may or may not have acted on it.
    TimedOut,
    /// This side cancelled it.
    Cancelled {
        /// Whether it is sure that the peer's application never saw the request.
        not_processed: bool,
    },
    /// Its message was dropped, replaced or over before anything of it was written: the peer never saw it.
    NotSent,
    /// The connection ended first.
    Disconnected {
        /// Whether it is sure that the peer's application never saw the request.
        not_processed: bool,
    },
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub reason: CloseReason,
    /// What to do next.
    pub advice: Advice,
    /// How long to wait before that, when the peer said so.
    pub retry_after: Option<Duration>,
    /// Messages that were never written.
    pub unsent: u32,
    /// Messages that were written and neither acknowledged nor given up.
    pub unacked: u32,
    /// The connection that takes this one's place, when the endpoint reconnects.
    pub next: Option<ConnectionId>,
}

/// Why a connection ended, and whose doing it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side called `close`.
    Local {
        /// The code it gave.
        code: u64,
    },
    /// The peer closed, or refused to begin.
    Peer {
        /// Its code; see [`code`].
        code: u64,
        /// Its words, unescaped.
        reason: String,
    },
    /// The peer has been silent for too long.
    TimedOut,
    /// The peer no longer knows the session: it was restarted, or has thrown it away.
    Reset,
    /// The peer broke the protocol. The text is for logs and may change.
    PeerMisbehaved(&'static str),
    /// The server speaks none of this side's versions.
    VersionMismatch,
    /// The server answers without encryption, which this side asks for.
    NotEncrypted,
    /// The stream that carried it died.
    LinkLost,
    /// The stream that was to carry it could not be opened.
    Dial(DialError),
    /// Whoever ran the endpoint has ended, and the connection with it. The core itself never says so.
    Ended {
        /// By a panic, which is a defect: here, or in code of the application that was called. Otherwise it was thrown away, with its
        /// runtime for instance.
        panicked: bool,
    },
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody listens there. Tried again.
    Refused,
    /// No way leads there. Tried again.
    Unreachable,
    /// No address is known for its name. Tried again.
    NoAddress,
    /// There was no answer in time. Tried again.
    TimedOut,
    /// Somebody is there, and ended the stream without an answer: a server that goes, or one for another kind of address. Tried
    /// again.
    HungUp,
    /// Who answered could not show who it is. Final, but for who has been there: a network may have put itself in between.
    Untrusted(Distrust),
    /// Who answered speaks something else: not this protocol, no TLS 1.3, or no web sockets. Final in the same way.
    Foreign,
    /// The server answered the request for a web socket with this HTTP status. Tried again after 408, 429 and those of 500 and more,
    /// and otherwise final in the same way.
    Http(u16),
    /// The server does not take what this side shows of itself, its certificate for instance, or misses it. Final in the same way.
    Unauthenticated,
    /// This side may not go there. Final in the same way.
    NotAllowed,
    /// This side cannot go to such an address. Final.
    Unsupported,
}

/// Why a certificate does not show who its owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// No authority that this side trusts has signed it.
    UnknownIssuer,
    /// It is for other names than the address has.
    WrongName,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is an authority's, good for signing others and for nothing else: what `openssl req -x509` makes where nobody tells it otherwise.
    Authority,
    /// For another reason.
    Other,
}

impl DialError {
    /// Whether trying again can help who has not been there.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::Unreachable
                | Self::NoAddress
                | Self::TimedOut
                | Self::HungUp
                | Self::Http(408 | 429 | 500..)
        )
    }
}

impl CloseReason {
    /// Whether trying again can help who has not been there.
    pub const fn is_retryable(&self, advice: Advice) -> bool {
        match self {
            Self::Local { .. }
            | Self::VersionMismatch
            | Self::PeerMisbehaved(_)
            | Self::NotEncrypted
            | Self::Ended { .. } => false,
            Self::Peer { .. } => matches!(advice, Advice::Now | Advice::After),
            Self::TimedOut | Self::Reset | Self::LinkLost => true,
            Self::Dial(error) => error.is_retryable(),
        }
    }
}

/// Codes of CLOSE and of failed requests. The protocol's are below 0x100; the application's are its own.
pub mod code {
    /// Nothing is wrong.
    pub const NO_ERROR: u64 = 0x00;
    /// The peer broke a rule.
    pub const PROTOCOL_VIOLATION: u64 = 0x01;
    /// A frame is malformed.
    pub const FRAME_ENCODING: u64 = 0x02;
    /// A core frame type is unknown.
    pub const FRAME_UNKNOWN: u64 = 0x03;
    /// More was sent than there was credit for.
    pub const FLOW_CONTROL: u64 = 0x04;
    /// A message is larger than was agreed.
    pub const MESSAGE_TOO_LARGE: u64 = 0x05;
    /// The server has no room; come back later.
    pub const BUSY: u64 = 0x06;
    /// The server is going away.
    pub const GOING_AWAY: u64 = 0x07;
    /// The server's application did not let the client in, or did not decide in time.
    pub const NOT_ADMITTED: u64 = 0x08;
    /// More frames about paths came than make sense.
    pub const EXCESSIVE: u64 = 0x09;
    /// The session that was to go on is not known, or was not proven to be the peer's.
    pub const RESUME_UNKNOWN: u64 = 0x0A;
    /// The session has a newer attachment.
    pub const SUPERSEDED: u64 = 0x0B;
    /// The server takes encrypted datagrams only.
    pub const ENCRYPTED_ONLY: u64 = 0x0C;
    /// The server does not encrypt, and the client asks for it.
    pub const NOT_ENCRYPTED: u64 = 0x0D;
    /// The client's handshake was made for another key than the server's, or with another shared secret.
    pub const WRONG_KEY: u64 = 0x0E;
    /// The keys have sealed, or failed to open, as many packets as they may.
    pub const KEYS_USED_UP: u64 = 0x0F;
    /// First code of the application.
    pub const APPLICATION: u64 = 0x100;
    /// A request that the peer's transport refused for want of room: surely not processed.
    pub const REQUEST_REJECTED: u64 = 0x80;

    /// A request whose reply the peer's application did not give in time: it may have been processed.
    pub const REQUEST_EXPIRED: u64 = 0x40;

    /// Whether a failed request's code says that it was surely not processed.
    pub const fn is_not_processed(code: u64) -> bool {
        code < APPLICATION && code & 0x80 != 0
    }
}
