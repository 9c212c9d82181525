//! The tests of the crate around, and runs of them.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use super::json::Object;
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
    /// What it has printed.
    shown: String,
    took: Duration,
}

impl Run {
    /// Whether it is about a schedule that no longer applies.
    pub(crate) fn unmatched(&self) -> bool {
        self.word == "vacuous" && self.output.lines().any(|line| line.trim_start().starts_with("unmatched "))
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
            "liveness" => 2,
            "safety" => 3,
            "determinism" => 4,
            "vacuous" => 5,
            _ => 1,
        }
    }
}

/// Gives a recorded session to the tests that can replay such: those called `simtest_recording`.
pub(crate) fn recording(word: &str, arguments: &Arguments) -> Result<u8, String> {
    let [file] = &arguments.words[..] else { return Err("expected one recording".into()) };
    let path = fs::canonicalize(file).map_err(|error| format!("{file}: {error}"))?;
    let set = [
        ("SIMTEST_RECORDING".to_owned(), path.display().to_string()),
        ("SIMTEST_ONLY".to_owned(), word.to_owned()),
    ];
    for test in listed(arguments, "simtest_recording")? {
        let run = test.run(&set)?;
        // One that replays another protocol says nothing.
        if run.word == "crash" && run.output.is_empty() {
            continue;
        }
        report(word, &test, &run, arguments.has("json"));
        return Ok(run.code());
    }
    Err(format!("no test `simtest_recording` here can replay {file}"))
}

/// Builds the tests and lists those made with the attribute.
pub(crate) fn find(arguments: &Arguments) -> Result<Vec<Found>, String> {
    listed(arguments, "simtest")
}

/// Builds the tests and lists those of this name, in whatever module.
fn listed(arguments: &Arguments, name: &str) -> Result<Vec<Found>, String> {
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
            .filter(|path| path.rsplit("::").next() == Some(name) && path.contains("::"));
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
pub(crate) fn one(
    word: &str,
    name: &str,
    arguments: &Arguments,
    set: &[(String, String)],
) -> Result<u8, String> {
    let test = named(name, arguments)?;
    let run = if word == "certify" { test.run_shown(word, set, name, arguments)? } else { test.run(set)? };
    if arguments.has("json") {
        report(word, &test, &run, true);
        return Ok(run.code());
    }
    for line in run.own(&test).lines() {
        println!("{line}");
        if arguments.has("step") {
            let _ = io::stdout().flush();
            let _ = io::stdin().read_line(&mut String::new());
        }
    }
    // What a test prints when it passes has been shown; a failure is told on the other stream.
    if run.code() != 0 {
        println!("{}", run.output);
    } else if ["shrink", "why"].contains(&word) {
        println!(
            "{} passes: there is nothing to {}",
            test.name(),
            if word == "why" { "explain" } else { word }
        );
    }
    Ok(run.code())
}

impl Found {
    pub(crate) fn name(&self) -> &str {
        self.path.strip_suffix("::simtest").unwrap_or(&self.path)
    }

    /// Runs it in the folder that we are in.
    pub(crate) fn run(&self, set: &[(String, String)]) -> Result<Run, String> {
        self.start(set, None)
    }

    /// The same, and tells how far it is.
    pub(crate) fn run_shown(
        &self,
        command: &str,
        set: &[(String, String)],
        of: &str,
        arguments: &Arguments,
    ) -> Result<Run, String> {
        let head = Object::default().text("command", command).text("test", self.name());
        self.start(set, Some(Bar::new(of, arguments.has("json").then_some(head))))
    }

    fn start(&self, set: &[(String, String)], mut bar: Option<Bar>) -> Result<Run, String> {
        let name = format!("simtest-{}-{}", process::id(), self.path.replace("::", "-"));
        let result = env::temp_dir().join(name);
        let begun = Instant::now();
        let mut command = Command::new(&self.binary);
        command.args(["--exact", &self.path, "--nocapture"]).env("SIMTEST_RESULT", &result);
        command.envs(set.iter().map(|(name, value)| (name, value)));
        if bar.is_some() {
            command.env("SIMTEST_PROGRESS", "1");
        }
        command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
        let failed = |error| format!("{}: {error}", self.binary.display());
        let mut child = command.spawn().map_err(failed)?;
        let said = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = said.map(|mut said| said.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut errors = String::new();
        for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
            let Ok(line) = line else { break };
            match (line.strip_prefix('\u{1}'), &mut bar) {
                (Some(news), Some(bar)) => bar.show(news),
                (Some(_), None) => {}
                (None, _) => {
                    errors.push_str(&line);
                    errors.push('\n');
                }
            }
        }
        child.wait().map_err(failed)?;
        if let Some(bar) = bar {
            bar.clear();
        }
        let shown = reader.join().unwrap_or_default();
        let took = begun.elapsed();
        let told = read_and_remove(&result);
        let (word, text) = told.split_once('\n').unwrap_or(("crash", ""));
        if word == "usage" {
            return Err(text.trim_end().to_owned());
        }
        let output = if word == "crash" && text.is_empty() { errors } else { text.trim_end().to_owned() };
        Ok(Run { word: word.to_owned(), output, shown, took })
    }
}

fn read_and_remove(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text
}

/// How far a test is: one line that is redrawn; where nobody looks, a plain line for each quarter, or an object.
struct Bar {
    of: String,
    /// What each object begins with, if such are asked for.
    json: Option<Object>,
    redrawn: bool,
    last: Option<Instant>,
    /// How many quarters of the phase have been told.
    told: u64,
    phase: (String, Instant),
}

impl Bar {
    fn new(of: &str, json: Option<Object>) -> Self {
        let phase = (String::new(), Instant::now());
        let redrawn = json.is_none() && io::stderr().is_terminal();
        Self { of: of.into(), json, redrawn, last: None, told: 0, phase }
    }

    /// `news` is phase, done, all.
    fn show(&mut self, news: &str) {
        let mut words = news.split(' ');
        let (Some(phase), Some(done), Some(all)) = (words.next(), words.next(), words.next()) else { return };
        let (Ok(done), Ok(all)) = (done.parse::<u64>(), all.parse::<u64>()) else { return };
        if self.phase.0 != phase {
            self.phase = (phase.into(), Instant::now());
            self.told = 0;
        }
        let all = all.max(1);
        let done = done.min(all);
        let millis = self.phase.1.elapsed().as_millis().max(1);
        let speed = u128::from(done) * 1_000 / millis;
        let left = Duration::from_millis((millis * u128::from(all - done) / u128::from(done.max(1))) as u64);
        let words = phase.replace('-', " ");
        let counts = format!("{words} {done}/{all}  {speed}/s  {:.1} s left", left.as_secs_f64());
        let quarter = done * 4 / all + 1;
        if let Some(head) = &self.json {
            if quarter > self.told {
                let object = head.clone().text("phase", phase).number("done", done.into());
                object.number("of", all.into()).print();
                self.told = quarter;
            }
        } else if self.redrawn {
            if self.last.is_some_and(|last| last.elapsed() < Duration::from_millis(100)) {
                return;
            }
            self.last = Some(Instant::now());
            let full = done * 20 / all;
            let bar: String = (0..20).map(|i| if i < full { '█' } else { '░' }).collect();
            let _ = write!(io::stderr(), "\r\x1b[2K {} {bar} {counts}", self.of);
            let _ = io::stderr().flush();
        } else if quarter > self.told {
            let _ = writeln!(io::stderr(), "{} {counts}", self.of);
            self.told = quarter;
        }
    }

    fn clear(self) {
        if self.redrawn {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
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
    println!(" {:<40} {:<12} {:>6.1} s", test.name(), run.word, run.took.as_secs_f64());
    let mine = format!("{}: ", test.name());
    for line in run.output.lines() {
        println!("   {}", line.strip_prefix(&mine).unwrap_or(line));
    }
}
