//! What the user is told, in words.

use std::io;
use std::time::Duration;

use adapter_tokio::ConnectError;
use proto_core::chat::{AppendError, RejectReason};
use proto_core::{CloseReason, Closed, DialError, Distrust, code};

use super::escape::Escaped;
use super::session::{Note, Outcome, Rejected, Why};

/// How many bytes of a line that is too long are shown.
const BEGINNING: usize = 60;

pub(super) fn note(note: &Note) -> String {
    match note {
        Note::Joined { latest: 0 } => "joined; the room is empty".to_owned(),
        Note::Joined { latest } => {
            format!("joined; the room's log has {}", count(*latest, "entry", "entries"))
        }
        Note::Back => "back".to_owned(),
        Note::LogReset => "the server has another log than before: slots start again".to_owned(),
        Note::Stalled => "the server's disk is full; what you write waits until there is space".to_owned(),
        Note::Refused(reason) => format!("the server gives no place in the room: {}", reject(*reason)),
        Note::Rejected(rejected) => refused(rejected),
        Note::Words(words) => words.clone(),
    }
}

fn refused(Rejected { line, why }: &Rejected) -> String {
    match why {
        Why::NotSent(AppendError::TooLarge { max }) => {
            let end = line.len().min(BEGINNING);
            format!("not sent, it is longer than {max} bytes: {}…", Escaped(&line[..end]))
        }
        Why::NotSent(error) => format!("not sent, {error}: {}", Escaped(line)),
        Why::Refused(reason) => format!("not acknowledged, {}: {}", reject(*reason), Escaped(line)),
    }
}

pub(super) const fn reject(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::NotJoined => "this connection is not in the room",
        RejectReason::TooLarge => "it is larger than the room allows",
        RejectReason::Conflict => "its number was used for something else",
        RejectReason::Unknown => "the server no longer knows whether it is in the log",
        RejectReason::Rate => "too much was said in too little time",
        RejectReason::EpochChanged => "the log was replaced",
        RejectReason::Full => "the server's disk is full",
        RejectReason::Stopped => "the server's disk is broken, and it takes nothing until that is mended",
        RejectReason::Fenced => "the same client has entered from elsewhere",
        RejectReason::TooManyRooms => "the server has as many rooms as it allows",
        RejectReason::TooManyClients => "the room has as many clients as it allows",
        RejectReason::AlreadyJoined => "this connection has joined before",
        RejectReason::Malformed => "the server did not understand",
        RejectReason::Overrun => "more was sent than may wait",
        RejectReason::Forbidden => "the room does not take it",
        RejectReason::Barred => "you may not be in this room",
        RejectReason::Unreadable => "the server cannot read the room's log",
    }
}

pub(super) fn lost(closed: &Closed) -> String {
    format!("lost: {}", why(&closed.reason))
}

/// The connection has no link, and its session waits for another.
pub(super) fn silent(reason: Option<&CloseReason>) -> String {
    format!("lost: {}; reconnecting", reason.map_or(SILENT.to_owned(), why))
}

const SILENT: &str = "the server is silent";

pub(super) fn other_key() -> String {
    "the server has another key than the one that is known for it".to_owned()
}

pub(super) fn why(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Local { .. } => "this side closed".to_owned(),
        CloseReason::Peer { code: code::BUSY, .. } => "the server is busy".to_owned(),
        CloseReason::Peer { code: code::GOING_AWAY, .. } => "the server is going away".to_owned(),
        CloseReason::Peer { code: code::WRONG_KEY, .. } => {
            format!("{}, or another group secret", other_key())
        }
        CloseReason::Peer { code: code::ENCRYPTED_ONLY, .. } => {
            "the server takes encrypted datagrams only (--encrypt always)".to_owned()
        }
        CloseReason::NotEncrypted | CloseReason::Peer { code: code::NOT_ENCRYPTED, .. } => {
            "the server does not encrypt datagrams (--encrypt never goes on without)".to_owned()
        }
        CloseReason::Peer { code, reason } if reason.is_empty() => {
            format!("the server closed with code {code:#x}")
        }
        CloseReason::Peer { code, reason } => {
            format!("the server closed with code {code:#x} ({})", Escaped(reason.as_bytes()))
        }
        CloseReason::TimedOut => SILENT.to_owned(),
        CloseReason::LinkLost => "the link is broken".to_owned(),
        CloseReason::Dial(DialError::Refused) => "nobody listens there".to_owned(),
        CloseReason::Dial(DialError::Unreachable) => "no way leads there".to_owned(),
        CloseReason::Dial(DialError::NoAddress) => "no address is known for its name".to_owned(),
        CloseReason::Dial(DialError::TimedOut) => "nothing answers there".to_owned(),
        CloseReason::Dial(DialError::HungUp) => {
            "who listens there ended the stream without an answer: it may be going away, or be there for addresses of another kind".to_owned()
        }
        CloseReason::Dial(DialError::Untrusted(why)) => {
            format!("the server could not show who it is: {}", distrust(*why))
        }
        CloseReason::Dial(DialError::Foreign) => {
            "who listens there speaks something else than the address says".to_owned()
        }
        CloseReason::Dial(DialError::Http(404)) => {
            "the web server there has no web socket at that path (404)".to_owned()
        }
        CloseReason::Dial(DialError::Http(status)) => {
            format!("the web server there refuses a web socket (HTTP status {status})")
        }
        CloseReason::Dial(DialError::Unauthenticated) => {
            "the server asks for a certificate that it trusts (--tls-cert, --tls-key)".to_owned()
        }
        CloseReason::Dial(DialError::NotAllowed) => "this user may not go there".to_owned(),
        CloseReason::Dial(DialError::Unsupported) => {
            "this program is not set up for addresses of that kind".to_owned()
        }
        CloseReason::Reset => "the server was restarted or forgot this connection".to_owned(),
        CloseReason::PeerMisbehaved(what) => format!("the server broke the protocol ({what})"),
        CloseReason::VersionMismatch => "the server speaks another version of the protocol".to_owned(),
        CloseReason::Ended { .. } => "this program's own I/O has ended by a defect".to_owned(),
        _ => "for a reason that this version does not know".to_owned(),
    }
}

fn distrust(why: Distrust) -> &'static str {
    match why {
        Distrust::UnknownIssuer => {
            "no authority that is trusted here has signed its certificate (--tls-ca names another one)"
        }
        Distrust::WrongName => "its certificate is for other names than the address has",
        Distrust::Expired => "its certificate has expired",
        Distrust::NotYetValid => "its certificate is not valid yet",
        Distrust::Authority => {
            "its certificate is an authority's (CA:TRUE), good for signing others only; it needs one of its own"
        }
        _ => "its certificate cannot be used",
    }
}

pub(super) fn reconnecting(delay: Duration) -> String {
    format!("reconnecting{}", within(delay))
}

pub(super) fn connecting(server: &str) -> String {
    format!("connecting to {server}")
}

pub(super) fn still_trying(server: &str, reason: Option<&CloseReason>) -> String {
    format!("no answer from {server} yet{}, still trying", because(reason))
}

pub(super) fn no_answer(server: &str, reason: Option<&CloseReason>, delay: Duration) -> String {
    format!("no answer from {server} yet{}, trying again{}", because(reason), within(delay))
}

/// Why there was no answer, unless that is all there is to say.
fn because(reason: Option<&CloseReason>) -> String {
    let told = reason.filter(|reason| !matches!(reason, CloseReason::TimedOut));
    told.map(|reason| format!(" ({})", why(reason))).unwrap_or_default()
}

pub(super) fn entering(server: &str) -> String {
    format!("connected to {server}, waiting for a place in the room")
}

pub(super) fn not_found(server: &str, error: &ConnectError) -> String {
    format!("cannot find {server}: {error}")
}

/// To somebody who leaves while this many lines wait.
pub(super) fn leaving(lines: usize) -> String {
    let verb = if lines == 1 { "waits" } else { "wait" };
    format!("{} still {verb} for the server; Ctrl-C leaves at once", count(lines as u64, "line", "lines"))
}

fn within(delay: Duration) -> String {
    let tenths = delay.as_millis().div_ceil(100);
    match tenths {
        0 => String::new(),
        1..=9 => format!(" in 0.{tenths} s"),
        _ => format!(" in {} s", tenths.div_ceil(10)),
    }
}

/// How a chat ended that left this many lines unacknowledged, perhaps as its output cannot be written; nothing if there is
/// nothing to say.
pub(super) fn ended(outcome: Outcome, error: Option<&io::Error>, lines: usize) -> Option<String> {
    let why = match outcome {
        _ if let Some(error) = error => format!("ended: the output cannot be written: {error}"),
        Outcome::Unseen => return None,
        Outcome::Done | Outcome::Interrupted if lines == 0 => return None,
        Outcome::Done | Outcome::Interrupted => "interrupted".to_owned(),
        Outcome::GivenUp => "given up: nothing came for too long".to_owned(),
        Outcome::Fenced => "ended: the same client has entered from elsewhere".to_owned(),
        Outcome::Unreadable { next } => format!(
            "ended: the server cannot read slot {next} of the room's log, its file is damaged; with --last you begin behind the damage"
        ),
        Outcome::Hopeless => "ended: the server cannot be reached".to_owned(),
    };
    Some(match lines {
        0 => why,
        1 => format!("{why}; 1 line was not acknowledged:"),
        _ => format!("{why}; {lines} lines were not acknowledged:"),
    })
}

fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto_core::chat::MAX_BODY;

    use super::*;

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

    #[test]
    fn one_is_not_many() {
        assert_eq!(note(&Note::Joined { latest: 1 }), "joined; the room's log has 1 entry");
        assert_eq!(note(&Note::Joined { latest: 2 }), "joined; the room's log has 2 entries");
        assert_eq!(leaving(1), "1 line still waits for the server; Ctrl-C leaves at once");
        assert_eq!(leaving(2), "2 lines still wait for the server; Ctrl-C leaves at once");
        let given_up = |lines| ended(Outcome::GivenUp, None, lines).unwrap();
        assert_eq!(given_up(0), "given up: nothing came for too long");
        assert_eq!(given_up(1), "given up: nothing came for too long; 1 line was not acknowledged:");
        assert_eq!(given_up(2), "given up: nothing came for too long; 2 lines were not acknowledged:");
    }

    #[test]
    fn who_asked_for_the_end_is_told_only_what_is_left() {
        for outcome in [Outcome::Done, Outcome::Interrupted] {
            assert_eq!(ended(outcome, None, 0), None);
        }
        assert_eq!(
            ended(Outcome::Interrupted, None, 2).unwrap(),
            "interrupted; 2 lines were not acknowledged:"
        );
        assert_eq!(ended(Outcome::Unseen, None, 2), None, "who closed the output wants to hear nothing");
        let full = io::Error::other("it is full");
        assert_eq!(
            ended(Outcome::Unseen, Some(&full), 1).unwrap(),
            "ended: the output cannot be written: it is full; 1 line was not acknowledged:"
        );
    }

    #[test]
    fn a_refused_line_is_whole_unless_it_is_too_long() {
        let too_long = Rejected {
            line: Bytes::from(vec![b'x'; MAX_BODY + 1]),
            why: Why::NotSent(AppendError::TooLarge { max: MAX_BODY }),
        };
        let beginning = "x".repeat(BEGINNING);
        assert_eq!(refused(&too_long), format!("not sent, it is longer than 16384 bytes: {beginning}…"));
        let unknown = Rejected { line: "a\x1b".repeat(50).into(), why: Why::Refused(RejectReason::Unknown) };
        let text = refused(&unknown);
        assert!(text.starts_with("not acknowledged, the server no longer knows"), "{text}");
        assert!(text.ends_with(&r"a\x1b".repeat(50)), "{text}");
    }

    #[test]
    fn a_damaged_slot_is_named_with_the_way_around_it() {
        let text = ended(Outcome::Unreadable { next: 17 }, None, 0).unwrap();
        assert!(text.contains("slot 17 ") && text.contains("--last"), "{text}");
    }
}
