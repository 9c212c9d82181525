//! What every part of a running simulation needs: clock, heap, recorder, chooser, counters.

use super::heap::Heap;
use crate::choice::{Chooser, Kind};
use crate::fault::Fault;
use crate::harness::Marks;
use crate::oracle::{Check, Phase, Verdict};
use crate::outcome::FaultLog;
use crate::prf::prf;
use crate::schedule::Weather;
use crate::stats::Stats;
use crate::time::Time;
use crate::trace::{Recorder, What};

#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(crate) struct Core {
    pub(crate) now: Time,
    pub(crate) phase: Phase,
    pub(crate) heap: Heap,
    pub(crate) rec: Recorder,
    pub(crate) chooser: Box<dyn Chooser>,
    pub(crate) log: FaultLog,
    pub(crate) stats: Stats,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) weather: Weather,
    /// The chooser lists faults: it must be asked even where none is likely.
    pub(crate) replay: bool,
    /// The chooser lists replays or splices.
    pub(crate) rare: bool,
    /// No further fault will be chosen: nobody is asked.
    pub(crate) calm: bool,
    /// Which of the `sometimes` have been hit.
    pub(crate) marks: Marks,
    /// What the test's triggers have set off, to begin at once.
    pub(crate) triggered: Vec<Fault>,
    /// Whether the test's triggers are to be looked at.
    pub(crate) triggers: bool,
    /// The timed faults that are on, by their index in the plan.
    pub(crate) active: Vec<Option<Active>>,
}

/// A fault that is on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    pub(crate) line: u32,
    /// Whether it has touched something.
    pub(crate) mattered: bool,
}

impl Clone for Core {
    fn clone(&self) -> Self {
        Self {
            chooser: (*self.chooser).clone_box(),
            heap: self.heap.clone(),
            rec: self.rec.clone(),
            log: self.log.clone(),
            active: self.active.clone(),
            triggered: self.triggered.clone(),
            verdict: self.verdict.clone(),
            ..*self
        }
    }
}

impl Core {
    /// The first failure is the verdict.
    pub(crate) fn fail(&mut self, oracle: &str, why: String) {
        if self.verdict.is_none() {
            self.verdict = Some(Verdict::Fail { oracle: oracle.into(), at: self.stats.events, why });
        }
    }

    pub(crate) fn judge(&mut self, oracle: &str, check: Check) {
        if let Err(why) = check {
            self.fail(oracle, why);
        }
    }

    /// Whether what is sent now has to be looked at for faults; `likely`: it may have some by itself.
    pub(crate) fn may_go_wrong(&self, likely: bool) -> bool {
        let chosen = (likely || self.replay) && !self.calm;
        (chosen || self.triggers) && self.phase == Phase::Chaos
    }

    /// 64 bits of weather for a key; `None` when it is flat.
    pub(crate) const fn weather(&self, family: u8, locus: u64, occ: u32) -> Option<u64> {
        match self.weather {
            Weather::Flat => None,
            Weather::Seed(seed) => Some(prf(seed, family, locus, occ)),
        }
    }

    /// The fault with this index in the plan has touched something; its line, or 0 if it is over.
    pub(crate) fn touch(&mut self, index: u32, kind: Kind) -> u32 {
        let Some(active) = &mut self.active[index as usize] else { return 0 };
        if !std::mem::replace(&mut active.mattered, true) {
            self.stats.mattered(kind);
        }
        active.line
    }

    pub(crate) fn put(&mut self, node: u32, what: What, content: u64, text: impl FnOnce(&mut String)) {
        self.rec.put(self.now, node, what, content, text);
    }
}
