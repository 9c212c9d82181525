//! Stored schedules: adding, listing, and taking out those that say nothing any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::error::{Error, usage};
use super::found::{self, Found};
use super::json::Object;
use super::schedule;
use super::usage::Arguments;

pub(crate) fn corpus(arguments: &Arguments) -> Result<u8, Error> {
    match arguments.words.split_first() {
        Some((word, files)) if word == "add" && !files.is_empty() => {
            files.iter().try_for_each(|file| add(file, arguments)).map(|()| 0)
        }
        Some((word, [])) if word == "list" => {
            for (path, _) in stored(arguments)? {
                let expect = schedule(&path)?.expect.unwrap_or_else(|| "-".into());
                let file = near(&path);
                if arguments.has("json") {
                    Object::default().text("file", &file).text("expect", &expect).print();
                } else {
                    tell!("{file}  {expect}");
                }
            }
            Ok(0)
        }
        Some((word, [])) if word == "prune" => prune(arguments),
        _ => Err(usage("expected `corpus add FILE...`, `corpus list` or `corpus prune [--dry-run]`")),
    }
}

/// Puts a schedule where its test looks for such.
fn add(file: &str, arguments: &Arguments) -> Result<(), Error> {
    let schedule = schedule(Path::new(file))?;
    let text = schedule.to_text();
    let folder = found::named(&schedule.test, arguments)?.corpus()?;
    let oracle = schedule.expect.as_deref().unwrap_or("passes").replace([' ', '/'], "-");
    let hash = simtest::hash_bytes(0, text.as_bytes()) >> 32;
    let path = folder.join(format!("{oracle}-{hash:08x}.sched"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if arguments.has("json") {
        Object::default().text("file", &near(&path)).print();
    } else {
        tell!("{}", near(&path));
    }
    Ok(())
}

/// All stored schedules of the packages that have tests, each with its test, if there is one.
fn stored(arguments: &Arguments) -> Result<BTreeMap<PathBuf, Option<Found>>, Error> {
    let tests = found::find(arguments)?;
    let mut folders: BTreeMap<PathBuf, Option<Found>> = BTreeMap::new();
    // With one test program alone, it is not known what belongs to the others.
    if arguments.value("test").is_none() {
        let packages: BTreeSet<&PathBuf> = tests.iter().map(|test| &test.folder).collect();
        for package in packages {
            let inside = fs::read_dir(package.join("tests/corpus")).into_iter().flatten().flatten();
            folders.extend(inside.map(|folder| (folder.path(), None)));
        }
    }
    for test in tests {
        folders.insert(test.corpus()?, Some(test));
    }
    let mut all = BTreeMap::new();
    for (folder, test) in folders {
        for file in fs::read_dir(&folder).into_iter().flatten() {
            let path = file.map_err(|error| format!("{}: {error}", folder.display()))?.path();
            if path.extension().is_some_and(|end| end == "sched") {
                all.insert(path, test.clone());
            }
        }
    }
    Ok(all)
}

/// Takes out schedules of which a line matches nothing any more, schedules of tests that are gone, and second copies.
fn prune(arguments: &Arguments) -> Result<u8, Error> {
    let mut seen: BTreeMap<(PathBuf, String), PathBuf> = BTreeMap::new();
    for (path, test) in stored(arguments)? {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let content = (folder, schedule(&path)?.to_text());
        let why = match (seen.get(&content), test) {
            (Some(first), _) => Some(format!("the same as {}", near(first))),
            (None, None) => Some("there is no test that it belongs to".to_owned()),
            (None, Some(test)) => {
                let set = [
                    ("SIMTEST_SCHEDULE".to_owned(), path.display().to_string()),
                    ("SIMTEST_VIEW".to_owned(), "none".to_owned()),
                    ("SIMTEST_VERDICT".to_owned(), "/dev/null".to_owned()),
                ];
                test.run(&set)?.unmatched().then(|| "lines of it match nothing any more".to_owned())
            }
        };
        seen.entry(content).or_insert_with(|| path.clone());
        let Some(why) = why else { continue };
        if !arguments.has("dry-run") {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if arguments.has("json") {
            Object::default().text("pruned", &near(&path)).text("why", &why).print();
        } else {
            tell!("{}  {why}", near(&path));
        }
    }
    Ok(0)
}

/// As it is called from here, if it lies below.
fn near(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
