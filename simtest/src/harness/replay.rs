//! A schedule in the text of a test.

use super::corpus::stale;
use crate::choice::FromSchedule;
use crate::node::Node;
use crate::schedule::Schedule;
use crate::sim::Sim;

/// A function that sets a simulation up, with or without a seed: what the attribute [`simtest::test`](crate::test) goes before.
pub trait Body<N: Node, Arguments> {
    /// Calls it.
    fn set_up(&self, sim: &mut Sim<N>, seed: u64);
}

impl<N: Node, F: Fn(&mut Sim<N>)> Body<N, ()> for F {
    fn set_up(&self, sim: &mut Sim<N>, _seed: u64) {
        self(sim);
    }
}

impl<N: Node, F: Fn(&mut Sim<N>, u64)> Body<N, (u64,)> for F {
    fn set_up(&self, sim: &mut Sim<N>, seed: u64) {
        self(sim, seed);
    }
}

/// Runs a schedule (its text) in the simulation that `body` sets up: a test for one failure, as the page of a run offers it for
/// copying.
///
/// # Panics
/// If the run does not pass, or if the schedule cannot be read. If it passes, but something in the schedule matches nothing any more, for
/// then it is not the test that it was.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "it is the name of a function")]
pub fn replay<N: Node, Arguments>(body: impl Body<N, Arguments>, schedule: &str) {
    let schedule =
        Schedule::parse(schedule).unwrap_or_else(|error| panic!("the schedule cannot be read: {error}"));
    let mut sim = Sim::new(&schedule.test);
    body.set_up(&mut sim, schedule.nodes);
    schedule.test.clone_into(&mut sim.test);
    let mut outcome = sim.run(FromSchedule::new(&schedule));
    outcome.unmatched = stale(&sim, &schedule, &outcome);
    outcome.assert_pass();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Cmd, Probe};
    use crate::{Link, ms};

    fn body(sim: &mut Sim<Probe>) {
        seeded(sim, 7);
    }

    fn seeded(sim: &mut Sim<Probe>, seed: u64) {
        let [a, b] = ["a", "b"].map(|name| sim.node(name, Probe::boot));
        sim.run_for(ms(50)).links(Link::lan()).workload(|w| {
            w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["X"]));
        });
        sim.finally("got", move |v| seed != 7 || v.node(b).is_some_and(|b| b.got > 0));
    }

    fn told(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(run).expect_err("it fails");
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    const DROP: &str = "simtest-sched 1\ntest t\nf1 drop a>b \"Text X\" occ=1\n";

    #[test]
    fn bodies_with_and_without_a_seed_run_a_schedule() {
        replay(body, "simtest-sched 1\ntest t\nexpect got\n");
        replay(seeded, "simtest-sched 1\ntest t\nnodes 7\n");
        replay(seeded, &(DROP.to_owned() + "nodes 8\n"));
        assert!(told(|| replay(body, DROP)).starts_with("FAIL got"));
        assert!(told(|| replay(seeded, "nothing")).starts_with("the schedule cannot be read: "));
    }

    #[test]
    fn what_matches_nothing_is_told() {
        let stale = DROP.replace("Text X", "Text Y") + "expect gone\n";
        assert!(told(move || replay(body, &stale)).starts_with("f1, expect gone: "));
    }
}
