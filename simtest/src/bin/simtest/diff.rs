//! Where two traces begin to differ.

use std::collections::BTreeMap;
use std::fs;

use super::error::{Error, usage};
use super::json::Object;
use super::usage::Arguments;

/// The records of each host (of none: `-`, and the verdict) in order, each with its place in the file.
type Lanes<'a> = BTreeMap<&'a str, Vec<(u128, &'a str)>>;

/// The first record that differs between two traces as JSONL. Each host is compared by itself: in which order things happen on
/// different hosts is no difference, nor are times, record numbers and causes.
pub(crate) fn diff(arguments: &Arguments) -> Result<u8, Error> {
    let [a, b] = &arguments.words[..] else {
        return Err(usage("expected two files, as `show --jsonl` writes them"));
    };
    let read = |path: &String| {
        let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (first, second) = (read(a)?, read(b)?);
    is_trace(a, &first)?;
    is_trace(b, &second)?;
    let (first, second) = (lanes(&first), lanes(&second));
    let hosts = first.keys().chain(second.keys().filter(|host| !first.contains_key(*host)));
    let none = Vec::new();
    let found = hosts.filter_map(|host| {
        let (one, other) = (first.get(host).unwrap_or(&none), second.get(host).unwrap_or(&none));
        let at = (0..one.len().max(other.len()))
            .find(|i| one.get(*i).map(|line| essence(line.1)) != other.get(*i).map(|line| essence(line.1)))?;
        let (one, other) = (one.get(at), other.get(at));
        let place = one.or(other).map_or(0, |line| line.0);
        Some((place, *host, one.map_or("ended", |line| line.1), other.map_or("ended", |line| line.1)))
    });
    let Some((place, host, one, other)) = found.min() else {
        if arguments.has("json") {
            Object::default().text("command", "diff").raw("record", "null").print();
        } else {
            tell!("no difference but in times");
        }
        return Ok(0);
    };
    if arguments.has("json") {
        let at = Object::default().text("command", "diff").number("record", place);
        at.text("first", one).text("second", other).text("host", host).print();
    } else {
        tell!("record {place}, on {host}\n  {a}: {one}\n  {b}: {other}");
    }
    Ok(1)
}

/// Refuses a file that is something else.
fn is_trace(path: &str, text: &str) -> Result<(), Error> {
    let is_record = |line: &str| line.starts_with('{') && line.ends_with('}') && line.contains("\"k\":\"");
    let expected = "expected a trace as JSONL, a record a line, as `simtest show --jsonl` writes it";
    match (1..).zip(text.lines()).find(|(_, line)| !is_record(line)) {
        None if text.is_empty() => Err(Error::Failed(format!("{path}: it is empty; {expected}"))),
        None => Ok(()),
        Some((number, _)) => {
            Err(Error::Failed(format!("{path}, line {number}: this is no record of a trace; {expected}")))
        }
    }
}

fn lanes(text: &str) -> Lanes<'_> {
    let mut lanes = Lanes::new();
    for (place, line) in (0..).zip(text.lines()) {
        let host = line.split_once("\"h\":\"").and_then(|(_, rest)| rest.split_once('"'));
        lanes.entry(host.map_or("-", |(host, _)| host)).or_default().push((place, line));
    }
    lanes
}

/// A record without its number, its time and its causes.
fn essence(line: &str) -> String {
    let rest = line.split_once("\"k\":").map_or(line, |(_, rest)| rest);
    match rest.rsplit_once(",\"c\":[") {
        Some((before, after)) => before.to_owned() + after.split_once(']').map_or("", |(_, behind)| behind),
        None => rest.to_owned(),
    }
}
