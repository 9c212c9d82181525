//! How far a test is.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::json::Object;

/// One line that is redrawn; where nobody looks, a plain line for each quarter, or an object.
pub(crate) struct Bar {
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
    pub(crate) fn new(of: &str, json: Option<Object>) -> Self {
        let phase = (String::new(), Instant::now());
        let redrawn = json.is_none() && io::stderr().is_terminal();
        Self { of: of.into(), json, redrawn, last: None, told: 0, phase }
    }

    /// `news` is phase, done, all.
    pub(crate) fn show(&mut self, news: &str) {
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
        let counts = match phase {
            "seconds" => format!("{words} {done}/{all}"),
            _ => format!("{words} {done}/{all}  {speed}/s  {:.1} s left", left.as_secs_f64()),
        };
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

    pub(crate) fn clear(self) {
        if self.redrawn {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
