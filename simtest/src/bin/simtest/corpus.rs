//! Stored schedules: adding, listing, and taking out those that say nothing any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::error::{Error, complain, usage};
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
        _ => Err(usage(
            "expected `corpus add FILE...`, `corpus list` or `corpus prune [--dry-run] [--orphans]`",
        )),
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
    let orphans = orphans(&tests, arguments)?;
    let mut folders: BTreeMap<PathBuf, Option<Found>> =
        orphans.into_iter().map(|folder| (folder, None)).collect();
    for test in tests {
        folders.insert(test.corpus()?, Some(test));
    }
    let mut all = BTreeMap::new();
    for (folder, test) in folders {
        let schedules = entries(&folder)?.into_iter().filter(|path| is_schedule(path));
        all.extend(schedules.map(|path| (path, test.clone())));
    }
    Ok(all)
}

/// Takes out schedules of which a line matches nothing any more, and second copies; if asked to, also those of tests that are gone.
fn prune(arguments: &Arguments) -> Result<u8, Error> {
    let mut seen: BTreeMap<(PathBuf, String), PathBuf> = BTreeMap::new();
    let mut orphans = 0;
    for (path, test) in stored(arguments)? {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let content = (folder, schedule(&path)?.to_text());
        let why = match (seen.get(&content), test) {
            (Some(first), _) => Some(format!("the same as {}", near(first))),
            (None, None) if arguments.has("orphans") => {
                Some("there is no test that it belongs to".to_owned())
            }
            (None, None) => {
                orphans += 1;
                None
            }
            (None, Some(test)) => {
                let set = [
                    ("SIMTEST_SCHEDULE".to_owned(), path.display().to_string()),
                    ("SIMTEST_VIEW".to_owned(), "none".to_owned()),
                    ("SIMTEST_VERDICT".to_owned(), "/dev/null".to_owned()),
                ];
                let run = test.run(&set)?;
                run.is_stale().then(|| "lines of it match nothing any more".to_owned())
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
    if orphans > 0 {
        // Their tests may be there with other features.
        complain(&format!(
            "{orphans} schedules belong to no test that was built; `simtest corpus prune --orphans` takes them out"
        ));
    }
    Ok(0)
}

/// Says which folders of the packages' corpora belong to none of these tests: their schedules are not run.
pub(crate) fn tell_orphans(tests: &[Found], arguments: &Arguments) -> Result<(), Error> {
    for folder in orphans(tests, arguments)? {
        complain(&format!(
            "{} belongs to no test that was built: its schedules were not run; where a test was renamed, rename its folder too",
            near(&folder)
        ));
    }
    Ok(())
}

/// Folders with stored schedules that are of none of these tests.
fn orphans(tests: &[Found], arguments: &Arguments) -> Result<BTreeSet<PathBuf>, Error> {
    let mut folders = BTreeSet::new();
    // With one test program alone, it is not known what belongs to the others.
    if arguments.value("test").is_some() {
        return Ok(folders);
    }
    let packages: BTreeSet<&PathBuf> = tests.iter().map(|test| &test.folder).collect();
    for package in packages {
        for folder in entries(&package.join("tests/corpus"))? {
            let has = entries(&folder)?.iter().any(|path| is_schedule(path));
            folders.extend(has.then_some(folder));
        }
    }
    if !folders.is_empty() {
        for test in tests {
            folders.remove(&test.corpus()?);
        }
    }
    Ok(folders)
}

fn is_schedule(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "sched")
}

/// What is in a folder, which need not be there, or be a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: io::Error| Error::Failed(format!("{}: {error}", folder.display()));
    let inside = match fs::read_dir(folder) {
        Ok(inside) => inside,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let paths = inside.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// As it is called from here, if it lies below.
fn near(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
