//! Chats over a good network.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::Stdio;

use super::support::{Chat, Server, assert_whole, bowline, chat, run, signal, slots, url};

#[test]
fn two_see_the_same_in_the_same_order() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut chats: Vec<Chat> = (0..2)
        .map(|client| {
            Chat::start(&server.url(), &["--name", &format!("client {client}"), "--until-slot", "200"])
        })
        .collect();
    for number in 0..100 {
        for chat in &mut chats {
            chat.say(&number.to_string());
        }
    }
    let finished: Vec<_> = chats.into_iter().map(Chat::finish).collect();
    for chat in &finished {
        assert_eq!(chat.code, Some(0), "{}", chat.stderr);
        assert_whole(&chat.lines, 2, 100);
        assert_eq!(chat.lines, finished[0].lines);
    }
}

#[test]
fn names_and_texts_are_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let finished = chat(&server.url(), &["--name", "a\tb"], "tab\there\nback\\slash\n\x1b[2J\ngrüß\n\n");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let expected = [
        "1\ta\\tb\ttab\\there",
        "2\ta\\tb\tback\\\\slash",
        "3\ta\\tb\t\\x1b[2J",
        "4\ta\\tb\tgrüß",
        "5\ta\\tb\t",
    ];
    assert_eq!(finished.lines, expected);
}

#[test]
fn who_joins_late_gets_the_last_ones_and_then_everything_new() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(chat(&server.url(), &[], "old\n".repeat(130)).code, Some(0));

    let mut late = Chat::start(&server.url(), &["--last", "50", "--until-slot", "133"]);
    late.wait_for(50);
    assert_eq!(slots(&late.seen), (81..=130).collect::<Vec<_>>());
    assert_eq!(chat(&server.url(), &["--last", "0"], "new\nnewer\nnewest\n").lines.len(), 3);
    let late = late.finish();
    assert_eq!(late.code, Some(0), "{}", late.stderr);
    assert_eq!(slots(&late.lines), (81..=133).collect::<Vec<_>>());

    let everything = chat(&server.url(), &[], "");
    assert_eq!(slots(&everything.lines), (1..=133).collect::<Vec<_>>(), "without input, what is there");
}

#[test]
fn rooms_are_apart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for room in ["one", "two"] {
        let finished = chat(&server.url(), &["--room", room, "--name", "ann"], room);
        assert_eq!(finished.lines, [format!("1\tann\t{room}")]);
    }
}

#[test]
fn following_ends_with_sigint() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut follower = Chat::start(&server.url(), &["--follow"]);
    follower.say("first");
    follower.end_input();
    follower.wait_for(1);
    assert_eq!(chat(&server.url(), &["--last", "0"], "second\n").code, Some(0));
    follower.wait_for(2);
    signal(&follower.child, "INT");
    let follower = follower.finish();
    assert_eq!(follower.code, Some(0), "{}", follower.stderr);
    assert_eq!(follower.lines.len(), 2);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let long = "x".repeat(16 * 1024);
    let finished = chat(&server.url(), &["--name", "ann"], format!("{long}\n{long}y\nshort\n"));
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.lines, [format!("1\tann\t{long}"), "2\tann\tshort".to_owned()]);
    let told: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("xxx")).collect();
    let [told] = told[..] else { panic!("once, but {}", finished.stderr) };
    assert!(told.contains("not sent, it is longer than 16384 bytes: xxx") && told.ends_with("x…"), "{told}");
    assert!(told.len() < 200, "{told}");
}

#[test]
fn giving_up_ends_with_1_and_shows_everything_that_was_not_acknowledged() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = url(silent.local_addr().unwrap());
    // More than may be on their way, and more than wait behind them.
    let mut lines: Vec<String> = (1..=5000).map(|line| line.to_string()).collect();
    let input = lines.join("\n") + "\n\x1b[2J\tcaf\\";
    lines.push(r"\x1b[2J\tcaf\\".to_owned());
    let finished = chat(&server, &["--give-up-after", "2"], input);
    assert_eq!(finished.code, Some(1));
    assert!(finished.lines.is_empty());
    assert_eq!(finished.unacknowledged(), lines);
    assert!(finished.stderr.contains(&format!("connecting to {server}")), "{}", finished.stderr);
}

#[test]
fn a_server_that_stays_away_leaves_what_it_did_not_acknowledge() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut chat = Chat::start(&server.url(), &["--give-up-after", "2"]);
    for line in 0..100 {
        chat.say(&line.to_string());
    }
    chat.wait_for(100);
    drop(server);
    let lost: Vec<String> = (100..300).map(|line| line.to_string()).collect();
    for line in &lost {
        chat.say(line);
    }
    let finished = chat.finish();
    assert_eq!(finished.code, Some(1));
    assert_eq!(slots(&finished.lines), (1..=100).collect::<Vec<_>>());
    assert_eq!(finished.unacknowledged(), lost);
}

#[test]
fn a_signal_ends_it_with_what_was_not_acknowledged() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut chat = Chat::start(&url(silent.local_addr().unwrap()), &[]);
    chat.say("one");
    chat.say("two");
    chat.wait_for_words("connecting to");
    signal(&chat.child, "INT");
    let finished = chat.finish();
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.unacknowledged(), ["one", "two"]);
}

#[test]
fn whatever_a_line_consists_of_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut other = Chat::start(&server.url(), &["--follow"]);
    assert_eq!(chat(&server.url(), &["--name", "ann"], b"caf\xe9\n\xff\x00\n").code, Some(0));
    other.wait_for(2);
    signal(&other.child, "INT");
    assert_eq!(other.finish().lines, [r"1	ann	caf\xe9", r"2	ann	\xff\x00"]);
}

#[test]
fn a_closed_output_ends_it_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(chat(&server.url(), &[], "first\n").code, Some(0));
    let mut follower = bowline(["chat", &server.url(), "--follow"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(follower.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(slots(&[line]), [1]);
    assert_eq!(chat(&server.url(), &["--last", "0"], "second\n").code, Some(0));
    let follower = follower.wait_with_output().unwrap();
    assert_eq!(follower.status.code(), Some(141));
    let stderr = String::from_utf8(follower.stderr).unwrap();
    assert!(stderr.contains("joined; the room's log has 1 entry\n"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_server_that_was_stopped_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let address = server.address().to_string();
    let mut follower = Chat::start(&server.url(), &["--until-slot", "2"]);
    follower.say("before");
    follower.wait_for(1);
    let (status, rest) = server.signal("TERM");
    assert_eq!(status.code(), Some(0));
    assert!(rest.is_empty(), "{rest:?}");
    let _server = Server::start_on(dir.path(), &[&address]);
    follower.say("after");
    let follower = follower.finish();
    assert_eq!(follower.code, Some(0), "{}", follower.stderr);
    assert_eq!(slots(&follower.lines), [1, 2]);
    assert!(follower.stderr.contains("lost") && follower.stderr.contains("back"), "{}", follower.stderr);
}

#[test]
fn any_listener_serves_the_same_rooms() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_on(dir.path(), &["127.0.0.1:0", "127.0.0.1:0"]);
    for (&address, slot) in server.addresses.iter().zip(1..) {
        let finished = chat(&url(address), &[], "hello\n");
        assert_eq!(slots(&finished.lines), (1..=slot).collect::<Vec<_>>());
    }
}

#[test]
fn a_name_is_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let output = run(&["chat", &format!("udp://localhost:{}", server.address().port()), "--until-slot", "0"]);
    assert_eq!(output.status.code(), Some(2), "slots count from 1");
    let finished = chat(&format!("udp://localhost:{}", server.address().port()), &[], "hello\n");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}
