use clap::{CommandFactory as _, Parser as _};
use tracing::level_filters::LevelFilter;

use super::url::UrlError;
use super::{ChatArgs, Cli, Command, ServeArgs, ServerUrl};

fn serve(arguments: &[&str]) -> ServeArgs {
    match Cli::try_parse_from([&["bowline"], arguments].concat()).unwrap().into_command() {
        Command::Serve(serve) => serve,
        Command::Chat(chat) => panic!("{chat:?}"),
    }
}

fn chat(arguments: &[&str]) -> ChatArgs {
    match Cli::try_parse_from([&["bowline", "chat"], arguments].concat()).unwrap().into_command() {
        Command::Chat(chat) => chat,
        Command::Serve(serve) => panic!("{serve:?}"),
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
        assert_eq!(serve.udp, ["127.0.0.1:4100".parse().unwrap()]);
        assert_eq!(serve.data.to_str(), Some("./bowline-data"));
        assert_eq!(serve.log, LevelFilter::INFO);
    }
    for arguments in
        [&["--udp", "[::1]:1", "--udp", "1.2.3.4:0"][..], &["serve", "--udp=[::1]:1", "--udp=1.2.3.4:0"]]
    {
        let listeners: Vec<String> = serve(arguments).udp.iter().map(ToString::to_string).collect();
        assert_eq!(listeners, ["[::1]:1", "1.2.3.4:0"], "repeated, the default is gone");
    }
}

#[test]
fn chat_has_the_defaults_of_its_manual() {
    let chat = chat(&[]);
    assert_eq!(chat.url.to_string(), "udp://127.0.0.1:4100");
    assert_eq!((&*chat.room, chat.name, chat.last), ("lobby", None, None));
    assert_eq!((chat.follow, chat.until_slot, chat.give_up_after), (false, None, 120));
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let long = "x".repeat(65);
    let cases: [(&[&str], &str); 9] = [
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
fn urls_are_read_and_shown() {
    let cases = [
        ("udp://127.0.0.1:4100", "127.0.0.1", 4100),
        ("udp://example.org", "example.org", 4100),
        ("UDP://example.org.:1/", "example.org.", 1),
        ("udp://[::1]", "::1", 4100),
        ("udp://[fe80::1]:65535", "fe80::1", 65535),
        ("udp://my_host-2:7", "my_host-2", 7),
    ];
    for (text, host, port) in cases {
        let url: ServerUrl = text.parse().unwrap();
        assert_eq!((url.host(), url.port()), (host, port), "{text}");
        assert_eq!(url.to_string().parse(), Ok(url));
    }
}

#[test]
fn a_wrong_url_names_the_part_that_is_wrong() {
    let host = |text: &str| UrlError::Host(text.to_owned());
    let port = |text: &str| UrlError::Port(text.to_owned());
    let cases = [
        ("localhost:4100", UrlError::NoScheme("localhost:4100".to_owned())),
        ("", UrlError::NoScheme(String::new())),
        ("tcp://localhost", UrlError::Scheme("tcp".to_owned())),
        ("://localhost", UrlError::Scheme(String::new())),
        ("udp://", host("")),
        ("udp://:4100", host("")),
        ("udp://a b", host("a b")),
        ("udp://a..b", host("a..b")),
        ("udp://-a", host("-a")),
        ("udp://1.2.3", host("1.2.3")),
        ("udp://1.2.3.400", host("1.2.3.400")),
        ("udp://::1", host("::1")),
        ("udp://[::1", host("[::1")),
        ("udp://[::g]", host("::g")),
        ("udp://[::1]4100", host("[::1]4100")),
        ("udp://localhost:", port("")),
        ("udp://localhost:0", port("0")),
        ("udp://localhost:+1", port("+1")),
        ("udp://localhost:65536", port("65536")),
        ("udp://localhost:http", port("http")),
        ("udp://me@localhost", UrlError::User),
        ("udp://localhost/lobby", UrlError::Path("/lobby".to_owned())),
        ("udp://localhost?x", UrlError::Path("?x".to_owned())),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<ServerUrl>(), Err(error), "{text}");
    }
}
