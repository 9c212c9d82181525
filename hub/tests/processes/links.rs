//! The same server and chat over links of every kind.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::{TempDir, tempdir};

use crate::support::{Chat, Finished, Server, assert_whole, chat, run};

/// Files that the command lines name.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        for name in ["localhost", "client"] {
            let key = KeyPair::generate().unwrap();
            let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
            let chain = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap().pem();
            std::fs::write(dir.path().join(format!("{name}.pem")), chain).unwrap();
            std::fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// Listeners of every kind.
fn listeners(files: &Files) -> Vec<(&'static str, String)> {
    let any = || "127.0.0.1:0".to_owned();
    let mut listeners =
        vec![("--udp", any()), ("--tcp", any()), ("--ws", any()), ("--tls", any()), ("--wss", any())];
    if cfg!(unix) {
        listeners.push(("--uds", files.text("hub.sock")));
    }
    listeners
}

fn start(files: &Files, data: &Path, listeners: &[(&str, String)], more: &[&str]) -> Server {
    let (cert, key) = (files.text("localhost.pem"), files.text("localhost.key"));
    let mut arguments = vec!["--tls-cert", &*cert, "--tls-key", &*key];
    arguments.extend(listeners.iter().flat_map(|(flag, address)| [*flag, &**address]));
    arguments.extend(more);
    Server::start_with(data, &arguments)
}

/// The same listeners at the addresses that they got.
fn again(server: &Server) -> Vec<(&'static str, String)> {
    let flag = |url: &str| match url.split_once("://").unwrap().0 {
        "udp" => "--udp",
        "tcp" => "--tcp",
        "ws" => "--ws",
        "tls" => "--tls",
        "wss" => "--wss",
        _ => "--uds",
    };
    server.urls.iter().map(|url| (flag(url), url.clone())).collect()
}

fn ca(files: &Files) -> [String; 2] {
    ["--tls-ca".to_owned(), files.text("ca.pem")]
}

#[test]
fn one_room_over_links_of_every_kind() {
    meet(&[]);
}

#[test]
#[cfg(target_os = "linux")]
fn one_room_over_links_of_every_kind_whatever_shard_has_whom() {
    meet(&["--shards", "4"]);
}

fn meet(more: &[&str]) {
    let (files, data) = (Files::new(), tempdir().unwrap());
    let server = start(&files, data.path(), &listeners(&files), more);
    let ca = ca(&files);
    let clients = server.urls.len();
    let mut chats: Vec<Chat> = (0..clients)
        .map(|i| {
            let (name, slots) = (format!("client {i}"), (clients * 5).to_string());
            Chat::start(&server.urls[i], &["--name", &name, "--until-slot", &slots, &ca[0], &ca[1]])
        })
        .collect();
    for line in 0..5 {
        for chat in &mut chats {
            chat.say(&line.to_string());
        }
    }
    for finished in chats.into_iter().map(Chat::finish) {
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_whole(&finished.lines, clients, 5);
    }
}

#[test]
fn a_killed_server_is_found_again_over_every_link() {
    come_back(&[]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_killed_server_of_several_shards_is_found_again_over_every_link() {
    come_back(&["--shards", "4"]);
}

fn come_back(more: &[&str]) {
    let (files, data) = (Files::new(), tempdir().unwrap());
    let mut server = start(&files, data.path(), &listeners(&files), more);
    let ca = ca(&files);
    let (clients, half) = (server.urls.len(), 3);
    let mut chats: Vec<Chat> = (0..clients)
        .map(|i| {
            let (name, slots) = (format!("client {i}"), (clients * half * 2).to_string());
            Chat::start(&server.urls[i], &["--name", &name, "--until-slot", &slots, &ca[0], &ca[1]])
        })
        .collect();
    for line in 0..half {
        for chat in &mut chats {
            chat.say(&line.to_string());
        }
    }
    for chat in &mut chats {
        chat.wait_for(clients * half);
    }
    server.kill();
    for line in half..2 * half {
        for chat in &mut chats {
            chat.say(&line.to_string());
        }
    }
    let listeners = again(&server);
    drop(server);
    let _server = start(&files, data.path(), &listeners, more);
    for finished in chats.into_iter().map(Chat::finish) {
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_whole(&finished.lines, clients, 2 * half);
    }
}

#[test]
fn of_several_addresses_the_first_that_works_is_used() {
    let (files, data) = (Files::new(), tempdir().unwrap());
    let server = start(&files, data.path(), &[("--tcp", "127.0.0.1:0".to_owned())], &[]);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let dead = format!("udp://{}", silent.local_addr().unwrap());
    let Finished { code, lines, stderr } = chat(&dead, &[&server.urls[0], "--name", "ann"], "hello\n");
    assert_eq!((code, lines), (Some(0), vec!["1\tann\thello".to_owned()]), "{stderr}");
}

#[test]
fn clients_must_show_certificates_where_the_server_asks_for_them() {
    let (files, data) = (Files::new(), tempdir().unwrap());
    let authority = files.text("ca.pem");
    let any = [("--tls", "127.0.0.1:0".to_owned())];
    let server = start(&files, data.path(), &any, &["--tls-client-ca", &authority]);
    let url = &server.urls[0];
    let (cert, key) = (files.text("client.pem"), files.text("client.key"));
    let trusted = ["--tls-ca", &authority, "--tls-cert", &cert, "--tls-key", &key, "--name", "ann"];
    assert_eq!(chat(url, &trusted, "hello\n").lines, ["1\tann\thello"]);
    let stranger = chat(url, &["--tls-ca", &authority, "--give-up-after", "1"], "hello\n");
    assert_eq!(stranger.code, Some(1));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (files, data) = (Files::new(), tempdir().unwrap());
    let data = data.path().to_str().unwrap();
    let (cert, key) = (files.text("localhost.pem"), files.text("localhost.key"));
    let missing = files.text("missing.pem");
    for (cert, key, word) in
        [(&missing, &key, "missing.pem"), (&cert, &missing, "missing.pem"), (&key, &key, "certificate")]
    {
        let refused =
            run(&["serve", "--data", data, "--tls", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(3) && said.contains(word), "{said}");
    }
    let unknown = run(&["chat", "tls://127.0.0.1:1", "--tls-ca", &missing]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("missing.pem"));
}
