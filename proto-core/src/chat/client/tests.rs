//! The rules of the client, one by one, against a server that says exactly what a test wants.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::chat::{
    AuthorId, ClientSecret, Limits, RejectReason, ServerAck, ServerEntry, ServerJoined, ServerReject,
    ServerReply, WireEntry,
};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// A client, the time, and what the server says to it.
struct Fixture {
    client: Client,
    now: Now,
    epoch: u64,
}

fn fixture(last: Option<u64>) -> Fixture {
    let config = ClientConfig { last, ..ClientConfig::new("r", "n", ClientSecret([1; 32])) };
    let client = Client::new(config).expect("the names are short");
    Fixture { client, now: Now { mono: Timestamp::from_millis(5), unix_ms: 1_000_000 }, epoch: 7 }
}

impl Fixture {
    fn wait(&mut self, millis: u64) {
        self.now.mono += Duration::from_millis(millis);
        self.now.unix_ms += millis;
        self.client.handle_timeout(self.now);
    }

    fn hand_in(&mut self, message: &Message<'_>) {
        self.client.handle_message(self.now, &message.to_bytes());
    }

    /// A new connection, on which the join has been sent.
    fn connect(&mut self) -> Vec<String> {
        self.client.handle_connected(self.now);
        self.said()
    }

    fn joined(&mut self, latest: u64, last_sequence: u64) {
        let limits = Limits { max_body: 100, remember_ms: 30 * DAY };
        let author = AuthorId([1; 16]);
        let (room, epoch) = ("r", self.epoch);
        self.hand_in(&Message::ServerJoined(ServerJoined {
            room,
            epoch,
            latest,
            last_sequence,
            author,
            limits,
        }));
    }

    /// In the room, with everything of the log delivered and nothing left to poll.
    fn live(latest: u64) -> Self {
        let mut f = fixture(Some(0));
        f.connect();
        f.joined(latest, 0);
        f.events();
        f
    }

    fn append(&mut self, body: &str) -> Result<u64, AppendError> {
        self.client.append(self.now, Kind::TEXT, body.to_string().into())
    }

    fn ack(&mut self, sequence: u64, slot: u64) {
        let (room, epoch) = ("r", self.epoch);
        self.hand_in(&Message::ServerAck(ServerAck { room, epoch, sequence, slot, duplicate: false }));
    }

    fn reject(&mut self, sequence: u64, reason: RejectReason) {
        let (room, epoch) = ("r", self.epoch);
        self.hand_in(&Message::ServerReject(ServerReject { room, epoch, sequence, reason }));
    }

    fn entry(&mut self, slot: u64) {
        let (room, epoch, body) = ("r", self.epoch, format!("e{slot}"));
        let entry = wire(body.as_bytes());
        self.hand_in(&Message::ServerEntry(ServerEntry { room, epoch, slot, entry }));
    }

    fn page(&mut self, first: u64, count: usize, latest: u64) {
        let (room, epoch) = ("r", self.epoch);
        let entries = vec![wire(b"paged"); count];
        let reply = ServerReply { room, epoch, latest, limited: false, first, entries };
        self.hand_in(&Message::ServerReply(reply));
    }

    /// All messages that the client has to send, in short.
    fn said(&mut self) -> Vec<String> {
        let messages = core::iter::from_fn(|| self.client.poll_message());
        let short = |bytes: Bytes| match Message::decode(&bytes).expect("what the client says decodes") {
            Message::ClientJoin(join) => format!("join {} {} {}", join.epoch, join.has, join.last),
            Message::ClientAppend(append) => {
                format!(
                    "append {}={} seen {}",
                    append.sequence,
                    String::from_utf8_lossy(append.body),
                    append.seen
                )
            }
            Message::ClientUpdate(update) => format!("update {} upto {}", update.n, update.upto),
            other => panic!("a server's message: {other:?}"),
        };
        messages.map(short).collect()
    }

    fn events(&mut self) -> Vec<String> {
        let events = core::iter::from_fn(|| self.client.poll_event());
        let short = |event| match event {
            ClientEvent::Joined { latest, next, resumed, .. } => {
                format!("joined {latest} next {next}{}", if resumed { " resumed" } else { "" })
            }
            ClientEvent::LogReset { epoch } => format!("reset to {epoch}"),
            ClientEvent::Entry(entry) => format!("entry {}", entry.slot),
            ClientEvent::Behind { next, latest } => format!("behind at {next} of {latest}"),
            ClientEvent::Live { latest } => format!("live {latest}"),
            ClientEvent::Acked { sequence, slot, duplicate } => {
                format!("acked {sequence}@{slot}{}", if duplicate { " again" } else { "" })
            }
            ClientEvent::Rejected { sequence, reason } => format!("rejected {sequence} {reason:?}"),
            ClientEvent::Stalled => "stalled".into(),
            ClientEvent::Unreadable { next } => format!("unreadable from {next}"),
            ClientEvent::Refused { reason } => format!("refused {reason:?}"),
        };
        events.map(short).collect()
    }
}

fn wire(body: &[u8]) -> WireEntry<'_> {
    let author = AuthorId([2; 16]);
    WireEntry { author, sequence: 1, name: "x", author_ms: 1, commit_ms: 2, kind: Kind::TEXT, body }
}

#[test]
fn names_are_checked() {
    let client =
        |room: &str, name: &str| Client::new(ClientConfig::new(room, name, ClientSecret([0; 32]))).err();
    let long = "x".repeat(65);
    assert_eq!(client("r", ""), None);
    assert_eq!(client("", "n"), Some(InvalidClient::EmptyRoom));
    assert_eq!(client(&long, "n"), Some(InvalidClient::RoomTooLong(65)));
    assert_eq!(client("r", &long), Some(InvalidClient::NameTooLong(65)));
}

#[test]
fn nothing_is_said_without_a_connection_and_only_the_join_before_its_answer() {
    let mut f = fixture(None);
    assert_eq!(f.append("a"), Ok(1));
    assert!(f.said().is_empty());
    assert_eq!(f.connect(), [format!("join 0 0 {}", u64::MAX)]);
    assert!(f.said().is_empty());
    f.joined(0, 0);
    assert_eq!(f.events(), ["joined 0 next 1", "live 0"]);
    assert_eq!(f.said(), ["append 1=a seen 0"]);
}

#[test]
fn appends_are_sent_again_in_order_until_they_are_answered() {
    let mut f = Fixture::live(3);
    for body in ["a", "b", "c"] {
        f.append(body).expect("there is room");
    }
    assert_eq!(f.said(), ["append 1=a seen 3", "append 2=b seen 3", "append 3=c seen 3"]);
    f.ack(2, 5);
    f.client.handle_disconnected(f.now);
    assert_eq!(f.append("d"), Ok(4));
    assert_eq!(f.connect(), ["join 7 3 0"]);
    f.joined(5, 3);
    assert_eq!(f.said(), ["append 1=a seen 3", "append 3=c seen 3", "append 4=d seen 3"]);
    f.ack(1, 4);
    f.ack(1, 4);
    assert_eq!(f.append("e"), Ok(5));
    assert_eq!(f.said(), ["append 5=e seen 3"]);
    assert_eq!(f.events(), ["acked 2@5", "joined 5 next 4 resumed", "acked 1@4"]);
    assert_eq!((f.client.unacknowledged(), f.client.stats().stale_answers), (3, 1));
}

#[test]
fn at_most_64_appends_wait_and_none_is_too_large() {
    let mut f = Fixture::live(0);
    assert_eq!(f.append(&"x".repeat(101)), Err(AppendError::TooLarge { max: 100 }));
    for sequence in 1..=64 {
        assert_eq!(f.append("x"), Ok(sequence));
    }
    assert_eq!(f.append("x"), Err(AppendError::Full));
    assert_eq!(f.said().len(), 64);
    f.ack(7, 1);
    assert_eq!(f.append("x"), Ok(65));
}

#[test]
fn a_program_with_an_old_secret_goes_on_where_its_predecessor_stopped() {
    let mut f = fixture(Some(0));
    f.append("a").expect("there is room");
    f.connect();
    f.joined(9, 41);
    assert_eq!(f.said(), ["append 42=a seen 9"]);
    f.ack(42, 10);
    assert_eq!(f.events().last().map(String::as_str), Some("acked 1@10"));
}

#[test]
fn each_connection_has_a_higher_incarnation() {
    let mut f = fixture(None);
    let mut incarnation = || {
        f.now.unix_ms -= 10;
        f.client.handle_connected(f.now);
        let bytes = f.client.poll_message().expect("a join");
        match Message::decode(&bytes) {
            Ok(Message::ClientJoin(join)) => join.incarnation,
            other => panic!("not a join: {other:?}"),
        }
    };
    assert_eq!([incarnation(), incarnation(), incarnation()], [999_990, 999_991, 999_992]);
}

#[test]
fn a_server_that_lost_everything_gets_what_is_not_acknowledged() {
    let mut f = Fixture::live(0);
    for body in ["a", "b", "c"] {
        f.append(body).expect("there is room");
    }
    f.said();
    f.ack(1, 1);
    f.entry(1);
    f.events();
    f.epoch = 8;
    f.connect();
    f.joined(0, 0);
    assert_eq!(f.events(), ["reset to 8", "joined 0 next 1", "live 0"]);
    assert_eq!(f.said(), ["append 1=b seen 0", "append 2=c seen 0"]);
    f.ack(1, 1);
    f.ack(2, 2);
    assert_eq!(f.events(), ["acked 2@1", "acked 3@2"]);
}

#[test]
fn a_log_that_was_restored_from_a_copy_keeps_the_numbers() {
    let mut f = Fixture::live(0);
    for body in ["a", "b", "c"] {
        f.append(body).expect("there is room");
    }
    f.said();
    f.ack(1, 1);
    f.ack(2, 2);
    f.epoch = 8;
    f.connect();
    f.joined(1, 1);
    assert_eq!(f.said(), ["append 3=c seen 1"]);
}

#[test]
fn a_shorter_log_of_the_same_epoch_is_a_reset() {
    let mut f = Fixture::live(9);
    f.connect();
    f.joined(5, 0);
    assert_eq!(f.events(), ["reset to 7", "joined 5 next 6", "live 5"]);
    f.entry(6);
    assert_eq!(f.events(), ["entry 6"]);
    assert_eq!(f.client.stats().resets, 1);
}

#[test]
fn what_was_sent_to_a_server_that_forgot_its_client_is_not_sent_again() {
    let mut f = Fixture::live(0);
    f.append("acknowledged").expect("there is room");
    f.append("sent").expect("there is room");
    f.said();
    f.ack(1, 1);
    f.client.handle_disconnected(f.now);
    f.append("not sent").expect("there is room");
    f.connect();
    f.joined(1, 0);
    assert_eq!(f.events()[1..], ["joined 1 next 1 resumed", "rejected 2 Unknown"]);
    assert_eq!(f.said(), ["append 1=not sent seen 0"]);
}

#[test]
fn nor_is_what_was_sent_before_a_very_long_absence() {
    let run = |absence| {
        let mut f = Fixture::live(0);
        f.append("sent").expect("there is room");
        f.said();
        f.client.handle_disconnected(f.now);
        f.wait(absence);
        f.connect();
        f.joined(0, 0);
        f.said().concat()
    };
    assert_eq!(run(30 * DAY - 1), "append 1=sent seen 0");
    assert_eq!(run(30 * DAY), "");
}

#[test]
fn refused_appends_are_over_or_wait_for_another_connection() {
    let mut f = Fixture::live(0);
    for _ in 0..6 {
        f.append("x").expect("there is room");
    }
    f.said();
    f.reject(1, RejectReason::TooLarge);
    f.reject(2, RejectReason::Conflict);
    f.reject(3, RejectReason::Unknown);
    f.reject(3, RejectReason::Unknown);
    assert_eq!(f.events(), ["rejected 1 TooLarge", "rejected 2 Conflict", "rejected 3 Unknown"]);
    f.reject(4, RejectReason::Stopped);
    f.reject(5, RejectReason::Stopped);
    f.append("y").expect("there is room");
    assert_eq!(f.events(), ["refused Stopped"]);
    assert!(f.said().is_empty());
    assert_eq!(f.client.poll_timeout(), None);
    assert_eq!(f.client.unacknowledged(), 4);
    f.connect();
    f.joined(0, 0);
    assert_eq!(f.said().len(), 4);
}

#[test]
fn a_full_disk_is_told_once_until_it_moves() {
    let mut f = Fixture::live(0);
    f.append("x").expect("there is room");
    f.said();
    f.reject(0, RejectReason::Full);
    f.reject(0, RejectReason::Full);
    f.ack(1, 1);
    f.reject(0, RejectReason::Full);
    assert_eq!(f.events(), ["stalled", "acked 1@1", "stalled"]);
}

#[test]
fn entries_are_delivered_slot_by_slot_and_once() {
    let mut f = Fixture::live(2);
    f.entry(3);
    f.entry(3);
    f.entry(2);
    assert_eq!(f.events(), ["entry 3"]);
    f.entry(5);
    f.entry(6);
    assert_eq!(f.events(), ["behind at 4 of 5"]);
    assert_eq!(f.said(), ["update 128 upto 131"]);
    f.page(4, 2, 5);
    assert_eq!(f.events(), ["entry 4", "entry 5"]);
    assert_eq!(f.said(), ["update 128 upto 133"], "6 was dropped while 4 was missing");
    f.entry(7);
    f.page(6, 2, 7);
    f.entry(8);
    assert_eq!(f.events(), ["entry 6", "entry 7", "live 7", "entry 8"]);
    let stats = f.client.stats();
    assert_eq!((stats.delivered, stats.repeated, stats.early, stats.gaps), (6, 2, 3, 1));
}

#[test]
fn the_first_page_after_a_join_is_not_asked_for() {
    let mut f = fixture(Some(3));
    f.connect();
    f.joined(10, 0);
    assert!(f.said().is_empty());
    f.entry(11);
    assert!(f.said().is_empty(), "a page is on its way");
    f.page(8, 2, 10);
    assert_eq!(f.said(), ["update 128 upto 137"]);
    f.page(10, 2, 11);
    assert_eq!(f.events(), ["joined 10 next 8", "entry 8", "entry 9", "entry 10", "entry 11", "live 11"]);
}

#[test]
fn delivery_starts_where_it_was_asked_to() {
    let next = |last, latest| {
        let mut f = fixture(last);
        f.connect();
        f.joined(latest, 0);
        f.events().remove(0)
    };
    assert_eq!(next(None, 10), "joined 10 next 1");
    assert_eq!(next(Some(0), 10), "joined 10 next 11");
    assert_eq!(next(Some(4), 10), "joined 10 next 7");
    assert_eq!(next(Some(11), 10), "joined 10 next 1");
    assert_eq!(next(Some(4), 0), "joined 0 next 1");
}

#[test]
fn a_log_that_is_quiet_is_looked_at_once() {
    let mut f = Fixture::live(2);
    assert_eq!(f.client.poll_timeout(), Some(f.now.mono + Duration::from_secs(5)));
    f.wait(4_999);
    assert!(f.said().is_empty());
    f.wait(1);
    assert_eq!(f.said(), ["update 128 upto 130"]);
    f.page(0, 0, 2);
    assert_eq!(f.client.poll_timeout(), None);
    f.wait(100 * MINUTE);
    assert!(f.said().is_empty());

    f.entry(3);
    f.wait(5_000);
    assert_eq!(f.said(), ["update 128 upto 131"]);
    f.page(4, 1, 4);
    assert!(f.said().is_empty() && f.client.poll_timeout().is_some(), "news, so look again");
}

#[test]
fn a_page_that_does_not_come_is_asked_for_again() {
    let mut f = Fixture::live(0);
    f.entry(2);
    assert_eq!(f.said(), ["update 128 upto 128"]);
    for _ in 0..3 {
        f.wait(5_000);
        assert_eq!(f.said(), ["update 128 upto 128"]);
    }
    f.client.handle_disconnected(f.now);
    assert_eq!(f.client.poll_timeout(), None);
}

#[test]
fn what_cannot_be_read_is_told_once_and_asked_for_again() {
    let mut f = Fixture::live(0);
    f.entry(2);
    assert_eq!(f.said(), ["update 128 upto 128"]);
    assert_eq!(f.events(), ["behind at 1 of 2"]);
    f.reject(0, RejectReason::Unreadable);
    assert_eq!(f.events(), ["unreadable from 1"]);
    assert!(f.said().is_empty(), "not at once");
    f.wait(5_000);
    assert_eq!(f.said(), ["update 128 upto 128"]);
    f.reject(0, RejectReason::Unreadable);
    assert!(f.events().is_empty());
    f.wait(5_000);
    f.said();
    f.page(1, 1, 2);
    f.said();
    f.reject(0, RejectReason::Unreadable);
    assert_eq!(f.events(), ["entry 1", "unreadable from 2"]);
}

#[test]
fn a_page_that_brings_nothing_is_not_asked_for_at_once() {
    let mut f = Fixture::live(0);
    f.entry(2);
    f.said();
    f.page(0, 0, 2);
    assert!(f.said().is_empty());
    f.wait(5_000);
    assert_eq!(f.said(), ["update 128 upto 128"]);
}

#[test]
fn a_slow_user_stops_the_flow_and_memory_stays_bounded() {
    let mut f = Fixture::live(0);
    let mut slot = 0;
    while f.client.is_ready() {
        f.page(slot + 1, 128, slot + 128);
        slot += 128;
    }
    assert_eq!(slot, 256);
    f.entry(slot + 1);
    assert_eq!((f.client.stats().overruns, f.client.stats().delivered), (1, 256));

    // Nor does it join again before there is room for the answer.
    assert!(f.connect().is_empty());
    f.events();
    assert_eq!(f.said(), ["join 7 256 0"]);
}

#[test]
fn what_is_out_of_place_is_counted_and_dropped() {
    let mut f = Fixture::live(0);
    f.joined(5, 5);
    f.epoch = 9;
    f.entry(1);
    f.ack(1, 1);
    f.page(1, 1, 1);
    f.client.handle_message(f.now, &Bytes::from_static(b"junk"));
    f.hand_in(&Message::ClientUpdate(ClientUpdate { room: "r", n: 1, upto: 1 }));
    f.client.handle_disconnected(f.now);
    f.reject(0, RejectReason::Stopped);
    assert!(f.events().is_empty() && f.said().is_empty());
    assert_eq!((f.client.stats().misplaced, f.client.stats().malformed), (5, 2));
}

/// A timer that has been handled is in the future, whatever was configured.
#[test]
fn no_interval_makes_the_client_spin() {
    let config =
        ClientConfig { sync_after: Duration::ZERO, ..ClientConfig::new("r", "n", ClientSecret([1; 32])) };
    let mut f = fixture(None);
    f.client = Client::new(config).expect("the names are short");
    f.connect();
    f.joined(0, 0);
    f.wait(1);
    assert!(f.client.poll_timeout().is_some_and(|at| at > f.now.mono));
}
