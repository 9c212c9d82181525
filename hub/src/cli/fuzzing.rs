//! Settings of any kind, for `hub::fuzzing`.

use std::ffi::OsString;
use std::io;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::{Cli, Command, effective, layers};

/// The settings as a file, if they make sense.
fn effective(file: &str, environment: &str, line: &str) -> Option<String> {
    let mut given: Vec<OsString> = ["bowline", "config", "--config=FILE"].map(OsString::from).to_vec();
    given.extend(line.lines().map(OsString::from));
    let variable = |name: &str| {
        let mut all = environment.lines().filter_map(|line| line.split_once('='));
        all.find_map(|(known, value)| (known == name).then(|| OsString::from(value)))
    };
    let open = |path: &std::path::Path| match path.to_str() {
        Some("FILE") => Ok(file.to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let layered = match layers::arguments_of(given, variable, open) {
        Ok(layered) => layered,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "it says what is wrong");
            return None;
        }
    };
    let matches = Cli::command().try_get_matches_from(&layered.arguments).ok()?;
    let command = Cli::from_arg_matches(&matches).ok()?.into_command();
    let (Command::Config(args), Some(matches)) = (command, matches.subcommand_matches("config")) else {
        return None;
    };
    Some(effective::text(&args, matches, &layered.sources))
}

/// The settings of an effective file, without where they come from.
fn said(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| Some(line.rsplit_once(" # ")?.0)).collect()
}

pub(crate) fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let mut part = || parts.next().unwrap_or_default();
    let (file, environment, line) = (part(), part(), part());
    if let Some(first) = effective(file, environment, line) {
        let again = effective(&first, "", "").expect("what is printed can be read");
        assert_eq!(said(&again), said(&first), "and says the same");
    }
}
