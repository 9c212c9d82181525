//! Lost connections and what takes their place.

use std::time::Duration;

use proto_core::{Batch, Class, Close, CloseReason, ConfigBuilder, Continuity, Fate, Message, Reconnect};

use super::harness::{CLIENT, Net, SERVER, Task, now};
use crate::{ConnectError, Connecting, Incoming, Machine, Status};

fn config(max_attempts: Option<u32>) -> ConfigBuilder {
    let reconnect = Some(Reconnect { max_attempts, ..Reconnect::default() });
    ConfigBuilder { reconnect, ..ConfigBuilder::chat() }
}

/// Every status until the connection is there, or is given up.
fn watch(net: &Net, dial: &mut Connecting) -> Vec<Status> {
    let mut seen = Vec::new();
    loop {
        let status = net.run(dial.changed());
        seen.push(status.clone());
        if matches!(status, Status::Established | Status::Closed(_)) {
            return seen;
        }
    }
}

#[test]
fn a_server_that_drains_sends_its_clients_away_in_good_order() {
    let mut net = Net::new(config(None));
    let (client, server) = net.connect();
    let mut told = Task::waiting(client.going_away());
    client.send_now(Message::new("on its way")).unwrap();
    net.server().endpoint().drain(proto_core::Drain::default());
    net.pass(Duration::from_millis(100));
    assert_eq!((told.poll().unwrap().unwrap().advice, told.wakes()), (proto_core::Advice::Now, 1));
    assert_eq!(net.run(server.recv()).unwrap().payload, "on its way");
    let closed = net.run(client.closed());
    assert_eq!((closed.unsent, closed.unacked), (0, 0));
    assert!(client.next().is_some() && net.run(client.going_away()).is_some());
    drop(told);
    drop((client, server));
    net.run(net.server().endpoint().wait_idle());
}

#[test]
fn who_had_begun_to_come_to_a_server_that_drains_is_served() {
    // From a client whose CONFIRM is on its way, to one that waits to be accepted.
    for steps in 2..5 {
        let net = Net::new(config(None));
        let endpoint = net.server().endpoint();
        let mut dial = Task::new(net.client().endpoint().dial_path(net.server().path, &[]).unwrap());
        assert!(dial.poll().is_none());
        (0..steps).for_each(|_| _ = net.carry());
        let client = dial.poll().expect("the server has answered").unwrap();
        let mut asked = Task::new(client.request(Message::new("?"), Duration::from_secs(5)));
        assert!(asked.poll().is_none());
        endpoint.drain(proto_core::Drain::default());
        let server = net.run(endpoint.accept()).expect("it had begun");
        let request = net.run(server.recv()).unwrap().request.unwrap();
        net.run(server.reply(request, "!")).unwrap();
        assert_eq!(net.finish(&mut asked).unwrap(), "!", "{steps}");
        let mut last = Task::new(endpoint.accept());
        assert!(last.poll().is_none(), "somebody is there yet");
        assert!(net.finish(&mut last).is_none());
        let closed = net.run(client.closed());
        assert_eq!((closed.unsent, closed.unacked), (0, 0));
        assert!(matches!(closed.reason, CloseReason::Peer { code: proto_core::code::GOING_AWAY, .. }));
    }
}

#[test]
fn a_restarted_server_is_noticed_at_once_and_found_again() {
    let mut net = Net::new(config(None));
    let (client, _gone) = net.connect();
    net.quiesce();
    assert!(client.next().is_none());
    net.restart_server(3);
    let began = now().mono;
    client.send_now(Message::new("are you there?")).unwrap();
    let closed = net.run(client.closed());
    assert_eq!(closed.reason, CloseReason::Reset);
    assert_eq!(now().mono, began, "the network takes no time, so neither does this");
    let mut dial = client.next().expect("a connection takes its place");
    assert!(client.next().is_none(), "one caller gets it");
    let seen = watch(&net, &mut dial);
    let Status::Waiting { attempt: 1, remaining, reason: CloseReason::Reset } = seen[0] else {
        panic!("{seen:?}")
    };
    assert!(!remaining.is_zero());
    assert_eq!(*seen.last().unwrap(), Status::Established);
    let back = net.run(&mut dial).unwrap();
    let server = net.run(net.server().endpoint().accept()).unwrap();
    net.run(back.send(Message::new("back"))).unwrap();
    assert_eq!(net.run(server.recv()).unwrap().payload, "back");
    drop(client);
    net.quiesce();
    assert!(back.send_now(Message::new("the old handle holds it no more")).is_ok());
    assert_eq!(dial.status(), Status::Established);
}

#[test]
fn a_session_tells_that_its_link_is_lost_and_why_it_has_no_other_yet() {
    let mut net = Net::new(config(None));
    let (client, server) = net.connect();
    let (mut here, mut there) = (client.watch(), server.watch());
    assert_eq!(
        (net.run(here.changed()).unwrap(), net.run(there.changed()).unwrap()),
        (Status::Established, Status::Established)
    );
    net.hosts[SERVER].is_linked = false;
    let lost = net.run(here.changed()).unwrap();
    let Status::Suspended { remaining, next_attempt, reason: Some(CloseReason::TimedOut) } = &lost else {
        panic!("{lost:?}")
    };
    assert!(!next_attempt.is_zero() && remaining > next_attempt, "{lost:?}");
    let again = net.run(here.changed()).unwrap();
    assert!(matches!(again, Status::Suspended { .. }) && again != lost, "an attempt failed: {again:?}");
    let waits = net.run(there.changed()).unwrap();
    assert!(
        matches!(waits, Status::Suspended { next_attempt: Duration::ZERO, reason: None, .. }),
        "{waits:?}"
    );
    net.hosts[SERVER].is_linked = true;
    assert_eq!(
        (net.run(here.changed()).unwrap(), net.run(there.changed()).unwrap()),
        (Status::Established, Status::Established)
    );
    assert_eq!(client.status(), Some(Status::Established));
    client.close(Close::default());
    assert!(matches!(net.run(here.changed()), Some(Status::Closed(_))));
    assert_eq!(net.run(here.changed()), None);
    drop((client, server));
    net.pass(Duration::from_secs(10));
    assert_eq!(Task::new(there.changed()).poll(), Some(None), "nobody holds it");
}

#[test]
fn attempts_are_seen_and_given_up() {
    let mut net = Net::new(config(Some(3)));
    net.hosts[SERVER].is_linked = false;
    let mut dial = net.client().endpoint().dial_path(net.server().path, &[]).unwrap();
    let seen = watch(&net, &mut dial);
    let attempts: Vec<_> = seen
        .iter()
        .filter_map(|status| match status {
            Status::Connecting { attempt } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(seen.iter().filter(|status| matches!(status, Status::Waiting { .. })).count(), 2);
    assert!(
        matches!(net.run(dial), Err(ConnectError::Failed(closed)) if closed.reason == CloseReason::TimedOut)
    );
}

#[test]
fn a_successor_that_nobody_asked_for_closes_with_the_last_handle() {
    let mut net = Net::new(config(None));
    let (client, _gone) = net.connect();
    net.quiesce();
    net.restart_server(3);
    client.send_now(Message::new("?")).unwrap();
    net.run(client.closed());
    let server = net.run(net.server().endpoint().accept()).unwrap();
    assert!(Task::new(server.closed()).poll().is_none());
    drop(client);
    assert!(matches!(net.run(server.closed()).reason, CloseReason::Peer { code: 0, .. }));
    net.hosts[CLIENT].endpoint = None;
    net.pass(Duration::from_secs(1));
    assert!(net.client().shared.inspect(Machine::is_over));
}

#[test]
fn a_chain_of_losses_that_nobody_looks_at_stays_short() {
    let mut net = Net::new(config(None));
    let (client, _gone) = net.connect();
    for seed in 3..20 {
        net.pass(Duration::from_secs(40));
        net.restart_server(seed);
    }
    net.pass(Duration::from_secs(40));
    let connections = net.client().shared.quietly(|node| node.connections());
    assert_eq!(connections, 2, "the first, which has a handle, and the last");
    let last = net.run(client.next().unwrap()).unwrap();
    let server = net.run(net.server().endpoint().accept()).unwrap();
    net.run(server.send(Message::new("the 18th"))).unwrap();
    assert_eq!(net.run(last.recv()).unwrap().payload, "the 18th");
}

#[test]
fn losses_that_nobody_asked_about_are_told_as_one() {
    let mut net = Net::new(config(None));
    let (client, server) = net.connect();
    net.quiesce();
    for round in 1..=2_u32 {
        net.hosts[CLIENT].is_linked = false;
        for number in 0..round {
            let message = Message::new(number.to_string()).class(Class::Unreliable);
            server.send_now(message).unwrap();
        }
        net.pass(Duration::from_secs(20));
        net.hosts[CLIENT].is_linked = true;
        net.pass(Duration::from_mins(1));
    }
    server.send_now(Message::new("after")).unwrap();
    let word = net.run(client.incoming());
    assert_eq!(word, Some(Incoming::Continued(Continuity::Gap(3))));
    let Some(Incoming::Message(message)) = net.run(client.incoming()) else { panic!("a message") };
    assert_eq!(message.payload, "after");
    let mut more = Task::waiting(client.incoming());
    assert!(more.poll().is_none());
}

#[test]
fn what_was_moved_has_a_receipt_on_what_takes_its_place() {
    let mut net = Net::new(config(None));
    let (client, _gone) = net.connect();
    net.quiesce();
    net.restart_server(3);
    let batch = |is_last| Some(Batch { number: 7, is_last });
    let message = |batch| Message { batch, ..Message::new("work").receipt_of_processing() };
    let mut alone = net.run(client.send_receipt(message(None))).unwrap();
    let mut of_batch = net.run(client.send_receipt(message(batch(false)))).unwrap();
    let forgotten = net.run(client.send_receipt(message(batch(true)))).unwrap();
    drop(forgotten);
    let (Fate::Moved(alone), Fate::Moved(of_batch)) = (net.run(&mut alone), net.run(&mut of_batch)) else {
        panic!("they are delivered again");
    };
    let next = net.run(client.next().unwrap()).unwrap();
    let receipts = [alone, of_batch].map(|message| next.receipt(message).expect("it is there"));
    assert!(next.receipt(alone).is_none(), "one caller gets it");
    let server = net.run(net.server().endpoint().accept()).unwrap();
    for _ in 0..3 {
        assert!(net.run(server.recv()).unwrap().ack());
    }
    for receipt in receipts {
        assert_eq!(net.run(receipt), Fate::Processed);
    }
}

#[test]
fn closing_is_not_losing() {
    let mut net = Net::new(config(None));
    let (client, server) = net.connect();
    server.close(Close::default());
    let closed = net.run(client.closed());
    assert_eq!(closed.next, None);
    assert!(client.next().is_none());
}

#[test]
fn a_connection_lost_while_it_closes_unheld_is_not_replaced() {
    let mut net = Net::new(config(None));
    let (client, _server) = net.connect();
    net.quiesce();
    net.restart_server(3);
    client.send_now(Message::new("?")).unwrap();
    drop(client);
    net.hosts[CLIENT].endpoint = None;
    net.pass(Duration::from_secs(5));
    assert!(net.client().shared.inspect(Machine::is_over));
}

#[test]
fn dropping_a_dial_gives_up() {
    let mut net = Net::new(config(None));
    net.hosts[SERVER].is_linked = false;
    let dial = net.client().endpoint().dial_path(net.server().path, &[]).unwrap();
    net.quiesce();
    drop(dial);
    net.run(net.client().endpoint().wait_idle());
}
