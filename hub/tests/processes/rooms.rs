//! People at prompts and guests over web sockets, in the same rooms.

use std::net::TcpStream;

use adapter_tokio::{ConfigBuilder, Endpoint};
use proto_core::Message as Sent;
use proto_core::chat::ClientSecret;
use proto_core::room::{Client, Command, Event};
use serde_json::{Value, json};
use tempfile::tempdir;
use tungstenite::{Message, WebSocket};

use crate::support::{Chat, Server, chat};
use crate::web::{heard, socket, start};

/// Somebody at a prompt that is a pipe.
struct Member(Chat);

impl Member {
    fn enter(server: &Server, name: &str, room: &str) -> Self {
        Self(Chat::start(&server.url(), &["--commands", "--name", name, "--room", room]))
    }

    fn type_in(&mut self, line: &str) -> &mut Self {
        self.0.say(line);
        self
    }

    /// Waits for a line like this.
    fn sees(&mut self, text: &str) -> &mut Self {
        let mut at = 0;
        loop {
            while at < self.0.seen.len() {
                if self.0.seen[at].contains(text) {
                    self.0.seen.drain(..=at);
                    return self;
                }
                at += 1;
            }
            self.0.wait_for(at + 1);
            println!("sees {:?}", self.0.seen[at]);
        }
    }
}

fn guest(server: &Server, name: &str, room: &str) -> (WebSocket<TcpStream>, String) {
    let mut socket = socket(server, "/ws");
    let hello = json!([{"m": "hi"}, {"m": "userset", "set": {"name": name}}, {"m": "ch", "_id": room}]);
    socket.send(Message::text(hello.to_string())).unwrap();
    let me = heard(&mut socket, "ch")["p"].as_str().unwrap().to_owned();
    (socket, me)
}

fn say(socket: &mut WebSocket<TcpStream>, message: &Value) {
    socket.send(Message::text(json!([message]).to_string())).unwrap();
}

#[test]
fn a_terminal_and_a_web_socket_in_one_room_see_each_other_and_the_crown() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let mut ann = Member::enter(&server, "ann", "a room");
    ann.sees("-- you are in a room, alone").sees("-- you have the crown").sees("-- joined; ");
    let (mut gus, gus_id) = guest(&server, "gus", "a room");
    ann.sees("-- gus has come");
    ann.type_in("hello there").sees("] ann: hello there");
    let line = heard(&mut gus, "a");
    assert_eq!((&line["a"], &line["p"]["name"]), (&json!("hello there"), &json!("ann")));
    let ann_id = line["p"]["id"].as_str().unwrap().to_owned();
    say(&mut gus, &json!({"m": "a", "message": "hello ann"}));
    ann.sees("] gus: hello ann");
    ann.type_in("~/who").sees("] ann: /who");
    ann.type_in("/who").sees("-- 2 people in a room:").sees("ann #").sees("gus #");
    // The crown goes to and fro.
    ann.type_in("/crown").sees("-- you have the crown");
    ann.type_in("/crown GUS").sees("-- gus has the crown");
    ann.type_in("/crown GUS").sees("-- gus has the crown");
    while heard(&mut gus, "ch")["ch"]["crown"]["participantId"] != *gus_id {}
    ann.type_in("/kick gus").sees("-- that was refused: only who has the crown may");
    say(&mut gus, &json!({"m": "chown", "id": ann_id}));
    ann.sees("-- you have the crown");
    ann.type_in("/drop")
        .sees("-- the crown lies on the ground")
        .type_in("/crown")
        .sees("-- you have the crown");
    // A name is changed for all, and in what is said from then on.
    ann.type_in("/nick Anna Lena")
        .sees("-- you are Anna Lena now")
        .type_in("still me")
        .sees("] Anna Lena: still me");
    while heard(&mut gus, "a")["a"] != "still me" {}
    ann.type_in("/history 2").sees("] ann: /who").sees("] Anna Lena: still me");
    let ann = ann.0.finish();
    assert_eq!(ann.code, Some(0), "{}", ann.stderr);
    while heard(&mut gus, "bye")["p"] != *ann_id {}
}

#[test]
fn who_is_kicked_or_banned_is_sent_away_and_may_be_let_in_again() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &["--unlimited"]);
    let mut ann = Member::enter(&server, "ann", "a room");
    ann.sees("-- you have the crown");
    let mut bob = Member::enter(&server, "bob", "a room");
    bob.sees("-- you are in a room with ann").sees("-- ann has the crown").sees("-- joined; ");
    ann.sees("-- bob has come");
    ann.type_in("/kick bob").sees("-- bob has left");
    bob.sees("Kicked from \"a room\".").sees("-- you are in test/awkward, alone");
    bob.type_in("session join a room").sees("-- you are in a room with ann");
    ann.sees("-- bob has come").type_in("/ban bob 61").sees("-- a ban is for at most 60 minutes");
    ann.type_in("/ban nobody").sees("-- nobody here is called nobody");
    ann.type_in("/ban bob 5").sees("banned bob from the channel for 5 minutes.").sees("-- bob has left");
    bob.sees("for 5 minutes.").sees("-- you are in test/awkward").sees("-- joined; ");
    bob.type_in("/join a room").sees("Currently banned from \"a room\"");
    let (mut gus, _) = guest(&server, "gus", "a room");
    ann.sees("-- gus has come").type_in("/ban gus");
    assert_eq!(heard(&mut gus, "ch")["ch"]["_id"], "test/awkward");
    ann.sees("-- gus has left").type_in("/unban bob");
    // It is lifted once that is durable.
    loop {
        bob.type_in("/join a room");
        bob.0.wait_for(bob.0.seen.len() + 1);
        if bob.0.seen.drain(..).any(|line| line.contains("-- you are in a room")) {
            break;
        }
    }
    ann.sees("-- bob has come");
}

#[test]
fn rooms_are_listed_joined_and_left_and_a_line_is_said_where_it_was_typed() {
    let data = tempdir().unwrap();
    let mut server = start(data.path(), &[]);
    let _gus = guest(&server, "gus", "with gus");
    let mut ann = Member::enter(&server, "ann", "lobby");
    ann.sees("-- joined; the room is empty");
    ann.type_in("session list")
        .sees("-- 2 rooms:")
        .sees("lobby: 1 person, you are here")
        .sees("with gus: 1 person");
    ann.type_in("one")
        .type_in("session join with gus")
        .type_in("two")
        .type_in("/join lobby")
        .type_in("three");
    ann.sees("[1] ann: one")
        .sees("-- you are in with gus with gus")
        .sees("ann: two")
        .sees("-- you are in lobby, alone");
    ann.sees("[1] ann: one").sees("[2] ann: three");
    assert_eq!(chat(&server.url(), &[], "").lines, ["1\tann\tone", "2\tann\tthree"]);
    for (line, answer) in [
        ("/frobnicate", "-- there is no /frobnicate: /help shows what there is"),
        ("/help", "-- /who"),
        ("help", "-- session join ROOM"),
        ("/crown", "-- this room has no crown"),
        ("/join lobby", "-- you are there already"),
    ] {
        ann.type_in(line).sees(answer);
    }
    // It outlives the server, and what is said meanwhile is said once.
    let url = server.urls.clone();
    server.kill();
    drop(server);
    ann.type_in("while it was away");
    let arguments: Vec<&str> = url
        .iter()
        .flat_map(|url| match url.split_once("://").unwrap() {
            ("udp", address) => ["--udp", address],
            (_, address) => ["--http", address],
        })
        .collect();
    let server = Server::start_with(data.path(), &arguments);
    ann.sees("-- back").sees("[3] ann: while it was away");
    let ann = ann.0.finish();
    assert_eq!(ann.code, Some(0), "{}", ann.stderr);
    assert_eq!(chat(&server.url(), &[], "").lines.len(), 3);
}

#[test]
fn crowns_and_settings_outlive_a_server_that_goes_in_good_order() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let come = |server: &Server, who: &str, room: &str| {
        let mut socket = socket(server, "/ws");
        let token = format!("the secret token of {who}");
        say(&mut socket, &json!({"m": "hi", "token": token}));
        say(&mut socket, &json!({"m": "ch", "_id": room}));
        let ch = heard(&mut socket, "ch");
        (socket, ch)
    };
    let (mut ann, ch) = come(&server, "ann", "a room");
    let ann_id = ch["p"].clone();
    say(&mut ann, &json!({"m": "chset", "set": {"color": "#123456", "limit": 7}}));
    while heard(&mut ann, "ch")["ch"]["settings"]["limit"] != 7 {}
    // And one at a prompt, who has the crown of another room.
    let mut nat = Member::enter(&server, "nat", "b room");
    nat.sees("-- you have the crown").sees("-- joined; ");
    let (_gus, ch) = come(&server, "gus", "b room");
    let nat_id = ch["ch"]["crown"]["userId"].clone();
    assert!(server.signal("TERM").0.success());
    nat.0.child.kill().unwrap();
    nat.0.child.wait().unwrap();
    let server = start(data.path(), &[]);
    let (_bob, ch) = come(&server, "bob", "a room");
    assert_eq!(ch["ch"]["crown"]["userId"], ann_id);
    assert_eq!(
        (&ch["ch"]["settings"]["color"], &ch["ch"]["settings"]["limit"]),
        (&json!("#123456"), &json!(7))
    );
    let (_ann, ch) = come(&server, "ann", "a room");
    assert_eq!(ch["ch"]["crown"]["participantId"], ann_id);
    let (_gus, ch) = come(&server, "gus", "b room");
    assert_eq!(ch["ch"]["crown"]["userId"], nat_id);
}

#[test]
fn who_only_listens_hears_what_is_played() {
    let data = tempdir().unwrap();
    let server = start(data.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = Endpoint::client(ConfigBuilder::chat()).unwrap();
        let connection = endpoint.connect(server.address()).await.unwrap();
        let [control, play] = Client::channels().map(|options| connection.open_channel(&options).unwrap());
        let hello = Command::Hello { secret: ClientSecret([5; 32]), name: "lis".into(), color: None };
        for command in [hello, Command::Enter { room: "a room".into(), set: None }] {
            control.send(Sent::new(command.to_bytes())).await.unwrap();
        }
        while !matches!(Event::decode(&control.recv().await.unwrap().payload), Ok(Event::Snapshot(_))) {}
        let (mut gus, _) = guest(&server, "gus", "a room");
        say(&mut gus, &json!({"m": "n", "t": 1, "n": [{"n": "a1", "v": 0.5}]}));
        let heard = Event::decode(&play.recv().await.unwrap().payload).unwrap();
        assert!(matches!(&heard, Event::Notes(notes) if &*notes.notes.notes[0].key == "a1"), "{heard:?}");
    });
}
