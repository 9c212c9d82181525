//! The deadlines of a connection.

use crate::Timestamp;

/// What a connection can be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Timer {
    /// Repeat INIT or ACCEPT.
    Handshake,
    /// Give the attempt up.
    HandshakeDeadline,
    /// Try the next way to the server.
    NextWay,
    /// Begin the next attempt.
    Backoff,
    /// Keep the session no longer without a link.
    Resume,
    /// Declare packets lost, or probe.
    Loss,
    /// Pacing lets the next packet go.
    Pacing,
    /// An ACK must go out.
    Ack,
    /// The silence calls for a sign of life.
    Heartbeat,
    /// The peer has been silent for too long.
    Dead,
    /// Give back memory.
    Release,
    /// Incomplete unreliable messages are given up.
    Reassembly,
    /// A message's lifetime is over.
    Expiry,
    /// A REPORT may go out.
    Report,
    /// A request has run out of time.
    Request,
    /// A rate limit lets more through.
    Rate,
    /// Flushing before CLOSE has taken long enough.
    Linger,
    /// Repeat CLOSE.
    Close,
    /// Ask a new address again, or forget an old one.
    Path,
    /// Forget the connection.
    Drain,
}

impl Timer {
    pub(super) const ALL: [Self; 20] = [
        Self::Handshake,
        Self::HandshakeDeadline,
        Self::NextWay,
        Self::Backoff,
        Self::Resume,
        Self::Loss,
        Self::Pacing,
        Self::Ack,
        Self::Heartbeat,
        Self::Dead,
        Self::Release,
        Self::Reassembly,
        Self::Expiry,
        Self::Report,
        Self::Request,
        Self::Rate,
        Self::Linger,
        Self::Close,
        Self::Path,
        Self::Drain,
    ];
}

/// One deadline for each timer that is set and stopped; `u64::MAX` stands for none. Those that follow from what their owners
/// know are asked for when somebody wants to know.
#[derive(Clone, Debug)]
pub(crate) struct TimerTable {
    deadlines: [u64; Timer::ALL.len()],
}

impl Default for TimerTable {
    fn default() -> Self {
        Self { deadlines: [u64::MAX; Timer::ALL.len()] }
    }
}

impl TimerTable {
    pub(crate) fn set(&mut self, timer: Timer, at: impl Into<Option<Timestamp>>) {
        self.deadlines[timer as usize] = at.into().map_or(u64::MAX, Timestamp::as_nanos);
    }

    pub(crate) const fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = u64::MAX;
    }

    pub(crate) const fn stop_all(&mut self) {
        self.deadlines = [u64::MAX; Timer::ALL.len()];
    }

    pub(crate) const fn get(&self, timer: Timer) -> Option<Timestamp> {
        match self.deadlines[timer as usize] {
            u64::MAX => None,
            at => Some(Timestamp::from_nanos(at)),
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> u64 {
        self.deadlines.iter().fold(u64::MAX, |first, &at| first.min(at))
    }
}

impl crate::sleep::Saved for TimerTable {
    fn save(&self, to: &mut crate::sleep::Saver<'_>) {
        for timer in Timer::ALL {
            self.get(timer).save(to);
        }
    }

    fn load(from: &mut crate::sleep::Loader<'_>) -> Option<Self> {
        let mut timers = Self::default();
        for timer in Timer::ALL {
            timers.set(timer, Option::<Timestamp>::load(from)?);
        }
        Some(timers)
    }
}
