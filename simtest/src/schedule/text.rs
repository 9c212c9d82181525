//! The text of a schedule: one fault a line, meant to be read, committed and edited.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::{Content, Damage, DatagramFault, Effect, Line, LineWhat, Schedule, Weather, Without};
use crate::disk::DiskLoss;
use crate::fault::{Fault, Trouble, What};
use crate::time::{Span, Time, nanos};

const MAGIC: &str = "simtest-sched 1";

/// What is wrong with the text of a schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected, and what stands there.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

impl Schedule {
    /// No faults, in flat weather.
    pub fn empty(test: &str) -> Self {
        Self {
            test: test.into(),
            nodes: 0,
            weather: Weather::Flat,
            without: Vec::new(),
            lines: Vec::new(),
            expect: None,
        }
    }

    /// The schedule as text, in the form shown [above](Self).
    pub fn to_text(&self) -> String {
        let mut out = format!("{MAGIC}\ntest {}\nnodes {}\n", self.test, self.nodes);
        let _ = match self.weather {
            Weather::Flat => writeln!(out, "weather flat"),
            Weather::Seed(seed) => writeln!(out, "weather {seed}"),
        };
        for without in &self.without {
            let _ = writeln!(out, "{without}");
        }
        for line in &self.lines {
            let _ = writeln!(out, "{line}");
        }
        if let Some(oracle) = &self.expect {
            let _ = writeln!(out, "expect {oracle}");
        }
        out
    }

    /// Reads what [`to_text`](Self::to_text) writes. Empty lines and those that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut schedule = Self::empty("");
        let (mut words, mut keys) = (BTreeSet::new(), BTreeMap::new());
        let mut lines = (1..).zip(text.lines().map(str::trim));
        let magic = lines.next().map(|(_, line)| line).unwrap_or_default();
        if magic != MAGIC {
            return Err(ParseError { line: 1, message: format!("expected `{MAGIC}`, found `{magic}`") });
        }
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |message| ParseError { line: number, message };
            let word = line.split(' ').next().unwrap_or_default();
            if word != "without" && !words.insert(word) {
                return Err(wrong(format!("{word} is there already")));
            }
            schedule.read(line).map_err(wrong)?;
            // Of two faults of one family one would be overlooked.
            if let Some(Line { id, what: LineWhat::Datagram(fault) }) = schedule.lines.last()
                && word == format!("f{id}")
                && let Some(other) = keys.insert(fault.key(), *id)
            {
                return Err(wrong(format!("f{id} is about the same as f{other}")));
            }
        }
        Ok(schedule)
    }

    fn read(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "test" => rest.clone_into(&mut self.test),
            "expect" => self.expect = Some(rest.to_owned()),
            "nodes" => self.nodes = number(rest, "a seed")?,
            "weather" if rest == "flat" => self.weather = Weather::Flat,
            "weather" => self.weather = Weather::Seed(number(rest, "`flat` or a seed")?),
            "without" => self.without.push(left_out(rest)?),
            id => {
                let digits = id.strip_prefix('f').filter(|digits| !digits.starts_with(['0', '+']));
                let id = digits.and_then(|digits| digits.parse().ok());
                let id = id.ok_or_else(|| {
                    let expected = "`test`, `nodes`, `weather`, `without`, `expect` or a fault id like `f1`";
                    format!("expected {expected}, found `{word}`")
                })?;
                self.lines.push(Line { id, what: fault(&mut Words(rest))? });
            }
        }
        Ok(())
    }
}

/// The rest of a line, taken word by word.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self, expected: &str) -> Result<&'a str, String> {
        let rest = self.0.trim_start();
        if rest.is_empty() {
            return Err(format!("expected {expected} at the end"));
        }
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        self.0 = rest;
        Ok(word)
    }

    /// The value of `name=value`.
    fn value(&mut self, name: &str, expected: &str) -> Result<&'a str, String> {
        let expected = format!("{name}={expected}");
        let word = self.next(&expected)?;
        let value = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        value.ok_or_else(|| format!("expected {expected}, found `{word}`"))
    }

    fn span(&mut self, name: &str) -> Result<u64, String> {
        span(self.value(name, "a time like 20ms")?)
    }

    /// A label in double quotes.
    fn label(&mut self) -> Result<Content, String> {
        let rest = self.0.trim_start();
        if let Some(ordinal) = rest.strip_prefix('#') {
            let (ordinal, rest) = ordinal.split_once(' ').unwrap_or((ordinal, ""));
            self.0 = rest;
            return Ok(Content::Ordinal(number(ordinal, "# and a position")?));
        }
        let quoted = rest
            .strip_prefix('"')
            .ok_or_else(|| format!("expected a label in quotes or #n, found `{rest}`"))?;
        let mut label = String::new();
        let mut chars = quoted.char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &quoted[i + 1..];
                    return Ok(Content::Label(label));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => label.push('\n'),
                    Some('r') => label.push('\r'),
                    Some(c) => label.push(c),
                    None => break,
                },
                c => label.push(c),
            }
        }
        Err("the label has no closing quote".into())
    }

    /// Whether `reseal` is the rest, which is taken then.
    fn reseal(&mut self) -> bool {
        let reseal = self.0.trim() == "reseal";
        if reseal {
            self.0 = "";
        }
        reseal
    }

    fn end(&self) -> Result<(), String> {
        let rest = self.0.trim();
        if rest.is_empty() { Ok(()) } else { Err(format!("expected the end of the line, found `{rest}`")) }
    }
}

fn left_out(text: &str) -> Result<Without, String> {
    match text.split_once('!') {
        Some((host, n)) => Ok(Without::Cmd(host.into(), number(n, "the number of a command")?)),
        None if text.is_empty() => Err("expected a host, or a command like a!2, at the end".into()),
        None => Ok(Without::Host(text.into())),
    }
}

fn number<T: TryFrom<u64>>(text: &str, expected: &str) -> Result<T, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    let fitting = parsed.ok().and_then(|number| T::try_from(number).ok());
    fitting.ok_or_else(|| format!("expected {expected}, found `{text}`"))
}

fn span(text: &str) -> Result<u64, String> {
    Span::parse(text).map(|span| span.0).ok_or_else(|| format!("expected a time like 20ms, found `{text}`"))
}

fn fault(words: &mut Words<'_>) -> Result<LineWhat, String> {
    const KINDS: &str = "drop, delay, duplicate, replay, corrupt, splice, break, stall, split, crash, pause, partition, disk, \
                         clock or rebind";
    let kind = words.next(KINDS)?;
    let what = match kind {
        "drop" | "delay" | "duplicate" | "replay" | "corrupt" | "splice" | "break" | "stall" | "split" => {
            LineWhat::Datagram(datagram(kind, words)?)
        }
        "crash" | "pause" | "partition" | "disk" | "clock" | "rebind" => timed(kind, words)?,
        _ => return Err(format!("expected {KINDS}, found `{kind}`")),
    };
    words.end()?;
    Ok(what)
}

fn datagram(kind: &str, words: &mut Words<'_>) -> Result<DatagramFault, String> {
    let flow = words.next("a flow like a>s")?;
    let (src, dst) =
        flow.split_once('>').ok_or_else(|| format!("expected a flow like a>s, found `{flow}`"))?;
    let content = words.label()?;
    let occ = match content {
        Content::Label(_) => number(words.value("occ", "a number")?, "a number")?,
        Content::Ordinal(_) => 1,
    };
    let effect = match kind {
        "drop" => Effect::Drop,
        "delay" => Effect::Delay(words.span("by")?),
        "duplicate" => Effect::Duplicate(words.span("by")?),
        "replay" => Effect::Replay(words.span("by")?),
        "splice" => splice(words)?,
        "stall" => Effect::Stall(words.span("by")?),
        "split" => Effect::Split(number(words.value("at", "a number of bytes")?, "a number of bytes")?),
        "break" => Effect::Break(match words.value("after", "a number of bytes, or all")? {
            "all" => u32::MAX,
            bytes => number(bytes, "a number of bytes, or all")?,
        }),
        _ => damage(words)?,
    };
    Ok(DatagramFault { src: src.into(), dst: dst.into(), content, occ, effect })
}

fn splice(words: &mut Words<'_>) -> Result<Effect, String> {
    let mut count = |name| number(words.value(name, "a number")?, "a number");
    let (back, at) = (count("back")?, count("at")?);
    if !(1..=Effect::FURTHEST_BACK).contains(&back) {
        return Err(format!("expected back=1 to back={}, found back={back}", Effect::FURTHEST_BACK));
    }
    Ok(Effect::Splice { back, at, reseal: words.reseal() })
}

fn damage(words: &mut Words<'_>) -> Result<Effect, String> {
    const EXPECTED: &str = "flip=0x.. or cut=0x..";
    let word = words.next(EXPECTED)?;
    let (how, bits) = word.split_once('=').ok_or_else(|| format!("expected {EXPECTED}, found `{word}`"))?;
    let bits = number(bits, "a number")?;
    match (how, words.reseal()) {
        ("flip", false) => Ok(Effect::Corrupt(Damage::Flip, bits)),
        ("flip", true) => Ok(Effect::Corrupt(Damage::FlipResealed, bits)),
        ("cut", false) => Ok(Effect::Corrupt(Damage::Truncate, bits)),
        _ => Err(format!("expected {EXPECTED} (reseal goes with flip only), found `{word}`")),
    }
}

fn timed(kind: &str, words: &mut Words<'_>) -> Result<LineWhat, String> {
    let who = words.next(if kind == "partition" { "sides like a|s,b or a>s" } else { "a node" })?;
    let node = who.to_owned();
    let mut what = match kind {
        "crash" => What::Crash { node, disk: DiskLoss::Unsynced },
        "pause" => What::Pause { node },
        "disk" => What::Disk { node, trouble: trouble(words.next("full, error or slow")?)? },
        "clock" => What::Clock {
            node,
            step_ms: signed(words.value("step", "milliseconds like -5ms")?, "ms")?,
            drift_ppm: signed(words.value("drift", "like 20ppm")?, "ppm")?,
        },
        "rebind" => {
            let at = Time::from_nanos(words.span("at")?);
            return Ok(LineWhat::Timed { at, fault: Fault { what: What::Rebind { node }, lasts: None } });
        }
        _ => sides(who)?,
    };
    let at = Time::from_nanos(words.span("at")?);
    let lasts = match words.value("for", "a time like 20ms, or ever")? {
        "ever" => None,
        text => Some(Duration::from_nanos(span(text)?)),
    };
    if let What::Crash { disk, .. } = &mut what {
        *disk = loss(words.value("disk", "unsynced, kept, torn:0x.. or garbled:0x..")?)?;
    }
    Ok(LineWhat::Timed { at, fault: Fault { what, lasts } })
}

fn signed<T: std::str::FromStr>(text: &str, unit: &str) -> Result<T, String> {
    let number = text.strip_suffix(unit).and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("expected a number and {unit}, found `{text}`"))
}

fn trouble(word: &str) -> Result<Trouble, String> {
    let all = [Trouble::Full, Trouble::Error, Trouble::Slow];
    let found = all.into_iter().find(|trouble| trouble.word() == word);
    found.ok_or_else(|| format!("expected full, error or slow, found `{word}`"))
}

fn sides(text: &str) -> Result<What, String> {
    let split = text.split_once('|').map(|sides| (sides, true));
    let split = split.or_else(|| text.split_once('>').map(|sides| (sides, false)));
    let ((from, to), both) =
        split.ok_or_else(|| format!("expected sides like a|s,b or a>s, found `{text}`"))?;
    let names = |side: &str| side.split(',').map(String::from).collect();
    Ok(What::Partition { from: names(from), to: names(to), both })
}

fn loss(text: &str) -> Result<DiskLoss, String> {
    let (word, seed) = text.split_once(':').unwrap_or((text, ""));
    match word {
        "unsynced" => Ok(DiskLoss::Unsynced),
        "kept" => Ok(DiskLoss::Kept),
        "torn" => Ok(DiskLoss::Torn(number(seed, "torn:0x..")?)),
        "garbled" => Ok(DiskLoss::Garbled(number(seed, "garbled:0x..")?)),
        _ => Err(format!("expected unsynced, kept, torn:0x.. or garbled:0x.., found `{text}`")),
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "without {host}"),
            Self::Cmd(host, n) => write!(f, "without {host}!{n}"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{} {} ", self.id, self.kind().word())?;
        match &self.what {
            LineWhat::Datagram(fault) => fault.fmt(f),
            LineWhat::Timed { at, fault } => {
                match &fault.what {
                    What::Crash { node, .. } | What::Pause { node } => f.write_str(node)?,
                    What::Rebind { node } => return write!(f, "{node} at={}", Span(at.as_nanos())),
                    What::Clock { node, step_ms, drift_ppm } => {
                        write!(f, "{node} step={step_ms}ms drift={drift_ppm}ppm")?;
                    }
                    What::Disk { node, trouble } => write!(f, "{node} {}", trouble.word())?,
                    What::Partition { from, to, both } => {
                        let between = if *both { '|' } else { '>' };
                        write!(f, "{}{between}{}", from.join(","), to.join(","))?;
                    }
                }
                write!(f, " at={}", Span(at.as_nanos()))?;
                match fault.lasts {
                    Some(lasts) => write!(f, " for={}", Span(nanos(lasts)))?,
                    None => f.write_str(" for=ever")?,
                }
                match &fault.what {
                    What::Crash { disk, .. } => write!(f, " disk={disk}"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for DatagramFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}>{} ", self.src, self.dst)?;
        match &self.content {
            Content::Ordinal(n) => write!(f, "#{n}")?,
            Content::Label(label) => {
                f.write_char('"')?;
                for c in label.chars() {
                    match c {
                        '\n' => f.write_str("\\n")?,
                        '\r' => f.write_str("\\r")?,
                        '"' | '\\' => write!(f, "\\{c}")?,
                        c => f.write_char(c)?,
                    }
                }
                write!(f, "\" occ={}", self.occ)?;
            }
        }
        match self.effect {
            Effect::Drop => Ok(()),
            Effect::Delay(by) | Effect::Duplicate(by) | Effect::Stall(by) | Effect::Replay(by) => {
                write!(f, " by={}", Span(by))
            }
            Effect::Splice { back, at, reseal } => {
                write!(f, " back={back} at={at}{}", if reseal { " reseal" } else { "" })
            }
            Effect::Split(at) => write!(f, " at={at}"),
            Effect::Break(u32::MAX) => f.write_str(" after=all"),
            Effect::Break(bytes) => write!(f, " after={bytes}"),
            Effect::Corrupt(Damage::Flip, bits) => write!(f, " flip={bits:#x}"),
            Effect::Corrupt(Damage::FlipResealed, bits) => write!(f, " flip={bits:#x} reseal"),
            Effect::Corrupt(Damage::Truncate, bits) => write!(f, " cut={bits:#x}"),
        }
    }
}

impl fmt::Display for DiskLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsynced => f.write_str("unsynced"),
            Self::Kept => f.write_str("kept"),
            Self::Torn(seed) => write!(f, "torn:{seed:#x}"),
            Self::Garbled(seed) => write!(f, "garbled:{seed:#x}"),
        }
    }
}
