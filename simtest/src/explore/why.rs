//! How likely a run is to fail, from each of its moments on.

use std::fmt;

use crate::choice::{FromSchedule, FromSeed};
use crate::node::Node;
use crate::oracle::Verdict;
use crate::panics::Quiet;
use crate::run::Run;
use crate::runner::progress;
use crate::schedule::Schedule;
use crate::sim::Sim;
use crate::time::Time;

/// One moment of a failing run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// After so many steps of the run.
    pub step: u64,
    /// The time of the last of them.
    pub at: Time,
    /// How many of the branches from there fail like the run itself.
    pub failed: u32,
    /// How many branches there were.
    pub tried: u32,
}

/// How likely a failure becomes in the course of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Curve {
    /// The judge that fails.
    pub oracle: String,
    /// Moments in order, the start first.
    pub moments: Vec<Moment>,
}

/// Decides everything after each of about `points` moments anew, `tries` times, with random faults as the test has them.
/// `None` if the schedule does not fail.
///
/// Where the share of failures jumps, there is the cause; where it reaches all, the failure could not be avoided any more.
pub fn why<N: Node>(sim: &Sim<N>, schedule: &Schedule, points: u32, tries: u32) -> Option<Curve> {
    curve(sim, schedule, points, tries, u64::MAX, &|| true)
}

/// The same for a page: with so few branches that it does not take long. `None` also if those are too few to tell anything, or when `goes_on`
/// says no.
pub(crate) fn why_in_short<N: Node>(
    sim: &Sim<N>,
    schedule: &Schedule,
    goes_on: &dyn Fn() -> bool,
) -> Option<Curve> {
    curve(sim, schedule, 24, 32, EVENTS, goes_on)
}

/// So many events all branches for a page may have.
const EVENTS: u64 = 300_000;

/// Fewer branches from one moment tell nothing.
const FEWEST: u64 = 8;

fn curve<N: Node>(
    sim: &Sim<N>,
    schedule: &Schedule,
    points: u32,
    tries: u32,
    most: u64,
    goes_on: &dyn Fn() -> bool,
) -> Option<Curve> {
    let _quiet = Quiet::begin();
    let mut sim = sim.clone();
    sim.record(false);
    let sim = sim.prepare();
    let start = || Run::new(sim.clone(), Box::new(FromSchedule::new(schedule)));
    let mut run = start();
    let mut steps = 0_u64;
    while run.caught(Run::step) {
        steps += 1;
    }
    run.judge();
    let oracle = run.core.verdict.as_ref().and_then(Verdict::oracle)?.to_owned();
    let whole = {
        let mut branch = start().branch(FromSeed::new(1));
        branch.judge();
        branch.core.stats.events.max(run.core.stats.events).max(1)
    };
    let affordable = most / (whole * u64::from(points.max(1)));
    if affordable < FEWEST.min(tries.into()) {
        return None;
    }
    let tries = tries.min(u32::try_from(affordable).unwrap_or(u32::MAX));
    let stride = steps.div_ceil(points.max(1).into()).max(1);
    let mut run = start();
    let mut moments = Vec::new();
    let mut step = 0;
    loop {
        if step % stride == 0 || step == steps {
            if !goes_on() {
                return None;
            }
            progress("moments", step / stride, steps / stride);
            let fails = |salt: &u32| {
                let mut branch = run.branch(FromSeed::new(u64::from(*salt) + 1));
                branch.judge();
                branch.core.verdict.as_ref().and_then(Verdict::oracle) == Some(&oracle)
            };
            let failed = (0..tries).filter(fails).count() as u32;
            moments.push(Moment { step, at: run.core.now, failed, tried: tries });
        }
        if !run.caught(Run::step) {
            break;
        }
        step += 1;
    }
    Some(Curve { oracle, moments })
}

impl Curve {
    /// The same as JSON, in one line: `{"oracle":"…","moments":[{"step":0,"t":0,"failed":3,"tried":64},…]}`, `t` in nanoseconds.
    pub fn json(&self) -> String {
        let moment = |&Moment { step, at, failed, tried }: &Moment| {
            let t = at.as_nanos();
            format!("{{\"step\":{step},\"t\":{t},\"failed\":{failed},\"tried\":{tried}}}")
        };
        let moments: Vec<String> = self.moments.iter().map(moment).collect();
        let oracle = self.oracle.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{{\"oracle\":\"{oracle}\",\"moments\":[{}]}}", moments.join(","))
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "how often {} fails when everything later is decided anew", self.oracle)?;
        for Moment { step, at, failed, tried } in &self.moments {
            let share = u64::from(*failed) * 40 / u64::from((*tried).max(1));
            let bar = "#".repeat(share as usize);
            write!(f, "\n  step {step:>6} {at:>9} s  {failed:>4}/{tried} {bar}")?;
        }
        Ok(())
    }
}
