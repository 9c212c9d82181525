//! What may be written after `simtest`.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage:
  simtest run [NAME] [--seeds A..B] [--budget 60s|RUNS] [--jobs N] [--strict] [--check-determinism 5%]
  simtest replay TEST SEED | --sched FILE  [--view outcomes|messages|packets|bytes|host=NAME|around=f2+20] [--until EVENT] [--step]
  simtest shrink TEST SEED | --sched FILE  [--budget 60s|RUNS] [--jobs N]
  simtest replay FILE.rec
  simtest shrink FILE.rec  [--budget 60s|RUNS]
  simtest why TEST SEED | --sched FILE
  simtest show TEST SEED | FILE.sched  --html|--jsonl|--mermaid|--pcap|--lua|--qlog|--shiviz|--sched  [--out FILE]
  simtest certify TEST [--faults K]
  simtest diff A.jsonl B.jsonl
  simtest corpus add FILE... | list | prune [--dry-run] [--orphans]
  simtest bench [NAME]... [--strict] [--short]
  simtest help, simtest --version
all take --help, --json (one object a line on stdout), and for cargo --package NAME, --workspace, --manifest-path FILE, --test NAME,
--features LIST, --all-features, --no-default-features and --release. Those that run tests take --timeout 60s: a test that has not
ended by then is stopped, and counts as a liveness failure.
--budget: so long, or so many runs; Ctrl-C ends a `shrink` likewise, and tells the smallest story so far.
exit codes: 0 pass, 1 crash, 2 liveness, 3 safety, 4 determinism, 5 vacuous with --strict (or an incomplete certificate),
of several the first of these; 64 usage, 70 it could not be done (the tests do not build, a file cannot be read); of diff: 0 no
difference, 1 one";

/// Words, values (`--name value`) and flags (`--name`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) words: Vec<String>,
    pub(crate) values: Vec<(String, String)>,
    flags: Vec<String>,
}

const VALUES: [&str; 10] =
    ["seeds", "jobs", "view", "faults", "out", "sched", "budget", "until", "timeout", "check-determinism"];
/// What cargo is given.
const CARGO_VALUES: [&str; 4] = ["package", "features", "test", "manifest-path"];
const CARGO_FLAGS: [&str; 4] = ["release", "workspace", "all-features", "no-default-features"];
const FLAGS: [&str; 14] = [
    "short", "strict", "json", "html", "jsonl", "mermaid", "pcap", "lua", "qlog", "shiviz", "step", "trace",
    "dry-run", "orphans",
];

/// What the value of an option should have been, if it is something else.
fn expected(name: &str, value: &str) -> Option<&'static str> {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let (right, expected) = match name {
        "seeds" => {
            let ends = value.split_once("..");
            let number = |text: &str| text.parse::<u64>().ok();
            let ends = ends.and_then(|(from, to)| Some((number(from)?, number(to)?)));
            (ends.is_some_and(|(from, to)| from < to), "a range like 0..1000")
        }
        "timeout" => (value.strip_suffix('s').is_some_and(is_number), "seconds like 60s"),
        "budget" => {
            let number = value.strip_suffix('s').unwrap_or(value);
            (is_number(number), "seconds like 60s, or a number of runs")
        }
        "check-determinism" => {
            let percent = value.strip_suffix('%').unwrap_or(value).parse::<u32>();
            (percent.is_ok_and(|percent| percent <= 100), "a share of the seeds like 5%")
        }
        "view" => (is_view(value), "outcomes, messages, packets, bytes, host=NAME or around=f2+20"),
        "jobs" => (value.parse::<u32>().is_ok_and(|jobs| jobs > 0), "a number from 1 on"),
        "faults" | "until" => (value.parse::<u32>().is_ok(), "a number"),
        _ => (true, ""),
    };
    (!right).then_some(expected)
}

/// The options of a command, besides those that all take.
fn options(command: &str) -> &'static [&'static str] {
    match command {
        "run" => &["seeds", "budget", "jobs", "strict", "check-determinism"],
        "replay" => &["sched", "view", "until", "step", "trace"],
        "shrink" => &["sched", "budget", "jobs"],
        "why" => &["sched"],
        "show" => &["sched", "html", "jsonl", "mermaid", "pcap", "lua", "qlog", "shiviz", "out"],
        "certify" => &["faults"],
        "corpus" => &["dry-run", "orphans"],
        "bench" => &["strict", "short"],
        _ => &[],
    }
}

/// Whether it is one of the views of a run.
fn is_view(text: &str) -> bool {
    let around = |rest: &str| {
        let (fault, lines) = rest.split_once(['+', '±']).unwrap_or((rest, "0"));
        fault.strip_prefix('f').is_some_and(|n| n.parse::<u32>().is_ok()) && lines.parse::<u32>().is_ok()
    };
    match text.split_once('=') {
        None => ["outcomes", "messages", "packets", "bytes", "none"].contains(&text),
        Some(("host", names)) => !names.is_empty(),
        Some(("around", rest)) => around(rest),
        Some(_) => false,
    }
}

impl Arguments {
    /// Those of `command`: with an option that it does not know, it would do something else than it was told.
    pub(crate) fn of(command: &str, arguments: &[String]) -> Result<Self, String> {
        let parsed = Self::parse(arguments)?;
        let mut names = parsed.values.iter().map(|(name, _)| name).chain(&parsed.flags);
        let all = |name: &str| {
            ["json", "timeout"].contains(&name) || CARGO_VALUES.contains(&name) || CARGO_FLAGS.contains(&name)
        };
        let known = |name: &String| all(name) || options(command).contains(&&name[..]);
        match names.find(|name| !known(name)) {
            Some(name) => Err(format!("`{command}` does not take --{name}")),
            None => Ok(parsed),
        }
    }

    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        let mut rest = arguments.iter().peekable();
        while let Some(word) = rest.next() {
            let Some(name) = word.strip_prefix("--") else {
                if word.starts_with('-') && word.len() > 1 {
                    return Err(format!("there is no option `{word}`; those with a name have two dashes"));
                }
                all.words.push(word.clone());
                continue;
            };
            let (name, own) = name.split_once('=').map_or((name, None), |(name, own)| (name, Some(own)));
            // `--sched` is a value, or at the end the form in which to show.
            let value =
                own.or_else(|| rest.peek().map(|next| &next[..]).filter(|next| !next.starts_with("--")));
            match value {
                Some(value) if VALUES.contains(&name) || CARGO_VALUES.contains(&name) => {
                    if let Some(expected) = expected(name, value) {
                        return Err(format!("--{name} {value}: expected {expected}"));
                    }
                    all.values.push((name.into(), value.to_owned()));
                    if own.is_none() {
                        rest.next();
                    }
                }
                _ if own.is_some() && (FLAGS.contains(&name) || CARGO_FLAGS.contains(&name)) => {
                    return Err(format!("--{name} takes no value"));
                }
                _ if FLAGS.contains(&name) || CARGO_FLAGS.contains(&name) || name == "sched" => {
                    all.flags.push(name.into());
                }
                _ if VALUES.contains(&name) || CARGO_VALUES.contains(&name) => {
                    return Err(format!("--{name} needs a value"));
                }
                _ => return Err(format!("there is no option `--{name}`")),
            }
        }
        Ok(all)
    }

    /// How long a test may take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.value("timeout")?.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
    }

    /// What is meant for cargo, as it was given.
    pub(crate) fn of_cargo(&self) -> Vec<String> {
        let values = self.values.iter().filter(|(name, _)| CARGO_VALUES.contains(&&name[..]));
        let values = values.flat_map(|(name, value)| [format!("--{name}"), value.clone()]);
        let flags = self.flags.iter().filter(|name| CARGO_FLAGS.contains(&&name[..]));
        values.chain(flags.map(|name| format!("--{name}"))).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_its_own_options() {
        let of = |text: &str| {
            let words: Vec<String> = text.split(' ').map(String::from).collect();
            Arguments::of(&words[0], &words[1..]).map(|_| ())
        };
        assert_eq!(of("run --seeds 0..5 --json"), Ok(()));
        assert_eq!(of("replay t 1 --seeds 0..5"), Err("`replay` does not take --seeds".into()));
        assert_eq!(of("diff a b --strict"), Err("`diff` does not take --strict".into()));
        for line in USAGE.lines().filter_map(|line| line.strip_prefix("  simtest ")) {
            let command = line.split(' ').next().unwrap_or_default();
            for part in line.split("--").skip(1) {
                let name: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                let known = options(command).contains(&&name[..]) || name == "version";
                assert!(known, "{command} --{name} is in the usage");
            }
        }
    }

    fn parse(text: &str) -> Result<Arguments, String> {
        Arguments::parse(&text.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn words_values_and_flags() {
        let all = parse("chat 7 --view messages --release --sched").unwrap();
        assert_eq!(all.words, ["chat", "7"]);
        assert_eq!(all.value("view"), Some("messages"));
        assert!(all.has("release") && all.has("sched") && !all.has("json"));
        assert_eq!(parse("--sched a.sched --html").unwrap().value("sched"), Some("a.sched"));
        assert_eq!(parse("--seeds"), Err("--seeds needs a value".into()));
        assert_eq!(parse("--seeds 5"), Err("--seeds 5: expected a range like 0..1000".into()));
        assert_eq!(parse("--timeout 3s").unwrap().timeout(), Some(Duration::from_secs(3)));
        assert!(parse("--budget 60").is_ok() && parse("--budget 60s").is_ok());
        let expected = "--budget 1m: expected seconds like 60s, or a number of runs";
        assert_eq!(parse("--budget 1m"), Err(expected.into()));
        assert_eq!(parse("--faults two"), Err("--faults two: expected a number".into()));
        assert!(parse("--view around=f2±20").is_ok() && parse("--view host=a,b").is_ok());
        assert!(parse("--view all").is_err() && parse("--view around=2+x").is_err());
        assert_eq!(parse("--speed 1"), Err("there is no option `--speed`".into()));
        let cargo =
            parse("t --package a --json --features x,y --package b --all-features --seeds 0..1").unwrap();
        let given = ["--package", "a", "--features", "x,y", "--package", "b", "--all-features"];
        assert_eq!(cargo.of_cargo(), given);
        assert_eq!(parse("--test"), Err("--test needs a value".into()));
        let joined = parse("t --seeds=0..9 --package=a --features=x=y --json").unwrap();
        assert_eq!((joined.value("seeds"), joined.words.len()), (Some("0..9"), 1));
        assert_eq!(joined.of_cargo(), ["--package", "a", "--features", "x=y"]);
        assert_eq!(parse("--json=yes"), Err("--json takes no value".into()));
        assert_eq!(parse("--seeds=5"), Err("--seeds 5: expected a range like 0..1000".into()));
        assert_eq!(parse("--speed=5"), Err("there is no option `--speed`".into()));
        assert_eq!(parse("-j 4"), Err("there is no option `-j`; those with a name have two dashes".into()));
    }
}
