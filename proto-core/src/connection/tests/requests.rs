//! Requests and replies, in both directions.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Client, Pair, Server, Side, ms, secs, small};
use crate::wire::{Frame, Kind, Msg};
use crate::{
    ChannelId, ChannelOptions, Class, Close, ConfigBuilder, Drop, Event, Message, RequestId, RequestOutcome,
    SendError, State, code,
};

const ZERO: ChannelId = ChannelId::DEFAULT;

fn ask(pair: &mut Pair, side: Side, timeout: Duration) -> Result<RequestId, SendError> {
    let now = pair.now;
    pair.conn(side).channel(ZERO).request(now, Message::new("question"), timeout)
}

fn done(pair: &mut Pair, side: Side) -> Vec<(RequestId, RequestOutcome)> {
    let events = pair.take_events(side).into_iter();
    events
        .filter_map(|event| match event {
            Event::RequestDone { request, outcome } => Some((request, outcome)),
            _ => None,
        })
        .collect()
}

fn take_question(pair: &mut Pair, side: Side) -> RequestId {
    pair.recv(side, 0).expect("a question").request.expect("it wants an answer")
}

#[test]
fn either_side_asks_and_answers() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for side in [Client, Server] {
        let request = ask(&mut pair, side, secs(5)).expect("room");
        pair.run(ms(50));
        let asked = take_question(&mut pair, side.other());
        let now = pair.now;
        pair.conn(side.other()).reply(now, asked, "answer").expect("it is owed");
        assert_eq!(pair.conn(side.other()).reply(now, asked, "again"), Err(SendError::NoRequest));
        pair.run(ms(50));
        assert_eq!(done(&mut pair, side), [(request, RequestOutcome::Replied)]);
        let now = pair.now;
        assert_eq!(pair.conn(side).take_reply(now, request).as_deref(), Some(b"answer".as_slice()));
        assert_eq!(pair.conn(side).take_reply(now, request), None);
        pair.run(secs(10));
        assert!(done(&mut pair, side).is_empty(), "nothing after the end");
    }
}

#[test]
fn an_error_has_a_code_and_a_payload() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for (code, told) in [(0x321, 0x321), (3, code::APPLICATION)] {
        let request = ask(&mut pair, Client, secs(5)).expect("room");
        pair.run(ms(50));
        let asked = take_question(&mut pair, Server);
        let now = pair.now;
        pair.conn(Server).reply_error(now, asked, code, "why").expect("it is owed");
        pair.run(ms(50));
        let failed = RequestOutcome::Failed { code: told, not_processed: false };
        assert_eq!(done(&mut pair, Client), [(request, failed)]);
        let now = pair.now;
        assert_eq!(pair.conn(Client).take_reply(now, request).as_deref(), Some(b"why".as_slice()));
    }
}

#[test]
fn the_deadline_is_kept_and_a_late_reply_only_counted() {
    let mut pair = Pair::established(small());
    let before = pair.now;
    let request = ask(&mut pair, Client, ms(300)).expect("room");
    pair.run(ms(299));
    assert!(done(&mut pair, Client).is_empty());
    pair.run(ms(1));
    assert_eq!(done(&mut pair, Client), [(request, RequestOutcome::TimedOut)], "{before}");
    let asked = take_question(&mut pair, Server);
    let now = pair.now;
    pair.conn(Server).reply(now, asked, "too late").expect("the server does not know");
    pair.run(ms(100));
    assert!(done(&mut pair, Client).is_empty());
    assert_eq!(pair.conn(Client).stats().drops.get(Drop::LateReply), 1);
    let now = pair.now;
    assert_eq!(pair.conn(Client).take_reply(now, request), None);
}

#[test]
fn the_peer_is_told_that_the_time_of_its_request_has_passed() {
    let mut pair = Pair::established(small());
    let request = ask(&mut pair, Client, secs(1)).expect("room");
    pair.run(ms(500));
    let asked = take_question(&mut pair, Server);
    pair.run(secs(1));
    assert_eq!(done(&mut pair, Client), [(request, RequestOutcome::TimedOut)]);
    assert!(pair.take_events(Server).contains(&Event::RequestCancelled(asked)));
    assert!(!pair.conn(Server).owes_reply(asked));
    let now = pair.now;
    assert_eq!(pair.conn(Server).reply(now, asked, "too late"), Err(SendError::NoRequest));
}

#[test]
fn late_replies_give_their_credit_back() {
    let mut pair = Pair::established(small());
    for _ in 0..100 {
        ask(&mut pair, Client, ms(50)).expect("room");
        pair.run(ms(49));
        let asked = take_question(&mut pair, Server);
        // That nobody waits any more is not heard in time.
        pair.lose(|sent| sent.from == Client);
        pair.run(ms(20));
        pair.lose(|_| false);
        let now = pair.now;
        pair.conn(Server).reply(now, asked, alloc::vec![0; 1000]).expect("credit does not leak");
        pair.run(ms(50));
    }
    assert_eq!(pair.conn(Client).stats().drops.get(Drop::LateReply), 100);
    assert_eq!(pair.conn(Server).unsettled(), 0);
}

#[test]
fn no_deadline_is_finer_than_a_millisecond_and_none_too_long() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let request = ask(&mut pair, Client, Duration::ZERO).expect("room");
    assert!(pair.conn(Client).poll_timeout().is_some_and(|at| at > pair.now));
    pair.run(ms(1));
    assert_eq!(done(&mut pair, Client), [(request, RequestOutcome::TimedOut)]);
    ask(&mut pair, Client, Duration::MAX).expect("room");
    pair.run(secs(3600));
    assert!(done(&mut pair, Client).is_empty());
}

#[test]
fn this_side_asks_no_more_than_it_may() {
    let mut pair = Pair::established(small());
    let requests: Vec<_> = (0..3).map(|_| ask(&mut pair, Client, secs(1)).expect("room")).collect();
    assert_eq!(ask(&mut pair, Client, secs(1)), Err(SendError::TooManyRequests));
    pair.run(secs(1));
    let outcomes: Vec<_> = requests.iter().map(|&request| (request, RequestOutcome::TimedOut)).collect();
    assert_eq!(done(&mut pair, Client), outcomes);
    assert!(ask(&mut pair, Client, secs(1)).is_ok());
}

#[test]
fn a_request_too_many_is_rejected_unseen() {
    let more = small().build().expect("sound");
    let asker = ConfigBuilder { max_requests: 100, ..small() }.build().expect("sound");
    let mut pair = Pair::established_with(asker, more, crate::Link::datagram(1200));
    let requests: Vec<_> = (0..5).map(|_| ask(&mut pair, Client, secs(5)).expect("room")).collect();
    pair.run(ms(100));
    let rejected = RequestOutcome::Failed { code: code::REQUEST_REJECTED, not_processed: true };
    assert_eq!(done(&mut pair, Client), [(requests[3], rejected), (requests[4], rejected)]);
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::RequestRejected), 2);
    assert_eq!(pair.recv_all(Server, 0).len(), 3);
}

#[test]
fn a_rejection_finds_its_way_on_any_channel() {
    let answerer = ConfigBuilder { max_requests: 1, ..small() }.build().expect("sound");
    let asker = ConfigBuilder { max_requests: 100, ..small() }.build().expect("sound");
    let mut pair = Pair::established_with(asker, answerer, crate::Link::datagram(1200));
    let now = pair.now;
    let options = ChannelOptions { classes: [Class::ReliableOrdered].into(), ..ChannelOptions::default() };
    let channel = pair.conn(Client).open_channel(now, &options).expect("room");
    for _ in 0..2 {
        pair.conn(Client).channel(channel).request(now, Message::new("q"), secs(5)).expect("room");
    }
    pair.run(ms(200));
    let rejected = RequestOutcome::Failed { code: code::REQUEST_REJECTED, not_processed: true };
    assert_eq!(done(&mut pair, Client), [(RequestId(1), rejected)]);
}

#[test]
fn a_channel_that_cannot_carry_a_reply_takes_no_request() {
    let mut pair = Pair::established(small());
    let now = pair.now;
    let options = ChannelOptions { classes: [Class::Unreliable].into(), ..ChannelOptions::default() };
    let channel = pair.conn(Client).open_channel(now, &options).expect("room");
    let message = Message::new("q").class(Class::Unreliable);
    let refused = pair.conn(Client).channel(channel).request(now, message, secs(5));
    assert_eq!(refused, Err(SendError::ClassNotAllowed));
}

#[test]
fn a_flood_of_requests_leaves_no_trace_on_the_one_who_does_not_reply() {
    // The peer asks without end and reads nothing: its rejections fill this side's queue, and no further.
    let answerer = ConfigBuilder { max_requests: 1, ..small() }.build().expect("sound");
    let asker = ConfigBuilder { max_requests: 4096, ..small() }.build().expect("sound");
    let mut pair = Pair::established_with(asker, answerer, crate::Link::datagram(1200));
    pair.lose(|sent| sent.from == Server && super::frame_names(&sent.packet).contains(&"MSG"));
    for id in 0..2000_u16 {
        let kind = Kind::Request(id.into());
        let frame = Msg { kind, ..super::msg(Class::Unreliable, id, b"") };
        pair.inject(Client, &[Frame::Msg(frame)]);
        pair.drain();
    }
    assert_eq!(pair.conn(Server).state(), State::Established);
    assert!(pair.conn(Server).unsettled() <= 8);
    let events = pair.take_events(Server);
    let writable = events.iter().filter(|event| matches!(event, Event::Writable(_))).count();
    assert_eq!(writable, 0, "nobody here was refused");
    pair.lose(|_| false);
    pair.run(secs(10));
    let writable =
        pair.take_events(Server).iter().filter(|event| matches!(event, Event::Writable(_))).count();
    assert_eq!(writable, 0, "nobody here was refused");
}

#[test]
fn a_request_repeated_under_its_number_is_rejected() {
    let mut pair = Pair::established(small());
    for id in 0..2 {
        let kind = Kind::Request(7);
        let frame = Msg { kind, ..super::msg(Class::ReliableOrdered, id, b"") };
        pair.inject(Client, &[Frame::Msg(frame)]);
    }
    assert_eq!(pair.recv_all(Server, 0).len(), 1);
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::RequestRejected), 1);
}

#[test]
fn a_lost_connection_says_what_may_have_been_processed() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let sent = ask(&mut pair, Client, secs(100)).expect("room");
    pair.run(ms(50));
    let never_sent = ask(&mut pair, Client, secs(100)).expect("room");
    pair.close(Client, Close { linger: Duration::ZERO, ..Close::default() });
    let now = pair.now;
    pair.conn(Client).handle_timeout(now);
    pair.run(secs(1));
    let disconnected = |not_processed| RequestOutcome::Disconnected { not_processed };
    let mut outcomes = done(&mut pair, Client);
    outcomes.sort_by_key(|&(request, _)| request);
    assert_eq!(outcomes[0], (sent, disconnected(false)));
    assert_eq!(outcomes[1], (never_sent, disconnected(true)));
}

#[test]
fn a_reply_survives_the_end_of_its_connection() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let request = ask(&mut pair, Client, secs(100)).expect("room");
    pair.run(ms(50));
    let asked = take_question(&mut pair, Server);
    let now = pair.now;
    pair.conn(Server).reply(now, asked, "last words").expect("it is owed");
    pair.close(Server, Close::default());
    pair.run(secs(1));
    assert_eq!(done(&mut pair, Client), [(request, RequestOutcome::Replied)]);
    assert!(pair.conn(Client).state().is_closed());
    assert!(!pair.conn(Client).is_over(), "the reply has not been taken");
    let now = pair.now;
    assert_eq!(pair.conn(Client).take_reply(now, request).as_deref(), Some(b"last words".as_slice()));
    assert!(pair.conn(Client).is_over());
}

#[test]
fn a_reply_that_nobody_takes_is_dropped_in_the_end() {
    let mut pair = Pair::established(ConfigBuilder::default());
    ask(&mut pair, Client, secs(100)).expect("room");
    pair.run(ms(50));
    let asked = take_question(&mut pair, Server);
    let now = pair.now;
    pair.conn(Server).reply(now, asked, "last words").expect("it is owed");
    pair.close(Server, Close::default());
    pair.run(secs(120));
    assert!(pair.conn(Client).is_over());
    assert_eq!(pair.conn(Client).stats().drops.get(Drop::Unread), 1);
}

#[test]
fn requests_before_the_connection_stands_are_sent_when_it_does() {
    let config = ConfigBuilder::default().build().expect("sound");
    let mut pair = Pair::new(alloc::sync::Arc::clone(&config), config, crate::Link::datagram(1200));
    let early = ask(&mut pair, Client, secs(5)).expect("room");
    let hasty = ask(&mut pair, Client, ms(5)).expect("room");
    pair.run(ms(10));
    assert_eq!(done(&mut pair, Client), [(hasty, RequestOutcome::TimedOut)]);
    pair.run(ms(200));
    let asked = take_question(&mut pair, Server);
    let now = pair.now;
    pair.conn(Server).reply(now, asked, "here").expect("it is owed");
    pair.run(ms(50));
    assert_eq!(done(&mut pair, Client), [(early, RequestOutcome::Replied)]);
}

fn parts(pair: &mut Pair, side: Side) -> usize {
    pair.events[side as usize].iter().filter(|event| matches!(event, Event::PartialReply(_))).count()
}

#[test]
fn a_reply_may_come_in_parts_that_keep_their_order() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let mut rng = super::noise(11);
    let request = ask(&mut pair, Client, secs(30)).expect("room");
    pair.run(ms(50));
    let asked = take_question(&mut pair, Server);
    pair.lose(move |_| rng.below(10) < 3);
    for index in 0..100_u8 {
        let now = pair.now;
        pair.conn(Server).reply_part(now, asked, alloc::vec![index; 900]).expect("it is owed");
        pair.run(ms(3));
    }
    let now = pair.now;
    pair.conn(Server).reply(now, asked, alloc::vec![100]).expect("it is owed");
    pair.run(secs(10));
    assert_eq!(parts(&mut pair, Client), 100);
    assert_eq!(done(&mut pair, Client), [(request, RequestOutcome::Replied)]);
    let now = pair.now;
    let got = core::iter::from_fn(|| pair.conn(Client).take_reply(now, request));
    assert!(got.map(|part| part[0]).eq(0..=100));
    assert_eq!(pair.conn(Server).reply_part(now, asked, "more"), Err(SendError::NoRequest));
}

#[test]
fn parts_that_nobody_takes_stop_their_sender() {
    let mut pair = Pair::established(small());
    let request = ask(&mut pair, Client, secs(600)).expect("room");
    pair.run(ms(50));
    let asked = take_question(&mut pair, Server);
    let mut sent = 0;
    for _ in 0..100 {
        let now = pair.now;
        sent += usize::from(pair.conn(Server).reply_part(now, asked, "part").is_ok());
        pair.run(ms(100));
    }
    assert_eq!((sent, parts(&mut pair, Client)), (16, 8), "8 at each side");
    let now = pair.now;
    assert_eq!(core::iter::from_fn(|| pair.conn(Client).take_reply(now, request)).count(), 8);
    pair.run(secs(1));
    assert_eq!(parts(&mut pair, Client), 16, "taking them lets more come");
}

#[test]
fn parts_out_of_order_wait_and_what_comes_after_the_end_is_dropped() {
    let mut pair = Pair::established(small());
    ask(&mut pair, Client, secs(5)).expect("room");
    pair.run(ms(50));
    let part = |index: u32, last| Kind::ReplyPart { request: 0, index, last };
    let mut id = 0;
    let mut send = |pair: &mut Pair, kind, payload: &[u8]| {
        let frame = Msg { kind, ..super::msg(Class::ReliableUnordered, id, payload) };
        pair.inject(Server, &[Frame::Msg(frame)]);
        id += 1;
        pair.drain();
        parts(pair, Client)
    };
    assert_eq!(send(&mut pair, part(2, false), b"2"), 0);
    assert_eq!(send(&mut pair, part(1, false), b"1"), 0);
    assert_eq!(send(&mut pair, part(4, true), b"4"), 0);
    assert_eq!(send(&mut pair, part(7, false), b"7"), 0);
    assert_eq!(send(&mut pair, part(0, false), b"0"), 3);
    assert_eq!(send(&mut pair, part(1, false), b"again"), 3);
    assert_eq!(send(&mut pair, part(3, false), b"3"), 4);
    assert_eq!(done(&mut pair, Client), [(RequestId(0), RequestOutcome::Replied)]);
    let now = pair.now;
    let got: Vec<_> = core::iter::from_fn(|| pair.conn(Client).take_reply(now, RequestId(0))).collect();
    assert_eq!(got, ["0", "1", "2", "3", "4"]);
    assert_eq!(pair.conn(Client).stats().drops.get(Drop::LateReply), 2);
    assert_eq!(pair.conn(Client).held_bytes(), 0);
}

#[test]
fn a_cancelled_request_ends_once_and_the_peer_stops() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let request = ask(&mut pair, Client, secs(5)).expect("room");
    pair.run(ms(50));
    let asked = take_question(&mut pair, Server);
    let now = pair.now;
    pair.conn(Server).reply_part(now, asked, "part").expect("it is owed");
    pair.run(ms(50));
    // The packet that tells of it is lost at first.
    let mut left = 1;
    pair.lose(move |sent| sent.from == Client && core::mem::replace(&mut left, 0) == 1);
    let now = pair.now;
    assert!(pair.conn(Client).cancel_request(now, request));
    assert!(!pair.conn(Client).cancel_request(now, request), "it is over");
    assert_eq!(pair.conn(Client).take_reply(now, request), None, "the part is thrown away");
    pair.run(secs(10));
    let cancelled = RequestOutcome::Cancelled { not_processed: false };
    assert_eq!(done(&mut pair, Client), [(request, cancelled)]);
    let told = pair.take_events(Server);
    let told = told.iter().filter(|&event| *event == Event::RequestCancelled(asked)).count();
    assert_eq!(told, 1);
    let now = pair.now;
    assert_eq!(pair.conn(Server).reply(now, asked, "too late"), Err(SendError::NoRequest));
    assert_eq!(pair.conn(Client).stats().drops.get(Drop::LateReply), 1);
}

#[test]
fn what_was_never_written_is_surely_not_processed() {
    let mut pair = Pair::established(small());
    for _ in 0..8 {
        pair.send(Client, 0, Message::new("x"));
    }
    pair.run(ms(100));
    // No credit is left, so the question waits here.
    let now = pair.now;
    let question = Message::new("?").receipt();
    let request = pair.conn(Client).channel(ZERO).request(now, question, secs(5)).expect("room");
    pair.run(ms(100));
    let now = pair.now;
    assert!(pair.conn(Client).cancel_request(now, request));
    pair.run(ms(100));
    let events = pair.take_events(Client);
    let fates =
        events.iter().filter(|event| matches!(event, Event::Fate { fate: crate::Fate::Cancelled, .. }));
    assert_eq!(fates.count(), 1);
    let outcome = RequestOutcome::Cancelled { not_processed: true };
    assert!(events.contains(&Event::RequestDone { request, outcome }));
    let got = pair.recv_all(Server, 0);
    pair.run(secs(1));
    assert_eq!(got.len() + pair.recv_all(Server, 0).len(), 8, "it never went out");
    assert_eq!(pair.conn(Client).unsettled(), 0);
    assert!(!pair.frames_from(Client).iter().flatten().any(|&name| name == "CANCEL"));
}

#[test]
fn a_request_that_was_cancelled_before_it_was_taken_says_so() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let request = ask(&mut pair, Client, secs(5)).expect("room");
    pair.run(ms(50));
    let now = pair.now;
    pair.conn(Client).cancel_request(now, request);
    pair.run(ms(50));
    let received = pair.recv(Server, 0).expect("order is kept");
    assert!(received.cancelled && received.request.is_some());
    assert!(!pair.take_events(Server).iter().any(|event| matches!(event, Event::RequestCancelled(_))));
    // Likewise when the cancellation overtakes it.
    pair.inject(Client, &[Frame::Cancel(1)]);
    ask(&mut pair, Client, secs(5)).expect("room");
    pair.run(ms(50));
    assert!(pair.recv(Server, 0).expect("order is kept").cancelled);
    ask(&mut pair, Client, secs(5)).expect("room");
    pair.run(ms(50));
    assert!(!pair.recv(Server, 0).expect("another one").cancelled);
}

#[test]
fn a_handler_that_never_answers_leaks_nothing() {
    let config = ConfigBuilder { reply_timeout: secs(2), ..small() };
    let mut pair = Pair::established(config);
    for round in 0..10 {
        let requests: Vec<_> = (0..3).map(|_| ask(&mut pair, Client, secs(60)).expect("room")).collect();
        pair.run(ms(50));
        let asked = take_question(&mut pair, Server);
        pair.run(ms(1500));
        let now = pair.now;
        pair.conn(Server).reply_part(now, asked, "wait").expect("it is owed");
        pair.run(ms(1500));
        let now = pair.now;
        pair.conn(Server).reply_part(now, asked, "wait").expect("each part gives more time");
        pair.run(secs(3));
        let outcome = RequestOutcome::Failed { code: code::REQUEST_EXPIRED, not_processed: false };
        let mut ended = done(&mut pair, Client);
        ended.sort_unstable_by_key(|&(request, _)| request);
        assert_eq!(ended, requests.iter().map(|&request| (request, outcome)).collect::<Vec<_>>(), "{round}");
        let now = pair.now;
        for request in requests {
            while pair.conn(Client).take_reply(now, request).is_some() {}
        }
        assert_eq!(pair.conn(Server).reply(now, asked, "too late"), Err(SendError::NoRequest));
        let unseen = pair.recv_all(Server, 0);
        assert!(unseen.iter().all(|received| received.cancelled) && unseen.len() == 2);
        let told = pair.take_events(Server);
        assert_eq!(told.iter().filter(|event| matches!(event, Event::RequestCancelled(_))).count(), 1);
    }
    assert_eq!(pair.conns[1].stats().drops.get(Drop::RequestExpired), 30);
}

#[test]
fn cancellations_under_way_are_bounded() {
    let mut pair = Pair::established(small());
    pair.lose(|_| true);
    let mut begun = 0;
    for _ in 0..20 {
        if let Ok(request) = ask(&mut pair, Client, secs(5)) {
            begun += 1;
            pair.drain();
            let now = pair.now;
            assert!(pair.conn(Client).cancel_request(now, request));
        }
    }
    assert_eq!(begun, 8, "as many as the queue takes");
    assert_eq!(pair.conns[0].stats().drops.get(Drop::CancelUntold), 5, "3 may be on their way");
    pair.lose(|_| false);
    pair.run(secs(5));
    assert!(ask(&mut pair, Client, secs(5)).is_ok());
}

#[test]
fn a_flood_of_cancellations_is_remembered_within_limits() {
    let mut pair = Pair::established(small());
    for id in 0..10_000 {
        pair.inject(Client, &[Frame::Cancel(id * 7919)]);
    }
    pair.run(secs(1));
    assert!(pair.closed(Server).is_none());
    assert!(pair.take_events(Server).is_empty());
}
