use clap::{CommandFactory as _, Parser as _};
use tracing::level_filters::LevelFilter;

use super::{ChatArgs, Cli, Command, ServeArgs};

fn serve(arguments: &[&str]) -> ServeArgs {
    match Cli::try_parse_from([&["bowline"], arguments].concat()).unwrap().into_command() {
        Command::Serve(serve) => *serve,
        other => panic!("{other:?}"),
    }
}

fn chat(arguments: &[&str]) -> ChatArgs {
    match Cli::try_parse_from([&["bowline", "chat"], arguments].concat()).unwrap().into_command() {
        Command::Chat(chat) => *chat,
        other => panic!("{other:?}"),
    }
}

fn refused(arguments: &[&str]) -> String {
    let error = Cli::try_parse_from([&["bowline"], arguments].concat()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn no_subcommand_means_serve() {
    for arguments in [&[][..], &["serve"]] {
        let serve = serve(arguments);
        assert_eq!(serve.addresses(), ["udp://127.0.0.1:4100".parse().unwrap()]);
        assert_eq!(serve.data.to_str(), Some("./bowline-data"));
        assert_eq!(serve.log, LevelFilter::INFO);
    }
    for arguments in
        [&["--udp", "[::1]:1", "--udp", "1.2.3.4:0"][..], &["serve", "--udp=[::1]:1", "--udp=1.2.3.4:0"]]
    {
        let listeners: Vec<String> = serve(arguments).addresses().iter().map(ToString::to_string).collect();
        assert_eq!(listeners, ["udp://[::1]:1", "udp://1.2.3.4:0"], "repeated, the default is gone");
    }
}

#[test]
fn chat_has_the_defaults_of_its_manual() {
    let chat = chat(&[]);
    assert_eq!(chat.server(), "udp://127.0.0.1:4100");
    assert_eq!((&*chat.room, chat.name, chat.last), ("lobby", None, None));
    assert_eq!((chat.follow, chat.until_slot, chat.give_up_after), (false, None, 120));
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let long = "x".repeat(65);
    let cases: [(&[&str], &str); 11] = [
        (&["--udp", "tcp://127.0.0.1:1"], "scheme \"tcp\""),
        (&["chat", "udp://localhost:0"], "port \"0\""),
        (&["--udp", "localhost"], "--udp"),
        (&["--log", "loud"], "trace"),
        (&["chat", "--room", ""], "at least 1 byte"),
        (&["chat", "--room", &long], "at most 64 bytes"),
        (&["chat", "--name", &long], "at most 64 bytes"),
        (&["chat", "--until-slot", "0"], "--until-slot"),
        (&["chat", "--last", "-1"], "-1"),
        (&["chat", "--give-up-after", "0"], "--give-up-after"),
        (&["chat", "http://localhost"], "scheme \"http\""),
    ];
    for (arguments, word) in cases {
        let text = refused(arguments);
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
}

#[test]
fn a_server_listens_on_links_of_all_kinds() {
    let tls = ["--tls-cert", "c", "--tls-key", "k"];
    let arguments = ["--tcp", "1.2.3.4:1", "--ws", "ws://[::1]:2/x", "--uds", "/a/b", "--uds", "c"];
    let serve = serve(&[&arguments[..], &["--tls", "1.2.3.4", "--wss", "1.2.3.4:3"], &tls].concat());
    let listeners: Vec<String> = serve.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(
        listeners,
        [
            "tcp://1.2.3.4:1",
            "tls://1.2.3.4:4101",
            "uds:///a/b",
            "uds://c",
            "ws://[::1]:2/x",
            "wss://1.2.3.4:3"
        ]
    );
    for (arguments, word) in [
        (&["--tls", "1.2.3.4:1"][..], "--tls-cert"),
        (&["--tls-cert", "c"], "--tls-key"),
        (&["--tcp", "udp://1.2.3.4:1"], "scheme \"udp\""),
        (&["--ws", "example.org:1"], "IP address"),
        (&["--uds", ""], "path"),
    ] {
        let text = refused(arguments);
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
}

#[test]
fn a_chat_takes_several_addresses_of_one_server() {
    let chat = chat(&["udp://a", "wss://a/x", "--tls-ca", "f"]);
    assert_eq!(chat.server(), "udp://a:4100 or wss://a:443/x");
    assert_eq!(chat.certificates.tls_ca.as_deref(), Some(std::path::Path::new("f")));
}

#[test]
fn a_stream_in_the_clear_is_for_those_who_did_not_ask_for_more() {
    let both = ["udp://192.0.2.1", "tcp://192.0.2.1"];
    let plain = chat(&both);
    assert!(plain.crypto.applies_to(&plain.urls).unwrap(), "datagrams are encrypted all the same");
    assert!(plain.crypto.warnings(&plain.urls)[0].contains("tcp://192.0.2.1"));
    let key = "ab".repeat(32);
    for demand in [&["--server-key", &key][..], &["--group-secret", "f"], &["--encrypt", "always"]] {
        let strict = chat(&[&both[..], demand].concat());
        let text = strict.crypto.applies_to(&strict.urls).unwrap_err().to_string();
        assert!(text.contains("tcp://192.0.2.1") && text.contains(demand[0]), "{text}");
        let tls = chat(&[&["udp://192.0.2.1", "tls://192.0.2.1"], demand].concat());
        assert!(tls.crypto.applies_to(&tls.urls).unwrap());
    }
}
