use clap::{CommandFactory as _, Parser as _};
use tracing::level_filters::LevelFilter;

use super::{ChatArgs, Cli, Command, ServeArgs};

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
