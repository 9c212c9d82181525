//! What may be written after `simtest`.

pub(crate) const USAGE: &str = "\
usage:
  simtest run [NAME] [--seeds A..B] [--budget 60s] [--jobs N] [--strict]
  simtest replay TEST SEED | --sched FILE  [--view outcomes|messages|packets|host=NAME|around=f2+20] [--until EVENT] [--step]
  simtest shrink TEST SEED | --sched FILE  [--budget 60s]
  simtest replay FILE.rec, simtest shrink FILE.rec: a recorded session
  simtest why TEST SEED | --sched FILE
  simtest show TEST SEED | FILE.sched  --html|--jsonl|--mermaid|--pcap|--lua|--qlog|--shiviz|--sched  [--out FILE]
  simtest certify TEST [--faults K]
  simtest diff A.jsonl B.jsonl
  simtest corpus add FILE... | list | prune [--dry-run]
  simtest bench [NAME]... [--strict]
all take --json (one object a line on stdout), and --package NAME and --release for cargo.
exit codes: 0 pass, 1 crash, 2 liveness, 3 safety, 4 determinism, 5 vacuous with --strict, 64 usage";

/// Words, values (`--name value`) and flags (`--name`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) words: Vec<String>,
    pub(crate) values: Vec<(String, String)>,
    flags: Vec<String>,
}

const VALUES: [&str; 9] = ["seeds", "jobs", "view", "faults", "out", "package", "sched", "budget", "until"];
const FLAGS: [&str; 13] = [
    "strict", "json", "release", "html", "jsonl", "mermaid", "pcap", "lua", "qlog", "shiviz", "step",
    "trace", "dry-run",
];

/// What the value of an option should have been, if it is something else.
fn expected(name: &str, value: &str) -> Option<&'static str> {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let (right, expected) = match name {
        "seeds" => {
            let ends = value.split_once("..");
            (ends.is_some_and(|(from, to)| is_number(from) && is_number(to)), "a range like 0..1000")
        }
        "budget" => (value.strip_suffix('s').is_some_and(is_number), "seconds like 60s"),
        "jobs" | "faults" | "until" => (value.parse::<u32>().is_ok(), "a number"),
        _ => (true, ""),
    };
    (!right).then_some(expected)
}

impl Arguments {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        let mut rest = arguments.iter().peekable();
        while let Some(word) = rest.next() {
            let Some(name) = word.strip_prefix("--") else {
                all.words.push(word.clone());
                continue;
            };
            // `--sched` is a value, or at the end the form in which to show.
            let value = rest.peek().filter(|value| !value.starts_with("--"));
            match value {
                Some(value) if VALUES.contains(&name) => {
                    if let Some(expected) = expected(name, value) {
                        return Err(format!("--{name} {value}: expected {expected}"));
                    }
                    all.values.push((name.into(), (*value).clone()));
                    rest.next();
                }
                _ if FLAGS.contains(&name) || name == "sched" => all.flags.push(name.into()),
                _ if VALUES.contains(&name) => return Err(format!("--{name} needs a value")),
                _ => return Err(format!("there is no option `--{name}`")),
            }
        }
        Ok(all)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(parse("--budget 60"), Err("--budget 60: expected seconds like 60s".into()));
        assert_eq!(parse("--faults two"), Err("--faults two: expected a number".into()));
        assert_eq!(parse("--speed 1"), Err("there is no option `--speed`".into()));
    }
}
