//! Settings of a server from a file and from the environment. Each becomes an argument before those of the command line, where
//! that does not say it itself.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Cli;

/// A setting that is wrong, where it is, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub(crate) struct SettingError {
    place: String,
    what: String,
}

/// The command line with what else is set.
#[derive(Debug)]
pub(crate) struct Layered {
    pub(crate) arguments: Vec<OsString>,
    /// Where a setting comes from, if neither from the command line nor by default.
    pub(crate) sources: BTreeMap<String, String>,
}

/// How a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A list of texts.
    List,
}

impl Shape {
    pub(super) fn of(setting: &Arg) -> Self {
        let kind = setting.get_value_parser().type_id();
        let numbers = [TypeId::of::<u8>(), TypeId::of::<u64>(), TypeId::of::<usize>()];
        match setting.get_action() {
            ArgAction::SetTrue => Self::Switch,
            ArgAction::Append => Self::List,
            _ if kind == TypeId::of::<bool>() => Self::Switch,
            _ if numbers.iter().any(|number| kind == *number) => Self::Number,
            _ => Self::Text,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Number => "a whole number",
            Self::Text => "a text",
            Self::List => "a list of texts",
        }
    }
}

/// The command that has the settings of a server.
pub(super) fn server() -> Command {
    let mut cli = Cli::command();
    cli.build();
    cli.find_subcommand("serve").expect("there is a server").clone()
}

/// Everything that can be set, in the order of the help.
pub(super) fn settings(server: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let named = server.get_arguments().filter_map(|setting| Some((setting.get_long()?, setting)));
    named.filter(|(name, _)| !matches!(*name, "config" | "help" | "version"))
}

/// The variable of the environment that says the same.
pub(super) fn variable(name: &str) -> String {
    format!("BOWLINE_{}", name.to_uppercase().replace('-', "_"))
}

/// Adds to a command line what the environment and the file say. Other commands than a server's are left as they are.
pub(crate) fn arguments(
    given: Vec<OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Layered, SettingError> {
    arguments_of(given, environment, |file| std::fs::read_to_string(file))
}

/// The same with files from elsewhere than the disk.
pub(super) fn arguments_of(
    given: Vec<OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
    open: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Layered, SettingError> {
    let first = given.get(1).map(|first| first.to_string_lossy().into_owned());
    let head = match first.as_deref() {
        Some("serve" | "config") => 2,
        None => 1,
        Some(option) if option.starts_with("--") => 1,
        Some(_) => return Ok(Layered { arguments: given, sources: BTreeMap::new() }),
    };
    let server = server();
    let is_given = |name: &str| is_given(given.get(1..).unwrap_or_default(), name);
    let mut sources = BTreeMap::new();
    let mut added: Vec<OsString> = Vec::new();
    for (name, setting) in settings(&server).filter(|(name, _)| !is_given(name)) {
        let variable = variable(name);
        let Some(value) = environment(&variable) else { continue };
        let text = value
            .into_string()
            .map_err(|_| SettingError { place: variable.clone(), what: "it is not UTF-8".to_owned() })?;
        let shape = Shape::of(setting);
        let values: Vec<String> = match shape {
            Shape::List => {
                text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
            }
            Shape::Switch => switch(&variable, &text)?,
            Shape::Number | Shape::Text => vec![text],
        };
        added.extend(checked(&server, name, shape, &values, &variable)?);
        sources.insert(name.to_owned(), variable);
    }
    let named = named_file(given.get(1..).unwrap_or_default());
    if let Some(file) = named.or_else(|| environment("BOWLINE_CONFIG")) {
        for Found { name, values, shape, place } in read(&server, &PathBuf::from(file), open)? {
            // A list that is empty, or a switch that is off, is set as well.
            if !is_given(&name) && !sources.contains_key(&name) {
                added.extend(checked(&server, &name, shape, &values, &place)?);
                sources.insert(name, place);
            } else {
                checked(&server, &name, shape, &values, &place)?;
            }
        }
    }
    let mut arguments = given;
    arguments.splice(head..head, added);
    Ok(Layered { arguments, sources })
}

/// Whether an option is on the command line.
fn is_given(given: &[OsString], name: &str) -> bool {
    let option = format!("--{name}");
    let rest = |one: &OsString| one.to_str().and_then(|text| text.strip_prefix(&option)).map(str::to_owned);
    given.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.starts_with('='))
}

/// The file that the command line names.
fn named_file(given: &[OsString]) -> Option<OsString> {
    given.iter().enumerate().find_map(|(at, one)| match one.to_str()?.strip_prefix("--config")? {
        "" => given.get(at + 1).cloned(),
        rest => rest.strip_prefix('=').map(OsString::from),
    })
}

fn switch(place: &str, text: &str) -> Result<Vec<String>, SettingError> {
    match text {
        "true" | "1" | "yes" => Ok(vec!["true".to_owned()]),
        "false" | "0" | "no" | "" => Ok(vec!["false".to_owned()]),
        _ => Err(SettingError {
            place: place.to_owned(),
            what: format!("expected {}, found {text:?}", Shape::Switch.words()),
        }),
    }
}

/// A setting in a file.
struct Found {
    name: String,
    values: Vec<String>,
    shape: Shape,
    place: String,
}

fn read(
    server: &Command,
    file: &Path,
    open: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Vec<Found>, SettingError> {
    let shown = file.display();
    let wrong = |place: String, what: String| SettingError { place, what };
    let text = open(file).map_err(|error| wrong(shown.to_string(), format!("it cannot be read: {error}")))?;
    let line = |at: usize| text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or_else(String::new, |span| format!(":{}", line(span.start)));
        wrong(format!("{shown}{at}"), error.message().to_owned())
    })?;
    let mut found = Vec::new();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        let place = format!("{shown}:{}: {name}", line(key.span().start));
        let Some((_, setting)) = settings(server).find(|(known, _)| *known == name) else {
            let like =
                nearest(server, name).map_or_else(String::new, |like| format!("; did you mean {like}?"));
            return Err(wrong(place, format!("there is no such setting{like}")));
        };
        let shape = Shape::of(setting);
        let values = values(shape, value).ok_or_else(|| {
            wrong(place.clone(), format!("expected {}, found {}", shape.words(), kind(value.get_ref())))
        })?;
        found.push(Found { name: name.to_owned(), values, shape, place });
    }
    found.sort_by_key(|one| settings(server).position(|(name, _)| name == one.name));
    Ok(found)
}

fn values(shape: Shape, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match (shape, value.get_ref()) {
        (Shape::Switch, DeValue::Boolean(is_on)) => Some(vec![is_on.to_string()]),
        (Shape::Number, DeValue::Integer(number)) => Some(vec![number.as_str().replace('_', "")]),
        (Shape::Text | Shape::List, DeValue::String(text)) => Some(vec![text.to_string()]),
        (Shape::List, DeValue::Array(list)) => {
            list.iter().map(|one| one.get_ref().as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(list) if list.iter().any(|one| one.get_ref().as_str().is_none()) => {
            "a list of other things".to_owned()
        }
        value => format!("a value of type {}", value.type_str()),
    }
}

/// The arguments that say this, if they can be said.
fn checked(
    server: &Command,
    name: &str,
    shape: Shape,
    values: &[String],
    place: &str,
) -> Result<Vec<OsString>, SettingError> {
    let has_no_value = settings(server)
        .any(|(known, setting)| known == name && matches!(setting.get_action(), ArgAction::SetTrue));
    let argument = |value: &String| match shape {
        // It is off by default.
        Shape::Switch if has_no_value => (value == "true").then(|| format!("--{name}")),
        _ => Some(format!("--{name}={value}")),
    };
    let arguments: Vec<String> = values.iter().filter_map(argument).collect();
    for (argument, value) in arguments.iter().zip(values) {
        let alone = server.clone().no_binary_name(true).try_get_matches_from([argument]);
        match alone {
            Ok(_) => {}
            // What belongs together is looked at when everything is there.
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map_or_else(
                    || {
                        error
                            .to_string()
                            .lines()
                            .skip(1)
                            .map(str::trim)
                            .find(|line| !line.is_empty())
                            .unwrap_or("it is not possible")
                            .to_owned()
                    },
                    ToString::to_string,
                );
                return Err(SettingError { place: place.to_owned(), what: format!("{value:?}: {cause}") });
            }
        }
    }
    Ok(arguments.into_iter().map(OsString::from).collect())
}

/// The setting whose name is most like this one, if any is.
fn nearest<'a>(server: &'a Command, name: &str) -> Option<&'a str> {
    let known = settings(server).map(|(known, _)| (strsim::damerau_levenshtein(known, name), known));
    known.min().filter(|(far, known)| *far <= known.len() / 2).map(|(_, known)| known)
}

/// Says on stderr which variables look like settings and are none.
pub(crate) fn warn_of_unknown(names: impl Iterator<Item = String>) {
    let server = server();
    for name in names {
        let Some(said) = name.strip_prefix("BOWLINE_") else { continue };
        let said = said.to_lowercase().replace('_', "-");
        if said == "config" || settings(&server).any(|(known, _)| known == said) {
            continue;
        }
        let like = settings(&server).find(|(known, _)| strsim::damerau_levenshtein(known, &said) <= 2);
        if let Some((known, _)) = like {
            use std::io::Write as _;
            // Nobody may read stderr.
            let _ = writeln!(io::stderr(), "bowline: {name} sets nothing; did you mean {}?", variable(known));
        }
    }
}
