//! Web sockets with somebody else at the other end.

use std::net::{TcpListener, TcpStream};
use std::thread;

use adapter_tokio::{Address, ConfigBuilder, Endpoint};
use tungstenite::{Error, Message, WebSocket};

fn server() -> Endpoint {
    let address: Address = "ws://127.0.0.1:0/bowline".parse().expect("a sound address");
    Endpoint::listen(&[address], ConfigBuilder::default()).expect("a port is free")
}

fn client(server: &Endpoint) -> WebSocket<TcpStream> {
    let address = &server.addresses()[0];
    let stream = TcpStream::connect(address.socket_addr().expect("an address")).expect("the server listens");
    tungstenite::client(address.to_string(), stream).expect("the server speaks WebSocket").0
}

/// The socket until its end.
fn end(mut socket: WebSocket<TcpStream>) -> Vec<Message> {
    let mut read = Vec::new();
    while let Ok(message) = socket.read() {
        read.push(message);
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered() {
    let server = server();
    let mut socket = client(&server);
    socket.send(Message::Ping("still there?".into())).expect("the server reads");
    assert_eq!(socket.read().expect("the server answers"), Message::Pong("still there?".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_is_answered() {
    let server = server();
    let mut socket = client(&server);
    socket.close(None).expect("the server reads");
    let ended = loop {
        match socket.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, Error::ConnectionClosed), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_garbage_end_the_socket() {
    let server = server();
    for message in [Message::text("hello"), Message::binary(vec![0xff; 50]), Message::binary(vec![0; 5000])] {
        let mut socket = client(&server);
        socket.send(message).expect("the server reads");
        end(socket);
    }
    assert_eq!(server.link_stats().accepted, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_a_record() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("ws://{}/some/path?room=a", listener.local_addr().expect("it is bound"));
    let reads = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the client comes");
        let mut socket = tungstenite::accept(stream).expect("the client speaks WebSocket");
        let first = socket.read().expect("the client says something");
        socket.send(Message::text("what?")).expect("the client reads");
        (first, end(socket))
    });
    let client = Endpoint::client(ConfigBuilder::default()).expect("a port is free");
    let refused = client.connect_to(&[url.parse().expect("a sound address")]).await;
    assert!(refused.is_err(), "a text is no answer");
    let (first, _) = reads.join().expect("it does not panic");
    assert!(matches!(first, Message::Binary(record) if !record.is_empty()));
}
