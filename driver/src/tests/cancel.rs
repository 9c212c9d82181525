//! Every future is dropped at every point where it waits: nothing is lost, and nothing of it stays.

use std::collections::VecDeque;
use std::time::Duration;

use proto_core::{Class, ConfigBuilder, Message};

use super::harness::{Net, Task, small};

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn dropped_futures_leave_nothing_behind() {
    let mut net = Net::new(small());
    let (client, _server) = net.connect();
    let endpoint = net.server().endpoint().clone();
    let idle = net.client().endpoint().clone();
    let mut asked = [(); 2].map(|()| Task::waiting(client.request(Message::new("?"), MINUTE)));
    drop(Task::waiting(client.request(Message::new("waits for another request"), MINUTE)));
    while client.send_now(Message::new("fills the queue")).is_ok() {}
    drop(Task::waiting(client.request(Message::new("waits for room"), MINUTE)));
    drop(Task::waiting(client.send(Message::new("?"))));
    drop(Task::waiting(client.send_receipt(Message::new("?"))));
    drop(Task::waiting(client.writable()));
    drop(Task::waiting(client.recv()));
    drop(Task::waiting(client.closed()));
    drop(Task::waiting(client.accept_channel()));
    drop(Task::waiting(client.incoming()));
    drop(Task::waiting(client.recv_many(8)));
    drop(Task::waiting(client.going_away()));
    let mut waiting: VecDeque<_> = [Message::new("?"), Message::new("!")].into();
    drop(Task::waiting(client.send_all(&mut waiting)));
    assert_eq!(waiting.len(), 2, "what was not sent is there");
    let mut watch = client.watch();
    assert!(Task::new(watch.changed()).poll().is_some(), "how it fares at first");
    drop(Task::waiting(watch.changed()));
    drop(Task::waiting(endpoint.undecided()));
    drop(Task::waiting(endpoint.accept()));
    drop(Task::waiting(idle.wait_idle()));
    assert_eq!((net.client().waiting(), net.server().waiting()), (2, 0));
    assert!(asked.iter_mut().all(|ask| ask.poll().is_none()));
    drop(asked);
    assert_eq!(net.client().waiting(), 0);
}

#[test]
fn a_reply_that_waits_for_room_may_be_dropped_and_tried_again() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let mut ask = Task::waiting(client.request(Message::new("?"), MINUTE));
    let request = net.run(server.recv()).unwrap().request.unwrap();
    while server.send_now(Message::new("fills the queue")).is_ok() {}
    drop(Task::waiting(server.reply(request, "first try")));
    drop(Task::waiting(server.reply_part(request, "a part")));
    drop(Task::waiting(server.reply_error(request, 0x123, "no")));
    drop(Task::waiting(server.cancelled(request)));
    assert_eq!(net.server().waiting(), 0);
    let mut reply = Task::waiting(server.reply(request, "second try"));
    net.finish(&mut reply).unwrap();
    for _ in 0..4 {
        net.run(client.recv()).unwrap();
    }
    assert_eq!(net.finish(&mut ask).unwrap(), "second try");
}

#[test]
fn a_dial_may_be_awaited_in_pieces() {
    let net = Net::new(ConfigBuilder::default());
    let mut dial = net.client().endpoint().dial_path(net.server().path, &[]).unwrap();
    for _ in 0..8 {
        let mut piece = Task::new(&mut dial);
        let ready = piece.poll();
        drop(piece);
        let mut piece = Task::new(dial.changed());
        let _ = piece.poll();
        drop(piece);
        if let Some(connection) = ready {
            assert!(connection.is_ok());
            assert_eq!(net.client().waiting(), 0);
            return;
        }
        net.carry();
    }
    panic!("the handshake takes 2 round trips");
}

#[test]
fn a_receiver_dropped_after_its_wake_loses_nothing() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let first = Task::waiting(server.recv());
    let mut second = Task::waiting(server.recv());
    client.send_now(Message::new("for whoever is left")).unwrap();
    net.quiesce();
    assert_eq!(first.wakes(), 1);
    drop(first);
    assert_eq!(second.poll().flatten().unwrap().payload, "for whoever is left");
}

#[test]
fn an_accept_dropped_after_its_wake_loses_no_connection() {
    let net = Net::new(ConfigBuilder::default());
    let endpoint = net.server().endpoint().clone();
    let first = Task::waiting(endpoint.accept());
    let client = net.run(net.client().endpoint().dial_path(net.server().path, &[]).unwrap()).unwrap();
    net.quiesce();
    assert_eq!(first.wakes(), 1);
    drop(first);
    assert!(net.run(endpoint.accept()).is_some());
    drop(client);
}

#[test]
fn whatever_is_dropped_all_messages_arrive_in_order() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let mut random = 1_u32;
    let mut draw = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) % below
    };
    let (mut sent, mut received) = (0_u32, 0_u32);
    while received < 500 {
        let mut recv = Task::new(server.recv());
        let mut writable = Task::new(client.writable());
        for _ in 0..draw(4) {
            if sent < 500 && writable.poll() == Some(Ok(())) {
                while sent < 500 && client.send_now(Message::new(sent.to_string())).is_ok() {
                    sent += 1;
                }
                writable = Task::new(client.writable());
            }
            if let Some(message) = recv.poll() {
                let message = message.unwrap();
                assert_eq!(
                    (message.payload, message.class),
                    (received.to_string().into(), Class::ReliableOrdered)
                );
                received += 1;
                recv = Task::new(server.recv());
            }
            if draw(2) == 0 {
                net.carry();
            }
        }
        drop((recv, writable));
        net.pass(Duration::from_millis(u64::from(draw(30))));
    }
    assert_eq!((net.client().waiting(), net.server().waiting()), (0, 0));
}
