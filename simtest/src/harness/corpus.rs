//! Stored schedules: `tests/corpus/<test>/*.sched`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use crate::node::Node;
use crate::outcome::Outcome;
use crate::schedule::Schedule;
use crate::sim::Sim;

/// All schedules of a folder, by name; an empty list if there is no such folder.
pub(super) fn read(folder: &Path) -> Result<Vec<(PathBuf, Schedule)>, String> {
    let paths = schedules(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let schedule = Schedule::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path, schedule))
    };
    paths.into_iter().map(read).collect()
}

/// The schedules of a folder, which need not be there.
fn schedules(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "sched"));
    paths.sort();
    Ok(paths)
}

/// Folders with schedules that are named as those of this test program are, and belong to none of its tests: a test was renamed, and its
/// schedules with it, or it was left out (`cfg`). `module` is the path of a test's module, `corpora` the folder above.
pub(super) fn orphans(corpora: &Path, module: &str) -> Vec<PathBuf> {
    let Some((program, _)) = module.split_once("::") else { return Vec::new() };
    let prefix = format!("{program}-");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(corpora).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| {
        let is_own =
            folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix));
        is_own && schedules(folder).is_ok_and(|schedules| !schedules.is_empty())
    });
    if folders.is_empty() {
        return folders;
    }
    let listed = env::current_exe()
        .and_then(|program| Command::new(program).arg("--list").stdin(Stdio::null()).output());
    let Ok(listed) = listed else { return Vec::new() };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let tests = listed.lines().filter_map(|line| line.strip_suffix("::simtest: test"));
    let known: Vec<PathBuf> =
        tests.map(|path| corpora.join(prefix.clone() + &path.replace("::", "-"))).collect();
    folders.retain(|folder| !known.contains(folder));
    folders.sort();
    folders
}

/// What in a schedule that was run says nothing of this test any more.
pub(crate) fn stale<N: Node>(sim: &Sim<N>, schedule: &Schedule, outcome: &Outcome<N>) -> Vec<String> {
    let mut stale = outcome.unmatched.clone();
    if !schedule.test.is_empty() && schedule.test != sim.test {
        stale.push(format!("test {}", schedule.test));
    }
    if let Some(expect) = &schedule.expect {
        let other = outcome.verdict.oracle().is_some_and(|oracle| oracle != expect);
        if other || !sim.has_judge(expect) {
            stale.push(format!("expect {expect}"));
        }
    }
    stale
}
