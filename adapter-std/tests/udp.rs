//! Servers and clients of one process, over loopback.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use adapter_std::{
    ChannelOptions, Class, Close, CloseReason, ConfigBuilder, Endpoint, Error, Fate, Message, Options,
    RequestError, TimedOut,
};

/// No call takes nearly that long.
const WAIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn pair(busy_poll: bool) -> (Endpoint, Endpoint) {
    let options = Options::from(ConfigBuilder::default()).busy_poll(busy_poll);
    (Endpoint::bind(localhost(), options.clone()).unwrap(), Endpoint::client(options).unwrap())
}

fn echo(server: &Endpoint) -> thread::JoinHandle<()> {
    let server = server.clone();
    thread::spawn(move || {
        let connection = server.accept(WAIT).unwrap().unwrap();
        while let Ok(Some(received)) = connection.recv(WAIT) {
            if let Some(request) = received.request {
                connection.reply(request, received.payload, WAIT).unwrap();
            } else {
                let message = Message::new(received.payload).class(received.class);
                connection.send(message, WAIT).unwrap();
            }
        }
    })
}

fn every_call(busy_poll: bool) {
    let (server, client) = pair(busy_poll);
    let echo = echo(&server);
    let connection = client.connect(server.local_addr(), WAIT).unwrap();
    for class in Class::ALL {
        connection.send(Message::new("x").class(class), WAIT).unwrap();
        let received = connection.recv(WAIT).unwrap().unwrap();
        assert_eq!((&received.payload[..], received.class), (&b"x"[..], class));
    }
    assert_eq!(connection.request(Message::new("loud"), WAIT).unwrap(), "loud");
    let large = vec![7; 200_000];
    let mut receipt = connection.send_receipt(Message::new(large.clone()), WAIT).unwrap();
    assert_eq!(connection.recv(WAIT).unwrap().unwrap().payload, large);
    assert_eq!(receipt.wait(WAIT), Ok(Fate::Acked));
    assert_eq!(connection.recv(SHORT), Err(TimedOut));
    connection.close(Close::default());
    assert!(matches!(connection.closed(WAIT).unwrap().reason, CloseReason::Local { .. }));
    client.wait_idle(WAIT).unwrap();
    echo.join().unwrap();
}

#[test]
fn every_call_of_a_connection() {
    every_call(false);
}

#[test]
fn the_same_when_callers_poll() {
    every_call(true);
}

#[test]
fn a_polled_endpoint_goes_on_while_nobody_waits() {
    let (server, client) = pair(true);
    let connection = client.connect(server.local_addr(), WAIT).unwrap();
    let there = server.accept(WAIT).unwrap().unwrap();
    connection.send_now(Message::new("now")).unwrap();
    assert_eq!(there.recv(WAIT).unwrap().unwrap().payload, "now");
    drop((connection, client));
    assert!(matches!(there.closed(WAIT).unwrap().reason, CloseReason::Peer { .. }));
}

#[test]
fn every_call_ends_in_time() {
    let (server, client) = pair(false);
    assert_eq!(server.accept(SHORT).unwrap_err(), TimedOut);
    // Nobody answers there.
    let silent = std::net::UdpSocket::bind(localhost()).unwrap();
    let refused = client.connect(silent.local_addr().unwrap(), SHORT).unwrap_err();
    assert_eq!(refused, Error::TimedOut);
    let connection = client.connect(server.local_addr(), WAIT).unwrap();
    let there = server.accept(WAIT).unwrap().unwrap();
    assert_eq!(connection.closed(SHORT), Err(TimedOut));
    let unanswered = connection.request(Message::new("?"), SHORT);
    assert_eq!(unanswered, Err(RequestError::TimedOut { not_processed: false }));
    assert_eq!(client.wait_idle(SHORT), Err(TimedOut));
    // A reader that takes nothing stops the writer, and what did not go was not sent.
    let mut sent = 0;
    while connection.send(Message::new(vec![0; 10_000]), SHORT).is_ok() {
        sent += 1;
    }
    let mut received = 0;
    there.recv(WAIT).unwrap();
    while received < sent {
        assert_eq!(there.recv(WAIT).unwrap().unwrap().payload.len(), 10_000);
        received += 1;
    }
    assert_eq!(there.recv(SHORT), Err(TimedOut));
}

#[test]
fn the_thread_ends_with_the_last_connection() {
    let (server, client) = pair(false);
    let address = server.local_addr();
    let connection = client.connect(address, WAIT).unwrap();
    drop(server.accept(WAIT).unwrap());
    drop(server);
    connection.closed(WAIT).unwrap();
    // Its sockets are closed: the port is free again, after a moment.
    let mut options = 0;
    while Endpoint::bind(address, ConfigBuilder::default()).is_err() {
        options += 1;
        assert!(options < 10_000, "the socket stays");
        assert_eq!(client.accept(Duration::from_millis(1)).map(|accepted| accepted.is_none()), Ok(true));
        thread::yield_now();
    }
}

#[test]
fn a_name_credentials_and_answers_through_a_channel() {
    let config = ConfigBuilder { admission: true, ..ConfigBuilder::default() };
    let server = Endpoint::bind(localhost(), config).unwrap();
    let (doorman, port) = (server.clone(), server.local_addr().port());
    let door = thread::spawn(move || {
        let undecided = doorman.undecided(WAIT).unwrap().unwrap();
        assert_eq!(undecided.credentials().token, &b"a ticket"[..]);
        assert!(undecided.admit());
        let channel = doorman.accept(WAIT).unwrap().unwrap().accept_channel(WAIT).unwrap().unwrap();
        for _ in 0..2 {
            let request = channel.recv(WAIT).unwrap().unwrap().request.unwrap();
            channel.reply_part(request, "a part", WAIT).unwrap();
            channel.reply(request, "the rest", WAIT).unwrap();
        }
        let request = channel.recv(WAIT).unwrap().unwrap().request.unwrap();
        channel.reply_error(request, 0x100, "no", WAIT).unwrap();
        assert!(matches!(
            channel.connection().closed(WAIT).unwrap().reason,
            CloseReason::Peer { code: 0, .. }
        ));
    });
    let client = Endpoint::client(ConfigBuilder::default()).unwrap();
    assert_eq!(client.shard_count(), 1);
    let named = format!("udp://localhost:{port}").parse().unwrap();
    let address = client.look_up(&[named], WAIT).unwrap()[0].socket_addr().unwrap();
    let connection = client.connect_with(address, b"a ticket", WAIT).unwrap();
    assert_eq!(connection.peer_key(), None);
    let channel = connection.open_channel(&ChannelOptions::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(channel.request(Message::new("?"), WAIT).unwrap(), "the rest");
    }
    let failed = channel.request(Message::new("?"), WAIT).unwrap_err();
    assert!(matches!(failed, RequestError::Failed { code: 0x100, .. }), "{failed:?}");
    assert!(channel.stats().is_some());
    connection.close(Close::default());
    door.join().unwrap();
}
