//! Whom a proxy asks for is limited and let in as if he asked himself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tempfile::tempdir;

use crate::admin::TOKEN;
use crate::support::write_private;
use crate::web::{address, exchange, start};

#[test]
fn who_comes_through_a_trusted_proxy_is_limited_by_his_own_address() {
    let data = tempdir().unwrap();
    let token = data.path().join("token");
    write_private(&token, TOKEN);
    let proxied = ["--trusted-proxy", "127.0.0.1", "--max-http-per-address", "2", "--admin-token-file"];
    let server = start(data.path(), &[&proxied[..], &[token.to_str().unwrap()]].concat());
    let mut open = Vec::new();
    let mut connect = |header: &str| {
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
        );
        let mut stream = TcpStream::connect(address(&server)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        open.push(stream);
        String::from_utf8(status[9..].to_vec()).unwrap()
    };
    for (header, expected) in [
        ("X-Forwarded-For: 192.0.2.1\r\n", "101"),
        ("X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n", "101"),
        ("X-Forwarded-For: 192.0.2.1\r\n", "429"),
        ("Forwarded: for=192.0.2.1\r\n", "429"),
        ("X-Forwarded-For: 192.0.2.2\r\n", "101"),
        ("", "101"),
        ("", "101"),
        ("", "101"),
    ] {
        assert_eq!(connect(header), expected, "{header:?}");
    }
    for (header, expected) in [("", "200"), ("X-Forwarded-For: 192.0.2.1\r\n", "403")] {
        let head = format!("GET /admin/rooms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n");
        let answer = exchange(&server, &format!("{head}{header}Connection: close\r\n\r\n"));
        assert_eq!(&answer[9..12], expected, "{header:?}");
    }
}
