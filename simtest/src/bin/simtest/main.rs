//! `simtest`: runs, replays and shows the simulator tests of the crate around it.
//!
//! It looks for tests made with `#[simtest::test]`: `cargo test --no-run` builds them, and those whose name ends in
//! `::simtest` are run with the environment set; plain `cargo test` does the same without this program.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command line may look at the clock"
)]

/// Prints a line. Where nobody reads any further (`| head`) it goes on, for how it ends tells something, too.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        if let Err(error) = writeln!(std::io::stdout(), $($text)*) {
            $crate::error::unwritten(&error);
        }
    }};
}

mod bar;
mod bench;
mod corpus;
mod diff;
mod error;
mod found;
mod interrupt;
mod json;
mod usage;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use simtest::Schedule;

use self::error::{Error, complain, usage};
use self::found::Found;
use self::json::Object;
use self::usage::{Arguments, USAGE};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match command(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => error.told(),
    }
}

const COMMANDS: [&str; 9] = ["run", "replay", "shrink", "why", "show", "certify", "diff", "corpus", "bench"];

fn command(arguments: &[String]) -> Result<u8, Error> {
    let Some((word, rest)) = arguments.split_first() else { return Err(usage("what shall it do?")) };
    if word == "help" || arguments.iter().any(|word| word == "--help" || word == "-h") {
        tell!("{USAGE}");
        return Ok(0);
    }
    match word.as_str() {
        "--version" | "-V" => {
            tell!("simtest {}", env!("CARGO_PKG_VERSION"));
            return Ok(0);
        }
        _ => {}
    }
    if !COMMANDS.contains(&word.as_str()) {
        return Err(Error::Usage(format!("there is no command `{word}`")));
    }
    let arguments = Arguments::of(word, rest).map_err(Error::Usage)?;
    if let ("run" | "certify", [_, other, ..]) = (word.as_str(), &arguments.words[..]) {
        return Err(Error::Usage(format!("expected one name, found `{other}` too")));
    }
    match word.as_str() {
        "run" => run(&arguments),
        "replay" | "shrink" if is_recording(&arguments) => found::recording(word, &arguments),
        "replay" | "shrink" => {
            let (test, mut set) = one(&arguments)?;
            let view = if word == "shrink" { "none" } else { arguments.value("view").unwrap_or("packets") };
            set.push(("SIMTEST_VIEW".into(), view.into()));
            set.push(("SIMTEST_ONLY".into(), word.clone()));
            let variables =
                [("until", "SIMTEST_UNTIL"), ("budget", "SIMTEST_BUDGET"), ("jobs", "SIMTEST_THREADS")];
            for (name, variable) in variables {
                set.extend(arguments.value(name).map(|value| (variable.to_owned(), value.to_owned())));
            }
            found::one(word, &test, &arguments, &set)
        }
        "why" => {
            let (test, mut set) = one(&arguments)?;
            let form = if arguments.has("json") { "json" } else { "text" };
            set.push(("SIMTEST_WHY".into(), form.into()));
            set.push(("SIMTEST_VIEW".into(), "none".into()));
            set.push(("SIMTEST_ONLY".into(), word.clone()));
            found::one(word, &test, &arguments, &set)
        }
        "show" => show(&arguments),
        "certify" => {
            let faults = arguments.value("faults").unwrap_or("2").to_owned();
            let test = arguments.words.first().ok_or_else(|| usage("which test?"))?;
            found::one(word, test, &arguments, &[("SIMTEST_CERTIFY".into(), faults)])
        }
        "diff" => diff::diff(&arguments),
        "corpus" => corpus::corpus(&arguments),
        _ => bench::bench(&arguments),
    }
}

fn is_recording(arguments: &Arguments) -> bool {
    let end = arguments.words.first().and_then(|file| Path::new(file).extension());
    end.is_some_and(|end| end == "rec")
}

type Set = Vec<(String, String)>;

/// The test, and the seed or schedule to run it with: `TEST SEED`, or `--sched FILE`.
fn one(arguments: &Arguments) -> Result<(String, Set), Error> {
    if let Some(file) = arguments.value("sched") {
        let test = match arguments.words.first() {
            Some(test) => test.clone(),
            None => schedule(Path::new(file))?.test,
        };
        let path = fs::canonicalize(file).map_err(|error| format!("{file}: {error}"))?;
        return Ok((test, vec![("SIMTEST_SCHEDULE".into(), path.display().to_string())]));
    }
    let [test, seed] = &arguments.words[..] else {
        return Err(usage("expected TEST SEED, or --sched FILE"));
    };
    let seed: u64 = seed.parse().map_err(|_| Error::Usage(format!("expected a seed, found `{seed}`")))?;
    Ok((test.clone(), vec![("SIMTEST_SEED".into(), seed.to_string())]))
}

fn schedule(path: &Path) -> Result<Schedule, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Schedule::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn run(arguments: &Arguments) -> Result<u8, Error> {
    let filter = arguments.words.first().map_or("", String::as_str);
    let mut set = Vec::new();
    if let Some(seeds) = arguments.value("seeds") {
        set.push(("SIMTEST_SEEDS".to_owned(), seeds.to_owned()));
    }
    if let Some(jobs) = arguments.value("jobs") {
        set.push(("SIMTEST_THREADS".to_owned(), jobs.to_owned()));
    }
    if let Some(budget) = arguments.value("budget") {
        set.push(("SIMTEST_BUDGET".to_owned(), budget.to_owned()));
    }
    if let Some(percent) = arguments.value("check-determinism") {
        set.push(("SIMTEST_DETERMINISM".to_owned(), percent.trim_end_matches('%').to_owned()));
    }
    if arguments.has("strict") {
        set.push(("SIMTEST_STRICT".to_owned(), "1".to_owned()));
    }
    let asked = |found: &Found| found.name() == filter || !found.ignored && found.name().contains(filter);
    let found: Vec<Found> = found::find(arguments)?.into_iter().filter(asked).collect();
    if found.is_empty() {
        let why = format!("no test made with #[simtest::test] is called like `{filter}`");
        return Err(Error::Refused(why));
    }
    let mut code = 0;
    for (number, test) in found.iter().enumerate() {
        let of = format!("{}/{} {}", number + 1, found.len(), test.name());
        let run = test.run_shown("run", &set, &of, arguments)?;
        found::report("run", test, &run, arguments.has("json"));
        // The codes are in the order of how grave they are.
        code = [code, run.code()].into_iter().filter(|code| *code > 0).min().unwrap_or(0);
    }
    if filter.is_empty() {
        corpus::tell_orphans(&found, arguments)?;
    }
    Ok(code)
}

fn show(arguments: &Arguments) -> Result<u8, Error> {
    const FORMS: [&str; 8] = ["html", "jsonl", "mermaid", "pcap", "lua", "qlog", "shiviz", "sched"];
    let forms: Vec<&str> = FORMS.into_iter().filter(|form| arguments.has(form)).collect();
    let [form] = forms[..] else {
        return Err(Error::Usage(format!("expected one of --{}", FORMS.join(", --"))));
    };
    let mut arguments = arguments.clone();
    // `show FILE` as well as `show --sched FILE`.
    if let [file] = &arguments.words[..]
        && Path::new(file).extension().is_some_and(|end| end == "sched")
    {
        arguments.values.push(("sched".into(), file.clone()));
        arguments.words.clear();
    }
    let (test, mut set) = one(&arguments)?;
    let out =
        arguments.value("out").map_or_else(|| format!("{}.{form}", test.replace("::", "-")), String::from);
    let folder = env::current_dir().map_err(|error| error.to_string())?;
    let path = folder.join(&out);
    set.push(("SIMTEST_SHOW".into(), format!("{form}:{}", path.display())));
    set.push(("SIMTEST_VIEW".into(), "none".into()));
    set.push(("SIMTEST_VERDICT".into(), "/dev/null".into()));
    let run = found::named(&test, &arguments)?.run(&set)?;
    if !run.wrote {
        return Err(Error::Failed(format!("{out} was not written: {}", run.output)));
    }
    let stale = run.unmatched();
    if arguments.has("json") {
        let object = Object::default().text("command", "show").text("file", &out);
        match &stale {
            Some(lines) => object.text("unmatched", lines).print(),
            None => object.print(),
        }
    } else {
        tell!("{out}");
    }
    if let Some(lines) = stale {
        complain(&format!("the schedule is stale, this is another run than it was: unmatched {lines}"));
        return Ok(5);
    }
    if run.code() == 4 {
        complain(&run.output);
        return Ok(4);
    }
    Ok(0)
}
