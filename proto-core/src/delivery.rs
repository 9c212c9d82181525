//! What an application can ask for a message, and the words for what becomes of it.

use crate::{ChannelId, Class};

/// Whether and when a message's fate is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptKind {
    /// Never: it shows in the statistics only.
    #[default]
    None,
    /// When the peer's transport has all of it.
    Arrival,
    /// When the peer's application has said that it processed or rejected it.
    Processing,
}

/// Where a message was when its lifetime ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// In the queue: nothing of it was ever written.
    Queued,
    /// On its way: written in part, or lost.
    Sent,
}

/// Why a receiver dropped a message before its application saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The receive queue was full.
    QueueFull,
    /// Its lifetime was over.
    Expired,
    /// A newer one of its class came before it.
    Superseded,
    /// Its pieces did not come together in time.
    Reassembly,
    /// It had to make room for a newer incomplete one, or has too many pieces.
    ReassemblyFull,
    /// It has come before.
    Duplicate,
    /// It is too old to tell whether it has come before.
    Stale,
    /// It was a request, and too many are under way.
    Busy,
    /// It was beyond the rate that the receiver takes.
    RateLimited,
    /// A reason that this version does not know.
    Other(u8),
}

impl Refusal {
    /// Every reason that this version gives, by its code less 1.
    pub const ALL: [Self; 9] = [
        Self::QueueFull,
        Self::Expired,
        Self::Superseded,
        Self::Reassembly,
        Self::ReassemblyFull,
        Self::Duplicate,
        Self::Stale,
        Self::Busy,
        Self::RateLimited,
    ];

    /// Its number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Other(code) => code,
            known => Self::ALL.iter().position(|&reason| reason == known).map_or(0, |at| at as u8 + 1),
        }
    }

    /// The reason of that number on the wire.
    pub fn from_code(code: u8) -> Self {
        let known = usize::from(code).checked_sub(1).and_then(|at| Self::ALL.get(at));
        known.copied().unwrap_or(Self::Other(code))
    }
}

/// What happens when a message finds its channel's queue full. It does not concern answers to requests: those are refused, and
/// are not pushed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// It is refused with `SendError::Full`, and `Event::Writable` follows.
    FailFast,
    /// It is accepted, and dropped at once.
    DropNew,
    /// It pushes out the oldest messages of its class of which nothing was written; when that is not enough, it is refused.
    DropOld,
    /// Whether or not the queue is full, it takes the place of all messages of its class of which nothing was written; when that
    /// is not enough, it is refused.
    Replace,
}

impl Policy {
    /// What a class does where nothing else was asked for.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::ReliableOrdered | Class::ReliableUnordered => Self::FailFast,
            Class::Unreliable => Self::DropOld,
            Class::Sequenced => Self::Replace,
        }
    }
}

/// How much one channel queues for sending. `None` takes the value of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendLimits {
    /// Messages, the unacknowledged included: 1 to 4096.
    pub messages: Option<usize>,
    /// Bytes, likewise: from `max_message` + 64 to 1 GiB.
    pub bytes: Option<usize>,
    /// `Event::Writable` comes once at most this much of the queue is in use: 1 to 100 percent.
    pub low_water: Option<u8>,
    /// What happens when the queue is full; `None`: as [`Policy::of`] says, class by class.
    pub policy: Option<Policy>,
}

/// How much one channel holds for the application. `None` takes the value of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// Messages: 1 to 4096, and not more than `session_messages`.
    pub messages: Option<usize>,
    /// Bytes: from `max_message` + 64 to `session_bytes`.
    pub bytes: Option<usize>,
}

/// What became of an attempt to cancel a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Nothing of it was written, and nothing will be.
    Cancelled,
    /// Something of it is on its way, or it is settled already. It is not repeated any more; its fate is still to come, if it was
    /// asked for: `Cancelled`, or `Acked` if it arrives.
    TooLate,
}

/// A received message whose sender waits for the application's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptId {
    /// The channel it came on.
    pub channel: ChannelId,
    /// The class it came in.
    pub class: Class,
    /// Its number there: [`Received::number`](crate::Received::number).
    pub number: u64,
}

impl crate::sleep::Saved for Policy {
    fn save(&self, to: &mut crate::sleep::Saver<'_>) {
        to.number(*self as u64);
    }

    fn load(from: &mut crate::sleep::Loader<'_>) -> Option<Self> {
        let all = [Self::FailFast, Self::DropNew, Self::DropOld, Self::Replace];
        all.get(from.number()? as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn reasons_keep_their_codes() {
        for code in 0..=u8::MAX {
            assert_eq!(Refusal::from_code(code).code(), code);
        }
        assert_eq!(Refusal::ALL.map(Refusal::code), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
