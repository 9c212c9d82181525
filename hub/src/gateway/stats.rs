//! What happened, as numbers.

use super::End;

macro_rules! reasons {
    ($(#[doc = $about:literal] $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $label:literal,)* })*) => {$(
        #[doc = $about]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As metrics name it.
            pub(crate) const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    )*};
}

reasons! {
    /// Why something that a guest sent was ignored.
    Ignored {
        /// The text is not JSON.
        NotJson = "not_json",
        /// It is not an array, or holds something that is not an object with a text as `m`.
        NotMessages = "not_messages",
        /// The frame was binary.
        Binary = "binary",
        /// No message is called so, or not by guests.
        Unknown = "unknown",
        /// Only `hi` and `t` come before `hi` is answered.
        BeforeHi = "before_hi",
        /// `hi` comes once.
        Again = "hi_again",
        /// Something is missing, of another kind, or out of range.
        BadField = "bad_field",
        /// Who should hear it is not there.
        Nobody = "nobody",
        /// It was to be said in a room where its guest is not.
        Elsewhere = "elsewhere",
        /// It came more often than may be.
        TooOften = "too_often",
        /// It came behind `bye`, or while the guest was being sent away.
        Late = "late",
    }
    /// Why something was not sent to a guest.
    Dropped {
        /// Notes or cursors, for which there was no room.
        Play = "play",
        /// Something else, for which there was no room: the whole state follows.
        State = "state",
        /// It is part of the state that follows.
        Behind = "behind",
        /// The guest is being sent away.
        Ending = "ending",
        /// The guest was gone before it was written.
        Gone = "gone",
    }
}

/// Counters of a [`Gateway`](super::Gateway), from its creation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    /// Guests that have come.
    pub(crate) opened: u64,
    /// Guests for whom there was no room.
    pub(crate) refused: u64,
    /// Messages that guests have sent, whatever became of them.
    pub(crate) messages_received: u64,
    /// Bytes of their texts.
    pub(crate) bytes_received: u64,
    /// Texts handed out for guests.
    pub(crate) frames_sent: u64,
    ignored: [u64; Ignored::ALL.len()],
    dropped: [u64; Dropped::ALL.len()],
    ended: [u64; End::ALL.len()],
}

impl Stats {
    pub(super) fn ignore(&mut self, why: Ignored) {
        self.ignored[why as usize] += 1;
    }

    pub(super) fn dropped(&mut self, why: Dropped, count: u64) {
        self.dropped[why as usize] += count;
    }

    pub(super) fn ended(&mut self, end: End) {
        if let Some(index) = End::ALL.iter().position(|other| *other == end) {
            self.ended[index] += 1;
        }
    }

    /// Messages and frames ignored for this reason.
    pub(crate) const fn ignored_for(&self, why: Ignored) -> u64 {
        self.ignored[why as usize]
    }

    /// Texts not sent for this reason.
    pub(crate) const fn dropped_for(&self, why: Dropped) -> u64 {
        self.dropped[why as usize]
    }

    /// Guests sent away so.
    pub(crate) fn ended_for(&self, end: End) -> u64 {
        End::ALL.iter().position(|other| *other == end).map_or(0, |index| self.ended[index])
    }
}
