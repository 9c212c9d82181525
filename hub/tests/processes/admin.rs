//! What who runs the server asks and does, and whether that is as docs/admin.json says.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::tempdir;
use tungstenite::Message;

use crate::node::{program, skip, web};
use crate::support::{Server, write_private};
use crate::web::{exchange, get as get_page, heard, socket, start};

pub(crate) const TOKEN: &str = "a token of some length";

/// A server whose operator shows [`TOKEN`].
pub(crate) fn start_with_token(data: &Path) -> Server {
    let token = data.join("token");
    write_private(&token, format!("{TOKEN}\n"));
    start(data, &["--admin-token-file", token.to_str().unwrap()])
}

pub(crate) fn ask(server: &Server, method: &str, path: &str, token: &str, body: &str) -> String {
    let len = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
    );
    exchange(server, &format!("{head}Content-Length: {len}\r\n\r\n{body}"))
}

fn status(answer: &str) -> String {
    answer[9..12].to_owned()
}

fn json(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_operator_lists_bans_notifies_kicks_and_drains_and_nobody_else_does() {
    let data = tempdir().unwrap();
    let server = start_with_token(data.path());
    let ask = |method: &str, path: &str, token: &str, body: &str| {
        ask(&server, method, &format!("/admin/{path}"), token, body)
    };
    let get = |path: &str| ask("GET", path, TOKEN, "");
    let post = |path: &str, body: &str| ask("POST", path, TOKEN, body);
    let mut guest = socket(&server, "/ws");
    guest.send(Message::text(r#"[{"m":"hi"},{"m":"ch","_id":"a room"}]"#)).unwrap();
    let user = heard(&mut guest, "ch")["p"].as_str().unwrap().to_owned();
    for path in ["rooms", "clients", "ban", "kick", "drain"] {
        for wrong in ["", "a token of some lengt", "a token of some length."] {
            assert_eq!(status(&ask("POST", path, wrong, "{}")), "401", "{path}");
        }
    }
    let rooms = json(&get("rooms"));
    assert_eq!(rooms["rooms"][0]["room"], "a room");
    assert_eq!(rooms["rooms"][0]["participants"][0]["user"], *user);
    assert_eq!(json(&get("clients"))["clients"][0]["guest"], 1);
    assert_eq!(status(&post("notify", r#"{"text":"soon","title":"Restart"}"#)), "200");
    assert_eq!(heard(&mut guest, "notification")["title"], "Restart");
    let nobody = "0".repeat(24);
    for (path, body, expected) in [
        ("ban", "", "400"),
        ("ban", "[]", "400"),
        ("ban", "{", "400"),
        ("ban", r#"{"room":"a room","user":"x"}"#, "400"),
        ("ban", &format!(r#"{{"room":"a room","user":"{user}","ms":3600001}}"#), "400"),
        ("ban", &format!(r#"{{"room":"elsewhere","user":"{user}"}}"#), "404"),
        ("ban", r#"{"room":"a room","prefix":"192.0.2"}"#, "400"),
        ("ban", &format!(r#"{{"room":"a room","user":"{user}","prefix":"192.0.2.1"}}"#), "400"),
        ("ban", r#"{"room":"a room","prefix":"127.0.0.1"}"#, "404"),
        ("kick", &format!(r#"{{"user":"{nobody}"}}"#), "404"),
        ("close", r#"{"room":"elsewhere"}"#, "404"),
        ("notify", r#"{"text":" "}"#, "400"),
        ("notify", r#"{"text":"x","room":7}"#, "400"),
        ("nothing", "{}", "404"),
        ("rooms", "{}", "405"),
    ] {
        let answer = post(path, body);
        assert_eq!(status(&answer), expected, "{path} {body}");
        assert!(json(&answer)["error"].is_string());
    }
    for path in ["ban", "unban"] {
        for prefix in ["192.0.2.7", "2001:db8::1"] {
            let body = format!(r#"{{"room":"a room","prefix":"{prefix}"}}"#);
            assert_eq!(status(&post(path, &body)), "200", "{path} {body}");
        }
    }
    assert_eq!(status(&post("ban", &" ".repeat(70_000))), "413");
    let banned = post("ban", &format!(r#"{{"room":"a room","user":"{user}","ms":60000}}"#));
    assert_eq!(status(&banned), "200");
    let words = heard(&mut guest, "notification")["text"].clone();
    assert_eq!(words, "The operator banned Anonymous from the channel for 1 minutes.");
    assert_eq!(heard(&mut guest, "notification")["text"], "Banned from \"a room\" for 1 minutes.");
    assert_eq!(heard(&mut guest, "ch")["ch"]["_id"], "test/awkward");
    assert_eq!(json(&post("kick", &format!(r#"{{"user":"{user}"}}"#)))["connections"], 1);
    let end = loop {
        if let Message::Close(frame) = guest.read().unwrap() {
            break frame.unwrap();
        }
    };
    assert_eq!(u16::from(end.code), 4008);
    assert_eq!(status(&post("drain", "")), "200");
    assert!(server.ended().success());
    let plain = start(data.path(), &[]);
    assert!(get_page(&plain, "/admin/rooms").starts_with("HTTP/1.1 404 "), "it is off by default");
}

/// What of `value` is not as `schema` says.
fn mismatch(all: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let named =
            all.pointer(name.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{name} is nowhere"));
        return mismatch(all, named, value);
    }
    let is_so = match schema["type"].as_str().expect("a schema has a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("a type that this test does not know: {other}"),
    };
    if !is_so {
        return Some(format!("{value} is not as {schema}"));
    }
    if schema["pattern"] == "^[0-9a-f]{24}$" {
        let text = value.as_str().unwrap();
        if text.len() != 24
            || !text.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
        {
            return Some(format!("{value} is no user"));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return Some(format!("{name} is missing in {value}"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => {
                if let Some(wrong) = mismatch(all, schema, inner) {
                    return Some(wrong);
                }
            }
            None => return Some(format!("{name} is not described")),
        }
    }
    value.as_array().into_iter().flatten().find_map(|inner| mismatch(all, &schema["items"], inner))
}

#[test]
fn every_operation_answers_as_it_is_described() {
    let data = tempdir().unwrap();
    let server = start_with_token(data.path());
    let described = json(&get_page(&server, "/admin/openapi.json"));
    let mut guest = socket(&server, "/ws");
    guest.send(Message::text(r#"[{"m":"hi"},{"m":"ch","_id":"a room"}]"#)).unwrap();
    let user = heard(&mut guest, "ch")["p"].as_str().unwrap().to_owned();
    // An operation's name, a body that it takes, and bodies that it does not.
    let of_a_room = json!({"room": "a room", "user": user});
    let nobody = json!({"room": "elsewhere", "user": user});
    let bodies = [
        ("rooms", json!(null), vec![]),
        ("clients", json!(null), vec![]),
        ("backup", json!(null), vec![]),
        ("notify", json!({"text": "soon", "room": "a room"}), vec![(json!({}), "400")]),
        ("ban", of_a_room.clone(), vec![(json!({"room": 7}), "400"), (nobody.clone(), "404")]),
        ("unban", json!({"room": "test/awkward", "user": user}), vec![(json!({}), "400"), (nobody, "404")]),
        (
            "close",
            json!({"room": "test/awkward"}),
            vec![(json!({"room": ""}), "400"), (json!({"room": "x"}), "404")],
        ),
        (
            "kick",
            json!({"user": user}),
            vec![(json!({"user": "x"}), "400"), (json!({"user": "0".repeat(24)}), "404")],
        ),
        ("drain", json!(null), vec![]),
    ];
    let mut known: Vec<String> = bodies.iter().map(|(name, ..)| format!("/admin/{name}")).collect();
    known.sort();
    let paths = described["paths"].as_object().unwrap();
    assert_eq!(paths.keys().cloned().collect::<Vec<_>>(), known, "each is asked here");
    let check = |method: &str, path: &str, token: &str, body: &Value, expected: &str| {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = ask(&server, &method.to_uppercase(), path, token, &text);
        assert_eq!(status(&answer), expected, "{path} {text}: {answer}");
        let as_described = &paths[path][method]["responses"][expected];
        if let Some(kind) =
            as_described["content"].as_object().unwrap().keys().find(|kind| *kind != "application/json")
        {
            return assert!(
                answer.to_lowercase().contains(&format!("\r\ncontent-type: {kind}\r\n")),
                "{answer}"
            );
        }
        let schema = &as_described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}: {expected} is not described");
        assert_eq!(mismatch(&described, schema, &json(&answer)), None, "{path} {expected}");
        assert!(answer.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{answer}");
    };
    for (name, good, wrong) in &bodies {
        let path = &format!("/admin/{name}");
        let methods: Vec<_> = paths[path].as_object().unwrap().keys().collect();
        let [method] = methods[..] else { panic!("{path} has {methods:?}") };
        let other = if method == "get" { "POST" } else { "GET" };
        assert_eq!(status(&ask(&server, other, path, TOKEN, "{}")), "405", "{path}");
        check(method, path, "another token altogether", good, "401");
        for (body, expected) in wrong {
            check(method, path, TOKEN, body, expected);
        }
        if method == "post" {
            let long = ask(&server, "POST", path, TOKEN, &" ".repeat(70_000));
            assert_eq!(status(&long), "413", "{path}");
            assert!(paths[path]["post"]["responses"]["413"].is_object());
        }
        check(method, path, TOKEN, good, "200");
        if *name == "ban" {
            assert_eq!(heard(&mut guest, "ch")["ch"]["_id"], "test/awkward");
        }
    }
    assert!(server.ended().success(), "it was drained");
}

/// Requests that a program makes up from the description, where it is: `BOWLINE_SCHEMATHESIS` is the command for it.
#[test]
fn schemathesis_finds_nothing_that_is_not_described() {
    let given = std::env::var("BOWLINE_SCHEMATHESIS").ok();
    let found = || program(&["schemathesis", "st"]).map(|file| file.to_str().unwrap().to_owned());
    let Some(command) = given.or_else(found) else {
        return skip(
            "the description of the admin API was",
            "there is no schemathesis here (BOWLINE_SCHEMATHESIS is the command for it)",
        );
    };
    let data = tempdir().unwrap();
    let server = start_with_token(data.path());
    let description = format!("{}/admin/openapi.json", web(&server));
    let authorized = format!("Authorization: Bearer {TOKEN}");
    let mut suite = Command::new(command);
    suite
        .args(["run", &description, "--header", &authorized, "--exclude-path", "/admin/drain"])
        .args(["--checks", "all", "--exclude-checks", "unsupported_method", "--max-examples", "15"])
        .args(["--seed", "1", "--no-color", "--generation-database", "none"])
        .current_dir(data.path())
        .stdin(Stdio::null());
    let done = suite.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(get_page(&server, "/healthz").starts_with("HTTP/1.1 200 "));
}
