//! Web sockets, and web servers and clients that are none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use driver::Address;
use proto_core::{CloseReason, ConfigBuilder, DialError};

use crate::env::{accept, connect, number, recv, send};
use crate::{Env, Stack, WAIT};

/// A request for a web socket at `path`.
fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// What comes back for `bytes`, up to the end of the stream or to `most` bytes.
fn ask(stream: &mut TcpStream, bytes: &[u8], most: u64) -> Vec<u8> {
    stream.set_read_timeout(Some(WAIT)).expect("a socket");
    stream.write_all(bytes).expect("the server listens");
    let mut answer = Vec::new();
    // It may be cut off behind the answer.
    let _ = stream.take(most).read_to_end(&mut answer);
    answer
}

/// A server that is no web socket says so by a status, and the client says which.
pub fn what_a_web_server_says_instead_is_told<S: Stack>(env: &Env<S>) {
    let client = env.client(ConfigBuilder { reconnect: None, ..ConfigBuilder::default() });
    for status in [200, 302, 403, 404, 429, 503] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address is free");
        let port = listener.local_addr().map(|at: SocketAddr| at.port()).expect("an address");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                asked.push(byte[0]);
            }
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("the client listens");
        });
        let address: Address = format!("{}://127.0.0.1:{port}/x", env.scheme).parse().expect("it is sound");
        let refused = S::connect(&client, &[address], WAIT).expect("it hangs");
        let Err(driver::ConnectError::Failed(closed)) = refused.map(drop) else { panic!("no failure") };
        assert_eq!(closed.reason, CloseReason::Dial(DialError::Http(status)));
        server.join().expect("the server has answered");
    }
}

/// Whoever asks for something else is told by a status.
pub fn what_is_no_web_socket_is_told_so<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let at = address.socket_addr().expect("an address");
    let upgrade = request("/bowline");
    for (asked, status) in [
        ("GET /bowline HTTP/1.1\r\nHost: here\r\n\r\n", "426"),
        ("what?\r\n\r\n", "400"),
        (&request("/elsewhere"), "404"),
        (&upgrade.replace("Upgrade: websocket", "Upgrade: h2c"), "426"),
    ] {
        let mut stream = TcpStream::connect(at).expect("the server listens");
        let answer = ask(&mut stream, asked.as_bytes(), u64::MAX);
        let head = String::from_utf8_lossy(&answer);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{asked}: {head}");
    }
    let client = env.client(ConfigBuilder::default());
    let here = connect::<S>(&client, &address);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&accept::<S>(&server)).payload, "1");
}

/// A web socket that carries what it may not is closed with the code that says so.
pub fn what_no_record_can_be_ends_a_web_socket_with_a_code<S: Stack>(env: &Env<S>) {
    let (_server, address) = env.server(ConfigBuilder::default());
    let at = address.socket_addr().expect("an address");
    for (frame, code) in [
        (&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'][..], 1003_u16),
        (&[0x82, 0x02, b'h', b'i'], 1002),
        (&[0xC2, 0x82, 0, 0, 0, 0, b'h', b'i'], 1002),
        (&[0x83, 0x82, 0, 0, 0, 0, b'h', b'i'], 1002),
        (&[0x82, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
    ] {
        let mut stream = TcpStream::connect(at).expect("the server listens");
        stream.write_all(request("/bowline").as_bytes()).expect("the server listens");
        let answer = ask(&mut stream, frame, u64::MAX);
        let [high, low] = code.to_be_bytes();
        let close = [0x88, 2, high, low];
        assert!(answer.windows(4).any(|bytes| bytes == close), "{frame:x?}: {answer:x?}");
    }
}
