//! Settings from files and the environment, and the log.

use std::io::Write as _;
use std::process::Stdio;

use tempfile::tempdir;
use tungstenite::Message;

use crate::admin::{TOKEN, ask};
use crate::support::{Server, bowline, chat, run, write_private};
use crate::web::{heard, socket};

#[test]
fn a_setting_that_is_wrong_ends_with_2_and_names_file_line_and_key() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("bowline.toml");
    for (text, part) in
        [("\nmax-htp = 7", ":2: max-htp: there is no"), ("log = 7", ":1: log: expected a text")]
    {
        std::fs::write(&file, text).unwrap();
        for command in ["serve", "config"] {
            let output = run(&[command, "--config", file.to_str().unwrap()]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(&format!("{}{part}", file.display())), "{said}");
            assert!(output.stdout.is_empty());
        }
    }
    let output = bowline(["config"]).env("BOWLINE_MAX_HTTP", "many").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = bowline(["config"]).env("BOWLINE_MAX_HTPP", "7").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("did you mean BOWLINE_MAX_HTTP?"), "{said}");
}

#[test]
fn a_server_has_the_settings_of_its_file() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("bowline.toml");
    let data = dir.path().join("data");
    std::fs::write(&file, "udp = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nmotd = \"from a file\"\n")
        .unwrap();
    let server = Server::start_with(&data, &["--config", file.to_str().unwrap()]);
    let mut guest = socket(&server, "/ws");
    guest.send(Message::text(r#"[{"m":"hi"}]"#)).unwrap();
    assert_eq!(heard(&mut guest, "hi")["motd"], "from a file");
    assert_eq!(chat(&server.url(), &[], "hello\n").code, Some(0));
}

#[test]
fn what_config_prints_is_a_file_that_says_the_same() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("bowline.toml");
    let first = run(&["config", "--udp", "127.0.0.1:7", "--unlimited", "--motd", "a \"b\""]);
    assert!(first.status.success());
    std::fs::File::create(&file).unwrap().write_all(&first.stdout).unwrap();
    let second = run(&["config", "--config", file.to_str().unwrap()]);
    let values = |text: &[u8]| -> Vec<String> {
        let text = String::from_utf8(text.to_vec()).unwrap();
        text.lines().map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value).to_owned()).collect()
    };
    assert_eq!(values(&first.stdout), values(&second.stdout));
}

#[test]
fn the_log_is_json_where_that_is_wanted_and_holds_no_secrets() {
    let dir = tempdir().unwrap();
    let (token, salt) = (dir.path().join("token"), dir.path().join("salt"));
    write_private(&token, TOKEN);
    write_private(&salt, "grains of salt, 24 bytes");
    let data = dir.path().join("data");
    let server = Server::start_with(
        &data,
        &[
            &["--udp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "trace", "--log-format", "json"][..],
            &["--admin-token-file", token.to_str().unwrap(), "--salt-file", salt.to_str().unwrap()],
        ]
        .concat(),
    );
    let mut guest = socket(&server, "/ws");
    guest
        .send(Message::text(r#"[{"m":"hi","token":"the token of a guest"},{"m":"ch","_id":"a room"}]"#))
        .unwrap();
    heard(&mut guest, "ch");
    guest.send(Message::text(r#"[{"m":"a","message":"words between us"}]"#)).unwrap();
    heard(&mut guest, "a");
    assert_eq!(chat(&server.url(), &[], "words from a pipe\n").code, Some(0));
    assert!(ask(&server, "GET", "/admin/rooms", TOKEN, "").contains("a room"));
    assert!(ask(&server, "GET", "/admin/rooms", "a token that is wrong", "").contains(" 401 "));
    let metrics = ask(&server, "GET", "/metrics", "", "");
    assert!(metrics.contains("bowline_ready 1"), "{metrics}");
    let key = std::fs::read(data.join("server.key")).unwrap();
    let key_hex = key[..8].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let key_capitals = key_hex.to_uppercase();
    let said = server.end_and_read_log();
    let objects = said.lines().filter(|line| !line.starts_with("to chat, type")).map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let mut count = 0;
    for object in objects {
        assert!(object["timestamp"].is_string() && object["level"].is_string(), "{object}");
        count += 1;
    }
    assert!(count > 5, "{said}");
    let list = format!("{:?}", &key[..8]);
    let list = list.trim_matches(|c| c == '[' || c == ']');
    for secret in [
        TOKEN,
        "a token that is wrong",
        "grains of salt",
        "the token of a guest",
        "words between us",
        "words from a pipe",
        &key_hex,
        &key_capitals,
        list,
        &list.replace(", ", ","),
        &key[..8].escape_ascii().to_string(),
    ] {
        assert!(!said.contains(secret), "{secret:?} is in the log");
        assert!(!metrics.contains(secret), "{secret:?} is among the metrics");
    }
}
