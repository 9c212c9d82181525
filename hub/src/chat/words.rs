//! What the user is told, in words.

use std::time::Duration;

use proto_core::chat::RejectReason;
use proto_core::{CloseReason, Closed, code};

use super::escape::Escaped;
use super::session::{Note, Outcome};

pub(super) fn note(note: &Note) -> String {
    match note {
        Note::Joined { latest: 0 } => "joined; the room is empty".to_owned(),
        Note::Joined { latest } => format!("joined; the room's log has {latest} entries"),
        Note::Back => "back".to_owned(),
        Note::LogReset => "the server has another log than before: slots start again".to_owned(),
        Note::Stalled => "the server's disk is full; what you write waits until there is space".to_owned(),
        Note::Refused(reason) => format!("the server gives no place in the room: {}", reject(*reason)),
        Note::Rejected(rejected) => {
            format!("not in the log: {} ({})", Escaped(rejected.line.as_bytes()), rejected.why)
        }
    }
}

pub(super) const fn reject(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::NotJoined => "this connection is not in the room",
        RejectReason::TooLarge => "it is larger than the room allows",
        RejectReason::Conflict => "its number was used for something else",
        RejectReason::Unknown => "the server no longer knows whether it is in the log",
        RejectReason::EpochChanged => "the log was replaced",
        RejectReason::Full => "the server's disk is full",
        RejectReason::Stopped => "the server's disk is broken, and it takes nothing until that is mended",
        RejectReason::Fenced => "the same client has entered from elsewhere",
        RejectReason::TooManyRooms => "the server has as many rooms as it allows",
        RejectReason::TooManyClients => "the room has as many clients as it allows",
        RejectReason::AlreadyJoined => "this connection has joined before",
        RejectReason::Malformed => "the server did not understand",
        RejectReason::Overrun => "more was sent than may wait",
    }
}

pub(super) fn lost(closed: &Closed) -> String {
    format!("lost: {}", why(closed))
}

pub(super) fn why(closed: &Closed) -> String {
    match &closed.reason {
        CloseReason::Local { .. } => "this side closed".to_owned(),
        CloseReason::Peer { code: code::BUSY, .. } => "the server is busy".to_owned(),
        CloseReason::Peer { code: code::GOING_AWAY, .. } => "the server is going away".to_owned(),
        CloseReason::Peer { code, reason } if reason.is_empty() => {
            format!("the server closed with code {code:#x}")
        }
        CloseReason::Peer { code, reason } => {
            format!("the server closed with code {code:#x} ({})", Escaped(reason.as_bytes()))
        }
        CloseReason::TimedOut => "the server is silent".to_owned(),
        CloseReason::Reset => "the server was restarted".to_owned(),
        CloseReason::PeerMisbehaved(what) => format!("the server broke the protocol ({what})"),
        CloseReason::VersionMismatch => "the server speaks another version of the protocol".to_owned(),
        _ => "for a reason that this version does not know".to_owned(),
    }
}

pub(super) fn reconnecting(delay: Duration) -> String {
    format!("reconnecting{}", within(delay))
}

pub(super) fn no_answer(server: &str, delay: Duration) -> String {
    format!("no answer from {server}; trying again{}", within(delay))
}

fn within(delay: Duration) -> String {
    let tenths = delay.as_millis().div_ceil(100);
    match tenths {
        0 => String::new(),
        1..=9 => format!(" in 0.{tenths} s"),
        _ => format!(" in {} s", tenths.div_ceil(10)),
    }
}

/// What keeps a chat from ending well; nothing when it was asked to end.
pub(super) const fn failure(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Done | Outcome::Interrupted | Outcome::Unseen => None,
        Outcome::GivenUp => Some("given up: nothing came for too long"),
        Outcome::Fenced => Some("ended: the same client has entered from elsewhere"),
        Outcome::Hopeless => Some("ended: the server cannot be reached"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, reconnecting};

    #[test]
    fn delays_are_rounded_up() {
        let cases = [
            (0, "reconnecting"),
            (1, "reconnecting in 0.1 s"),
            (300, "reconnecting in 0.3 s"),
            (901, "reconnecting in 1 s"),
            (1_000, "reconnecting in 1 s"),
            (1_950, "reconnecting in 2 s"),
            (2_000, "reconnecting in 2 s"),
        ];
        for (millis, expected) in cases {
            assert_eq!(reconnecting(Duration::from_millis(millis)), expected, "{millis} ms");
        }
    }
}
