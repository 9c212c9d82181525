//! Stored schedules: adding, listing, and taking out those that say nothing any more.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::found;
use super::json::Object;
use super::schedule;
use super::usage::Arguments;

const ROOT: &str = "tests/corpus";

pub(crate) fn corpus(arguments: &Arguments) -> Result<u8, String> {
    match arguments.words.split_first() {
        Some((word, files)) if word == "add" && !files.is_empty() => {
            files.iter().try_for_each(|file| add(file, arguments)).map(|()| 0)
        }
        Some((word, [])) if word == "list" => {
            for path in stored()? {
                let expect = schedule(&path)?.expect.unwrap_or_else(|| "-".into());
                if arguments.has("json") {
                    let file = path.display().to_string();
                    Object::default().text("file", &file).text("expect", &expect).print();
                } else {
                    println!("{}  {expect}", path.display());
                }
            }
            Ok(0)
        }
        Some((word, [])) if word == "prune" => prune(arguments),
        _ => Err("expected `corpus add FILE...`, `corpus list` or `corpus prune [--dry-run]`".into()),
    }
}

fn add(file: &str, arguments: &Arguments) -> Result<(), String> {
    let schedule = schedule(Path::new(file))?;
    let text = schedule.to_text();
    let folder = Path::new(ROOT).join(&schedule.test);
    let oracle = schedule.expect.as_deref().unwrap_or("passes").replace([' ', '/'], "-");
    let hash = simtest::hash_bytes(0, text.as_bytes()) >> 32;
    let path = folder.join(format!("{oracle}-{hash:08x}.sched"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if arguments.has("json") {
        Object::default().text("file", &path.display().to_string()).print();
    } else {
        println!("{}", path.display());
    }
    Ok(())
}

fn stored() -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for folder in fs::read_dir(ROOT).into_iter().flatten().flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten() {
            let path = file.map_err(|error| format!("{ROOT}: {error}"))?.path();
            if path.extension().is_some_and(|end| end == "sched") {
                all.push(path);
            }
        }
    }
    all.sort();
    Ok(all)
}

/// Takes out schedules of which a line matches nothing any more, schedules of tests that are gone, and second copies.
fn prune(arguments: &Arguments) -> Result<u8, String> {
    let tests = found::find(arguments)?;
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in stored()? {
        let of = schedule(&path)?;
        let why = if let Some(first) = seen.get(&of.to_text()) {
            Some(format!("the same as {}", first.display()))
        } else {
            let named = |test: &&found::Found| {
                test.name() == of.test || test.name().ends_with(&format!("::{}", of.test))
            };
            match tests.iter().find(named) {
                None => Some(format!("there is no test {}", of.test)),
                Some(test) => {
                    let full =
                        fs::canonicalize(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                    let set = [
                        ("SIMTEST_SCHEDULE".to_owned(), full.display().to_string()),
                        ("SIMTEST_VIEW".to_owned(), "none".to_owned()),
                        ("SIMTEST_VERDICT".to_owned(), "/dev/null".to_owned()),
                    ];
                    let run = test.run(&set)?;
                    run.unmatched().then(|| "lines of it match nothing any more".to_owned())
                }
            }
        };
        seen.entry(of.to_text()).or_insert_with(|| path.clone());
        let Some(why) = why else { continue };
        if !arguments.has("dry-run") {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if arguments.has("json") {
            Object::default().text("pruned", &path.display().to_string()).text("why", &why).print();
        } else {
            println!("{}  {why}", path.display());
        }
    }
    Ok(0)
}
