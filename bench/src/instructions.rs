//! Instructions for a message, counted by valgrind: they do not depend on what else the machine does.
//!
//! This program runs itself under valgrind twice, for different numbers of messages; what one message takes is the difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::messages::Messages;
use crate::workload::{Stack, Workload};

/// Messages before those that are counted, so that everything is warm.
const WARM_UP: u64 = 4;

/// Carries messages and nothing else: what valgrind looks at.
pub(crate) fn carry(workload: Workload, stack: Stack, count: u64) {
    let messages = Messages::new(workload.size);
    stack.start(&messages, workload).messages(count);
}

/// Whether valgrind is there.
pub(crate) fn is_available() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn instructions(workload: Workload, stack: Stack, count: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(["--carry", workload.name, stack.name(), &count.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    let refs =
        text.lines().find_map(|line| line.split_once("I   refs:")).map(|(_, number)| number.replace(',', ""));
    refs.and_then(|number| number.trim().parse().ok()).ok_or_else(|| format!("valgrind said: {text}"))
}

/// Instructions for a message of `workload` by `stack`.
pub(crate) fn count(workload: Workload, stack: Stack) -> Result<u64, String> {
    let counted = (workload.count / 20).max(20);
    let warm = counted * WARM_UP;
    let (less, more) = (instructions(workload, stack, warm)?, instructions(workload, stack, warm + counted)?);
    Ok((more - less) / counted)
}

/// What is committed: (workload, stack) and its instructions for a message; `tolerance` is in percent.
pub(crate) struct Bar {
    tolerance: u64,
    counts: BTreeMap<(String, String), u64>,
}

impl Bar {
    /// Reads lines of `WORKLOAD STACK COUNT` and one of `tolerance PERCENT`.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut bar = Self { tolerance: 0, counts: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let words: Vec<_> = line.split_whitespace().collect();
            let number = |word: &str| word.parse().map_err(|_| format!("{}: {line}", path.display()));
            match words[..] {
                ["tolerance", percent] => bar.tolerance = number(percent)?,
                [workload, stack, count] => {
                    bar.counts.insert((workload.into(), stack.into()), number(count)?);
                }
                _ => return Err(format!("{}: {line}", path.display())),
            }
        }
        Ok(bar)
    }

    /// Whether a count of `workload` and `stack` is part of the bar.
    pub(crate) fn has(&self, workload: Workload, stack: Stack) -> bool {
        self.limit(workload, stack).is_some()
    }

    /// The most that may be counted.
    pub(crate) fn limit(&self, workload: Workload, stack: Stack) -> Option<u64> {
        let count = self.counts.get(&(workload.name.into(), stack.name().into()))?;
        Some(count + count * self.tolerance / 100)
    }
}
