//! What is said while there is no place in the room: news at once, and that nothing is new ever more seldom.

use std::time::Duration;

use proto_core::{CloseReason, Timestamp};

use super::words;

/// An answer that comes sooner needs no words.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The first silence.
const PAUSE: Duration = Duration::from_secs(5);
/// No silence is longer.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// How far the way to the server is.
enum Stage {
    /// It was called, and nothing has been said yet.
    Begun,
    /// It is being called.
    Calling,
    /// It is called again at that time.
    Waiting(Timestamp),
    /// It answers.
    Answering,
}

/// The time from the start, or from the loss of a connection, until the room is entered.
pub(super) struct Outage {
    server: String,
    stage: Stage,
    /// Why the last call failed.
    failed: Option<CloseReason>,
    /// What keeps happening instead of an answer.
    trouble: Option<String>,
    /// Whether it began with a loss, and nothing has been said since.
    is_fresh_loss: bool,
    pause: Duration,
    /// When something is said again; nothing in the room.
    next: Option<Timestamp>,
}

impl Outage {
    /// The server is called for the first time.
    pub(super) fn new(server: String, now: Timestamp) -> Self {
        Self {
            server,
            stage: Stage::Begun,
            failed: None,
            trouble: None,
            is_fresh_loss: false,
            pause: PAUSE,
            next: Some(now + AT_ONCE),
        }
    }

    /// The connection was lost, which is said elsewhere.
    pub(super) fn lost(&mut self, now: Timestamp) {
        self.is_fresh_loss = self.next.is_none();
        if self.is_fresh_loss {
            self.pause = PAUSE;
            self.said(now);
        }
        self.stage = Stage::Calling;
    }

    /// The last call failed, or the connection was lost, for that `reason`; the server is called again after `delay`.
    pub(super) fn waiting(&mut self, now: Timestamp, delay: Duration, reason: CloseReason) -> Option<String> {
        self.stage = Stage::Waiting(now + delay);
        self.failed = Some(reason);
        self.trouble = None;
        std::mem::take(&mut self.is_fresh_loss).then(|| words::reconnecting(delay))
    }

    /// The server answers.
    pub(super) fn answering(&mut self) {
        self.stage = Stage::Answering;
    }

    /// What keeps the room away; said at once unless it has been said before.
    pub(super) fn trouble(&mut self, now: Timestamp, what: String) -> Option<String> {
        if self.trouble.as_ref() == Some(&what) {
            return None;
        }
        if self.trouble.is_none() {
            self.pause = PAUSE;
            self.said(now);
        }
        self.trouble = Some(what.clone());
        Some(what)
    }

    /// In the room.
    pub(super) fn over(&mut self) {
        self.trouble = None;
        self.failed = None;
        self.next = None;
    }

    pub(super) const fn poll_timeout(&self) -> Option<Timestamp> {
        self.next
    }

    /// What is to be said by now.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) -> Option<String> {
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.said(now);
        self.is_fresh_loss = false;
        if let Some(trouble) = &self.trouble {
            return Some(format!("{trouble}; still trying"));
        }
        Some(match self.stage {
            Stage::Begun => {
                self.stage = Stage::Calling;
                words::connecting(&self.server)
            }
            Stage::Waiting(until) if until > now => {
                words::no_answer(&self.server, self.failed.as_ref(), until.since(now))
            }
            Stage::Calling | Stage::Waiting(_) => words::still_trying(&self.server, self.failed.as_ref()),
            Stage::Answering => words::entering(&self.server),
        })
    }

    /// The silence after this is twice as long as the one before.
    fn said(&mut self, now: Timestamp) {
        self.next = Some(now + self.pause);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use proto_core::DialError;

    use super::{CloseReason, Duration, Outage, Timestamp};

    const START: Timestamp = Timestamp::from_millis(1_000);

    fn secs(secs: u64) -> Timestamp {
        START + Duration::from_secs(secs)
    }

    /// What is said without news until `end`, and when.
    fn said(outage: &mut Outage, end: u64) -> Vec<(u64, String)> {
        let mut said = Vec::new();
        while let Some(next) = outage.poll_timeout().filter(|&next| next <= secs(end)) {
            let words =
                outage.handle_timeout(next).expect("there is a timer only if there is something to say");
            said.push((next.since(START).as_secs(), words));
        }
        said
    }

    fn texts(said: &[(u64, String)]) -> Vec<(u64, &str)> {
        said.iter().map(|(at, words)| (*at, words.as_str())).collect()
    }

    fn outage() -> Outage {
        Outage::new("udp://x:1".to_owned(), START)
    }

    #[test]
    fn an_answer_at_once_needs_no_words() {
        let mut outage = outage();
        assert_eq!(outage.handle_timeout(START + Duration::from_millis(999)), None);
        outage.answering();
        outage.over();
        assert_eq!(outage.poll_timeout(), None);
        assert_eq!(outage.handle_timeout(secs(100)), None);
    }

    #[test]
    fn without_an_answer_something_is_said_soon_and_then_more_seldom() {
        let still = "no answer from udp://x:1 yet, still trying";
        let mut outage = outage();
        assert_eq!(
            texts(&said(&mut outage, 200)),
            [
                (1, "connecting to udp://x:1"),
                (6, still),
                (16, still),
                (36, still),
                (76, still),
                (136, still),
                (196, still)
            ]
        );
    }

    #[test]
    fn what_is_said_fits_what_happens() {
        let mut outage = outage();
        said(&mut outage, 1);
        assert_eq!(
            outage.waiting(secs(4), Duration::from_secs(10), CloseReason::TimedOut),
            None,
            "the next words tell it"
        );
        assert_eq!(texts(&said(&mut outage, 6)), [(6, "no answer from udp://x:1 yet, trying again in 8 s")]);
        assert_eq!(texts(&said(&mut outage, 16)), [(16, "no answer from udp://x:1 yet, still trying")]);
        outage.answering();
        assert_eq!(
            texts(&said(&mut outage, 36)),
            [(36, "connected to udp://x:1, waiting for a place in the room")]
        );
    }

    #[test]
    fn the_reason_is_said_where_it_is_known() {
        let mut outage = outage();
        said(&mut outage, 1);
        outage.waiting(secs(4), Duration::from_secs(10), CloseReason::Dial(DialError::NoAddress));
        let told = "no answer from udp://x:1 yet (no address is known for its name)";
        assert_eq!(texts(&said(&mut outage, 6)), [(6, &*format!("{told}, trying again in 8 s"))]);
        assert_eq!(texts(&said(&mut outage, 16)), [(16, &*format!("{told}, still trying"))]);
        outage.over();
        outage.lost(secs(20));
        assert_eq!(texts(&said(&mut outage, 26)), [(25, "no answer from udp://x:1 yet, still trying")]);
    }

    #[test]
    fn a_loss_is_followed_by_one_delay_and_starts_the_silences_anew() {
        let mut outage = outage();
        said(&mut outage, 100);
        for at in [200, 300] {
            outage.over();
            outage.lost(secs(at));
            let delay = Duration::from_millis(300);
            assert_eq!(
                outage.waiting(secs(at), delay, CloseReason::LinkLost).as_deref(),
                Some("reconnecting in 0.3 s")
            );
            assert_eq!(outage.waiting(secs(at + 1), delay, CloseReason::TimedOut), None);
            let times: Vec<u64> = said(&mut outage, at + 40).iter().map(|(time, _)| time - at).collect();
            assert_eq!(times, [5, 15, 35]);
        }
        assert_eq!(outage.waiting(secs(400), Duration::ZERO, CloseReason::TimedOut), None);
    }

    #[test]
    fn the_same_trouble_is_said_at_once_only_the_first_time() {
        let mut outage = outage();
        let trouble = |outage: &mut Outage, at, what: &str| outage.trouble(secs(at), what.to_owned());
        assert_eq!(trouble(&mut outage, 0, "no such name").as_deref(), Some("no such name"));
        assert_eq!(trouble(&mut outage, 4, "no such name"), None);
        assert_eq!(texts(&said(&mut outage, 5)), [(5, "no such name; still trying")]);
        assert_eq!(trouble(&mut outage, 6, "no place").as_deref(), Some("no place"));
        outage.answering();
        assert_eq!(trouble(&mut outage, 11, "no place"), None, "it is the same as before the answer");
        assert_eq!(texts(&said(&mut outage, 15)), [(15, "no place; still trying")]);
        outage.over();
        assert_eq!(trouble(&mut outage, 20, "no place").as_deref(), Some("no place"));
    }
}
