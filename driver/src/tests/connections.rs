//! Connecting, accepting, closing, and who is told.

use std::time::Duration;

use proto_core::{Advice, Close, CloseReason, ConfigBuilder, Fate, Message, SendError, code};

use super::harness::{CLIENT, Net, SERVER, Task, now, small};
use crate::{Address, ConnectError, End, Machine, RequestError, Status};

#[test]
fn both_sides_know_the_session() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    assert!(client.session().is_some());
    assert_eq!(client.session(), server.session());
    assert_eq!((client.peer(), server.peer()), (net.server().path.peer, net.client().path.peer));
}

#[test]
fn nobody_there_fails_within_the_handshake_timeout() {
    let mut net = Net::new(ConfigBuilder::default());
    net.hosts[SERVER].is_linked = false;
    let began = now().mono;
    let dial = net.client().endpoint().dial_path(net.server().path, &[]).unwrap();
    let failed = net.run(dial).unwrap_err();
    assert!(matches!(&failed, ConnectError::Failed(closed) if closed.reason == CloseReason::TimedOut));
    assert_eq!(failed.to_string(), "cannot connect: the peer did not answer in time");
    assert_eq!(now().mono.since(began), Duration::from_secs(10));
}

#[test]
fn an_endpoint_that_accepts_nobody_says_so() {
    let net = Net::new(ConfigBuilder::default());
    assert!(net.run(net.client().endpoint().accept()).is_none());
}

#[test]
fn dropping_the_last_handle_delivers_first() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let clone = client.clone();
    for number in 0..100 {
        client.send_now(Message::new(number.to_string())).unwrap();
    }
    drop(client);
    net.quiesce();
    assert!(Task::new(server.closed()).poll().is_none(), "one handle is left");
    drop(clone);
    for number in 0..100 {
        assert_eq!(net.run(server.recv()).unwrap().payload, number.to_string());
    }
    assert!(net.run(server.recv()).is_none());
    let reason = CloseReason::Peer { code: code::NO_ERROR, reason: String::new() };
    assert_eq!(net.run(server.closed()).reason, reason);
}

#[test]
fn everybody_who_waits_is_told_of_the_end_once() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let mut closed = [Task::waiting(client.closed()), Task::waiting(client.closed())];
    let mut recv = Task::waiting(client.recv());
    server.close(Close { code: 0x200, reason: "enough".into(), ..Close::default() });
    net.quiesce();
    for task in &mut closed {
        let expected = CloseReason::Peer { code: 0x200, reason: "enough".into() };
        assert_eq!(task.poll().unwrap().reason, expected);
        assert_eq!(task.wakes(), 1);
    }
    assert_eq!((recv.poll().unwrap(), recv.wakes()), (None, 1));
    assert_eq!(client.send_now(Message::new("?")), Err(SendError::Closed));
    assert_eq!(net.run(client.closed()), net.run(client.closed()));
}

#[test]
fn a_greeting_before_a_quick_goodbye_is_not_lost() {
    let net = Net::new(ConfigBuilder::default());
    let dial = net.client().endpoint().dial_path(net.server().path, &[]).unwrap();
    let server = net.run(net.server().endpoint().accept()).unwrap();
    server.send_now(Message::new("hello and goodbye")).unwrap();
    drop(server);
    net.pass(Duration::from_secs(1));
    assert!(matches!(dial.status(), Status::Closed(_)));
    let client = net.run(dial).unwrap();
    assert_eq!(net.run(client.recv()).unwrap().payload, "hello and goodbye");
    assert!(net.run(client.recv()).is_none());
}

#[test]
fn a_full_backlog_refuses_and_counts() {
    let net = Net::new(ConfigBuilder::default());
    let dials: Vec<_> =
        (0..6).map(|_| net.client().endpoint().dial_path(net.server().path, &[]).unwrap()).collect();
    let dialed: Vec<_> = dials.into_iter().map(|dial| net.run(dial).unwrap()).collect();
    net.pass(Duration::from_secs(1));
    assert_eq!(net.server().endpoint().counters().backlog_full, 2);
    let mut accepted = Vec::new();
    while let Some(connection) = Task::new(net.server().endpoint().accept()).poll().flatten() {
        accepted.push(connection);
    }
    assert_eq!(accepted.len(), 4);
    let ends: Vec<_> = dialed.iter().filter_map(|connection| Task::new(connection.closed()).poll()).collect();
    assert_eq!(ends.len(), 2);
    for end in ends {
        assert_eq!(end.reason, CloseReason::Peer { code: code::BUSY, reason: String::new() });
        assert_eq!(end.advice, Advice::After);
        let times = Duration::from_secs(1)..=Duration::from_secs(3);
        assert!(end.retry_after.is_some_and(|wait| times.contains(&wait)), "{end:?}");
    }
}

#[test]
fn dropping_everything_ends_the_task_when_the_last_words_are_said() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    server.send_now(Message::new("never read")).unwrap();
    net.quiesce();
    for host in [CLIENT, SERVER] {
        net.hosts[host].endpoint = None;
        assert!(!net.hosts[host].shared.inspect(Machine::is_over));
    }
    drop(client);
    net.pass(Duration::from_secs(3));
    assert!(net.client().shared.inspect(Machine::is_over), "what nobody can read does not keep it");
    assert!(net.run(server.recv()).is_none());
    assert!(net.server().shared.inspect(Machine::is_over));
}

#[test]
fn what_nobody_can_receive_is_thrown_away_and_counted() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let unread = |net: &Net| net.client().endpoint().counters().unread_messages;
    server.send_now(Message::new("before the end")).unwrap();
    net.pass(Duration::from_secs(1));
    client.send_now(Message::new(vec![0; 200 * 1024])).unwrap();
    drop(client);
    assert_eq!(unread(&net), 1);
    server.send_now(Message::new("while that is delivered")).unwrap();
    net.carry();
    assert!(Task::new(server.closed()).poll().is_none());
    assert_eq!(unread(&net), 2);

    let (client, server) = net.connect();
    server.send_now(Message::new("read too late")).unwrap();
    server.close(Close::default());
    net.run(client.closed());
    assert_eq!(unread(&net), 2, "it can still be received");
    drop(client);
    assert_eq!(unread(&net), 3);
}

#[test]
fn without_an_endpoint_handle_strangers_are_refused() {
    let mut net = Net::new(ConfigBuilder::default());
    let (_client, _server) = net.connect();
    let waiting = net.server().endpoint().clone();
    let mut accept = Task::waiting(waiting.accept());
    waiting.close(&Close::default());
    assert!(net.finish(&mut accept).is_none());
    let client = net.run(net.client().endpoint().dial_path(net.server().path, &[]).unwrap()).unwrap();
    let reason = CloseReason::Peer { code: code::GOING_AWAY, reason: String::new() };
    assert_eq!(net.run(client.closed()).reason, reason);
    assert_eq!(waiting.counters().not_accepting, 1);
}

#[test]
fn idle_means_that_nothing_is_left_to_say() {
    let mut net = Net::new(ConfigBuilder::default());
    net.run(net.client().endpoint().wait_idle());
    let (client, server) = net.connect();
    let endpoint = net.client().endpoint().clone();
    let mut idle = Task::waiting(endpoint.wait_idle());
    client.close(Close::default());
    net.finish(&mut idle);
    assert_eq!(net.run(server.closed()).reason, CloseReason::Peer { code: 0, reason: String::new() });
    assert_eq!(net.run(client.closed()).reason, CloseReason::Local { code: 0 });
}

#[test]
fn the_end_of_the_io_task_ends_all_that_waits() {
    let mut net = Net::new(small());
    let (client, _server) = net.connect();
    let receipt = net.run(client.send_receipt(Message::new("1"))).unwrap();
    let mut request = Task::waiting(client.request(Message::new("?"), Duration::from_mins(1)));
    while client.send_now(Message::new("2")).is_ok() {}
    let mut send = Task::waiting(client.send(Message::new("3")));
    let mut recv = Task::waiting(client.recv());
    let mut closed = Task::waiting(client.closed());
    let mut fate = Task::waiting(receipt);
    net.client().shared.end(End::Dropped);
    assert_eq!(send.poll(), Some(Err(SendError::Closed)));
    assert_eq!(recv.poll(), Some(None));
    assert_eq!(closed.poll().unwrap().reason, CloseReason::Ended { panicked: false });
    assert_eq!(fate.poll(), Some(Fate::Unknown));
    assert_eq!(request.poll(), Some(Err(RequestError::Disconnected { not_processed: false })));
    let dial = net.client().endpoint().dial_path(net.server().path, &[]);
    assert!(matches!(dial, Err(ConnectError::EndpointEnded { panicked: false })));
    net.run(net.client().endpoint().wait_idle());
    assert_eq!(net.client().waiting(), 0);
}

#[test]
fn addresses_that_this_side_cannot_reach_are_left_out() {
    let net = Net::new(ConfigBuilder::default());
    let endpoint = net.client().endpoint();
    let at = |text: &str| text.parse::<Address>().expect("it is sound");
    // It has no sockets for UDP.
    let (udp, named, tcp) = (at("udp://127.0.0.1:9"), at("udp://name.example:9"), at("tcp://127.0.0.1:9"));
    for addresses in [vec![udp.clone(), tcp.clone()], vec![tcp.clone(), named.clone()]] {
        assert!(endpoint.dial_to(&addresses, &[]).is_ok(), "{addresses:?}");
    }
    let refused = endpoint.dial_to(&[udp.clone(), named.clone()], &[]);
    assert!(matches!(refused, Err(ConnectError::NoSocket(_))), "the first one's");
    let refused = endpoint.dial_to(&[named, udp], &[]);
    assert!(matches!(refused, Err(ConnectError::Unresolved(_))));
}
