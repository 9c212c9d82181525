//! Sending, receiving, waiting for room, receipts and channels.

use proto_core::{Cancel, ChannelOptions, Class, Close, ConfigBuilder, Fate, Message, SendError, SendLimits};

use super::harness::{Net, Task, small};

fn text(number: u32) -> Message {
    Message::new(number.to_string())
}

#[test]
fn every_class_arrives() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    for class in Class::ALL {
        net.run(client.send(text(7).class(class))).unwrap();
        let received = net.run(server.recv()).unwrap();
        assert_eq!((&received.payload[..], received.class), (&b"7"[..], class));
    }
}

#[test]
fn a_receiver_is_woken_once_for_a_message_and_a_sender_not_at_all() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let mut recv = Task::waiting(server.recv());
    let mut send = Task::new(client.send(text(1)));
    assert_eq!(send.poll(), Some(Ok(())));
    net.quiesce();
    assert_eq!((recv.wakes(), send.wakes()), (1, 0));
    assert!(recv.poll().flatten().is_some());
    assert_eq!(net.server().waiting(), 0);
}

#[test]
fn commands_wake_the_io_task_once_and_waiting_does_not() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, _server) = net.connect();
    net.quiesce();
    let before = net.client().io_wakes();
    let _waiting = [Task::waiting(client.recv()), Task::waiting(client.recv())];
    let _closed = Task::waiting(client.closed());
    assert_eq!((client.rtt().is_some(), client.stats().is_some()), (true, true));
    assert_eq!(net.client().io_wakes(), before);
    for number in 0..5 {
        client.send_now(text(number)).unwrap();
    }
    assert_eq!(net.client().io_wakes(), before + 1);
    net.quiesce();
    client.send_now(text(5)).unwrap();
    assert_eq!(net.client().io_wakes(), before + 2);
}

#[test]
fn several_receivers_share_what_comes_and_none_is_left_asleep() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let mut tasks: Vec<_> = (0..3).map(|_| Task::waiting(server.recv())).collect();
    for number in 0..3 {
        client.send_now(text(number)).unwrap();
    }
    let mut payloads: Vec<_> =
        tasks.iter_mut().map(|task| net.finish(task).expect("a message each").payload).collect();
    payloads.sort();
    assert_eq!(payloads, ["0", "1", "2"]);
}

#[test]
fn a_sender_waits_for_a_slow_reader_and_nothing_is_lost() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let mut sender = Task::new(async {
        for number in 0..50 {
            client.send(text(number)).await.unwrap();
        }
    });
    assert!(sender.poll().is_none());
    net.pass(std::time::Duration::from_secs(1));
    let stuck = sender.wakes();
    assert!(sender.poll().is_none(), "4 messages are queued here and 4 there");
    net.pass(std::time::Duration::from_secs(20));
    assert!(sender.wakes() <= stuck + 1, "nobody reads, so nothing is to be told");
    let mut reader = Task::new(async {
        for number in 0..50 {
            assert_eq!(server.recv().await.unwrap().payload, number.to_string());
        }
    });
    net.finish_both(&mut sender, &mut reader);
}

#[test]
fn send_now_says_full_and_writable_says_when_not() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    net.run(client.writable()).unwrap();
    let mut accepted = 0;
    while client.send_now(text(accepted)).is_ok() {
        accepted += 1;
    }
    assert_eq!(client.send_now(text(accepted)), Err(SendError::Full));
    let mut writable = Task::waiting(client.writable());
    assert_eq!(net.finish(&mut writable), Ok(()));
    assert_eq!(writable.wakes(), 1);
    client.send_now(text(accepted)).unwrap();
    for number in 0..=accepted {
        assert_eq!(net.run(server.recv()).unwrap().payload, number.to_string());
    }
}

#[test]
fn who_waits_for_room_learns_that_there_will_be_none() {
    let mut net = Net::new(small());
    let (client, _server) = net.connect();
    while client.send_now(text(0)).is_ok() {}
    let mut send = Task::waiting(client.send(text(1)));
    let mut writable = Task::waiting(client.writable());
    let mut receipt = Task::waiting(client.send_receipt(text(2)));
    client.close(Close::default());
    assert_eq!(send.poll(), Some(Err(SendError::Closed)), "at once, not when it is over");
    assert_eq!(writable.poll(), Some(Err(SendError::Closed)));
    assert_eq!(receipt.poll().unwrap().map(|_| ()), Err(SendError::Closed));
}

#[test]
fn receipts_tell_fates() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let receipt = net.run(client.send_receipt(text(1))).unwrap();
    assert_eq!(net.run(receipt), Fate::Acked);
    let dropped = net.run(client.send_receipt(text(2))).unwrap();
    drop(dropped);
    let told_late = net.run(client.send_receipt(text(3))).unwrap();
    net.quiesce();
    assert_eq!(net.run(told_late), Fate::Acked);
    net.hosts[super::harness::SERVER].is_linked = false;
    let lost = net.run(client.send_receipt(text(4).class(Class::Unreliable))).unwrap();
    let unknown = net.run(client.send_receipt(text(5))).unwrap();
    drop(client);
    assert_eq!(net.run(unknown), Fate::Unknown);
    assert!(matches!(net.run(lost), Fate::Lost | Fate::Unknown));
    assert_eq!(net.client().waiting(), 0);
    drop(server);
}

#[test]
fn the_application_answers_for_what_it_received() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let first = net.run(client.send_receipt(text(1).receipt_of_processing())).unwrap();
    let second = net.run(client.send_receipt(text(2).receipt_of_processing())).unwrap();
    let received = net.run(server.recv()).unwrap();
    assert!(received.wants_receipt() && received.ack());
    assert!(!received.ack(), "one word each");
    assert!(net.run(server.recv()).unwrap().reject(9));
    assert_eq!(net.run(first), Fate::Processed);
    assert_eq!(net.run(second), Fate::Rejected(9));
    net.run(client.send(text(3))).unwrap();
    let plain = net.run(server.recv()).unwrap();
    assert!(!plain.wants_receipt() && !plain.ack() && !plain.reject(1));
}

#[test]
fn one_word_for_a_batch_is_the_fate_of_each_of_its_messages() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let first = net.run(client.send_receipt(text(1).receipt_of_processing().batch(4))).unwrap();
    let last = net.run(client.send_receipt(text(2).receipt_of_processing().last_of_batch(4))).unwrap();
    drop(net.run(server.recv()).unwrap());
    assert!(net.run(server.recv()).unwrap().ack());
    assert_eq!(net.run(first), Fate::Processed);
    assert_eq!(net.run(last), Fate::Processed);
    let open = net.run(client.send_receipt(text(3).batch(5))).unwrap();
    drop(server);
    drop(client);
    assert_eq!(net.run(open), Fate::Unknown);
}

#[test]
fn a_receipt_takes_its_message_back() {
    let mut net = Net::new(small());
    let (client, _server) = net.connect();
    net.hosts[super::harness::SERVER].is_linked = false;
    let sent = net.run(client.send_receipt(text(1))).unwrap();
    assert_eq!(sent.cancel(), Cancel::Cancelled, "no turn has come since");
    assert_eq!(sent.cancel(), Cancel::TooLate);
    assert_eq!(net.run(sent), Fate::Cancelled);
}

#[test]
fn one_at_a_time_is_a_queue_of_one() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let channel = client.open_channel(&ChannelOptions::default()).unwrap();
    let one = SendLimits { messages: Some(1), low_water: Some(100), ..SendLimits::default() };
    channel.limit_queue(&one).unwrap();
    let first = net.run(channel.send_receipt(text(1).receipt_of_processing())).unwrap();
    let taken = net.run(server.accept_channel()).unwrap();
    let mut next = Task::waiting(channel.send(text(2)));
    net.quiesce();
    assert_eq!(next.poll(), None, "the first is not answered");
    assert!(net.run(taken.recv()).unwrap().ack());
    assert_eq!(net.finish(&mut next), Ok(()));
    drop(next);
    assert_eq!(net.run(first), Fate::Processed);
}

#[test]
fn large_messages_come_whole() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let payload: Vec<u8> = (0..256 * 1024).map(|i: u32| (i % 251) as u8).collect();
    for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
        net.run(client.send(Message::new(payload.clone()).class(class))).unwrap();
        assert_eq!(net.run(server.recv()).unwrap().payload, payload);
    }
    let too_large = Message::new(vec![0; 256 * 1024 + 1]);
    assert_eq!(net.run(client.send(too_large)), Err(SendError::TooLarge { max: 256 * 1024 }));
}

#[test]
fn channels_are_opened_and_accepted() {
    let mut net = Net::new(ConfigBuilder::default());
    let (client, server) = net.connect();
    let mut accept = Task::waiting(server.accept_channel());
    let options = ChannelOptions { name: "moves".into(), ..ChannelOptions::default() };
    let here = client.open_channel(&options).unwrap();
    net.run(here.send(text(1))).unwrap();
    let there = net.finish(&mut accept).unwrap();
    assert_eq!((there.id(), there.name().as_deref()), (here.id(), Some("moves")));
    assert_eq!(net.run(there.recv()).unwrap().payload, "1");
    net.run(there.send(text(2))).unwrap();
    assert_eq!(net.run(here.recv()).unwrap().payload, "2");
    let mut none = Task::waiting(server.accept_channel());
    drop((client, here));
    assert!(net.finish(&mut none).is_none());
    assert!(net.run(there.recv()).is_none());
}

#[test]
fn who_does_not_read_one_channel_does_not_stop_another() {
    let mut net = Net::new(small());
    let (client, server) = net.connect();
    let other = client.open_channel(&ChannelOptions::default()).unwrap();
    let mut stuck = Task::new(async {
        for number in 0..20 {
            client.send(text(number)).await.unwrap();
        }
    });
    assert!(stuck.poll().is_none());
    net.run(other.send(text(1))).unwrap();
    let there = net.run(server.accept_channel()).unwrap();
    assert_eq!(net.run(there.recv()).unwrap().payload, "1");
}
