//! A node for unit tests: does what its commands say, and tells everything that happens to it.

use std::collections::VecDeque;

use crate::{
    Addr, Boot, DiskOp, Dissect, Ecn, FromSchedule, Link, Node, NodeId, Now, OpId, Outcome, RecvMeta,
    Schedule, Sim, StoreError, StoreOp, Time, Transmit, ms,
};

#[derive(Clone, Debug)]
pub(crate) enum Cmd {
    /// Sends these texts.
    Send(NodeId, Vec<&'static str>),
    /// Sends so many datagrams of one byte.
    Flood(NodeId, usize),
    SendTo(Addr),
    Store(DiskOp),
    /// Sets the timer to this time in milliseconds, then every so many.
    Every(u64, u64),
    /// The timer stays where it is when it fires.
    BusyLoop,
    /// Never runs out of events.
    Livelock,
    /// Says a wrong length.
    Lie,
    Panic,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Booted { life: u32, seed: u8, disk: Vec<(String, Vec<u8>)> },
    Got(usize, String),
    Timer,
    Stored(u64, Result<(), StoreError>),
    Cmd,
}

#[derive(Clone)]
pub(crate) struct Probe {
    out: VecDeque<(Addr, Vec<u8>)>,
    ops: VecDeque<StoreOp>,
    events: VecDeque<Event>,
    timer: Option<Time>,
    every: u64,
    next_op: u64,
    livelock: bool,
    lie: bool,
    pub(crate) got: usize,
}

impl Probe {
    pub(crate) fn boot(boot: &Boot<'_>) -> Self {
        let disk =
            boot.disk.files().map(|file| (file.to_owned(), boot.disk.read(file).unwrap().to_vec())).collect();
        let booted = Event::Booted { life: boot.life, seed: boot.seed[0], disk };
        Self {
            out: VecDeque::new(),
            ops: VecDeque::new(),
            events: [booted].into(),
            timer: None,
            every: 0,
            next_op: 0,
            livelock: false,
            lie: false,
            got: 0,
        }
    }
}

impl Node for Probe {
    type Cmd = Cmd;
    type Event = Event;

    fn on_datagram(&mut self, _now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
        self.got += 1;
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.events.push_back(Event::Got(from.number() as usize, text));
    }

    fn on_timeout(&mut self, now: Now) {
        self.events.push_back(Event::Timer);
        self.timer = (self.every > 0).then(|| now.mono + ms(self.every));
        if self.lie {
            self.timer = Some(now.mono);
        }
    }

    fn on_cmd(&mut self, now: Now, cmd: Cmd) {
        self.events.push_back(Event::Cmd);
        match cmd {
            Cmd::Send(to, texts) => {
                self.out.extend(texts.into_iter().map(|text| (to.addr(), text.as_bytes().to_vec())));
            }
            Cmd::Flood(to, count) => self.out.extend((0..count).map(|_| (to.addr(), vec![b'.']))),
            Cmd::SendTo(addr) => self.out.push_back((addr, b"hello".to_vec())),
            Cmd::Store(op) => {
                self.next_op += 1;
                self.ops.push_back(StoreOp { id: OpId(self.next_op), op });
            }
            Cmd::Every(first, every) => {
                self.timer = Some(Time::from_millis(first));
                self.every = every;
            }
            Cmd::BusyLoop => {
                self.timer = Some(now.mono);
                self.lie = true;
            }
            Cmd::Livelock => self.livelock = true,
            Cmd::Lie => {
                self.lie = true;
                self.out.push_back((Addr::new(0), vec![1, 2, 3]));
            }
            Cmd::Panic => panic!("asked to"),
        }
    }

    fn on_stored(&mut self, _now: Now, op: OpId, result: Result<(), StoreError>) {
        self.events.push_back(Event::Stored(op.0, result));
    }

    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let (dst, bytes) = self.out.pop_front()?;
        out.extend_from_slice(&bytes);
        Some(Transmit { dst, ecn: Ecn::NotEct, len: bytes.len() + usize::from(self.lie) })
    }

    fn poll_store(&mut self) -> Option<StoreOp> {
        self.ops.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.timer
    }

    fn poll_event(&mut self) -> Option<Event> {
        if self.livelock { Some(Event::Timer) } else { self.events.pop_front() }
    }
}

impl Dissect for Probe {
    /// Texts that begin with a capital have a label.
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        bytes.first().filter(|first| first.is_ascii_uppercase())?;
        text.push_str(&String::from_utf8_lossy(bytes));
        Some("Text")
    }

    fn reseal(original: &[u8], corrupted: &mut [u8]) {
        corrupted[0] = original[0];
    }
}

/// Three probes on links of 1 ms, recorded.
pub(crate) fn three() -> (Sim<Probe>, [NodeId; 3]) {
    let mut sim = Sim::new("probe");
    let nodes = ["a", "b", "c"].map(|name| sim.node(name, Probe::boot));
    sim.links(Link::new()).run_for(ms(10_000)).record(true).keep_events(true);
    (sim, nodes)
}

/// A run in which exactly these schedule lines happen, in flat weather.
pub(crate) fn replay(sim: &Sim<Probe>, lines: &str) -> Outcome<Probe> {
    let schedule = Schedule::parse(&format!("simtest-sched 1\ntest probe\n{lines}")).unwrap();
    sim.run(FromSchedule::new(&schedule))
}

/// The texts that a node got, with their times in milliseconds.
pub(crate) fn got(outcome: &Outcome<Probe>, node: NodeId) -> Vec<(u64, String)> {
    let text = |(at, event): (Time, &Event)| match event {
        Event::Got(_, text) => Some((at.as_millis(), text.clone())),
        _ => None,
    };
    outcome.events(node).filter_map(text).collect()
}

/// The times at which an event happened on a node, in milliseconds.
pub(crate) fn times(outcome: &Outcome<Probe>, node: NodeId, event: &Event) -> Vec<u64> {
    outcome.events(node).filter(|(_, e)| *e == event).map(|(at, _)| at.as_millis()).collect()
}

/// What tshark says of a run, with the fields asked for; `None`, and a loud line, where it is not installed.
pub(crate) fn tshark(trace: &crate::Trace, name: &str, arguments: &[&str]) -> Option<Vec<String>> {
    use std::io::Write as _;
    let folder = std::env::temp_dir().join(format!("simtest-tshark-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (capture, dissector) = (folder.join("run.pcapng"), folder.join("run.lua"));
    std::fs::write(&capture, trace.pcapng()).unwrap();
    std::fs::write(&dissector, trace.lua()).unwrap();
    let shown = std::process::Command::new("tshark")
        .arg("-r")
        .arg(&capture)
        .args(["-X", &format!("lua_script:{}", dissector.display()), "-o", "udp.check_checksum:TRUE"])
        .args(["-o", "tcp.check_checksum:TRUE", "-T", "fields"])
        .args(arguments)
        .output();
    let _ = std::fs::remove_dir_all(&folder);
    let Ok(shown) = shown else {
        let why = "SKIPPED: the capture was NOT opened, for there is no tshark here\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return None;
    };
    let complaints = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && !complaints.contains("Lua"), "{complaints}");
    Some(String::from_utf8_lossy(&shown.stdout).lines().map(String::from).collect())
}
