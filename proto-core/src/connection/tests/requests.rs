//! Requests and replies, in both directions.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Client, Pair, Server, Side, ms, secs, small};
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
fn late_replies_give_their_credit_back() {
    let mut pair = Pair::established(small());
    for _ in 0..100 {
        ask(&mut pair, Client, ms(1)).expect("room");
        pair.run(ms(50));
        let asked = take_question(&mut pair, Server);
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
        let kind = crate::wire::Kind::Request(id.into());
        let frame = crate::wire::Msg { kind, ..super::msg(Class::Unreliable, id, b"") };
        pair.inject(Client, &[crate::wire::Frame::Msg(frame)]);
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
        let kind = crate::wire::Kind::Request(7);
        let frame = crate::wire::Msg { kind, ..super::msg(Class::ReliableOrdered, id, b"") };
        pair.inject(Client, &[crate::wire::Frame::Msg(frame)]);
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
