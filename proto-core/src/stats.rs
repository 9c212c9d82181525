//! Counters. Whatever is dropped anywhere is counted here once, under its reason.

use alloc::boxed::Box;
use core::fmt;
use core::ops::AddAssign;

use crate::Refusal;
use crate::lazy::Blank;

macro_rules! drops {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why something was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Drop {
            $($(#[$doc])* $name,)*
        }

        impl Drop {
            /// Every reason, those that concern no channel first.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The reason's name in logs and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

drops! {
    /// A datagram whose header makes no sense.
    MalformedHeader = "malformed-header",
    /// A packet whose checksum is wrong.
    BadChecksum = "bad-checksum",
    /// A packet of an encrypted connection whose tag is wrong.
    ForgedPacket = "forged-packet",
    /// An INIT that is not encrypted, at an endpoint that takes no such one.
    NotEncrypted = "not-encrypted",
    /// An INIT that is encrypted, at an endpoint that encrypts nothing.
    Encrypted = "encrypted",
    /// An INIT, or the answer to one, that was encrypted with another key.
    WrongKey = "wrong-key",
    /// A packet for a connection that does not exist.
    UnknownConnection = "unknown-connection",
    /// A packet of a connection from an address that is not its peer's.
    WrongAddress = "wrong-address",
    /// An answer to a PATH_CHALLENGE that found too many others waiting.
    PathAnswerDropped = "path-answer-dropped",
    /// A connection id that was given back twice.
    CidUnknown = "cid-unknown",
    /// A PATH_RESPONSE that nobody waits for.
    PathAnswerUnexpected = "path-answer-unexpected",
    /// A packet that has arrived before, or too late to tell.
    DuplicatePacket = "duplicate-packet",
    /// A packet for a connection that is over.
    AfterClose = "after-close",
    /// A packet that does not belong into the present state of its handshake.
    UnexpectedHandshake = "unexpected-handshake",
    /// A handshake packet that cannot be decoded.
    MalformedHandshake = "malformed-handshake",
    /// An INIT in a datagram under 1200 bytes.
    SmallInit = "small-init",
    /// An INIT without a valid token, answered by RETRY.
    Retried = "retried",
    /// An INIT answered by VERSION.
    WrongVersion = "wrong-version",
    /// An INIT that claims a session which is not known, or not proven to be the client's.
    ResumeRefused = "resume-refused",
    /// The same, from a network of which too many came: its refusal waits.
    ResumeDelayed = "resume-delayed",
    /// An INIT that claims a session which has a newer attachment.
    Superseded = "superseded",
    /// A packet of an attachment that another one has taken the place of.
    Fenced = "fenced",
    /// An INIT refused because the endpoint is full.
    Busy = "busy",
    /// An INIT refused because clients come faster than the endpoint lets them in.
    AcceptRate = "accept-rate",
    /// An INIT refused because the endpoint is going away.
    Draining = "draining",
    /// An INIT at an endpoint that takes no connections.
    NotAccepting = "not-accepting",
    /// An INIT refused because too many peers are undecided.
    UndecidedFull = "undecided-full",
    /// A peer that nobody decided about in time.
    AdmissionExpired = "admission-expired",
    /// A handshake that was not finished in time.
    HandshakeExpired = "handshake-expired",
    /// A handshake that gave its place in a full waiting room to a newcomer.
    HandshakeEvicted = "handshake-evicted",
    /// A handshake that its client took back: another way to the server was faster, or its stream died.
    HandshakeWithdrawn = "handshake-withdrawn",
    /// A stateless answer that found its queue full.
    AnswerQueueFull = "answer-queue-full",
    /// A stateless reset that came too soon after the last one, or whose trigger was too short.
    ResetSuppressed = "reset-suppressed",
    /// A connection that was ended because all of them together held too much.
    MemoryEvicted = "memory-evicted",
    /// A record of a stream link that the endpoint has let go of.
    UnknownLink = "unknown-link",
    /// What came on a stream link and was no record.
    MalformedRecord = "malformed-record",
    /// A message, or a piece of one, that was delivered before.
    DuplicateMessage = "duplicate-message",
    /// An unreliable message that found the receive queue full.
    ReceiveQueueFull = "receive-queue-full",
    /// An unreliable message, or a piece of one, beyond the rate that its receiver takes.
    RateLimited = "rate-limited",
    /// An incomplete unreliable message that was given up.
    ReassemblyExpired = "reassembly-expired",
    /// An incomplete unreliable message that had to make room for a newer one, or a piece of one that is too large to be joined.
    ReassemblyFull = "reassembly-full",
    /// An unreliable message too old to tell whether it was delivered before.
    StaleMessage = "stale-message",
    /// A message that found the send queue full, was pushed out of it, or is larger than the peer takes.
    SendQueueDropped = "send-queue-dropped",
    /// A message whose lifetime ended before all of it was written and arrived.
    SendExpired = "send-expired",
    /// A message whose lifetime ended before the application took it.
    ReceiveExpired = "receive-expired",
    /// A message, or a piece of one, that a newer one of its class has overtaken.
    ReceiveSuperseded = "receive-superseded",
    /// An incomplete message that its sender gave up.
    Abandoned = "abandoned",
    /// A message that asks for a receipt while too many receipts are kept.
    ReceiptsFull = "receipts-full",
    /// A reply to a request that is over.
    LateReply = "late-reply",
    /// A request refused because too many are under way.
    RequestRejected = "request-rejected",
    /// A cancelled request that the peer is not told about, as too many are still on their way.
    CancelUntold = "cancel-untold",
    /// A request of the peer that the application did not answer in time.
    RequestExpired = "request-expired",
    /// Received messages that the application had not taken when the connection was forgotten.
    Unread = "unread",
}

impl Drop {
    /// Whether it says what became of messages, and so is counted for their channel as well: see
    /// [`Connection::channel_stats`](crate::Connection::channel_stats).
    pub const fn concerns_channel(self) -> bool {
        self as u8 >= Self::DuplicateMessage as u8
    }
}

/// How often each reason to drop something occurred. Takes memory only once something was dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Drops(Option<Box<[u64; Drop::ALL.len()]>>);

impl Refusal {
    /// The counter of what is dropped for this reason.
    pub(crate) const fn counter(self) -> Drop {
        match self {
            Self::QueueFull | Self::Other(_) => Drop::ReceiveQueueFull,
            Self::Expired => Drop::ReceiveExpired,
            Self::Superseded => Drop::ReceiveSuperseded,
            Self::Reassembly => Drop::ReassemblyExpired,
            Self::ReassemblyFull => Drop::ReassemblyFull,
            Self::Duplicate => Drop::DuplicateMessage,
            Self::Stale => Drop::StaleMessage,
            Self::Busy => Drop::RequestRejected,
            Self::RateLimited => Drop::RateLimited,
        }
    }
}

impl Drops {
    /// How often `reason` occurred.
    pub fn get(&self, reason: Drop) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts[reason as usize])
    }

    /// Every reason that occurred, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Drop, u64)> + '_ {
        Drop::ALL.iter().map(|&reason| (reason, self.get(reason))).filter(|&(_, count)| count > 0)
    }

    pub(crate) fn count(&mut self, reason: Drop) {
        self.add(reason, 1);
    }

    pub(crate) fn add(&mut self, reason: Drop, count: u64) {
        if count > 0 {
            self.0.get_or_insert_with(|| Box::new([0; Drop::ALL.len()]))[reason as usize] += count;
        }
    }
}

impl fmt::Debug for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(reason, count)| (reason.name(), count))).finish()
    }
}

/// Messages that a peer dropped, by its reasons, as far as its REPORTs arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerDrops([u32; Refusal::ALL.len() + 1]);

impl PeerDrops {
    /// How often `reason` was reported; all that this version does not know are counted together.
    pub fn get(&self, reason: Refusal) -> u64 {
        self.0[Self::index(reason)].into()
    }

    fn index(reason: Refusal) -> usize {
        Refusal::ALL.iter().position(|&known| known == reason).unwrap_or(Refusal::ALL.len())
    }

    pub(crate) fn add(&mut self, reason: Refusal, count: u64) {
        let total = &mut self.0[Self::index(reason)];
        *total = total.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

/// What was dropped on one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelStats {
    /// By this side, by reason: of what was to be sent, and of what arrived.
    pub drops: Drops,
    /// What the peer reported to have dropped of what it received.
    pub peer_drops: PeerDrops,
}

impl Blank for ChannelStats {
    const BLANK: &'static Self =
        &Self { drops: Drops(None), peer_drops: PeerDrops([0; Refusal::ALL.len() + 1]) };
}

/// Totals of a connection, or of an endpoint and all its connections past and present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets sent.
    pub packets_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Packets taken in: valid, and not dropped.
    pub packets_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets declared lost that had arrived after all.
    pub spurious_losses: u64,
    /// Times that everything was lost for three probe timeouts.
    pub persistent_congestion: u64,
    /// Second copies of what was lost, sent because nothing else was.
    pub repairs: u64,
    /// ACKs that told of congestion marks.
    pub congestion_marks: u64,
    /// Paths that turned out not to carry marks.
    pub ecn_failed: u64,
    /// Probes for a larger packet that were sent.
    pub mtu_probes: u64,
    /// Times that large packets no longer arrived.
    pub black_holes: u64,
    /// BLOCKED frames sent: the peer's credit held this side back.
    pub blocked_sent: u64,
    /// BLOCKED frames received: this side's credit held the peer back.
    pub blocked_received: u64,
    /// Probe timeouts that fired.
    pub probes: u64,
    /// Times that a session lost its link and was kept.
    pub suspensions: u64,
    /// Times that a session went on over another link, or the old one after all.
    pub resumptions: u64,
    /// Sessions without a link that were ended for want of room.
    pub evictions: u64,
    /// Times that a client was asked whether it had moved.
    pub paths_challenged: u64,
    /// Of those, the ones that came to nothing.
    pub paths_given_up: u64,
    /// Moves of clients to another address.
    pub moves: u64,
    /// Times that the peer was called by another connection id from there on.
    pub cids_renewed: u64,
    /// Peers that the application let in.
    pub peers_admitted: u64,
    /// Peers that were refused by the application, or by its silence.
    pub peers_refused: u64,
    /// Messages accepted for sending.
    pub messages_accepted: u64,
    /// Messages settled as `Acked`.
    pub messages_acked: u64,
    /// Messages settled as `Processed`.
    pub messages_processed: u64,
    /// Messages settled as `Rejected`.
    pub messages_rejected: u64,
    /// Messages settled as `Refused`.
    pub messages_refused: u64,
    /// Messages settled as `Expired`.
    pub messages_expired: u64,
    /// Messages settled as `Cancelled`.
    pub messages_cancelled: u64,
    /// Messages settled as `Superseded`.
    pub messages_superseded: u64,
    /// Messages settled as `Written`.
    pub messages_written: u64,
    /// Messages settled as `Lost`.
    pub messages_lost: u64,
    /// Messages settled as `Dropped` or `TooLarge`.
    pub messages_dropped: u64,
    /// Messages settled as `Moved`.
    pub messages_moved: u64,
    /// Messages settled as `Unknown`.
    pub messages_unknown: u64,
    /// Messages that the application received.
    pub messages_delivered: u64,
    /// What was dropped, by reason.
    pub drops: Drops,
    /// What peers reported to have dropped of what they received.
    pub peer_drops: PeerDrops,
}

impl AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        self.packets_sent += other.packets_sent;
        self.bytes_sent += other.bytes_sent;
        self.packets_received += other.packets_received;
        self.bytes_received += other.bytes_received;
        self.packets_lost += other.packets_lost;
        self.spurious_losses += other.spurious_losses;
        self.persistent_congestion += other.persistent_congestion;
        self.repairs += other.repairs;
        self.congestion_marks += other.congestion_marks;
        self.ecn_failed += other.ecn_failed;
        self.mtu_probes += other.mtu_probes;
        self.black_holes += other.black_holes;
        self.blocked_sent += other.blocked_sent;
        self.blocked_received += other.blocked_received;
        self.probes += other.probes;
        self.suspensions += other.suspensions;
        self.resumptions += other.resumptions;
        self.evictions += other.evictions;
        self.paths_challenged += other.paths_challenged;
        self.paths_given_up += other.paths_given_up;
        self.moves += other.moves;
        self.cids_renewed += other.cids_renewed;
        self.peers_admitted += other.peers_admitted;
        self.peers_refused += other.peers_refused;
        self.messages_accepted += other.messages_accepted;
        self.messages_acked += other.messages_acked;
        self.messages_processed += other.messages_processed;
        self.messages_rejected += other.messages_rejected;
        self.messages_refused += other.messages_refused;
        self.messages_expired += other.messages_expired;
        self.messages_cancelled += other.messages_cancelled;
        self.messages_superseded += other.messages_superseded;
        self.messages_written += other.messages_written;
        self.messages_lost += other.messages_lost;
        self.messages_dropped += other.messages_dropped;
        self.messages_moved += other.messages_moved;
        self.messages_unknown += other.messages_unknown;
        self.messages_delivered += other.messages_delivered;
        for (reason, count) in other.drops.iter() {
            self.drops.add(reason, count);
        }
        for (mine, theirs) in self.peer_drops.0.iter_mut().zip(other.peer_drops.0) {
            *mine = mine.saturating_add(theirs);
        }
    }
}

crate::sleep::saved!(Drops(_));
crate::sleep::saved!(PeerDrops(_));
crate::sleep::saved!(ChannelStats { drops, peer_drops });

crate::sleep::saved!(Stats {
    packets_sent,
    bytes_sent,
    packets_received,
    bytes_received,
    packets_lost,
    spurious_losses,
    persistent_congestion,
    repairs,
    congestion_marks,
    ecn_failed,
    mtu_probes,
    black_holes,
    blocked_sent,
    blocked_received,
    probes,
    suspensions,
    resumptions,
    evictions,
    paths_challenged,
    paths_given_up,
    moves,
    cids_renewed,
    peers_admitted,
    peers_refused,
    messages_accepted,
    messages_acked,
    messages_processed,
    messages_rejected,
    messages_refused,
    messages_expired,
    messages_cancelled,
    messages_superseded,
    messages_written,
    messages_lost,
    messages_dropped,
    messages_moved,
    messages_unknown,
    messages_delivered,
    drops,
    peer_drops,
});
