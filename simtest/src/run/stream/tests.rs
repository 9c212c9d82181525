use std::collections::{BTreeMap, VecDeque};

use crate::probe::tshark;
use crate::verify::laws;
use crate::{
    Addr, Boot, Bottleneck, Bounds, Budget, Chaos, Dissect, Dist, Effect, Fault, FromSchedule, FromSeed,
    Kind, Link, Node, NodeId, Now, Outcome, RecvMeta, Schedule, Sim, StreamEvent, StreamId, StreamOp,
    Streams, Time, TraceView, Transmit, at, certify, ms, on, secs, shrink,
};

#[derive(Clone, Debug)]
enum Cmd {
    Dial(u64, Addr),
    /// On every open stream, a record with this text.
    Say(&'static str),
    /// So many bytes in records of 100.
    Fill(usize),
    Finish,
    Reset,
    /// Something that a node must not do.
    Wrong(StreamOp, usize),
}

/// Tells everything that happens on its streams; a record is a length and as many bytes.
#[derive(Clone, Default)]
struct Talker {
    open: BTreeMap<StreamId, Vec<u8>>,
    ops: VecDeque<(StreamOp, Vec<u8>)>,
    events: VecDeque<String>,
    writable: usize,
    read: usize,
    echo: bool,
}

impl Talker {
    fn say(&mut self, text: &str) {
        for unsent in self.open.values_mut() {
            unsent.push(text.len() as u8);
            unsent.extend_from_slice(text.as_bytes());
        }
    }
}

impl Node for Talker {
    type Cmd = Cmd;
    type Event = String;

    fn on_datagram(&mut self, _now: Now, _from: Addr, _bytes: &[u8], _meta: RecvMeta) {}
    fn on_timeout(&mut self, _now: Now) {}
    fn on_cmd(&mut self, _now: Now, cmd: Cmd) {
        let all: Vec<StreamId> = self.open.keys().copied().collect();
        let mut each = |op: fn(StreamId) -> StreamOp| {
            self.ops.extend(all.iter().map(|stream| (op(*stream), Vec::new())));
        };
        match cmd {
            Cmd::Dial(n, to) => {
                self.ops.push_back((StreamOp::Dial { stream: StreamId::new(n), to }, Vec::new()));
            }
            Cmd::Say(text) => self.say(text),
            Cmd::Fill(bytes) => {
                for _ in 0..bytes / 100 {
                    self.say(&"x".repeat(99));
                }
            }
            Cmd::Finish => each(|stream| StreamOp::Finish { stream }),
            Cmd::Reset => {
                each(|stream| StreamOp::Reset { stream });
                self.open.clear();
            }
            Cmd::Wrong(op, len) => self.ops.push_back((op, vec![0; len])),
        }
    }

    fn on_stream(&mut self, _now: Now, stream: StreamId, event: StreamEvent<'_>) {
        let text = match event {
            StreamEvent::Opened => "opened".to_owned(),
            StreamEvent::Accepted { from } => format!("accepted from {}", from.number()),
            StreamEvent::Read(bytes) => {
                self.read += bytes.len();
                if self.echo {
                    self.open.entry(stream).or_default().extend_from_slice(bytes);
                }
                let text: String = bytes.iter().map(|b| if *b < 32 { '.' } else { *b as char }).collect();
                if text.len() > 40 { format!("{} bytes", text.len()) } else { text }
            }
            StreamEvent::Writable => {
                self.writable += 1;
                return;
            }
            other => format!("{other:?}").to_lowercase(),
        };
        match event {
            StreamEvent::Opened | StreamEvent::Accepted { .. } => {
                self.open.insert(stream, Vec::new());
            }
            StreamEvent::Broken | StreamEvent::Refused => {
                self.open.remove(&stream);
            }
            _ => {}
        }
        self.events.push_back(text);
    }

    fn poll_stream(&mut self, _now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        for (stream, unsent) in &mut self.open {
            let len = unsent.len().min(if unsent.is_empty() { 0 } else { streams.room(*stream) });
            if len > 0 {
                out.extend(unsent.drain(..len));
                return Some(StreamOp::Write { stream: *stream, len });
            }
        }
        let (op, bytes) = self.ops.pop_front()?;
        out.extend_from_slice(&bytes);
        Some(op)
    }

    fn poll_transmit(&mut self, _now: Now, _out: &mut Vec<u8>) -> Option<Transmit> {
        None
    }
    fn poll_timeout(&self) -> Option<Time> {
        None
    }
    fn poll_event(&mut self) -> Option<String> {
        self.events.pop_front()
    }
}

impl Dissect for Talker {
    fn record(bytes: &[u8]) -> Option<usize> {
        let len = usize::from(*bytes.first()?) + 1;
        (bytes.len() >= len).then_some(len)
    }

    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        let (_, said) = bytes.split_first()?;
        text.push_str(&String::from_utf8_lossy(&said[..said.len().min(8)]));
        Some("Rec")
    }
}

/// a dials s at 0 ms, on a link of 1 ms.
fn pair() -> (Sim<Talker>, NodeId, NodeId) {
    let mut sim = Sim::new("talk");
    let a = sim.node("a", |_: &Boot<'_>| Talker::default());
    let s = sim.node("s", |_: &Boot<'_>| Talker::default());
    sim.links(Link::new()).run_for(secs(60)).record(true).keep_events(true);
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Dial(1, s.addr()));
    });
    (sim, a, s)
}

fn replay(sim: &Sim<Talker>, lines: &str) -> Outcome<Talker> {
    let schedule = Schedule::parse(&format!("simtest-sched 1\ntest talk\n{lines}")).unwrap();
    let outcome = sim.run(FromSchedule::new(&schedule));
    laws(&outcome.trace).unwrap();
    assert!(outcome.unmatched.is_empty(), "{:?}", outcome.unmatched);
    outcome
}

/// What happened on a node: milliseconds and event.
fn events(outcome: &Outcome<Talker>, node: NodeId) -> String {
    let all: Vec<String> =
        outcome.events(node).map(|(at, event)| format!("{} {event}", at.as_millis())).collect();
    all.join(", ")
}

fn both(outcome: &Outcome<Talker>, a: NodeId, s: NodeId) -> (String, String) {
    (events(outcome, a), events(outcome, s))
}

#[test]
fn bytes_pass_in_order_in_both_directions() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one")).cmd(a, Cmd::Say("two"));
        w.at(ms(10)).cmd(s, Cmd::Say("three"));
    });
    let outcome = replay(&sim, "");
    let (at_a, at_s) = both(&outcome, a, s);
    assert_eq!(at_a, "2 opened, 11 .three");
    assert_eq!(at_s, "1 accepted from 0, 11 .one.two", "what comes together is read together");
    assert_eq!((outcome.stats.streams, outcome.stats.records, outcome.stats.stream_bytes), (1, 3, 14));
    assert_eq!(
        outcome.trace.view(TraceView::messages()),
        "a!1 Dial(1, Addr(1))\na   dial a>s~1\na   opened a>s~1\na   \"opened\"\na!2 Say(\"one\")\na!3 Say(\"two\")\n\
         a   \".three\"\n  a>s~1#1  Rec one                        ok\n  a>s~1#2  Rec two                        ok\n\
         s   accepted a>s~1\ns   \"accepted from 0\"\ns!1 Say(\"three\")\ns   \".one.two\"\n\
         \x20 s>a~1#1  Rec three                      ok\nPASS\n"
    );
}

#[test]
fn a_half_closed_stream_carries_the_other_direction() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("last")).cmd(a, Cmd::Finish);
        w.at(ms(20)).cmd(s, Cmd::Say("more"));
        w.at(ms(30)).cmd(s, Cmd::Finish);
        w.at(ms(40)).cmd(a, Cmd::Dial(1, s.addr()));
    });
    let (at_a, at_s) = both(&replay(&sim, ""), a, s);
    assert_eq!(at_a, "2 opened, 21 .more, 31 finished, 42 opened", "the number is free again");
    assert_eq!(at_s, "1 accepted from 0, 11 .last, 11 finished, 41 accepted from 0");
}

#[test]
fn a_stream_breaks_at_any_byte_of_a_record() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one")).cmd(a, Cmd::Say("two")).cmd(a, Cmd::Say("three"));
        w.at(ms(10)).cmd(s, Cmd::Say("back"));
        w.at(ms(30)).cmd(a, Cmd::Dial(2, s.addr()));
    });
    let at_s = |after: &str| {
        let outcome = replay(&sim, &format!("f1 break a>s \"Rec two\" occ=1 after={after}"));
        assert_eq!(
            events(&outcome, a),
            "2 opened, 11 .back, 12 broken, 32 opened",
            "what had come before is read"
        );
        assert_eq!(outcome.stats.streams_broken, 2);
        events(&outcome, s)
    };
    assert_eq!(at_s("0"), "1 accepted from 0, 11 .one, 11 broken, 31 accepted from 0");
    assert_eq!(at_s("2"), "1 accepted from 0, 11 .one.t, 11 broken, 31 accepted from 0");
    assert_eq!(at_s("all"), "1 accepted from 0, 11 .one.two, 11 broken, 31 accepted from 0");
    let view = replay(&sim, "f1 break a>s \"Rec two\" occ=1 after=2").trace.view(TraceView::messages());
    assert!(view.contains("a>s~1#2  Rec two                        f1 break, f1 broken"), "{view}");
    assert!(view.contains("a>s~1#3  Rec three                      f1 broken"), "{view}");
}

#[test]
fn a_record_is_read_in_two_parts_and_late() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one")).cmd(a, Cmd::Say("two")).cmd(a, Cmd::Say("three"));
    });
    let split = replay(&sim, "f1 split a>s \"Rec two\" occ=1 at=3");
    assert_eq!(events(&split, s), "1 accepted from 0, 11 .one.tw, 11 o.three");
    let stalled = replay(&sim, "f1 stall a>s \"Rec two\" occ=1 by=70ms");
    assert_eq!(events(&stalled, s), "1 accepted from 0, 11 .one, 81 .two.three");
    let both = replay(&sim, "f1 stall a>s \"Rec two\" occ=1 by=70ms\nf2 split a>s \"Rec two\" occ=1 at=1");
    assert_eq!(events(&both, s), "1 accepted from 0, 11 .one, 81 ., 81 two.three");
    for kind in [Kind::Stall, Kind::Split] {
        assert_eq!(both.stats.faults(kind).mattered, 1, "{kind:?}");
    }
}

#[test]
fn records_without_a_label_have_a_position() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one"));
        w.at(ms(20)).cmd(a, Cmd::Say("one"));
    });
    let line = "f1 break a>s \"Rec one\" occ=2 after=0";
    assert_eq!(events(&replay(&sim, line), s), "1 accepted from 0, 11 .one, 21 broken");
    let line = "f1 break a>s #1 after=0";
    let schedule = Schedule::parse(&format!("simtest-sched 1\ntest talk\n{line}")).unwrap();
    assert_eq!(sim.run(FromSchedule::new(&schedule)).unmatched, ["f1"], "these have a label");
}

#[test]
fn the_buffer_is_full_until_the_other_end_reads() {
    let (mut sim, a, s) = pair();
    sim.links(Link::new().stream_buffer(1_000));
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Fill(3_500));
    });
    let outcome = replay(&sim, "");
    assert_eq!(outcome.node(s).unwrap().read, 3_500);
    assert_eq!(outcome.node(a).unwrap().writable, 3);
    assert_eq!(
        events(&outcome, s),
        "1 accepted from 0, 11 1000 bytes, 13 1000 bytes, 15 1000 bytes, 17 500 bytes"
    );
    let paused = replay(&sim, "f1 pause s at=5ms for=95ms");
    assert_eq!(
        events(&paused, s),
        "1 accepted from 0, 100 1000 bytes, 102 1000 bytes, 104 1000 bytes, 106 500 bytes",
        "a node that stands still reads nothing"
    );
    let writer = replay(&sim, "f1 pause a at=11500us for=88ms");
    assert_eq!(writer.node(s).unwrap().read, 3_500, "it learns later that there is room");
}

#[test]
fn a_bottleneck_makes_streams_slow() {
    let (mut sim, a, s) = pair();
    sim.links(Link::new().bottleneck(Bottleneck::new(100_000, 500)));
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Fill(2_000));
    });
    let outcome = replay(&sim, "");
    assert_eq!(outcome.node(s).unwrap().read, 2_000, "and loses nothing");
    assert!(events(&outcome, s).ends_with("31 100 bytes"), "{}", events(&outcome, s));
}

#[test]
fn a_cut_holds_a_stream_up_and_a_long_one_breaks_it() {
    let (mut sim, a, s) = pair();
    sim.links(Link::new().stream_patience(secs(2)));
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one"));
        w.at(ms(20)).cmd(a, Cmd::Say("two"));
        w.at(secs(9)).cmd(s, Cmd::Say("late"));
    });
    let (at_a, at_s) = both(&replay(&sim, "f1 partition a|s at=5ms for=1s"), a, s);
    assert_eq!((&at_a[..], &at_s[..]), ("2 opened, 9001 .late", "1 accepted from 0, 1006 .one.two"));
    let (at_a, at_s) = both(&replay(&sim, "f1 partition a|s at=5ms for=5s"), a, s);
    assert_eq!(at_a, "2 opened, 2011 broken", "its end gives up");
    assert_eq!(at_s, "1 accepted from 0, 9002 broken", "the other learns of it when it writes");
    let (at_a, _) = both(&replay(&sim, "f1 partition a>s at=0us for=5s"), a, s);
    assert_eq!(at_a, "2001 refused");
}

#[test]
fn a_death_takes_some_of_what_is_under_way() {
    let (mut sim, a, s) = pair();
    sim.links(Link::new().delay(Dist::fixed(ms(10))).jitter(ms(1)));
    sim.workload(|w| {
        w.at(ms(100)).cmd(a, Cmd::Say("one")).cmd(a, Cmd::Say("two")).cmd(s, Cmd::Say("in vain"));
        w.at(ms(150)).cmd(s, Cmd::Say("nobody"));
    });
    let mut seen = std::collections::BTreeSet::new();
    for weather in 0..60 {
        let outcome = replay(&sim, &format!("weather {weather}\nf1 crash a at=105ms for=1s disk=kept"));
        let got: Vec<&String> = outcome.events(s).map(|(_, event)| event).collect();
        assert_eq!((got[0].as_str(), got[got.len() - 1].as_str()), ("accepted from 0", "broken"));
        seen.insert(got[1..got.len() - 1].iter().map(|part| part.len()).sum::<usize>());
        assert!(outcome.trace.view(TraceView::messages()).contains("f1 broken"), "what a did not read");
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 8], "any part of it");
    let calm = replay(&sim, "f1 crash a at=105ms for=1s disk=kept");
    assert!(events(&calm, s).contains(".one.two, "), "in flat weather all of it");
}

#[test]
fn nobody_there() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Dial(2, Addr::new(77)));
        w.at(ms(20)).cmd(a, Cmd::Reset);
        w.at(ms(30)).cmd(a, Cmd::Dial(3, s.addr()));
    });
    let (at_a, at_s) = both(&replay(&sim, "f1 crash s at=25ms for=1s disk=kept"), a, s);
    assert_eq!(at_a, "2 opened, 11 refused, 32 refused");
    assert_eq!(at_s, "1 accepted from 0, 21 broken");
}

#[test]
fn a_new_address_leaves_streams_behind() {
    let (mut sim, a, s) = pair();
    sim.links(Link::new().stream_patience(secs(3)));
    sim.workload(|w| {
        w.at(ms(100)).cmd(a, Cmd::Say("one"));
        w.at(ms(200)).cmd(a, Cmd::Dial(2, s.addr()));
    });
    let outcome = replay(&sim, "f1 rebind a at=50ms");
    let (at_a, at_s) = both(&outcome, a, s);
    assert_eq!(at_a, "2 opened, 202 opened, 3101 broken");
    assert_eq!(at_s, "1 accepted from 0, 201 accepted from 2", "and one that only reads never learns of it");
    assert_eq!(outcome.stats.faults(Kind::Rebind).mattered, 1);
}

#[test]
fn what_a_node_must_not_do() {
    let (sim, a, s) = pair();
    let (one, two) = (StreamId::new(1), StreamId::new(2));
    let wrong = [
        (StreamOp::Dial { stream: one, to: s.addr() }, 0, "the number is not free"),
        (
            StreamOp::Dial { stream: StreamId::new(StreamId::ACCEPTED), to: s.addr() },
            0,
            "the number is not free",
        ),
        (StreamOp::Write { stream: two, len: 1 }, 1, "it has no such stream"),
        (StreamOp::Write { stream: one, len: 65_537 }, 65_537, "there is no room for that"),
        (StreamOp::Write { stream: one, len: 0 }, 0, "there is no room for that"),
        (StreamOp::Write { stream: one, len: 3 }, 4, "poll_stream appended 4 bytes"),
        (StreamOp::Finish { stream: two }, 0, "it has no such stream"),
        (StreamOp::Reset { stream: one }, 1, "poll_stream appended 1 bytes"),
    ];
    for (op, len, why) in wrong {
        let mut sim = sim.clone();
        sim.workload(|w| {
            w.at(ms(10)).cmd(a, Cmd::Wrong(op, len));
        });
        let outcome = sim.run(FromSchedule::new(&Schedule::empty("talk")));
        assert_eq!(outcome.verdict.oracle(), Some("node contract"), "{op:?}");
        assert!(outcome.verdict.to_string().contains(why), "{op:?}: {}", outcome.verdict);
    }
}

/// Two clients that talk to a server which answers the same, with everything that can go wrong.
fn busy() -> Sim<Talker> {
    let mut sim = Sim::new("busy");
    let s = sim.node("s", |_| Talker { echo: true, ..Talker::default() });
    let clients = ["a", "b"].map(|name| sim.node(name, |_| Talker::default()));
    sim.links(Link::wifi().stream_buffer(500).stream_patience(secs(2)));
    sim.campaign(Chaos::default().rebind(secs(4)).until(secs(4)).quiet_for(secs(30)));
    sim.workload(|w| {
        for i in 0..40 {
            for client in clients {
                w.at(ms(100 * i)).cmd(client, Cmd::Say("a text of some length"));
                if i % 8 == 0 {
                    w.cmd(client, Cmd::Dial(100 + i, s.addr()));
                }
                if i % 11 == 3 {
                    w.cmd(client, Cmd::Fill(300)).cmd(client, Cmd::Finish);
                }
                if i % 17 == 5 {
                    w.cmd(client, Cmd::Reset);
                }
            }
        }
    });
    sim.record(true);
    sim
}

#[test]
fn the_laws_hold_and_every_run_replays() {
    let sim = busy();
    let mut sum = crate::Stats::default();
    for seed in 0..300 {
        let outcome = sim.run(FromSeed::new(seed));
        laws(&outcome.trace).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let again = sim.run(FromSchedule::new(&Schedule::parse(&outcome.schedule().to_text()).unwrap()));
        assert_eq!((again.hash, &again.unmatched[..]), (outcome.hash, &[][..]), "seed {seed}");
        sum += outcome.stats;
    }
    for kind in [Kind::Break, Kind::Stall, Kind::Split, Kind::Crash, Kind::Partition, Kind::Rebind] {
        assert!(sum.faults(kind).mattered > 20, "{kind:?} {:?}", sum.faults(kind));
    }
    assert!(sum.streams > 1_000 && sum.streams_broken > 500 && sum.stream_bytes > 100_000, "{sum}");
}

/// A server that counts whole records, and takes a first part for one.
fn careless() -> Sim<Talker> {
    let (mut sim, a, s) = pair();
    sim.record(false).run_for(secs(3)).workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one"));
        w.at(ms(20)).cmd(a, Cmd::Say("two"));
        w.at(ms(30)).cmd(a, Cmd::Say("three"));
    });
    sim.invariant("whole", move |v| {
        let texts = [".one", ".two", ".three", ".two.three", ".one.two", ".one.two.three"];
        let got = v.events(s).map(|event| &event[..]);
        for text in got.filter(|text| text.starts_with('.')) {
            if !texts.contains(&text) {
                return Err(format!("read {text}"));
            }
        }
        Ok(())
    });
    sim
}

#[test]
fn a_certificate_covers_streams() {
    let failure = certify(careless, &Bounds::faults(1)).unwrap_err();
    assert_eq!(failure.schedule.lines.len(), 1);
    let kind = failure.schedule.lines[0].kind();
    assert!(matches!(kind, Kind::Break | Kind::Split), "{kind:?}");
    let whole = Bounds::faults(2).weathers(1).kinds([Kind::Stall, Kind::Drop]);
    let certificate = certify(careless, &whole).unwrap();
    assert_eq!(certificate.schedules, [1, 3, 3], "three records can stall; there are no datagrams");
    assert_eq!(certificate.kinds, [Kind::Stall, Kind::Drop]);
}

#[test]
fn faults_of_streams_shrink() {
    let mut sim = careless();
    sim.campaign(Chaos::default().until(secs(1)).quiet_for(secs(10)));
    let schedule = (0..500)
        .map(|seed| sim.run(FromSeed::new(seed)))
        .find(|outcome| outcome.verdict.oracle() == Some("whole") && outcome.schedule().lines.len() > 3)
        .unwrap()
        .schedule();
    let shrunk = shrink(&sim, &schedule, Budget::default()).unwrap();
    assert_eq!(shrunk.after.faults, 1, "{shrunk}");
    assert!(shrunk.least);
    let again = sim.run(FromSchedule::new(&Schedule::parse(&shrunk.schedule.to_text()).unwrap()));
    assert_eq!(again.verdict, shrunk.verdict);
}

#[test]
fn triggers_find_records() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one"));
        w.at(ms(20)).cmd(a, Cmd::Say("two"));
    });
    sim.on(on("Rec two").from("a"), Effect::Break(1));
    sim.on(on("Rec one"), Fault::crash("s").restart_after(ms(3)));
    sim.fault(at(ms(15)), Fault::pause("a").for_(ms(1)));
    let outcome = sim.run(FromSeed::new(1));
    assert_eq!(events(&outcome, a), "2 opened, 11 broken", "s was dead when the second record came");
    let _ = s;
}

#[test]
fn streams_look_like_tcp_in_a_capture() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("one")).cmd(s, Cmd::Say("answer"));
        w.at(ms(20)).cmd(a, Cmd::Say("two")).cmd(a, Cmd::Finish);
        w.at(ms(30)).cmd(s, Cmd::Reset);
    });
    let outcome = replay(&sim, "f1 split a>s \"Rec two\" occ=1 at=2");
    let fields = [
        "frame.interface_name",
        "tcp.flags.str",
        "tcp.seq",
        "tcp.len",
        "tcp.checksum.status",
        "simtest.label",
    ];
    let asked: Vec<&str> = fields.iter().flat_map(|field| ["-e", field]).collect();
    let Some(lines) = tshark(&outcome.trace, "streams", &asked) else { return };
    let shown: Vec<String> = lines.iter().map(|line| line.replace('·', "").replace('\t', " ")).collect();
    assert_eq!(
        shown.iter().map(|line| line.trim_end()).collect::<Vec<_>>(),
        [
            "a S 0 0 1",
            "s AS 0 0 1",
            "a A 1 0 1",
            "a AP 1 4 1 Rec one",
            "s AP 1 7 1 Rec answer",
            "a AP 5 4 1 Rec two",
            "a AF 9 0 1",
            "s AR 8 0 1",
        ]
    );
}

/// tshark follows a stream: what it puts together is what was written, each byte once, and it finds nothing odd.
#[test]
fn a_capture_has_each_byte_once() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Fill(700)).cmd(s, Cmd::Say("answer"));
        w.at(ms(20)).cmd(a, Cmd::Finish).cmd(s, Cmd::Say("half closed"));
        w.at(ms(40)).cmd(s, Cmd::Say("more")).cmd(s, Cmd::Finish);
    });
    sim.fault(at(ms(21)), Fault::crash("s").restart_after(ms(3)));
    for lines in ["", "f1 stall s>a \"Rec answer\" occ=1 by=300ms"] {
        let outcome = replay(&sim, lines);
        let asked = ["-e", "tcp.analysis.flags", "-e", "tcp.len"];
        let Some(told) = tshark(&outcome.trace, "once", &asked) else { return };
        let of = |line: &String| line.rsplit('\t').next().and_then(|len| len.trim().parse::<u64>().ok());
        let written: u64 = told.iter().filter_map(of).sum();
        let sent = outcome
            .trace
            .records
            .iter()
            .filter(|record| matches!(record.what, crate::trace::What::Send { .. }));
        assert_eq!(written, sent.map(|record| outcome.trace.bytes_of(record).len() as u64).sum::<u64>());
        assert!(written > 700 && told.iter().all(|line| line.starts_with('\t')), "{told:#?}");
    }
}

#[test]
fn what_happens_at_the_other_end_has_a_cause() {
    let (mut sim, a, s) = pair();
    sim.workload(|w| {
        w.at(ms(10)).cmd(a, Cmd::Say("last")).cmd(a, Cmd::Finish);
        w.at(ms(20)).cmd(s, Cmd::Reset);
    });
    let text = replay(&sim, "").trace.shiviz();
    let lines: Vec<&str> = text.lines().collect();
    let clock = |event: &str| {
        let at = lines.iter().position(|line| *line == event).unwrap_or_else(|| panic!("{event} in {text}"));
        lines[at - 1].to_owned()
    };
    // a: booted, told, dials.
    assert_eq!(clock("dial a>s~1"), r#"a {"a":3}"#);
    assert!(clock("accepted a>s~1").starts_with(r#"s {"a":3,"s":"#), "{text}");
    assert!(clock("opened a>s~1").contains(r#""s":2}"#), "{text}");
    let count = |event: &str, of: &str| {
        let clock = clock(event);
        let (_, rest) = clock.split_once(&format!("\"{of}\":")).unwrap();
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<u32>().ok()).unwrap()
    };
    assert_eq!(count("finished a>s~1", "a"), count("finish a>s~1", "a"));
    assert_eq!(count("broken a>s~1", "s"), count("reset s>a~1", "s"));
}
