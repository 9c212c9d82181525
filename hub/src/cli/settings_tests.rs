//! Settings from files and from the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::layers::{self, Shape};
use super::{Cli, Command, ServeArgs, effective};

const FILE: &str = "FILE";

/// The arguments with this environment, and a file that holds `file` where they say `FILE`.
fn layered(arguments: &[&str], environment: &[(&str, &str)], file: &str) -> Result<layers::Layered, String> {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let path = written.path().to_str().unwrap().to_owned();
    let given = ["bowline"].iter().chain(arguments).map(|one| one.replace(FILE, &path).into()).collect();
    let variables: BTreeMap<_, _> =
        environment.iter().map(|(name, value)| (*name, value.replace(FILE, &path))).collect();
    let layered = layers::arguments(given, |name| variables.get(name).map(OsString::from));
    layered.map_err(|error| error.to_string().replace(&path, FILE))
}

fn serve(arguments: &[&str], environment: &[(&str, &str)], file: &str) -> ServeArgs {
    let layered = layered(arguments, environment, file).unwrap();
    match Cli::from_arg_matches(&Cli::command().get_matches_from(layered.arguments)).unwrap().into_command() {
        Command::Serve(args) | Command::Config(args) => *args,
        other @ (Command::Chat(_) | Command::Store(_) | Command::Key(_)) => panic!("{other:?}"),
    }
}

fn refused(file: &str) -> String {
    layered(&["serve", "--config", FILE], &[], file).unwrap_err()
}

#[test]
fn the_command_line_counts_before_the_environment_before_the_file_before_the_default() {
    let file = "max-http = 1\nmax-rooms = 2\nmax-http-per-address = 3\nmotd = \"file\"\nudp = [\"127.0.0.1:1\"]\nunlimited = true\n";
    for arguments in
        [&["--config", FILE, "--motd", "line"][..], &["serve", "--motd=line", &format!("--config={FILE}")]]
    {
        let args = serve(arguments, &[("BOWLINE_MOTD", "environment"), ("BOWLINE_MAX_ROOMS", "4")], file);
        assert_eq!((&*args.web.motd, args.web.max_rooms, args.web.max_http), ("line", 4, 1));
        assert_eq!((args.web.max_http_per_address, args.record_limit), (3, 1024));
        assert!(args.web.unlimited);
        assert_eq!(args.addresses(), ["udp://127.0.0.1:1".parse().unwrap()]);
    }
    let environment =
        [("BOWLINE_CONFIG", FILE), ("BOWLINE_UDP", "127.0.0.1:2, [::1]:3"), ("BOWLINE_UNLIMITED", "false")];
    let args = serve(&[], &environment, file);
    assert_eq!(args.addresses(), ["udp://127.0.0.1:2".parse().unwrap(), "udp://[::1]:3".parse().unwrap()]);
    assert!(!args.web.unlimited && args.web.motd == "file");
    let args = serve(&["serve", "--udp", "127.0.0.1:9"], &environment, file);
    assert_eq!(args.addresses(), ["udp://127.0.0.1:9".parse().unwrap()], "lists are replaced, not joined");
}

#[test]
fn a_switch_that_is_on_can_be_put_off_everywhere() {
    let echo = |arguments: &[&str], environment, file| serve(arguments, environment, file).web.echo;
    assert!(echo(&[], &[], ""));
    assert!(echo(&["--echo"], &[("BOWLINE_ECHO", "false")], ""));
    for (arguments, environment, file) in [
        (&["--echo=false"][..], &[("BOWLINE_ECHO", "true")][..], ""),
        (&["serve", "--echo=false"], &[], ""),
        (&[], &[("BOWLINE_ECHO", "0")], ""),
        (&["--config", FILE], &[], "echo = false"),
    ] {
        assert!(!echo(arguments, environment, file), "{arguments:?} {environment:?} {file}");
    }
    assert!(printed(&[], &[], "").contains("echo = true # default"));
    assert!(printed(&["--config", FILE], &[], "echo = false").contains("echo = false # /"));
}

#[test]
fn what_belongs_together_may_come_from_anywhere() {
    let args =
        serve(&["--config", FILE, "--tls", "127.0.0.1:1"], &[("BOWLINE_TLS_KEY", "k")], "tls-cert = \"c\"");
    assert_eq!(args.addresses(), ["tls://127.0.0.1:1".parse().unwrap()]);
}

#[test]
fn other_commands_have_no_settings() {
    let layered = layered(&["chat", "--name", "ann"], &[("BOWLINE_UDP", "nonsense")], "").unwrap();
    assert_eq!(layered.arguments, ["bowline", "chat", "--name", "ann"]);
}

#[test]
fn what_is_wrong_is_named_by_file_line_and_key() {
    for (file, expected) in [
        ("\nmax-htp = 7", "FILE:2: max-htp: there is no such setting; did you mean max-http?"),
        ("zzzzzzzzzzzzzzzzzzzz = 7", "FILE:1: zzzzzzzzzzzzzzzzzzzz: there is no such setting"),
        ("config = \"x\"", "FILE:1: config: there is no such setting"),
        (
            "# x\n\nmax-http = \"7\"",
            "FILE:3: max-http: expected a whole number, found a value of type string",
        ),
        ("max-http = -1", "FILE:1: max-http: \"-1\": invalid digit found in string"),
        ("unlimited = 1", "FILE:1: unlimited: expected true or false, found a value of type integer"),
        ("udp = [\"127.0.0.1:1\", 7]", "FILE:1: udp: expected a list of texts, found a list of other things"),
        ("motd = [\"a\"]", "FILE:1: motd: expected a text, found a value of type array"),
        ("[web]\nmotd = \"a\"", "FILE:1: web: there is no such setting"),
    ] {
        assert_eq!(refused(file), expected);
    }
    for (file, part) in [
        ("a = 1\nb = = 2", "FILE:2: "),
        ("log = \"info\"\nlog = \"warn\"", "FILE:2: duplicate key"),
        ("udp = [\"localhost:1\"]", "FILE:1: udp: \"localhost:1\": expected an IP address"),
        ("http = [\"127.0.0.1\"]", "FILE:1: http: \"127.0.0.1\": expected an IP address and a port"),
        ("crown-on-leave = \"first\"", "FILE:1: crown-on-leave: \"first\": [possible values: next, drop]"),
        ("log = \"loud\"", "FILE:1: log: \"loud\": expected off, error"),
    ] {
        assert!(refused(file).starts_with(part), "{}", refused(file));
    }
    let missing = layered(&["--config", "/nowhere/x.toml"], &[], "").unwrap_err();
    assert!(missing.starts_with("/nowhere/x.toml: it cannot be read"), "{missing}");
    let wrong = layered(&[], &[("BOWLINE_MAX_HTTP", "many")], "").unwrap_err();
    assert_eq!(wrong, "BOWLINE_MAX_HTTP: \"many\": invalid digit found in string");
    let wrong = layered(&[], &[("BOWLINE_UNLIMITED", "perhaps")], "").unwrap_err();
    assert_eq!(wrong, "BOWLINE_UNLIMITED: expected true or false, found \"perhaps\"");
    // What is wrong is wrong even where something else counts.
    assert!(layered(&["--config", FILE, "--max-http", "1"], &[], "max-http = -1").is_err());
}

#[test]
fn the_unit_for_systemd_reads_the_settings_that_come_with_it() {
    let unit = include_str!("../../../packaging/bowline.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/bowline ")).unwrap();
    let start = start.replace("/etc/bowline.toml", FILE);
    let args =
        serve(&start.split(' ').collect::<Vec<_>>(), &[], include_str!("../../../packaging/bowline.toml"));
    assert_eq!(args.addresses(), ["udp://0.0.0.0:4100".parse().unwrap()]);
    assert_eq!(args.http(), ["127.0.0.1:4180".parse().unwrap()]);
    assert!(
        args.data.to_str().unwrap().contains("STATE_DIRECTORY"),
        "what the file says of it does not count"
    );
}

/// What `bowline config` prints.
fn printed(arguments: &[&str], environment: &[(&str, &str)], file: &str) -> String {
    let layered = layered(&[&["config"], arguments].concat(), environment, file).unwrap();
    let matches = Cli::command().get_matches_from(&layered.arguments);
    let Command::Config(args) = Cli::from_arg_matches(&matches).unwrap().into_command() else { panic!() };
    effective::text(&args, matches.subcommand_matches("config").unwrap(), &layered.sources)
}

#[test]
fn what_is_printed_says_where_it_comes_from_and_is_a_file_that_says_the_same() {
    let text = printed(&[], &[], "");
    for line in [
        "udp = [\"127.0.0.1:4100\"] # default",
        "http = [\"127.0.0.1:4180\"] # default",
        "# tls-cert is not set",
        "unlimited = false # default",
        "max-http = 65000 # default",
        "motd = \"\" # default",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    let file = "motd = \"a \\\"b\\\" \\\\ #c\"\nudp = [\"127.0.0.1:5\"]\nunlimited = true\n";
    let text = printed(&["--config", FILE, "--max-rooms", "5"], &[("BOWLINE_ORIGIN", "a,b")], file);
    for part in [
        "max-rooms = 5 # command line",
        "origin = [\"a\", \"b\"] # BOWLINE_ORIGIN",
        "unlimited = true # /",
        "http = [] # default",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let values = |text: &str| {
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value).to_owned())
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(values(&printed(&["--config", FILE], &[], &text)), values(&text));
}

#[test]
fn the_guide_has_every_setting_in_one_table() {
    let server = layers::server();
    let rows = layers::settings(&server).map(|(name, setting)| {
        let kind = match Shape::of(setting) {
            Shape::Switch => "true or false",
            Shape::Number => "number",
            Shape::Text => "text",
            Shape::List => "list of texts",
        };
        let default = setting.get_default_values().first().map_or_else(String::new, |value| {
            let value = value.to_string_lossy();
            if value.is_empty() { String::new() } else { format!("`{value}`") }
        });
        let is_off = kind == "true or false" && default.is_empty();
        let default = if is_off { "`false`".to_owned() } else { default };
        let variable = layers::variable(name);
        let help = setting.get_help().unwrap().to_string().replace('\n', " ");
        format!("| `{name}` | `{variable}` | {kind} | {default} | {help} |")
    });
    let expected: Vec<String> = rows.collect();
    let guide = include_str!("../../../docs/operate.md");
    let found: Vec<&str> = guide.lines().filter(|line| line.contains("| `BOWLINE_")).collect();
    assert_eq!(found, expected, "this should be in docs/operate.md:\n{}\n", expected.join("\n"));
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_at_the_start() {
    let admin = |token: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(token).unwrap();
        let path = file.path().to_str().unwrap();
        serve(&["serve", "--admin-token-file", path], &[], "").web.admin().map(|admin| admin.is_some())
    };
    assert!(matches!(admin(b"a token of some length\n"), Ok(true)));
    for token in [&b"a token of\ntwo whole lines\n"[..], b"\x8f\x01\xfe random bytes of a disk"] {
        assert!(matches!(admin(token), Err(super::SecretError::Unsayable { .. })), "{token:?}");
    }
}
