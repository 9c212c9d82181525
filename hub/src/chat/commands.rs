//! What can be typed at the prompt beside messages: one table, from which come parsing, completion and help.

/// What a command is about, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    None,
    /// Somebody in the room.
    Name,
    /// Somebody who has left it.
    Gone,
    /// A room.
    Room,
    /// Anything.
    Text,
}

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Say(String),
    Help,
    Who,
    Rooms,
    Join(String),
    Nick(String),
    /// Takes the crown from the ground; somebody's name: gives it to him.
    Crown(Option<String>),
    DropCrown,
    Kick(String),
    /// Perhaps with minutes at the end.
    Ban(String),
    Unban(String),
    History(usize),
    Quit,
}

/// A command.
pub(super) struct Command {
    /// What it begins with.
    pub(super) name: &'static str,
    /// How its argument is shown.
    pub(super) shown: &'static str,
    pub(super) argument: Argument,
    /// Whether it can do without.
    optional: bool,
    pub(super) help: &'static str,
    order: fn(String) -> Option<Order>,
}

/// How many lines `/history` shows by itself.
const HISTORY: usize = 20;

const fn command(
    name: &'static str,
    shown: &'static str,
    argument: Argument,
    optional: bool,
    help: &'static str,
    order: fn(String) -> Option<Order>,
) -> Command {
    Command { name, shown, argument, optional, help, order }
}

/// All of them, in the order of the help.
pub(super) const COMMANDS: &[Command] = &[
    command("/help", "", Argument::None, true, "this list; also: help", |_| Some(Order::Help)),
    command("/who", "", Argument::None, true, "who is here, and who has the crown", |_| Some(Order::Who)),
    command("/rooms", "", Argument::None, true, "the rooms that there are", |_| Some(Order::Rooms)),
    command("/join", "ROOM", Argument::Room, false, "go to a room", |room| Some(Order::Join(room))),
    command("/nick", "NAME", Argument::Text, false, "be called so", |name| Some(Order::Nick(name))),
    command("/history", "[N]", Argument::Text, true, "the last lines again, 20 or N", |count| {
        if count.is_empty() { Some(Order::History(HISTORY)) } else { count.parse().ok().map(Order::History) }
    }),
    command(
        "/crown",
        "[NAME]",
        Argument::Name,
        true,
        "give the crown to somebody; without a name, take it from the ground",
        |name| Some(Order::Crown(Some(name).filter(|name| !name.is_empty()))),
    ),
    command("/drop", "", Argument::None, true, "let the crown fall", |_| Some(Order::DropCrown)),
    command(
        "/kick",
        "NAME",
        Argument::Name,
        false,
        "send somebody out of the room; he may come back",
        |name| Some(Order::Kick(name)),
    ),
    command(
        "/ban",
        "NAME [MINUTES]",
        Argument::Name,
        false,
        "send somebody out for 30 minutes, or for up to 60",
        |name| Some(Order::Ban(name)),
    ),
    command("/unban", "NAME", Argument::Gone, false, "let somebody in again", |name| {
        Some(Order::Unban(name))
    }),
    command("/quit", "", Argument::None, true, "leave; also: Ctrl-D", |_| Some(Order::Quit)),
    command("session list", "", Argument::None, true, "as /rooms", |_| Some(Order::Rooms)),
    command("session join", "ROOM", Argument::Room, false, "as /join", |room| Some(Order::Join(room))),
    command("help", "", Argument::None, true, "as /help", |_| Some(Order::Help)),
];

/// What a line wants; in words, why it wants nothing.
pub(super) fn parse(line: &str) -> Result<Order, String> {
    if let Some(text) = line.strip_prefix('~') {
        return Ok(Order::Say(text.to_owned()));
    }
    let typed = line.trim();
    let found = COMMANDS.iter().find_map(|command| {
        let rest = typed.strip_prefix(command.name)?;
        let argument = rest.trim_start();
        // What only begins with the words of a command is a message: `helpful`, `help me`, but not `/kicked`.
        let is_command = rest.is_empty()
            || (argument.len() < rest.len()
                && (command.argument != Argument::None || typed.starts_with('/')));
        is_command.then_some((command, argument))
    });
    match found {
        Some((command, argument)) if argument.is_empty() && !command.optional => {
            Err(format!("{} {}: {}", command.name, command.shown, command.help))
        }
        Some((command, argument)) => (command.order)(argument.to_owned())
            .ok_or_else(|| format!("{} {}: {}", command.name, command.shown, command.help)),
        None if typed.starts_with('/') => {
            let name = typed.split_whitespace().next().unwrap_or(typed);
            Err(format!("there is no {name}: /help shows what there is, ~{name} says it"))
        }
        None => Ok(Order::Say(line.to_owned())),
    }
}

/// The help, line by line.
pub(super) fn help() -> impl Iterator<Item = String> {
    let typed = |command: &Command| format!("{} {}", command.name, command.shown).trim_end().to_owned();
    let width = COMMANDS.iter().map(|command| typed(command).len()).max().unwrap_or(0);
    let commands = COMMANDS.iter().map(move |command| format!("{:width$}  {}", typed(command), command.help));
    let say =
        format!("{:width$}  say TEXT, whatever it begins with; any other line is said as it is", "~TEXT");
    commands.chain([say])
}

/// Where the word begins that ends at the end of `line`, and what it can become.
pub(super) fn complete<'a>(
    line: &str,
    names: impl Iterator<Item = &'a str>,
    gone: impl Iterator<Item = &'a str>,
    rooms: impl Iterator<Item = &'a str>,
) -> (usize, Vec<String>) {
    let about = COMMANDS.iter().find_map(|command| {
        let rest = line.strip_prefix(command.name)?;
        let argument = rest.trim_start();
        (argument.len() < rest.len()).then_some((command.argument, argument))
    });
    let beginning = |start: &str, all: &mut dyn Iterator<Item = &'a str>| -> Vec<String> {
        let start = start.to_lowercase();
        all.filter(|one| one.to_lowercase().starts_with(&start)).map(str::to_owned).collect()
    };
    let (mut names, mut gone, mut rooms) = (names, gone, rooms);
    match about {
        Some((Argument::Name, start)) => (line.len() - start.len(), beginning(start, &mut names)),
        Some((Argument::Gone, start)) => (line.len() - start.len(), beginning(start, &mut gone)),
        Some((Argument::Room, start)) => (line.len() - start.len(), beginning(start, &mut rooms)),
        Some(_) => (line.len(), Vec::new()),
        None => {
            let known = COMMANDS.iter().filter(|command| !line.is_empty() && command.name.starts_with(line));
            let typed = known.map(|command| match command.argument {
                Argument::None => command.name.to_owned(),
                _ => format!("{} ", command.name),
            });
            let commands: Vec<String> = typed.collect();
            if commands.is_empty() {
                // In a message: somebody who is spoken to.
                let at = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
                let names =
                    if line[at..].is_empty() { Vec::new() } else { beginning(&line[at..], &mut names) };
                (at, names)
            } else {
                (0, commands)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Order {
        Order::Say(text.to_owned())
    }

    #[test]
    fn lines_are_messages_unless_they_are_commands() {
        for text in [
            "hello",
            "helpful",
            "help me",
            "sessions",
            "session",
            "session listing",
            " /not at first",
            "a /who",
        ] {
            let parsed = parse(text);
            if text.trim_start().starts_with('/') {
                assert!(parsed.is_err(), "{text}");
            } else {
                assert_eq!(parsed, Ok(said(text)), "{text}");
            }
        }
        assert_eq!(parse("~/who"), Ok(said("/who")));
        assert_eq!(parse("~session list"), Ok(said("session list")));
        assert_eq!(parse("~~"), Ok(said("~")));
        assert_eq!(parse("help"), Ok(Order::Help));
        assert_eq!(parse("session list"), Ok(Order::Rooms));
        assert_eq!(parse("session join  my room "), Ok(Order::Join("my room".into())));
        assert_eq!(parse("/kick Ann B"), Ok(Order::Kick("Ann B".into())));
        assert_eq!(parse("/crown"), Ok(Order::Crown(None)));
        assert_eq!(parse("/crown ann"), Ok(Order::Crown(Some("ann".into()))));
        assert_eq!(parse("/history"), Ok(Order::History(20)));
        assert_eq!(parse("/history 3"), Ok(Order::History(3)));
        for (line, part) in [
            ("/kick", "/kick NAME"),
            ("/history x", "[N]"),
            ("/kicked ann", "no /kicked"),
            ("session join", "ROOM"),
        ] {
            assert!(parse(line).unwrap_err().contains(part), "{line}");
        }
    }

    #[test]
    fn the_help_has_every_command_once() {
        let lines: Vec<String> = help().collect();
        assert_eq!(lines.len(), COMMANDS.len() + 1);
        for command in COMMANDS {
            let mine = lines.iter().filter(|line| {
                line.strip_prefix(command.name).is_some_and(|rest| rest.starts_with(' '))
                    && line.ends_with(command.help)
            });
            assert_eq!(mine.count(), 1, "{}", command.name);
            assert!(parse(command.name).is_ok() == command.optional);
        }
    }

    #[test]
    fn commands_names_and_rooms_are_completed() {
        let complete = |line: &str| {
            let rooms = ["lobby", "lounge", "my room"].into_iter();
            complete(line, ["ann", "Anton", "bob"].into_iter(), ["anna"].into_iter(), rooms)
        };
        let (at, found) = complete("/k");
        assert_eq!((at, found), (0, vec!["/kick ".to_owned()]));
        assert_eq!(complete("session ").1, ["session list", "session join "]);
        assert_eq!(complete("/kick an"), (6, vec!["ann".to_owned(), "Anton".to_owned()]));
        assert_eq!(complete("/unban an"), (7, vec!["anna".to_owned()]), "who is here is not banned");
        assert_eq!(complete("session join lo"), (13, vec!["lobby".to_owned(), "lounge".to_owned()]));
        assert_eq!(complete("/join m"), (6, vec!["my room".to_owned()]));
        assert_eq!(complete("hello bo"), (6, vec!["bob".to_owned()]));
        assert_eq!(complete("/nick a").1, Vec::<String>::new());
        assert_eq!(complete("").1, Vec::<String>::new());
    }
}
