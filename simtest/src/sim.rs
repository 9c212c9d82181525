//! A simulation before it runs: nodes, links, faults, workload and judges.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::campaign::Chaos;
use crate::choice::{Chooser, Kind};
use crate::disk::DiskModel;
use crate::fault::{Fault, On, Then, Timed, When};
use crate::harness::Marks;
use crate::link::Link;
use crate::node::{Boot, Node, NodeId};
use crate::oracle::{Check, Judgement, Oracle, View};
use crate::outcome::Outcome;
use crate::run::Run;
use crate::schedule::Without;
use crate::time::{Time, secs};

type Make<N> = Rc<dyn Fn(&Boot<'_>) -> N>;
type Judge<N> = Rc<dyn Fn(&View<'_, N>) -> Check>;

/// A simulation being set up; [`run`](Self::run) makes one run of it, as often as wanted.
#[derive(Clone)]
pub struct Sim<N: Node> {
    pub(crate) test: String,
    pub(crate) names: Vec<String>,
    pub(crate) makes: Vec<Make<N>>,
    pub(crate) default_link: Link,
    pub(crate) links: BTreeMap<(u32, u32), Link>,
    pub(crate) disk: DiskModel,
    pub(crate) faults: Vec<Timed>,
    pub(crate) triggers: Vec<(On, Then)>,
    pub(crate) campaign: Option<Chaos>,
    pub(crate) run_for: Duration,
    pub(crate) max_events: u64,
    pub(crate) workload: Vec<(Time, NodeId, N::Cmd)>,
    /// The number of each command among those of its node, from 1; made by `prepare`.
    pub(crate) numbers: Vec<u32>,
    pub(crate) invariants: Vec<(String, Judge<N>)>,
    pub(crate) eventually: Vec<(String, Judge<N>)>,
    pub(crate) finally: Vec<(String, Judge<N>)>,
    pub(crate) sometimes: Vec<(String, Judge<N>)>,
    pub(crate) oracles: Vec<(String, Box<dyn Oracle<N>>)>,
    pub(crate) record: bool,
    /// Records are kept up to this many.
    pub(crate) most_records: usize,
    pub(crate) keep_events: bool,
}

impl<N: Node> Sim<N> {
    /// An empty simulation; `test` names it in schedules, traces and reports.
    pub fn new(test: &str) -> Self {
        Self {
            test: test.into(),
            names: Vec::new(),
            makes: Vec::new(),
            default_link: Link::new(),
            links: BTreeMap::new(),
            disk: DiskModel::default(),
            faults: Vec::new(),
            triggers: Vec::new(),
            campaign: None,
            run_for: secs(60),
            max_events: 20_000_000,
            workload: Vec::new(),
            numbers: Vec::new(),
            invariants: Vec::new(),
            eventually: Vec::new(),
            finally: Vec::new(),
            sometimes: Vec::new(),
            oracles: Vec::new(),
            record: false,
            most_records: usize::MAX,
            keep_events: false,
        }
    }

    /// Adds a node. `make` boots it: at the start, and again after each crash.
    ///
    /// # Panics
    /// If the name is taken, empty, or has other characters than letters, digits, `-` and `_`.
    pub fn node(&mut self, name: &str, make: impl Fn(&Boot<'_>) -> N + 'static) -> NodeId {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(
            !name.is_empty() && name.chars().all(plain),
            "node name {name:?}: use letters, digits, - and _"
        );
        assert!(!self.names.iter().any(|n| n == name), "two nodes are called {name:?}");
        self.names.push(name.into());
        self.makes.push(Rc::new(make));
        NodeId(self.names.len() as u32 - 1)
    }

    /// The link between all nodes that have none of their own.
    pub fn links(&mut self, link: Link) -> &mut Self {
        self.default_link = link;
        self
    }

    /// The link between two nodes, in both directions.
    pub fn link(&mut self, a: NodeId, b: NodeId, link: Link) -> &mut Self {
        self.links.insert((a.0, b.0), link.clone());
        self.one_way(b, a, link)
    }

    /// The link from one node to another.
    pub fn one_way(&mut self, from: NodeId, to: NodeId, link: Link) -> &mut Self {
        self.links.insert((from.0, to.0), link);
        self
    }

    /// How fast disks are.
    pub fn disk(&mut self, model: DiskModel) -> &mut Self {
        self.disk = model;
        self
    }

    /// A fault at a set time.
    ///
    /// # Panics
    /// If it names a node that has not been added.
    pub fn fault(&mut self, when: When, fault: Fault) -> &mut Self {
        for name in fault.nodes() {
            assert!(self.names.iter().any(|n| n == name), "a fault names {name:?}, which no node is called");
        }
        self.faults.push(Timed { at: when.0, fault, line: 0 });
        self
    }

    /// A fault that a datagram sets off: `sim.on(on("Ack").from("s").nth(3), Effect::Drop)`, or a
    /// [`Fault`] that begins when the datagram has been sent. Triggers are heeded as long as faults happen at all; what they
    /// have set off is an ordinary line of the schedule. A campaign reports those that never did ([`Report::idle`](crate::Report::idle)).
    ///
    /// # Panics
    /// If it names a node that has not been added, or if there are 64 already.
    pub fn on(&mut self, on: On, then: impl Into<Then>) -> &mut Self {
        assert!(self.triggers.len() < Marks::MOST, "at most {} triggers", Marks::MOST);
        let then = then.into();
        let faulty = match &then {
            Then::Fault(fault) => fault.nodes(),
            Then::Datagram(_) => Vec::new(),
        };
        for name in on.names().map(|name| &name[..]).chain(faulty) {
            assert!(
                self.names.iter().any(|n| n == name),
                "a trigger names {name:?}, which no node is called"
            );
        }
        self.triggers.push((on, then));
        self
    }

    /// Random faults, then quiet.
    ///
    /// # Panics
    /// If it names a node that has not been added.
    pub fn campaign(&mut self, chaos: Chaos) -> &mut Self {
        for name in chaos.victim_names() {
            assert!(self.names.contains(name), "the campaign names {name:?}, which no node is called");
        }
        self.campaign = Some(chaos);
        self
    }

    /// How long a run without a campaign lasts (default 60 s).
    pub fn run_for(&mut self, span: Duration) -> &mut Self {
        self.run_for = span;
        self
    }

    /// A run with more events than this ends with [`Verdict::Unknown`](crate::Verdict::Unknown) (default 20
    /// million).
    pub fn max_events(&mut self, events: u64) -> &mut Self {
        self.max_events = events;
        self
    }

    /// Adds commands. A command to a dead node is lost: counted and shown in the trace, told to no oracle.
    /// One to a paused node waits.
    pub fn workload(&mut self, fill: impl FnOnce(&mut Workload<N::Cmd>)) -> &mut Self {
        let mut workload = Workload { at: Time::ZERO, cmds: Vec::new() };
        fill(&mut workload);
        self.workload.extend(workload.cmds);
        self
    }

    /// Must hold after every event.
    pub fn invariant<J: Judgement>(
        &mut self,
        name: &str,
        judge: impl Fn(&View<'_, N>) -> J + 'static,
    ) -> &mut Self {
        self.invariants.push((name.into(), Rc::new(move |view| judge(view).into_check())));
        self
    }

    /// Must come true: judged in the quiet phase (in the whole run if there is no campaign).
    ///
    /// All of them must hold at one instant at which no datagram is under way, no store operation is pending
    /// and no command is left, or at the very end. A run ends early at such an instant.
    pub fn eventually<J: Judgement>(
        &mut self,
        name: &str,
        judge: impl Fn(&View<'_, N>) -> J + 'static,
    ) -> &mut Self {
        self.eventually.push((name.into(), Rc::new(move |view| judge(view).into_check())));
        self
    }

    /// Should hold at some moment of some run: looked at after every event until it does. A campaign reports
    /// those that were never hit ([`Report::never`](crate::Report::never)): what they stand for was not tested.
    ///
    /// # Panics
    /// If there are 64 already.
    pub fn sometimes<J: Judgement>(
        &mut self,
        name: &str,
        judge: impl Fn(&View<'_, N>) -> J + 'static,
    ) -> &mut Self {
        assert!(self.sometimes.len() < Marks::MOST, "at most {} of these", Marks::MOST);
        self.sometimes.push((name.into(), Rc::new(move |view| judge(view).into_check())));
        self
    }

    /// Must hold when the run is over.
    pub fn finally<J: Judgement>(
        &mut self,
        name: &str,
        judge: impl Fn(&View<'_, N>) -> J + 'static,
    ) -> &mut Self {
        self.finally.push((name.into(), Rc::new(move |view| judge(view).into_check())));
        self
    }

    /// A judge that is told everything as it happens.
    pub fn oracle(&mut self, name: &str, oracle: impl Oracle<N> + 'static) -> &mut Self {
        self.oracles.push((name.into(), Box::new(oracle)));
        self
    }

    /// Keeps all records for [`Outcome::trace`]. Off by default: a campaign needs only the hash, and a
    /// failing run can be repeated.
    pub fn record(&mut self, on: bool) -> &mut Self {
        self.record = on;
        self
    }

    /// Keeps all application events for [`View::events`] and [`Outcome::events`]. Off by default.
    pub fn keep_events(&mut self, on: bool) -> &mut Self {
        self.keep_events = on;
        self
    }

    /// The names of all nodes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Begins a run that is driven step by step.
    ///
    /// # Panics
    /// If an explicit fault lies in the quiet phase.
    pub fn start(&self, chooser: impl Chooser + 'static) -> Run<N> {
        Run::new(self.prepare(), Box::new(chooser))
    }

    /// Makes one run, from start to verdict.
    ///
    /// # Panics
    /// If an explicit fault lies in the quiet phase. A panic of a node or a judge is caught: the run fails as
    /// "panic".
    pub fn run(&self, chooser: impl Chooser + 'static) -> Outcome<N> {
        self.start(chooser).finish()
    }

    /// As it is shared by many runs: commands in order, and numbered.
    pub(crate) fn prepare(&self) -> Rc<Self> {
        self.check_names();
        let mut sim = self.clone();
        sim.workload.sort_by_key(|(at, ..)| *at);
        let mut counts = vec![0; sim.names.len()];
        let number = |(_, node, _): &(Time, NodeId, N::Cmd)| {
            counts[node.index()] += 1;
            counts[node.index()]
        };
        sim.numbers = sim.workload.iter().map(number).collect();
        Rc::new(sim)
    }

    pub(crate) fn push_cmd(&mut self, at: Time, node: NodeId, cmd: N::Cmd) {
        let earlier = self.workload.iter().filter(|(_, to, _)| *to == node).count() as u32;
        self.workload.push((at, node, cmd));
        self.numbers.push(earlier + 1);
    }

    /// Whether there is such a host or command.
    pub(crate) fn knows(&self, without: &Without) -> bool {
        let (host, n) = match without {
            Without::Host(host) => (host, 0),
            Without::Cmd(host, n) => (host, *n),
        };
        let Some(id) = self.names.iter().position(|name| name == host) else { return false };
        let mut numbers = self.workload.iter().zip(&self.numbers);
        n == 0 || numbers.any(|((_, to, _), number)| to.index() == id && *number == n)
    }

    pub(crate) fn link_of(&self, src: u32, dst: u32) -> &Link {
        self.links.get(&(src, dst)).unwrap_or(&self.default_link)
    }

    pub(crate) fn end(&self) -> Time {
        self.campaign.as_ref().map_or(Time::from(self.run_for), Chaos::end)
    }

    /// Whether a run can fail by this name.
    pub(crate) fn has_judge(&self, name: &str) -> bool {
        let closures = self.invariants.iter().chain(&self.eventually).chain(&self.finally);
        let mut names = closures.map(|(name, _)| name).chain(self.oracles.iter().map(|(name, _)| name));
        ["panic", "livelock", "busy loop", "node contract"].contains(&name) || names.any(|own| own == name)
    }

    /// The faults that the test sets, and that never began: triggers that did not fire, and what was to begin later than any run has lasted.
    pub(crate) fn idle(&self, marks: Marks) -> Vec<String> {
        let triggers = self.triggers.iter().enumerate().filter(|(index, _)| !marks.has_fired(*index));
        let triggers = triggers.map(|(_, (on, _))| format!("on {on}"));
        let late = self.faults.iter().filter(|timed| timed.at > marks.latest);
        let late = late.map(|timed| format!("{} at {} s", timed.fault.what.kind().word(), timed.at));
        triggers.chain(late).collect()
    }

    /// The kinds of fault that links and campaign make likely, and those of the faults that are set.
    pub(crate) fn able(&self) -> Vec<Kind> {
        let links = self.links.values().chain([&self.default_link]);
        let mut able: Vec<Kind> = links.flat_map(|link| link.rates.kinds()).collect();
        able.extend(self.campaign.iter().flat_map(Chaos::kinds));
        able.extend(self.faults.iter().map(|timed| timed.fault.what.kind()));
        able.sort_unstable();
        able.dedup();
        able
    }

    /// Names of the registered judges; no two may be equal, for a failure is known by this name.
    pub(crate) fn check_names(&self) {
        let closures =
            self.invariants.iter().chain(&self.eventually).chain(&self.finally).chain(&self.sometimes);
        let closures = closures.map(|(name, _)| name);
        let mut seen = BTreeSet::new();
        for name in closures.chain(self.oracles.iter().map(|(name, _)| name)) {
            assert!(seen.insert(name), "two judges are called {name:?}");
        }
    }
}

/// Commands with their times.
pub struct Workload<C> {
    at: Time,
    cmds: Vec<(Time, NodeId, C)>,
}

impl<C> Workload<C> {
    /// The following commands are given `since_start` after the start of the run.
    pub fn at(&mut self, since_start: Duration) -> &mut Self {
        self.at = since_start.into();
        self
    }

    /// A command to a node. Commands of one instant are given in the order in which they were added.
    pub fn cmd(&mut self, node: NodeId, cmd: C) -> &mut Self {
        self.cmds.push((self.at, node, cmd));
        self
    }
}
