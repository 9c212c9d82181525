//! What is served over HTTP, byte by byte.

use std::collections::BTreeSet;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};

use tempfile::tempdir;
use tungstenite::{Error, Message, WebSocket, client};

use crate::node::web;
use crate::support::{Chat, Server, chat};

pub(crate) fn address(server: &Server) -> SocketAddr {
    web(server).strip_prefix("http://").unwrap().parse().unwrap()
}

/// Sends bytes, and reads until the server closes.
pub(crate) fn exchange(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn get(server: &Server, path: &str) -> String {
    exchange(server, &format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"))
}

pub(crate) fn socket(server: &Server, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address(server)).unwrap();
    client(format!("ws://{}{path}", address(server)), stream).unwrap().0
}

/// The next message with this name.
pub(crate) fn heard(socket: &mut WebSocket<TcpStream>, name: &str) -> serde_json::Value {
    loop {
        let text = socket.read().unwrap().into_text().unwrap();
        let messages: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        if let Some(message) = messages.into_iter().find(|message| message["m"] == name) {
            return message;
        }
    }
}

pub(crate) fn start(data: &std::path::Path, more: &[&str]) -> Server {
    Server::start_with(data, &[&["--udp", "127.0.0.1:0", "--http", "127.0.0.1:0"], more].concat())
}

#[test]
fn there_is_what_there_is() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    for (path, status, part) in [
        ("/", "200", "<title>Bowline</title>"),
        ("/healthz", "200", "ok"),
        ("/readyz", "200", "ready"),
        ("/metrics", "200", "bowline_ready 1\n"),
        ("/ws", "400", "web sockets"),
        ("/echo", "400", "web sockets"),
        ("/nothing", "404", "nothing here"),
        ("/../Cargo.toml", "404", "nothing here"),
    ] {
        let answer = get(&server, path);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(part),
            "{path}: {answer}"
        );
    }
    let posted =
        exchange(&server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(
        posted.starts_with("HTTP/1.1 405 ") && posted.to_lowercase().contains("allow: get, head"),
        "{posted}"
    );
    assert!(exchange(&server, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(address(&server)).unwrap();
    // It may hang up before it has read all of it.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "it is too long");
}

#[test]
fn every_metric_is_in_the_docs_and_every_one_in_the_docs_is_there() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let page = get(&server, "/metrics");
    let names = |prefix: &str| -> BTreeSet<String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let docs = include_str!("../../../docs/metrics.md");
    let rows =
        docs.lines().filter_map(|line| line.strip_prefix("| `")).map(|line| line.split('`').next().unwrap());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(names("# TYPE "), documented);
    assert_eq!(names("# HELP "), documented);
    let samples =
        page.lines().filter(|line| line.starts_with("bowline_")).map(|line| line.split(' ').next().unwrap());
    let samples: Vec<_> = samples.collect();
    assert_eq!(samples.iter().collect::<BTreeSet<_>>().len(), samples.len(), "a sample is there twice");
    let label = |sample: &&str| {
        let (name, rest) = sample.split_once('{')?;
        let (label, value) = rest.trim_end_matches('}').split_once('=')?;
        Some((name.to_owned(), label.to_owned(), value.trim_matches('"').to_owned()))
    };
    let found: BTreeSet<_> =
        samples.iter().filter_map(label).filter(|(_, label, _)| label != "version").collect();
    let row = |row: &str| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let (label, values) = columns[3].split_once(": ")?;
        let name = columns[1].trim_matches('`');
        Some(
            values
                .split(", ")
                .map(|value| (name.to_owned(), label.to_owned(), value.to_owned()))
                .collect::<Vec<_>>(),
        )
    };
    let rows = docs.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(found, rows.filter_map(row).flatten().collect::<BTreeSet<_>>(), "labels and their values");
    for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = name.split_once(' ').unwrap();
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
}

#[test]
fn pages_from_elsewhere_may_not_connect_where_origins_are_named() {
    let data = tempdir().unwrap();
    let origin = ["--origin", "https://example.org", "--ws", "ws://127.0.0.1:0/chat"];
    let server = start(data.path(), &origin);
    let native = server.urls.iter().find_map(|url| url.strip_prefix("ws://")?.strip_suffix("/chat"));
    let native: SocketAddr = native.expect("it says where it listens").parse().unwrap();
    for (at, path) in [(address(&server), "/ws"), (native, "/chat")] {
        let ask = |path: &str, origin: &str| {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\r\n"
            );
            let mut stream = TcpStream::connect(at).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            String::from_utf8(status[9..].to_vec()).unwrap()
        };
        assert_eq!(ask(path, "Origin: https://example.org\r\n"), "101");
        assert_eq!(ask(path, ""), "101", "programs have no origin");
        for origin in ["https://example.org.evil.example", "null", "http://example.org"] {
            assert_eq!(ask(path, &format!("Origin: {origin}\r\n")), "403", "{path} {origin}");
        }
        assert_eq!(ask("/other", ""), "404");
    }
}

#[test]
fn guests_and_native_clients_are_in_one_room() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let mut guest = socket(&server, "/ws");
    guest
        .send(Message::text(r#"[{"m":"hi"},{"m":"userset","set":{"name":"Gus"}},{"m":"ch","_id":"both"}]"#))
        .unwrap();
    assert_eq!(heard(&mut guest, "ch")["ch"]["_id"], "both");
    let mut native = Chat::start(&server.url(), &["--room", "both", "--name", "nat", "--follow"]);
    native.say("from a terminal");
    let line = heard(&mut guest, "a");
    assert_eq!((&line["a"], &line["p"]["name"]), (&"from a terminal".into(), &"nat".into()));
    guest.send(Message::text(r#"[{"m":"a","message":"from a page"}]"#)).unwrap();
    native.wait_for(2);
    assert!(native.seen[0].ends_with("\tnat\tfrom a terminal"), "{:?}", native.seen);
    assert!(native.seen[1].ends_with("\tGus\tfrom a page"), "{:?}", native.seen);
    let history = chat(&server.url(), &["--room", "both"], "");
    assert_eq!(history.code, Some(0));
    // The server goes away in good order, and says so.
    let server = std::thread::spawn(move || server.signal("TERM").0);
    let end = loop {
        match guest.read() {
            Ok(Message::Close(frame)) => break frame.unwrap(),
            Ok(_) => {}
            Err(error) => panic!("no goodbye: {error}"),
        }
    };
    assert_eq!(u16::from(end.code), 4000);
    while guest.read().is_ok() {}
    assert!(server.join().unwrap().success());
}

#[test]
fn what_is_no_web_socket_ends_with_the_reason() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let cases: [(&[u8], u16); 7] = [
        (&[0x81, 0x01, b'x'], 1002),
        (&[0xF1, 0x80, 1, 2, 3, 4], 1002),
        (&[0x83, 0x80, 1, 2, 3, 4], 1002),
        (&[0x80, 0x80, 1, 2, 3, 4], 1002),
        (&[0x09, 0x80, 1, 2, 3, 4], 1002),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xC3, 0x28], 1007),
        (&[0x82, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
    ];
    for path in ["/echo", "/ws"] {
        for (bytes, code) in cases {
            let mut socket = socket(&server, path);
            socket.get_mut().write_all(bytes).unwrap();
            let end = loop {
                match socket.read() {
                    Ok(Message::Close(frame)) => break frame.unwrap(),
                    Ok(_) => {}
                    Err(error) => panic!("{path} {bytes:?}: {error}"),
                }
            };
            assert_eq!(u16::from(end.code), code, "{path} {bytes:?}");
        }
    }
}

#[test]
fn echo_says_what_it_hears_in_pieces_and_between_pings() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let mut socket = socket(&server, "/echo");
    let pieces: [&[u8]; 4] = [
        &[0x01, 0x82, 0, 0, 0, 0, b'H', 0xC3],
        &[0x89, 0x81, 0, 0, 0, 0, b'p'],
        &[0x00, 0x80, 0, 0, 0, 0],
        &[0x80, 0x82, 0, 0, 0, 0, 0xA9, b'!'],
    ];
    for piece in pieces {
        socket.get_mut().write_all(piece).unwrap();
    }
    assert_eq!(socket.read().unwrap(), Message::Pong("p".into()));
    assert_eq!(socket.read().unwrap(), Message::text("Hé!"));
    let large = vec![7; 1 << 20];
    socket.send(Message::binary(large.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(large));
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(None))));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn so_many_echoes_there_are_and_no_more() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let mut sockets: Vec<_> = (0..16).map(|_| socket(&server, "/echo")).collect();
    let ask = || {
        let stream = TcpStream::connect(address(&server)).unwrap();
        client(format!("ws://{}/echo", address(&server)), stream).is_ok()
    };
    assert!(!ask(), "there are as many as there may be");
    let mut one = sockets.pop().unwrap();
    one.close(None).unwrap();
    while one.read().is_ok() {}
    drop(one);
    // Its place is free once the server has heard of it.
    while !ask() {}
}

#[test]
fn before_hi_a_message_is_short_and_after_it_long() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let long =
        |len: usize| Message::text(format!(r#"[{{"m":"t","e":1}},{{"m":"x","x":"{}"}}]"#, "x".repeat(len)));
    let mut polite = socket(&server, "/ws");
    polite.send(Message::text(r#"[{"m":"hi"}]"#)).unwrap();
    polite.send(long(100_000)).unwrap();
    assert_eq!(heard(&mut polite, "t")["e"], 1);
    let mut rude = socket(&server, "/ws");
    rude.send(long(20_000)).unwrap();
    let end = loop {
        match rude.read() {
            Ok(Message::Close(frame)) => break frame.unwrap(),
            Ok(_) => {}
            Err(error) => panic!("no goodbye: {error}"),
        }
    };
    assert_eq!(u16::from(end.code), 1009);
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let docs = include_str!("../../../docs/metrics.md");
    let board = include_str!("../../../packaging/grafana.json");
    let _: serde_json::Value = serde_json::from_str(board).unwrap();
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let names: BTreeSet<&str> = board
        .match_indices("bowline_")
        .map(|(at, _)| {
            let rest = &board[at..];
            &rest[..rest.find(|c| !is_of_a_name(c)).unwrap()]
        })
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(docs.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn who_is_sent_away_is_in_no_room_while_his_goodbye_is_on_its_way() {
    let data = tempdir().unwrap();
    let server = crate::admin::start_with_token(data.path());
    let enter = |name: &str| {
        let mut guest = socket(&server, "/ws");
        let hello =
            format!(r#"[{{"m":"hi"}},{{"m":"userset","set":{{"name":"{name}"}}}},{{"m":"ch","_id":"r"}}]"#);
        guest.send(Message::text(hello)).unwrap();
        let user = heard(&mut guest, "ch")["p"].as_str().unwrap().to_owned();
        (guest, user)
    };
    let (mut ann, _) = enter("ann");
    for is_kicked in [false, true] {
        // He does not answer, so that the server hangs up after a while: the others hear of him before. One try may take too long.
        let told_before = (0..5).any(|_| {
            let (mut bob, user) = enter("bob");
            if is_kicked {
                let body = format!(r#"{{"user":"{user}"}}"#);
                let answer = crate::admin::ask(&server, "POST", "/admin/kick", crate::admin::TOKEN, &body);
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            } else {
                bob.send(Message::text(r#"[{"m":"bye"}]"#)).unwrap();
            }
            assert_eq!(heard(&mut ann, "bye")["p"], *user);
            let stream = bob.get_mut();
            stream.set_nonblocking(true).unwrap();
            let mut bytes = [0; 1024];
            let end = loop {
                match stream.read(&mut bytes) {
                    Ok(1..) => {}
                    end => break end,
                }
            };
            end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        });
        assert!(told_before, "kicked: {is_kicked}");
    }
}

#[test]
fn there_is_no_echo_where_none_is_wanted() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &["--echo=false"]);
    assert!(get(&server, "/echo").starts_with("HTTP/1.1 404 "));
}
