//! Stored schedules: `tests/corpus/<test>/*.sched`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::node::Node;
use crate::outcome::Outcome;
use crate::schedule::Schedule;
use crate::sim::Sim;

/// All schedules of a folder, by name; an empty list if there is no such folder.
pub(super) fn read(folder: &Path) -> Result<Vec<(PathBuf, Schedule)>, String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "sched"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let schedule = Schedule::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path, schedule))
    };
    paths.into_iter().map(read).collect()
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
