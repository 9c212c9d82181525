//! A server's client that waits for the application's decision: it has no ACCEPT yet, so nothing of it can come through
//! (docs/spec/connection.md, section 2.1).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::close::write_close;
use super::state::{End, State};
use super::{Close, Connection, Timer};
use crate::crypto::PublicKey;
use crate::wire::{Advice, LongKind, RecordWriter};
use crate::{CloseReason, Credentials, Drop, Event, Timestamp, code};

/// How far the decision about a client has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Admission {
    /// Nobody was asked.
    #[default]
    None,
    Undecided,
    Admitted,
    Refused,
}

impl Connection {
    /// The link vouches for this about its client.
    pub(crate) fn set_vouched(&mut self, credentials: Credentials) {
        self.handshake.vouched = Some(Box::new(credentials));
    }

    /// Whether it waits for [`admit`](Self::admit) or [`refuse`](Self::refuse).
    pub fn is_undecided(&self) -> bool {
        self.state == State::Accepting && self.handshake.admission == Admission::Undecided
    }

    /// Lets the client in: the handshake goes on. `false` when there was nothing to decide any more.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        let now = self.advance(now);
        if !self.is_undecided() {
            return false;
        }
        self.handshake.admission = Admission::Admitted;
        self.stats.peers_admitted += 1;
        self.timers.set(Timer::HandshakeDeadline, now + self.config.handshake_timeout);
        self.owe_accept();
        true
    }

    /// Sends the client away; it learns code, reason, advice and `retry_after`. [`code::NO_ERROR`] becomes
    /// [`code::NOT_ADMITTED`]. `ConnectFailed` follows. `false` when there was nothing to decide any more.
    pub fn refuse(&mut self, now: Timestamp, mut close: Close) -> bool {
        let now = self.advance(now);
        if !self.is_undecided() {
            return false;
        }
        if close.code == code::NO_ERROR {
            close.code = code::NOT_ADMITTED;
        }
        self.handshake.admission = Admission::Refused;
        self.stats.peers_refused += 1;
        let (code, advice) = (close.code, close.advice);
        self.set_refusal(close);
        let answer_for = self.recovery.pto() * 3;
        let end = End { advice, ..End::of(CloseReason::Local { code }) };
        self.enter_closed(now, end, answer_for);
        true
    }

    /// Somebody was asked about the client, so somebody must hear how it ends.
    pub(super) fn was_announced(&self) -> bool {
        self.handshake.admission != Admission::None
    }

    /// A handshake, or the answers to one that was refused, still claims its place.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state == State::Accepting || self.is_refusing()
    }

    pub(super) fn is_refusing(&self) -> bool {
        self.state == State::Draining && self.handshake.admission == Admission::Refused
    }

    /// The agreement is prepared: ACCEPT goes out when the application says so, if it wants to be asked.
    pub(super) fn ask_for_admission(&mut self, token: Bytes, key: Option<PublicKey>) {
        // A session that goes on was let in when it began.
        if !self.config.admission || self.state == State::Suspended {
            return self.owe_accept();
        }
        self.handshake.admission = Admission::Undecided;
        self.timers.set(Timer::HandshakeDeadline, self.clock + self.config.admission_timeout);
        let vouched = self.handshake.vouched.take().map_or_else(Credentials::default, |vouched| *vouched);
        let credentials = Credentials { token, key, ..vouched };
        self.events.push_back(Event::Undecided(Box::new(credentials)));
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::AdmitsAnyone) {
            self.owe_accept();
        }
    }

    pub(super) fn on_undecided_deadline(&mut self, now: Timestamp) {
        self.stats.drops.count(Drop::AdmissionExpired);
        let close = Close {
            reason: "no decision was made in time".into(),
            advice: Advice::After,
            retry_after: self.rng.around(self.config.busy_retry_after),
            ..Close::default()
        };
        self.refuse(now, close);
    }

    /// CLOSE in the place of ACCEPT.
    pub(super) fn write_refusal(&mut self, close: &Close, buf: &mut Vec<u8>) -> bool {
        let mut record = Vec::new();
        write_close(close, &mut RecordWriter::new(&mut record));
        self.write_long_answer(LongKind::Refuse, &record, buf)
    }
}
