//! A session with everything that a server may have beside sockets in the clear.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path as File;

use bytes::Bytes;
use driver::recorded::{Put as _, get};
use proto_core::crypto::Identity as _;
use seal::Party;
use simtest::Recording;
use tungstenite::{Message, WebSocket};

use super::kind;
use super::replay::replay;
use super::sessions::{PATIENCE, Running, holds, read};
use crate::serve::{Encryption, Start};

/// Encryption, a closed group, keys that are allowed, shards, guests, and an operator.
#[test]
fn a_session_with_everything_runs_again_file_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let private = |name: &str, text: &str| {
        std::fs::write(path(name), text).unwrap();
        std::fs::set_permissions(path(name), Permissions::from_mode(0o600)).unwrap();
    };
    private("secret", "a secret of the whole group");
    private("token", "0123456789abcdef");
    let party = Party::generate().unwrap();
    private("identity", &party.private_text());
    std::fs::write(path("allowed"), party.public_key().to_string()).unwrap();

    let (data, secret, allowed, token) = (path("data"), path("secret"), path("allowed"), path("token"));
    let file = path("session.rec");
    let mut arguments = vec!["serve", "--data", &data, "--record", &file, "--shards", "2", "--unlimited"];
    arguments.extend(["--udp", "127.0.0.1:0", "--encrypt", "always", "--group-secret", &secret]);
    arguments.extend(["--allowed-keys", &allowed, "--http", "127.0.0.1:0", "--admin-token-file", &token]);
    arguments.extend(["--motd", "welcome"]);
    let server = Running::start(&arguments);
    let after = |word: &str| server.wait_for(word).split_once(word).unwrap().1.to_owned();
    let (url, http, key) = (after("listening "), after("listening http://"), after("key "));
    server.wait_for("ready");

    let identity = path("identity");
    let member = ["chat", &url, "--server-key", &key, "--group-secret", &secret, "--identity", &identity];
    let mut members: Vec<Running> = (0..3).map(|_| Running::start(&member)).collect();
    for (number, member) in members.iter_mut().enumerate() {
        member.say(&format!("member {number}"));
        member.wait_for(&format!("member {number}"));
    }
    drop(members.pop());
    let mut guest = guest(&http);
    guest.send(Message::text(r#"[{"m":"hi"},{"m":"ch","_id":"lobby"}]"#)).unwrap();
    hears(&mut guest, "welcome");
    guest.send(Message::Ping(Bytes::new())).unwrap();
    guest.send(Message::text(r#"[{"m":"a","message":"said by a guest"}]"#)).unwrap();
    hears(&mut guest, "said by a guest");
    members[0].wait_for("said by a guest");
    operate(&http, "notify", r#"{"text":"said by the operator"}"#);
    hears(&mut guest, "said by the operator");
    operate(&http, "close", r#"{"room":"lobby"}"#);
    drop(guest);
    members[1].say("the last words");
    members[1].wait_for("the last words");
    server.end();

    let files = [file, path("session.1.rec"), path("session.2.rec")];
    let recordings = files.map(|file| read(File::new(&file)));
    for recording in &recordings {
        replay(recording, true).unwrap();
    }
    let services = &recordings[0];
    let has = |recording: &Recording, kind| recording.inputs.iter().any(|input| input.kind == kind);
    let comes = |shard: &Recording, text| {
        let packets = shard.inputs.iter().filter(|input| input.kind == kind::PACKETS).cloned().collect();
        holds(&Recording { inputs: packets, ..shard.clone() }, text)
    };
    let mine = [kind::SHARD_REPORT, kind::POLL_ORDERS, kind::REPORT, kind::WISH, kind::DRAIN];
    let guests = [kind::GUEST_CAME, kind::GUEST_SAID, kind::GUEST_TAKES, kind::GUEST_GONE];
    for kind in mine.into_iter().chain(guests) {
        assert!(has(services, kind), "kind {kind} was not recorded");
    }
    assert!(holds(services, "the last words") && holds(services, "said by a guest"));
    for shard in &recordings[1..] {
        assert!(!has(shard, kind::PACKETS) || has(shard, kind::POLL_REPORTS) && has(shard, kind::ORDER));
        assert!(!comes(shard, "member 0"), "what comes is encrypted");
    }
    assert!(recordings[1..].iter().any(|shard| has(shard, kind::PACKETS)));

    // Another secret, and nobody comes in.
    for mut shard in recordings.into_iter().skip(1).filter(|shard| has(shard, kind::PACKETS)) {
        let (start, own) = get::<(Start, (u8, [u8; 32]))>(&shard.inputs[0].bytes).unwrap();
        shard.inputs[0].bytes.clear();
        let encryption = start.encryption.clone().map(|of| Encryption { secret: None, ..of });
        (Start { encryption, ..start }, own).put(&mut shard.inputs[0].bytes);
        assert!(replay(&shard, true).is_err());
        replay(&shard, false).unwrap();
    }
}

type Guest = WebSocket<TcpStream>;

fn guest(http: &str) -> Guest {
    let stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{http}/ws"), stream).unwrap().0
}

/// Reads until there is a message with `text` in it.
fn hears(guest: &mut Guest, text: &str) {
    while !guest.read().unwrap().to_text().is_ok_and(|heard| heard.contains(text)) {}
}

fn operate(http: &str, what: &str, body: &str) {
    let mut stream = TcpStream::connect(http).unwrap();
    let len = body.len();
    write!(
        stream,
        "POST /admin/{what} HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer 0123456789abcdef\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let answer = io::read_to_string(stream).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
