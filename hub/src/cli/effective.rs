//! The settings of a server in words, as a file that says the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::ServeArgs;
use super::layers::{self, Shape};

/// A text of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Every setting: its value, and where that comes from.
pub(super) fn text(args: &ServeArgs, matches: &ArgMatches, sources: &BTreeMap<String, String>) -> String {
    let server = layers::server();
    let mut text = String::new();
    for (name, setting) in layers::settings(&server) {
        let id = setting.get_id().as_str();
        let raw = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned());
        let mut values: Vec<String> = raw.collect();
        match name {
            "udp" if args.udp.is_empty() => {
                values.extend(
                    args.addresses()
                        .iter()
                        .filter_map(driver::Address::socket_addr)
                        .map(|at| at.to_string())
                        .take(usize::from(args.has_no_listener())),
                );
            }
            "shards" => values = vec![args.shards().to_string()],
            "http" => values = args.http().iter().map(ToString::to_string).collect(),
            _ => {}
        }
        let value = match Shape::of(setting) {
            Shape::Switch => Some(matches.get_flag(id).to_string()),
            Shape::Number => values.first().cloned(),
            Shape::Text => values.first().map(|value| quoted(value)),
            Shape::List => {
                let list: Vec<_> = values.iter().map(|value| quoted(value)).collect();
                Some(format!("[{}]", list.join(", ")))
            }
        };
        let source = match (sources.get(name), matches.value_source(id)) {
            (Some(source), _) => source.strip_suffix(&format!(": {name}")).unwrap_or(source),
            (None, Some(ValueSource::CommandLine)) => "command line",
            (None, _) => "default",
        };
        // Writing to a String cannot fail.
        let _ = match value {
            Some(value) => writeln!(text, "{name} = {value} # {source}"),
            None => writeln!(text, "# {name} is not set"),
        };
    }
    text
}
