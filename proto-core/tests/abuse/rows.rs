//! Every row of `docs/security.md` names tests that there are, and what it counts is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proto_core::Drop;

use crate::scenarios;

/// Rows that no scenario is named after: their subjects are the adapters' (`driver`, `conformance`).
const OF_ADAPTERS: [u8; 2] = [46, 47];
const ROWS: u8 = 54;
/// Counters that no scenario of their row makes count: other tests of the row do.
const ELSEWHERE: [(u8, &str); 16] = [
    (5, "answer-queue-full"),
    (6, "reset-suppressed"),
    (9, "probes"),
    (13, "send-queue-dropped"),
    (23, "wrong-address"),
    (27, "path-answer-unexpected"),
    (28, "cid-unknown"),
    (30, "cancel-untold"),
    (30, "request-expired"),
    (35, "MESSAGE_TOO_LARGE"),
    (39, "unexpected-handshake"),
    (39, "wrong-address"),
    (39, "wrong-version"),
    (45, "busy"),
    (45, "draining"),
    (54, "wrong-address"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

/// The Rust files under a directory of the workspace.
pub(crate) fn sources(under: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join(under)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("it can be read");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// The cells of each row, by its number.
fn rows() -> BTreeMap<u8, Vec<String>> {
    let text = fs::read_to_string(root().join("docs/security.md")).expect("the table");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<String> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        let Ok(number) = cells[0].parse::<u8>() else { continue };
        assert_eq!(cells.len(), 5, "row {number}: number, what, what happens, tests, counters");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "row {number} has an empty cell");
        assert!(rows.insert(number, cells).is_none(), "row {number} comes twice");
    }
    rows
}

/// What is between backticks.
fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// `name` and path of each `[name](path)`.
fn links(cell: &str) -> Vec<(&str, &str)> {
    let parts = cell.split('[').skip(1).filter_map(|part| part.split_once("]("));
    parts.filter_map(|(name, rest)| Some((name, rest.split_once(')')?.0))).collect()
}

fn is_test(text: &str, name: &str) -> bool {
    let is_fn = |line: &str, start: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        line.strip_prefix(start).is_some_and(|rest| rest.starts_with('('))
    };
    let plain = format!("fn {name}");
    let case = format!("pub fn {name}<S: Stack>");
    let mut is_marked = false;
    text.lines().any(|line| {
        if line.trim_start().starts_with("#[test]") || line.trim_start().starts_with("#[tokio::test") {
            is_marked = true;
        } else if line.contains("fn ") {
            let marked = std::mem::take(&mut is_marked);
            // Properties take arguments, and are tests by a macro.
            let property =
                text.contains("quickcheck! {") && line.trim_start().starts_with(&format!("{plain}("));
            return marked && is_fn(line, &plain) || property || line.starts_with(&case);
        }
        false
    })
}

#[test]
fn every_row_has_tests_that_exist() {
    let rows = rows();
    assert!(rows.keys().copied().eq(1..=ROWS), "{:?}", rows.keys());
    let suite = fs::read_to_string(root().join("conformance/src/suite.rs")).expect("the list of cases");
    for (number, cells) in &rows {
        let links = links(&cells[3]);
        assert!(!links.is_empty(), "row {number} has no test");
        for (name, path) in links {
            let file = root().join("docs").join(path);
            let text =
                fs::read_to_string(&file).unwrap_or_else(|error| panic!("row {number}: {path}: {error}"));
            assert!(is_test(&text, name), "row {number}: no test {name} in {path}");
            let is_case = path.contains("conformance/src");
            assert!(
                !is_case || suite.split_whitespace().any(|case| case.trim_end_matches(';') == name),
                "{name} is not run"
            );
        }
    }
}

/// The function of this name, from its first line to its last.
fn function<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let at = [format!("fn {name}("), format!("fn {name}<")].iter().find_map(|start| text.find(start))?;
    let first = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent = text[first..].len() - text[first..].trim_start_matches(' ').len();
    let end = format!("\n{}}}\n", " ".repeat(indent));
    let len = text[first..].find(&end)?;
    Some(&text[first..first + len])
}

/// A function, and those of the same file that it calls.
fn with_helpers(text: &str, name: &str) -> Option<String> {
    let mut found = function(text, name)?.to_owned();
    let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
    let called: Vec<_> =
        names.filter(|&other| other != name && found.contains(&format!("{other}("))).collect();
    found.extend(called.into_iter().filter_map(|other| function(text, other)));
    Some(found)
}

/// How a test names a counter: a reason of `Drop` by its variant, everything else as it is.
fn in_tests(counter: &str) -> String {
    match Drop::ALL.iter().find(|reason| reason.name() == counter) {
        Some(reason) => format!("Drop::{reason:?}"),
        None => counter.to_owned(),
    }
}

#[test]
fn every_counter_of_a_row_is_looked_at_by_a_test_of_it() {
    for (number, cells) in &rows() {
        let tests = links(&cells[3]).into_iter().map(|(name, path)| {
            let text = fs::read_to_string(root().join("docs").join(path)).expect("it is there");
            with_helpers(&text, name).unwrap_or_else(|| panic!("row {number}: where does {name} end?"))
        });
        let tests: Vec<String> = tests.collect();
        for counter in words(&cells[4]) {
            let wanted = in_tests(counter);
            assert!(
                tests.iter().any(|test| test.contains(&wanted)),
                "row {number}: no test of it names {wanted}"
            );
        }
    }
}

/// Every counter of a row that has a scenario here counts while its scenarios run; [`ELSEWHERE`] are those that do not, and nothing
/// else.
#[test]
fn every_counter_of_a_row_counts() {
    let mut silent = BTreeSet::new();
    for (number, cells) in &rows() {
        let start = format!("row_{number:02}_");
        let own: Vec<_> = scenarios::ALL.iter().filter(|(name, _)| name.starts_with(&start)).collect();
        let counted: BTreeSet<String> = own.iter().flat_map(|(_, run)| scenarios::counted(*run)).collect();
        let listed = words(&cells[4]).filter(|_| !own.is_empty());
        silent.extend(
            listed.filter(|counter| !counted.contains(*counter)).map(|counter| (*number, counter.to_owned())),
        );
    }
    let elsewhere = ELSEWHERE.map(|(number, counter)| (number, counter.to_owned()));
    assert_eq!(silent, BTreeSet::from(elsewhere));
}

#[test]
fn every_scenario_of_a_row_is_in_the_table() {
    let rows = rows();
    let listed: BTreeSet<&str> =
        rows.values().flat_map(|cells| links(&cells[3])).map(|(name, _)| name).collect();
    let mut count = 0;
    for (_, text) in sources("proto-core/tests/abuse") {
        for name in text.lines().filter_map(|line| line.strip_prefix("pub(crate) fn row_")) {
            let name = format!("row_{}", name.split('(').next().expect("a name"));
            assert!(listed.contains(name.as_str()), "{name} is in no row");
            assert!(
                scenarios::ALL.iter().any(|(other, _)| *other == name),
                "{name} is in no list of scenarios"
            );
            let number: u8 = name[4..6].parse().expect("a number");
            assert!(
                links(&rows[&number][3]).iter().any(|(listed, _)| *listed == name),
                "{name} is in another row"
            );
            count += 1;
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn every_counter_of_a_row_exists() {
    let drops: BTreeSet<&str> = Drop::ALL.iter().map(|reason| reason.name()).collect();
    let files = [
        "proto-core/src/stats.rs",
        "proto-core/src/event.rs",
        "proto-core/src/chat/server/stats.rs",
        "proto-core/src/room/hall/stats.rs",
        "proto-core/src/server.rs",
        "hub/src/gateway/stats.rs",
        "driver/src/link/stats.rs",
    ];
    let texts = files.map(|file| fs::read_to_string(root().join(file)).expect("it is there"));
    for (number, cells) in &rows() {
        let mut counters = words(&cells[4]).peekable();
        assert!(counters.peek().is_some() || cells[4].starts_with('—'), "row {number} counts nothing");
        for counter in counters {
            let field = [
                format!("pub {counter}: "),
                format!("pub(crate) {counter}: "),
                format!("pub const {counter}: "),
                format!("    {counter} = "),
                format!("{counter} {{"),
            ];
            let is_known = drops.contains(counter)
                || texts.iter().any(|text| {
                    field.iter().any(|field| text.contains(field.as_str()))
                        || text.contains(&format!("    {counter},"))
                });
            assert!(is_known, "row {number}: nothing counts {counter}");
        }
    }
}

#[test]
fn every_row_has_a_scenario_of_its_name() {
    for (number, cells) in &rows() {
        let start = format!("row_{number:02}_");
        let is_named = links(&cells[3]).iter().any(|(name, _)| name.starts_with(&start));
        assert_eq!(is_named, !OF_ADAPTERS.contains(number), "row {number}: a test that begins with {start}");
    }
}

/// What a scenario of packets threw, or an input of the fuzz target that its subject has.
#[test]
fn every_row_has_seeds() {
    let targets = fs::read_dir(root().join("fuzz/corpus")).expect("the corpora").flatten();
    let files = targets.flat_map(|target| fs::read_dir(target.path()).expect("a corpus").flatten());
    let names: Vec<_> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    for number in 1..=ROWS {
        let start = format!("row_{number:02}");
        let is_thrown = crate::seeds::corpus().join(format!("{start}.txt")).exists();
        let is_input = names.iter().any(|name| name.starts_with(&format!("{start}-")));
        assert!(is_thrown || is_input, "row {number} has no seed");
    }
}
