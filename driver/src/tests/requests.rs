//! Requests, replies, and what becomes of those that nobody answers or awaits.

use std::time::Duration;

use proto_core::{Close, ConfigBuilder, Message, RequestId, SendError};

use super::harness::{Net, SERVER, Task, now, small};
use crate::RequestError;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn both_sides_ask_and_answer() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    for (asks, answers) in [(&client, &server), (&server, &client)] {
        let mut ask = Task::waiting(asks.request(Message::new("2+2"), SECOND));
        let received = net.run(answers.recv()).unwrap();
        assert_eq!(received.payload, "2+2");
        let request = received.request.unwrap();
        net.run(answers.reply(request, "4")).unwrap();
        assert_eq!(net.finish(&mut ask).unwrap(), "4");
        assert_eq!(ask.wakes(), 1);
        assert_eq!(net.run(answers.reply(request, "5")), Err(SendError::NoRequest));
    }
}

#[test]
fn an_error_is_an_answer() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let mut ask = Task::waiting(client.request(Message::new("1/0"), SECOND));
    let request = net.run(server.recv()).unwrap().request.unwrap();
    net.run(server.reply_error(request, 0x123, "no")).unwrap();
    let expected = RequestError::Failed { code: 0x123, not_processed: false, payload: "no".into() };
    assert_eq!(net.finish(&mut ask), Err(expected));
}

#[test]
fn nobody_answers() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let began = now().mono;
    let asked = net.run(client.request(Message::new("?"), SECOND));
    assert_eq!(asked, Err(RequestError::TimedOut { not_processed: false }));
    assert_eq!(now().mono.since(began), SECOND);
    let late = net.run(server.recv()).unwrap();
    assert!(late.cancelled, "the server has heard of it");
    let late = net.run(server.reply(late.request.unwrap(), "too late"));
    assert_eq!(late, Err(SendError::NoRequest));
    assert_eq!(net.client().waiting(), 0);
}

#[test]
fn no_room_to_ask_ends_in_time_too() {
    let mut net = Net::new(small());
    let (client, _server) = net.connect();
    let mut first = [(); 2].map(|()| Task::waiting(client.request(Message::new("?"), SECOND * 60)));
    let began = now().mono;
    let third = net.run(client.request(Message::new("?"), SECOND));
    assert_eq!(third, Err(RequestError::TimedOut { not_processed: true }), "2 requests are the limit");
    assert_eq!(now().mono.since(began), SECOND);
    assert!(first.iter_mut().all(|task| task.poll().is_none()));
    assert_eq!(net.client().waiting(), 2);
}

#[test]
fn who_waits_to_ask_asks_when_another_is_done() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let mut asks: Vec<_> = (0..5)
        .map(|n: u32| Task::waiting(client.request(Message::new(n.to_string()), SECOND * 60)))
        .collect();
    for _ in 0..5 {
        for ask in &mut asks {
            assert!(ask.poll().is_none());
        }
        let received = net.run(server.recv()).unwrap();
        net.run(server.reply(received.request.unwrap(), received.payload)).unwrap();
        net.quiesce();
        let done: Vec<_> = asks.iter_mut().map(Task::poll).collect();
        assert_eq!(done.iter().flatten().count(), 1);
        let mut answered = done.into_iter();
        asks.retain(|_| answered.next().flatten().is_none());
    }
}

#[test]
fn the_end_answers_for_the_peer() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let mut seen = Task::waiting(client.request(Message::new("?"), SECOND * 60));
    net.run(server.recv()).unwrap();
    server.close(Close { linger: Duration::ZERO, ..Close::default() });
    assert_eq!(net.finish(&mut seen), Err(RequestError::Disconnected { not_processed: false }));
    let refused = net.run(client.request(Message::new("?"), SECOND));
    assert_eq!(refused, Err(RequestError::Refused(SendError::Closed)));
}

#[test]
fn a_request_that_was_never_sent_says_so() {
    let mut net = Net::new(ConfigBuilder { dead: SECOND * 25, ..ConfigBuilder::default() });
    let (client, _server) = net.connect();
    net.hosts[SERVER].is_linked = false;
    let large = vec![0; 250 * 1024];
    client.send_now(Message::new(large.clone())).unwrap();
    let asked = net.run(client.request(Message::new(large), SECOND * 60));
    assert_eq!(asked, Err(RequestError::Disconnected { not_processed: true }));
}

#[test]
fn a_request_that_is_given_up_is_taken_back_and_makes_room() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    for round in 0..10 {
        drop(Task::waiting(client.request(Message::new("never sent"), SECOND * 60)));
        let ask = Task::waiting(client.request(Message::new(round.to_string()), SECOND * 60));
        let received = net.run(server.recv()).unwrap();
        assert_eq!(received.payload, round.to_string());
        let request = received.request.unwrap();
        let mut given_up = Task::waiting(server.cancelled(request));
        net.quiesce();
        assert_eq!(given_up.wakes(), 0);
        drop(ask);
        net.finish(&mut given_up);
        assert_eq!(net.run(server.reply(request, "!")), Err(SendError::NoRequest));
        assert_eq!(Task::new(server.cancelled(request)).poll(), Some(()), "it stays so");
    }
    assert_eq!((net.client().waiting(), net.server().waiting()), (0, 0));
}

#[test]
fn whoever_works_for_a_request_hears_that_its_connection_or_its_time_is_over() {
    let mut net = Net::new(ConfigBuilder { reply_timeout: SECOND, ..ConfigBuilder::default() });
    let (client, server) = net.connect();
    for is_over in [false, true] {
        let _ask = Task::waiting(client.request(Message::new("?"), SECOND * 60));
        let request = net.run(server.recv()).unwrap().request.unwrap();
        let mut given_up = Task::waiting(server.cancelled(request));
        if is_over {
            client.close(Close::default());
        }
        net.finish(&mut given_up);
    }
    assert_eq!(Task::new(server.cancelled(RequestId(7))).poll(), Some(()), "it was never asked");
}

#[test]
fn whoever_works_for_a_request_hears_that_it_was_answered_or_has_run_out_of_time() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let ask = Task::waiting(client.request(Message::new("?"), SECOND * 60));
    let request = net.run(server.recv()).unwrap().request.unwrap();
    let mut answered = Task::waiting(server.cancelled(request));
    net.run(server.reply_part(request, "a part")).unwrap();
    assert_eq!(answered.wakes(), 0);
    net.run(server.reply(request, "!")).unwrap();
    assert_eq!((answered.wakes(), answered.poll()), (1, Some(())));
    drop(ask);
    let mut ask = Task::waiting(client.request(Message::new("?"), SECOND));
    let request = net.run(server.recv()).unwrap().request.unwrap();
    let mut given_up = Task::waiting(server.cancelled(request));
    assert_eq!(net.finish(&mut ask), Err(RequestError::TimedOut { not_processed: false }));
    net.finish(&mut given_up);
    assert_eq!(net.run(server.reply(request, "!")), Err(SendError::NoRequest));
}

#[test]
fn an_answer_that_came_and_was_not_looked_at_makes_room() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    for _ in 0..10 {
        let ask = Task::waiting(client.request(Message::new("?"), SECOND * 60));
        let request = net.run(server.recv()).unwrap().request.unwrap();
        net.run(server.reply(request, "!")).unwrap();
        net.quiesce();
        assert_eq!(ask.wakes(), 1);
    }
    assert_eq!(net.client().waiting(), 0);
}

#[test]
fn parts_of_a_reply_make_room_and_the_last_is_the_answer() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let mut ask = Task::waiting(client.request(Message::new("?"), SECOND * 60));
    let request = net.run(server.recv()).unwrap().request.unwrap();
    for _ in 0..40 {
        net.run(server.reply_part(request, "part")).unwrap();
        net.quiesce();
    }
    net.run(server.reply(request, "all")).unwrap();
    assert_eq!(net.finish(&mut ask).unwrap(), "all");
    assert_eq!(net.client().endpoint().counters().unread_replies, 40);
}

#[test]
fn after_many_requests_or_answers_others_have_a_turn_and_nothing_waits_to_be_sent() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let ask = |_| Task::waiting(client.request(Message::new("?"), SECOND * 60));
    let mut asked: Vec<_> = (0..20).map(ask).collect();
    let gave_way = asked.iter().filter(|task| task.wakes() > 0).count();
    assert_eq!(gave_way, 4, "from the 17th on");
    net.quiesce();
    let requests: Vec<_> = (0..20).map(|_| net.run(server.recv()).unwrap().request.unwrap()).collect();
    let mut answers: Vec<_> = requests.iter().map(|&request| Task::new(server.reply(request, "!"))).collect();
    let ready = answers.iter_mut().map(|answer| answer.poll().is_some()).collect::<Vec<_>>();
    assert_eq!(ready.iter().filter(|&&ready| ready).count(), 16);
    net.quiesce();
    for (mut answer, _) in answers.into_iter().zip(ready).filter(|(_, ready)| !ready) {
        assert_eq!(answer.poll(), Some(Ok(())), "it was sent before");
    }
    for task in &mut asked {
        assert_eq!(net.finish(task).unwrap(), "!");
    }
}
