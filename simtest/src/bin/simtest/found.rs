//! The tests of the crate around, and runs of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, fmt, fs, io, process, thread};

use simtest::Recording;

use super::bar::Bar;
use super::error::{Error, usage};
use super::interrupt;
use super::json::Object;
use super::usage::Arguments;

/// A test made with `#[simtest::test]`.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    binary: PathBuf,
    /// Where the manifest of its package is.
    pub(crate) folder: PathBuf,
    /// The path within its binary, `::simtest` at the end.
    path: String,
    /// Whether it runs only when it is named.
    pub(crate) ignored: bool,
    /// How long it may take.
    timeout: Option<Duration>,
}

/// How a run went.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// `pass`, or the class of the failure.
    word: String,
    /// What the test has said of itself.
    pub(crate) output: String,
    /// What it has printed.
    shown: String,
    /// Whether it has written the file that it was asked for.
    pub(crate) wrote: bool,
    took: Duration,
}

impl Run {
    /// Whether it is about a schedule that no longer applies, and passes.
    pub(crate) fn is_stale(&self) -> bool {
        self.word == "vacuous" && self.unmatched().is_some()
    }

    /// What in its schedule no longer applies.
    pub(crate) fn unmatched(&self) -> Option<String> {
        self.output.lines().find_map(|line| line.trim_start().strip_prefix("unmatched ")).map(str::to_owned)
    }

    /// What was printed, without the lines of the test harness.
    fn own(&self, test: &Found) -> String {
        let harness = ["running ", "test ", "failures:"];
        let own = |line: &&str| {
            let text = line.trim();
            !text.is_empty() && text != test.path && !harness.iter().any(|word| line.starts_with(word))
        };
        self.shown.lines().filter(own).fold(String::new(), |all, line| all + line + "\n")
    }

    pub(crate) fn code(&self) -> u8 {
        match self.word.as_str() {
            "pass" => 0,
            "liveness" | "timeout" => 2,
            "safety" => 3,
            "determinism" => 4,
            "vacuous" => 5,
            _ => 1,
        }
    }
}

/// Gives a recorded session to the tests that can replay such: those called `simtest_recording`.
pub(crate) fn recording(word: &str, arguments: &Arguments) -> Result<u8, Error> {
    let [file] = &arguments.words[..] else { return Err(usage("expected one recording")) };
    let path = fs::canonicalize(file).map_err(|error| format!("{file}: {error}"))?;
    let protocol = protocol(&path).map_err(|why| format!("{file}: {why}"))?;
    let mut set = vec![
        ("SIMTEST_RECORDING".to_owned(), path.display().to_string()),
        ("SIMTEST_ONLY".to_owned(), word.to_owned()),
    ];
    set.extend(arguments.value("budget").map(|budget| ("SIMTEST_BUDGET".to_owned(), budget.to_owned())));
    let mut others = Vec::new();
    for test in listed(arguments, "simtest_recording")? {
        let run = test.run_shown(word, &set, file, arguments)?;
        if run.word == "other" {
            others.push(run.output);
            continue;
        }
        report(word, &test, &run, arguments.has("json"));
        return Ok(run.code());
    }
    let others = if others.is_empty() { "there is none".to_owned() } else { others.join(", ") };
    let why = format!("{file} is of {protocol}, which no test `simtest_recording` here replays: {others}");
    Err(Error::Refused(why))
}

/// The name in the head of a recording.
fn protocol(path: &Path) -> Result<String, String> {
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(1 << 10).read_to_end(&mut head));
    read.map_err(|error| error.to_string())?;
    Recording::protocol_of(&head).map(str::to_owned)
}

/// Builds the tests and lists those made with the attribute.
pub(crate) fn find(arguments: &Arguments) -> Result<Vec<Found>, Error> {
    listed(arguments, "simtest")
}

/// Builds the tests and lists those of this name, in whatever module.
fn listed(arguments: &Arguments, name: &str) -> Result<Vec<Found>, Error> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--message-format=json-render-diagnostics", "--quiet"]);
    cargo.args(arguments.of_cargo());
    let built = cargo.stderr(Stdio::inherit()).output().map_err(|error| format!("cargo: {error}"))?;
    if !built.status.success() {
        return Err(Error::Failed("cargo could not build the tests".into()));
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let mut binaries: Vec<(PathBuf, PathBuf)> = messages.lines().filter_map(executable).collect();
    binaries.sort();
    binaries.dedup();
    let mut all = Vec::new();
    for (binary, folder) in binaries {
        let (text, ignored) = (list(&binary, &["--list"])?, list(&binary, &["--list", "--ignored"])?);
        let named = |line: &str| {
            let path = line.strip_suffix(": test")?;
            let is = path.rsplit("::").next() == Some(name) && path.contains("::");
            let (binary, folder) = (binary.clone(), folder.clone());
            let ignored = ignored.lines().any(|other| other == line);
            is.then(|| Found { binary, folder, path: path.into(), ignored, timeout: arguments.timeout() })
        };
        all.extend(text.lines().filter_map(named));
    }
    Ok(all)
}

/// What a test binary prints when it is to list its tests. One with another harness than libtest's may do anything else instead.
fn list(binary: &Path, arguments: &[&str]) -> Result<String, Error> {
    let failed = |why: &dyn fmt::Display| Error::Failed(format!("{}: {why}", binary.display()));
    let mut command = Command::new(binary);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let said = child.stdout.take();
    let child = Arc::new(Mutex::new(child));
    let limit = Limit::new(LISTING, Arc::clone(&child));
    let mut text = Vec::new();
    let read = said.map_or(Ok(0), |mut said| said.read_to_end(&mut text));
    let is_late = limit.end();
    child.lock().unwrap_or_else(PoisonError::into_inner).wait().map_err(|error| failed(&error))?;
    if is_late {
        let seconds = LISTING.as_secs();
        return Err(failed(&format!(
            "it has not listed its tests (`--list`) within {seconds} s; choose others with --test or --package"
        )));
    }
    read.map_err(|error| failed(&error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// So long a test binary may take to list its tests.
const LISTING: Duration = Duration::from_secs(20);

/// The test binary that a message of cargo tells of, and the folder of its package. A plain program is none, though it can have tests
/// (`"target":{...,"test":true}`): it must not be run.
fn executable(message: &str) -> Option<(PathBuf, PathBuf)> {
    let binary = path_in(message, "executable")?;
    let manifest = path_in(message, "manifest_path")?;
    let (_, profile) = message.split_once("\"profile\":{")?;
    let (profile, _) = profile.split_once('}')?;
    let is_test = profile.split(',').any(|setting| setting == "\"test\":true");
    is_test.then(|| (binary, manifest.parent().unwrap_or(Path::new("")).into()))
}

fn path_in(message: &str, name: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once(&format!("\"{name}\":\""))?;
    let mut path = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => path.push(chars.next()?),
            c => path.push(c),
        }
    }
    Some(path.into())
}

/// The only test of this name (or whose name ends so).
pub(crate) fn named(name: &str, arguments: &Arguments) -> Result<Found, Error> {
    let all = find(arguments)?;
    let exact: Vec<&Found> = all.iter().filter(|found| found.name() == name).collect();
    let end = format!("::{name}");
    let within = || all.iter().filter(|found| found.name().ends_with(&end)).collect();
    match &(if exact.is_empty() { within() } else { exact })[..] {
        [found] => Ok((*found).clone()),
        [] => Err(Error::Refused(format!("there is no test `{name}` made with #[simtest::test]"))),
        several => {
            let own = |found: &&Found| format!("{} in {}", found.name(), found.binary.display());
            let several: Vec<String> = several.iter().map(own).collect();
            Err(Error::Refused(format!(
                "there is more than one test `{name}`, choose with the whole name, --package or --test:\n  {}",
                several.join("\n  ")
            )))
        }
    }
}

/// Runs one test and shows all that it says.
pub(crate) fn one(
    word: &str,
    name: &str,
    arguments: &Arguments,
    set: &[(String, String)],
) -> Result<u8, Error> {
    let test = named(name, arguments)?;
    let long = ["certify", "shrink", "why"].contains(&word);
    let run = if long { test.run_shown(word, set, name, arguments)? } else { test.run(set)? };
    if arguments.has("json") {
        report(word, &test, &run, true);
        return Ok(run.code());
    }
    for line in run.own(&test).lines() {
        tell!("{line}");
        if arguments.has("step") {
            let _ = io::stdout().flush();
            let _ = io::stdin().read_line(&mut String::new());
        }
    }
    // What a test prints when it passes has been shown; a failure is told on the other stream.
    if run.code() != 0 {
        tell!("{}", run.output);
    } else if ["shrink", "why"].contains(&word) {
        tell!("{} passes: there is nothing to {}", test.name(), if word == "why" { "explain" } else { word });
    }
    Ok(run.code())
}

impl Found {
    pub(crate) fn name(&self) -> &str {
        self.path.strip_suffix("::simtest").unwrap_or(&self.path)
    }

    /// Runs it in the folder of its package, as cargo does.
    pub(crate) fn run(&self, set: &[(String, String)]) -> Result<Run, Error> {
        self.start(set, None)
    }

    /// Where its stored schedules are.
    pub(crate) fn corpus(&self) -> Result<PathBuf, Error> {
        let run = self.run(&[("SIMTEST_ONLY".to_owned(), "corpus".to_owned())])?;
        match run.word.as_str() {
            "corpus" => Ok(run.output.into()),
            _ => Err(Error::Failed(format!("{} does not say where its corpus is", self.name()))),
        }
    }

    /// The same, and tells how far it is.
    pub(crate) fn run_shown(
        &self,
        command: &str,
        set: &[(String, String)],
        of: &str,
        arguments: &Arguments,
    ) -> Result<Run, Error> {
        let head = Object::default().text("command", command).text("test", self.name());
        self.start(set, Some(Bar::new(of, arguments.has("json").then_some(head))))
    }

    fn start(&self, set: &[(String, String)], bar: Option<Bar>) -> Result<Run, Error> {
        let (run, end) = self.start_once(set, bar)?;
        let Some(end) = end else { return Ok(run) };
        // It is the same each time, so it is asked again, and says at what it is.
        let path = env::temp_dir().join(format!("simtest-{}-under-way", process::id()));
        let mut again = set.to_vec();
        again.push(("SIMTEST_UNDER_WAY".to_owned(), path.display().to_string()));
        let (_, again) = self.start_once(&again, None)?;
        let at = read_and_remove(&path);
        let at = if again.is_none() { "\n  not so at a second attempt".to_owned() } else { at };
        let output = format!("the test's process has ended by itself: {end}{at}\n{}", run.output.trim_end());
        Ok(Run { output: output.trim_end().to_owned(), ..run })
    }

    /// Runs it; how its process has ended, if that was before the test's end.
    fn start_once(
        &self,
        set: &[(String, String)],
        mut bar: Option<Bar>,
    ) -> Result<(Run, Option<String>), Error> {
        let name = format!("simtest-{}-{}", process::id(), self.path.replace("::", "-"));
        let result = env::temp_dir().join(name);
        let begun = Instant::now();
        let mut command = Command::new(&self.binary);
        command
            .args(["--exact", &self.path, "--nocapture", "--include-ignored"])
            .env("SIMTEST_RESULT", &result);
        if let Some(limit) = self.timeout {
            command.env("SIMTEST_TIMEOUT", limit.as_secs().to_string());
        }
        command.envs(set.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.folder).env("SIMTEST_FROM", env::current_dir().unwrap_or_default());
        if bar.is_some() || self.timeout.is_some() {
            command.env("SIMTEST_PROGRESS", "1");
        }
        command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
        let is_shrinking = set.iter().any(|(name, value)| name == "SIMTEST_ONLY" && value == "shrink");
        if is_shrinking {
            interrupt::spare(&mut command);
        }
        let failed = |error| format!("{}: {error}", self.binary.display());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(stdin) = child.stdin.take() {
            interrupt::ends(stdin);
        }
        let said = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = said.map(|mut said| said.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        let stderr = child.stderr.take();
        let child = Arc::new(Mutex::new(child));
        // It ends by itself, and says at what it was, unless it is the process that hangs.
        let limit = self.timeout.map(|limit| Limit::new(limit + GRACE, Arc::clone(&child)));
        let (mut errors, mut wrote, mut latest) = (String::new(), false, String::new());
        for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
            let Ok(line) = line else { break };
            match (line.strip_prefix('\u{1}'), &mut bar) {
                (Some("wrote"), _) => wrote = true,
                (Some(news), bar) => {
                    news.clone_into(&mut latest);
                    if let Some(bar) = bar {
                        bar.show(news);
                    }
                }
                (None, _) => {
                    errors.push_str(&line);
                    errors.push('\n');
                }
            }
        }
        let stopped = limit.is_some_and(Limit::end);
        let ended = child.lock().unwrap_or_else(PoisonError::into_inner).wait().map_err(failed)?;
        if let Some(bar) = bar {
            bar.clear();
        }
        let shown = reader.join().unwrap_or_default();
        let took = begun.elapsed();
        let mut told = read_and_remove(&result);
        if let Some(limit) = self.timeout.filter(|_| stopped && told.is_empty()) {
            told = format!("timeout\nit has not ended within {} s", limit.as_secs());
        }
        if told.starts_with("timeout\n") {
            told.push_str(&place(&latest));
        }
        let (word, text) = told.split_once('\n').unwrap_or(("crash", ""));
        match word {
            "usage" => return Err(Error::Refused(text.trim_end().to_owned())),
            "failed" => return Err(Error::Failed(text.trim_end().to_owned())),
            _ => {}
        }
        let untold = word == "crash" && text.is_empty();
        let output = if untold { errors } else { text.trim_end().to_owned() };
        let end = (untold && ended.code() != Some(LIBTEST_FAILED)).then(|| ended.to_string());
        Ok((Run { word: word.to_owned(), output, shown, wrote, took }, end))
    }
}

/// How the harness of Rust's tests ends when a test has panicked.
const LIBTEST_FAILED: i32 = 101;

/// So much longer it may take to say so.
const GRACE: Duration = Duration::from_secs(3);

/// Stops a process that takes too long.
struct Limit {
    ended: Sender<()>,
    watch: JoinHandle<bool>,
}

impl Limit {
    fn new(limit: Duration, child: Arc<Mutex<Child>>) -> Self {
        let (ended, end) = channel();
        let watch = thread::spawn(move || {
            let late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late {
                // It fails for one that has just ended.
                let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
            late
        });
        Self { ended, watch }
    }

    /// The process has closed its output; whether it was stopped.
    fn end(self) -> bool {
        drop(self.ended);
        self.watch.join().unwrap_or_default()
    }
}

/// How far a test was that was stopped.
fn place(latest: &str) -> String {
    let mut words = latest.split(' ');
    let at = match (words.next(), words.next(), words.next()) {
        (Some(phase), Some(done), Some(all)) => format!("  at {} {done} of {all}\n", phase.replace('-', " ")),
        _ => String::new(),
    };
    format!(
        "\n{at}  a run ends after `Sim::max_events` events at the latest, but an endless loop in a node, in a judge or in the test's body \
         is not an event; a debugger that is attached while it runs shows where"
    )
}

fn read_and_remove(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text
}

pub(crate) fn report(command: &str, test: &Found, run: &Run, json: bool) {
    if json {
        let object =
            Object::default().text("command", command).text("test", test.name()).text("result", &run.word);
        let object = object.number("code", run.code().into()).number("ms", run.took.as_millis());
        let shown = run.own(test);
        // What is JSON already, such as a curve, is part of the object.
        let (data, shown): (Vec<&str>, Vec<&str>) =
            shown.lines().partition(|line| line.starts_with("{\"curve\":"));
        let object = object.text("text", &run.output).text("shown", &shown.join("\n"));
        let curve = data.first().and_then(|line| line.strip_prefix("{\"curve\":")?.strip_suffix('}'));
        match curve {
            Some(curve) => object.raw("curve", curve).print(),
            None => object.print(),
        }
        return;
    }
    tell!(" {:<40} {:<12} {:>6.1} s", test.name(), run.word, run.took.as_secs_f64());
    let mine = format!("{}: ", test.name());
    for line in run.output.lines() {
        tell!("   {}", line.strip_prefix(&mine).unwrap_or(line));
    }
}
