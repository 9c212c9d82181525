//! Encrypted datagrams: whom a chat trusts, and what nobody learns.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::admin::{TOKEN, ask};
use crate::support::{Chat, Server, chat, run, write_private};

const ALWAYS: [&str; 4] = ["--udp", "127.0.0.1:0", "--encrypt", "always"];

fn key(server: &Server) -> &str {
    server.key.as_deref().expect("it encrypts")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Nobody else can read a file from here on.
fn private(file: &Path) {
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_chat_with_the_servers_key_is_encrypted_and_one_with_another_is_refused() {
    let data = tempdir().unwrap();
    let server = Server::start_with(data.path(), &ALWAYS);
    let said = chat(&server.url(), &["--server-key", key(&server), "--name", "ann"], "hello\n");
    assert_eq!((said.code, said.lines), (Some(0), vec!["1\tann\thello".to_owned()]), "{}", said.stderr);
    let other = "00".repeat(31) + "09";
    let refused = chat(&server.url(), &["--server-key", &other], "hello\n");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another key"), "{}", refused.stderr);
    let plain = chat(&server.url(), &["--encrypt", "never"], "hello\n");
    assert_eq!(plain.code, Some(1));
    assert!(plain.stderr.contains("encrypted datagrams only"), "{}", plain.stderr);
}

#[test]
fn a_server_of_this_machine_that_encrypts_for_others_is_found_all_the_same() {
    let data = tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--udp", "0.0.0.0:0"]);
    assert!(server.key.is_some());
    let url = format!("udp://127.0.0.1:{}", server.address().port());
    for turn in 1..3 {
        let said = chat(&url, &["--name", "ann"], "hello\n");
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert_eq!(said.lines.last(), Some(&format!("{turn}\tann\thello")), "{}", said.stderr);
    }
    let both = chat(&url, &["tcp://127.0.0.1:1", "--name", "ann"], "hello\n");
    assert_eq!(both.code, Some(0), "{}", both.stderr);
}

#[test]
fn a_key_is_trusted_on_first_use_and_said_so_and_kept() {
    let (data, other) = (tempdir().unwrap(), tempdir().unwrap());
    let known = data.path().join("known-servers");
    let trusting = ["--encrypt", "always", "--known-servers", text(&known), "--name", "ann"];
    let server = Server::start_with(data.path(), &ALWAYS);
    let (url, address, first) = (server.url(), server.address().to_string(), key(&server).to_owned());
    let met = chat(&url, &trusting, "hello\n");
    assert_eq!(met.code, Some(0), "{}", met.stderr);
    assert!(met.stderr.contains("nobody vouches") && met.stderr.contains(&first), "{}", met.stderr);
    let again = chat(&url, &trusting, "again\n");
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(!again.stderr.contains("nobody vouches"), "{}", again.stderr);

    drop(server);
    let same = Server::start_with(data.path(), &["--udp", &address, "--encrypt", "always"]);
    assert_eq!(key(&same), first, "a server keeps its key");
    drop(same);
    let impostor = Server::start_with(other.path(), &["--udp", &address, "--encrypt", "always"]);
    assert_ne!(key(&impostor), first);
    let refused = chat(&url, &trusting, "hello?\n");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another key"), "{}", refused.stderr);
}

#[test]
fn plaintext_is_not_fallen_back_to() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    assert_eq!(server.key, None, "on loopback nothing is encrypted unless asked");
    let refused = chat(&server.url(), &["--server-key", &"01".repeat(32)], "hello\n");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("does not encrypt"), "{}", refused.stderr);
    let mixed = ["tcp://192.0.2.1:1", "--encrypt", "always"];
    let refused = chat(&server.url(), &mixed, "hello\n");
    assert!(refused.code == Some(1) && refused.stderr.contains("is not encrypted"), "{}", refused.stderr);
}

#[test]
fn beyond_loopback_datagrams_are_encrypted_unless_told_otherwise() {
    let data = tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--udp", "0.0.0.0:0"]);
    assert!(server.key.is_some());
    drop(server);
    let plain = Server::start_with(data.path(), &["--udp", "0.0.0.0:0", "--encrypt", "never"]);
    assert_eq!(plain.key, None);
    drop(plain);
}

#[test]
fn a_closed_group_has_a_secret_that_no_log_has() {
    let data = tempdir().unwrap();
    let file = data.path().join("group");
    let secret = "a secret of the whole group";
    fs::write(&file, format!("{secret}\n")).unwrap();
    #[cfg(unix)]
    {
        let told = run(&[
            "serve",
            "--data",
            text(data.path()),
            "--encrypt",
            "always",
            "--group-secret",
            text(&file),
        ]);
        assert!(!told.status.success());
        assert!(String::from_utf8_lossy(&told.stderr).contains("chmod 600"), "{told:?}");
    }
    private(&file);
    let log = data.path().join("log");
    let arguments = [&ALWAYS[..], &["--group-secret", text(&file), "--log", "trace"]].concat();
    let server = Server::start_with(&log, &arguments);
    let member = ["--server-key", key(&server), "--group-secret", text(&file), "--name", "ann"];
    let said = chat(&server.url(), &member, "hello\n");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let outsider = chat(&server.url(), &["--server-key", key(&server)], "hello\n");
    assert_eq!(outsider.code, Some(1));
    assert!(outsider.stderr.contains("group secret"), "{}", outsider.stderr);
    let private = fs::read(log.join("server.key")).expect("it has one");
    let logged = server.end_and_read_log();
    let hex: String = private.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    for secret in [secret, &hex, &format!("{private:?}")] {
        assert!(!logged.contains(secret) && !said.stderr.contains(secret), "{logged}");
    }
    fs::write(&file, "short").unwrap();
    let told = run(&["serve", "--data", text(&log), "--encrypt", "always", "--group-secret", text(&file)]);
    assert!(!told.status.success());
    assert!(String::from_utf8_lossy(&told.stderr).contains("at least 16 bytes"), "{told:?}");
}

/// Makes a key; its file and its public half.
fn new_key(file: &Path) -> String {
    let made = run(&["key", "new", text(file)]);
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[test]
fn only_those_whose_key_is_listed_come_in_and_they_go_on_after_a_restart() {
    let data = tempdir().unwrap();
    let [ann, eve, list] = ["ann", "eve", "allowed"].map(|name| data.path().join(name));
    let key_of_ann = new_key(&ann);
    new_key(&eve);
    fs::write(&list, format!("# who may come in\n\n{key_of_ann} ann, at home\n")).unwrap();
    for shards in ["1", "2"] {
        let arguments = [&ALWAYS[..], &["--tcp", "127.0.0.1:0", "--shards", shards]].concat();
        let arguments = [&arguments[..], &["--allowed-keys", text(&list)]].concat();
        let server = Server::start_with(data.path(), &arguments);
        let pinned = ["--server-key", key(&server), "--name", "ann"];
        let as_ann = [&pinned[..], &["--identity", text(&ann), "--last", "1"]].concat();
        let said = chat(&server.url(), &as_ann, "hello\n");
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let as_eve = [&pinned[..], &["--identity", text(&eve)]].concat();
        let refused = chat(&server.url(), &as_eve, "hello\n");
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("is not allowed here"), "{}", refused.stderr);
        let nobody = chat(&server.url(), &pinned, "hello\n");
        assert!(nobody.code == Some(1) && nobody.stderr.contains("is not allowed here"), "{}", nobody.stderr);
        let tcp = server.urls.iter().find(|url| url.starts_with("tcp://")).expect("it listens");
        let keyless = chat(tcp, &["--name", "ann"], "hello\n");
        assert!(
            keyless.code == Some(1) && keyless.stderr.contains("only those with a key"),
            "{}",
            keyless.stderr
        );
        let private = fs::read_to_string(&ann).unwrap();
        let logged = server.end_and_read_log();
        assert!(!logged.contains(private.trim()) && !said.stderr.contains(private.trim()), "{logged}");
    }
}

#[test]
fn keys_are_made_once_and_lists_that_make_no_sense_are_refused() {
    let data = tempdir().unwrap();
    let [file, list] = ["key", "allowed"].map(|name| data.path().join(name));
    let made = new_key(&file);
    let again = run(&["key", "new", text(&file)]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is there already"));
    let shown = run(&["key", "show", text(&file)]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), made);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let shown = run(&["key", "show", text(&file)]);
        assert!(!shown.status.success() && String::from_utf8_lossy(&shown.stderr).contains("chmod 600"));
    }
    let told = |list: &str, arguments: &[&str]| {
        let serve = ["serve", "--data", text(data.path()), "--allowed-keys", list];
        let told = run(&[&serve[..], arguments].concat());
        assert!(!told.status.success());
        String::from_utf8_lossy(&told.stderr).into_owned()
    };
    fs::write(&list, "\nnot a key\n").unwrap();
    assert!(told(text(&list), &ALWAYS).contains("line 2: expected a key"));
    assert!(told(text(&list), &["--udp", "127.0.0.1:0"]).contains("--encrypt always"));
    assert!(told("/nowhere", &ALWAYS).contains("cannot read /nowhere"));
}

#[test]
fn what_only_encryption_keeps_is_refused_without_it() {
    let data = tempdir().unwrap();
    let [secret, identity] = ["group", "identity"].map(|name| data.path().join(name));
    fs::write(&secret, "a secret of the whole group").unwrap();
    private(&secret);
    new_key(&identity);
    let (shelf, secret, identity) = (text(data.path()), text(&secret), text(&identity));
    for listens in [
        &["--udp", "127.0.0.1:0"][..],
        &["--udp", "0.0.0.0:0", "--encrypt", "never"],
        &["--tcp", "127.0.0.1:0", "--encrypt", "always"],
    ] {
        let told = run(&[&["serve", "--data", shelf, "--group-secret", secret], listens].concat());
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(!told.status.success() && said.contains("--group-secret closes"), "{listens:?}: {said}");
    }
    let key = "01".repeat(32);
    for (option, value) in
        [("--server-key", key.as_str()), ("--group-secret", secret), ("--identity", identity)]
    {
        for way in [&["tcp://127.0.0.1:1"][..], &["udp://127.0.0.1:1", "--encrypt", "never"]] {
            let refused = chat(way[0], &[&way[1..], &[option, value]].concat(), "");
            assert_eq!(refused.code, Some(1), "{option} {way:?}");
            assert!(refused.stderr.contains(&format!("{option} is for encrypted")), "{}", refused.stderr);
        }
    }
    let refused = chat("tls://127.0.0.1:1", &["--encrypt", "always"], "");
    assert!(
        refused.code == Some(1) && refused.stderr.contains("--encrypt always is for"),
        "{}",
        refused.stderr
    );
}

/// The server gives a chat no place in the room, and another one stands in its place when the chat asks again.
#[test]
fn a_running_chat_takes_no_other_key_than_the_one_that_it_has_learned() {
    let (data, other) = (tempdir().unwrap(), tempdir().unwrap());
    let [known, token] = ["known-servers", "token"].map(|name| data.path().join(name));
    write_private(&token, TOKEN);
    let web = ["--http", "127.0.0.1:0", "--admin-token-file", text(&token)];
    let server = Server::start_with(data.path(), &[&ALWAYS[..], &web].concat());
    let address = server.address().to_string();
    let trusting = ["--encrypt", "always", "--known-servers", text(&known), "--name", "ann"];
    let mut ann = Chat::start(&server.url(), &trusting);
    ann.say("hello");
    ann.wait_for(1);
    let rooms = ask(&server, "GET", "/admin/rooms", TOKEN, "");
    let user = rooms.split_once(r#""user":""#).expect("ann is there").1;
    let ban = format!(r#"{{"room":"lobby","user":"{}"}}"#, &user[..24]);
    let banned = ask(&server, "POST", "/admin/ban", TOKEN, &ban);
    assert!(banned.starts_with("HTTP/1.1 200 "), "{banned}");
    ann.wait_for_words("gives no place in the room");
    drop(server);
    let impostor = Server::start_with(other.path(), &["--udp", &address, "--encrypt", "always"]);
    assert!(impostor.key.is_some());
    ann.wait_for_words("another key");
    assert_eq!(ann.finish().code, Some(1));
}

/// Who listens, or connects, beyond this machine without encryption is told so, for each address; who has said so already is not.
#[test]
fn what_everybody_on_the_way_can_read_is_said_on_both_sides() {
    const OPEN: &str = "is not encrypted: everybody on the way can read and change what is said";
    let everywhere = ["--tcp", "0.0.0.0:0", "--ws", "0.0.0.0:0", "--http", "0.0.0.0:0"];
    let here = ["--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--udp", "0.0.0.0:0"];
    for (arguments, warned) in [
        (everywhere.to_vec(), true),
        (here.to_vec(), false),
        ([&everywhere[..], &["--encrypt", "never"]].concat(), false),
    ] {
        let data = tempdir().unwrap();
        let server = Server::start_with(data.path(), &arguments);
        let urls = server.urls.clone();
        for url in urls.iter().filter(|url| url.starts_with("tcp://") || url.starts_with("ws://")) {
            let said = chat(url, &["--name", "ann"], "hello\n");
            assert_eq!(said.code, Some(0), "{}", said.stderr);
            let is_beyond = !url.contains("127.0.0.1");
            assert_eq!(said.stderr.contains(&format!("{url} {OPEN}")), is_beyond, "{}", said.stderr);
            let quiet = chat(url, &["--name", "ann", "--encrypt", "never"], "hello\n");
            assert!(quiet.code == Some(0) && !quiet.stderr.contains(OPEN), "{}", quiet.stderr);
        }
        let log = server.end_and_read_log();
        for url in &urls {
            assert_eq!(log.contains(&format!("{url} {OPEN}")), warned, "{url}: {log}");
        }
    }
}

#[test]
#[cfg(unix)]
fn secrets_that_others_can_read_are_refused() {
    let data = tempdir().unwrap();
    let log = data.path().join("log");
    let exposed = |file: &Path| {
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    };
    for option in ["--admin-token-file", "--salt-file"] {
        let file = data.path().join("secret");
        fs::write(&file, "sixteen bytes, or more").unwrap();
        exposed(&file);
        let refused = run(&["serve", "--data", text(&log), "--http", "127.0.0.1:0", option, text(&file)]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains("secret: others can read this"), "{told}");
    }
    drop(Server::start_with(&log, &["--udp", "127.0.0.1:0"]));
    exposed(&log.join("server.key"));
    let refused = run(&["serve", "--data", text(&log), "--udp", "127.0.0.1:0"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("server.key: others can read this"), "{told}");
}
