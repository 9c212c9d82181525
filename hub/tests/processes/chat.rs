//! Chats over a good network.

use std::net::UdpSocket;

use super::support::{Chat, Server, assert_whole, chat, run, slots, url};

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
    assert_eq!(chat(&server.url(), &[], &"old\n".repeat(130)).code, Some(0));

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
    super::support::signal(&follower.child, "INT");
    let follower = follower.finish();
    assert_eq!(follower.code, Some(0), "{}", follower.stderr);
    assert_eq!(follower.lines.len(), 2);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let long = "x".repeat(16 * 1024);
    let finished = chat(&server.url(), &["--name", "ann"], &format!("{long}\n{long}y\nshort\n"));
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.lines, [format!("1\tann\t{long}"), "2\tann\tshort".to_owned()]);
    assert!(finished.stderr.contains("larger than"), "{}", finished.stderr.len());
}

#[test]
fn giving_up_ends_with_1_and_shows_what_was_not_acknowledged() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let finished = chat(&url(silent.local_addr().unwrap()), &["--give-up-after", "1"], "one\ntwo\n");
    assert_eq!(finished.code, Some(1));
    assert!(finished.lines.is_empty());
    let shown: Vec<&str> =
        finished.stderr.lines().filter_map(|line| line.strip_prefix("unacknowledged: ")).collect();
    assert_eq!(shown, ["one", "two"]);
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
