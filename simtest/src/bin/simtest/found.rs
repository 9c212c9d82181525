//! The tests of the crate around, and runs of them.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

use super::usage::Arguments;

/// A test made with `#[simtest::test]`.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    binary: PathBuf,
    /// The path within its binary, `::simtest` at the end.
    path: String,
}

/// How a run went.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// `pass`, or the class of the failure.
    word: String,
    /// What the test has said of itself.
    pub(crate) output: String,
    took: Duration,
}

impl Run {
    pub(crate) fn code(&self) -> u8 {
        match self.word.as_str() {
            "pass" => 0,
            "liveness" => 2,
            "safety" => 3,
            "determinism" => 4,
            "vacuous" => 5,
            _ => 1,
        }
    }
}

/// Builds the tests and lists them.
pub(crate) fn find(arguments: &Arguments) -> Result<Vec<Found>, String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--message-format=json", "--quiet"]);
    if let Some(package) = arguments.value("package") {
        cargo.args(["--package", package]);
    }
    if arguments.has("release") {
        cargo.arg("--release");
    }
    let built = cargo.stderr(Stdio::inherit()).output().map_err(|error| format!("cargo: {error}"))?;
    if !built.status.success() {
        return Err("the tests do not compile".into());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let mut binaries: Vec<PathBuf> = messages.lines().filter_map(executable).collect();
    binaries.sort();
    binaries.dedup();
    let mut all = Vec::new();
    for binary in binaries {
        let listed = Command::new(&binary)
            .arg("--list")
            .output()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let paths = text
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .filter(|path| path.ends_with("::simtest"));
        all.extend(paths.map(|path| Found { binary: binary.clone(), path: path.into() }));
    }
    Ok(all)
}

/// The path in a message of cargo that tells of a test binary.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    let mut path = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => path.push(chars.next()?),
            c => path.push(c),
        }
    }
    message.contains("\"test\":true").then(|| path.into())
}

/// The only test of this name (or whose name ends so).
pub(crate) fn named(name: &str, arguments: &Arguments) -> Result<Found, String> {
    let all = find(arguments)?;
    let is = |found: &&Found| found.name() == name || found.name().ends_with(&format!("::{name}"));
    let mut fitting = all.iter().filter(is);
    match (fitting.next(), fitting.next()) {
        (Some(found), None) => Ok(found.clone()),
        (None, _) => Err(format!("there is no test `{name}` made with #[simtest::test]")),
        _ => Err(format!("there is more than one test `{name}`")),
    }
}

/// Runs one test and shows all that it says.
pub(crate) fn one(name: &str, arguments: &Arguments, set: &[(String, String)]) -> Result<u8, String> {
    let run = named(name, arguments)?.run(set, true)?;
    // What a test prints when it passes has been shown; a failure is told on the other stream.
    if run.code() != 0 {
        println!("{}", run.output);
    }
    Ok(run.code())
}

impl Found {
    pub(crate) fn name(&self) -> &str {
        self.path.strip_suffix("::simtest").unwrap_or(&self.path)
    }

    /// Runs it in the folder that we are in.
    pub(crate) fn run(&self, set: &[(String, String)], aloud: bool) -> Result<Run, String> {
        let name = format!("simtest-{}-{}", process::id(), self.path.replace("::", "-"));
        let result = env::temp_dir().join(name);
        let begun = Instant::now();
        let mut command = Command::new(&self.binary);
        command.args(["--exact", &self.path, "--nocapture"]).env("SIMTEST_RESULT", &result);
        command.envs(set.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command.stdout(Stdio::piped());
        let ended = command.output().map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let took = begun.elapsed();
        let told = read_and_remove(&result);
        let (word, text) = told.split_once('\n').unwrap_or(("crash", ""));
        if aloud {
            let shown = String::from_utf8_lossy(&ended.stdout);
            // Without the lines of the test harness.
            let harness = ["running ", "test ", "failures:"];
            let own = |line: &&str| {
                let text = line.trim();
                !text.is_empty() && text != self.path && !harness.iter().any(|word| line.starts_with(word))
            };
            for line in shown.lines().filter(own) {
                println!("{line}");
            }
        }
        let output = if word == "crash" && text.is_empty() {
            String::from_utf8_lossy(&ended.stderr).into_owned()
        } else {
            text.trim_end().to_owned()
        };
        Ok(Run { word: word.to_owned(), output, took })
    }
}

fn read_and_remove(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text
}

/// One line that is redrawn; nothing where nobody looks.
pub(crate) fn progress(done: usize, all: usize, name: &str, json: bool) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() && !json {
        let full = 20 * done / all.max(1);
        let bar: String = (0..20).map(|i| if i < full { '#' } else { '.' }).collect();
        let _ = write!(stderr, "\r\x1b[2K {bar} {done}/{all} {name}");
        let _ = stderr.flush();
    }
}

pub(crate) fn report(test: &Found, run: &Run, json: bool) {
    if json {
        let text =
            run.output.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
        let (name, word, ms) = (test.name(), &run.word, run.took.as_millis());
        println!("{{\"test\":\"{name}\",\"result\":\"{word}\",\"ms\":{ms},\"text\":\"{text}\"}}");
        return;
    }
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
    println!(" {:<40} {:<12} {:>6.1} s", test.name(), run.word, run.took.as_secs_f64());
    let mine = format!("{}: ", test.name());
    for line in run.output.lines() {
        println!("   {}", line.strip_prefix(&mine).unwrap_or(line));
    }
}
