use super::*;
use crate::probe::{Cmd, replay, three};
use crate::{Addr, DiskOp, Link, ms};

/// One of everything that can become of a datagram.
fn everything() -> Trace {
    let (mut sim, [a, b, c]) = three();
    sim.run_for(ms(100)).link(a, c, Link::new().mtu(3)).workload(|w| {
        w.at(ms(0))
            .cmd(a, Cmd::Send(b, vec!["A", "B", "C", "D", "plain"]))
            .cmd(a, Cmd::Send(c, vec!["LONG"]));
        w.at(ms(10)).cmd(a, Cmd::Send(b, vec!["E"])).cmd(a, Cmd::SendTo(Addr::new(9)));
        w.at(ms(20)).cmd(c, Cmd::Send(b, vec!["F"])).cmd(b, Cmd::Every(1, 0));
        w.at(ms(30)).cmd(c, Cmd::Store(DiskOp::Append { file: "log".into(), bytes: vec![0; 3] }));
        w.at(ms(35)).cmd(c, Cmd::Every(36, 0));
        w.at(ms(99)).cmd(c, Cmd::Send(a, vec!["l8"]));
        w.at(ms(100)).cmd(c, Cmd::Send(a, vec!["l8"]));
    });
    let lines = "f1 drop a>b \"Text A\" occ=1\n\
                 f2 delay a>b \"Text B\" occ=1 by=3ms\n\
                 f3 duplicate a>b \"Text C\" occ=1 by=15ms\n\
                 f4 corrupt a>b \"Text D\" occ=1 cut=0x0\n\
                 f5 partition a|b at=9ms for=2ms\n\
                 f6 crash b at=12ms for=20ms disk=kept\n\
                 f7 disk c full at=29ms for=5ms\nf8 pause a at=50ms for=5ms";
    replay(&sim, lines).trace
}

#[test]
fn grouped_messages() {
    insta::assert_snapshot!(everything().view(TraceView::messages()), @r#"
    a   Booted { life: 0, seed: 58, disk: [] }
    a!1 Send(NodeId(1), ["A", "B", "C", "D", "plain"])
    a   Cmd
    a!2 Send(NodeId(2), ["LONG"])
    a   Cmd
    a!3 Send(NodeId(1), ["E"])
    a   Cmd
    a!4 SendTo(Addr(9))
    a   Cmd
    a   f8 pause
    a   f8 resume
    a   Got(2, "l8")
      a>b#1    Text A                         f1 drop
      a>b#2    Text B                         f2 delay, ok
      a>b#3    Text C                         f3 duplicate, ok, copy node down
      a>b#4    Text D                         f4 corrupt, ok
      a>b#5    len=5                          ok
      a>b#6    Text E                         f5 cut
      a>c#1    Text LONG                      too large
      a>?9 len=5  no such address
    b   Booted { life: 0, seed: 108, disk: [] }
    b   Got(0, "C")
    b   Got(0, "")
    b   Got(0, "plain")
    b   Got(0, "B")
    b   f6 CRASH
    b!1 Every(1, 0)  node down
    b   f6 restart
    b   Booted { life: 1, seed: 68, disk: [] }
    c   Booted { life: 0, seed: 32, disk: [] }
    c!1 Send(NodeId(1), ["F"])
    c   Cmd
    c   f7 disk full
    c!2 Store(Append { file: "log", bytes: [0, 0, 0] })
    c   Cmd
    c   Stored(1, Err(NoSpace))
    c   f7 disk mended
    c!3 Every(36, 0)
    c   Cmd
    c   Timer
    c!4 Send(NodeId(0), ["l8"])
    c   Cmd
    c!5 Send(NodeId(0), ["l8"])
    c   Cmd
      c>a#1    len=2                          ok
      c>a#2    len=2                          under way
      c>b#1    Text F                         node down
    -   f5 partition a|b
    -   f5 healed
    PASS
    "#);
}

#[test]
fn merged_packets() {
    insta::assert_snapshot!(everything().view(TraceView::packets()), @r#"
       0.000 a   Booted { life: 0, seed: 58, disk: [] }
       0.000 b   Booted { life: 0, seed: 108, disk: [] }
       0.000 c   Booted { life: 0, seed: 32, disk: [] }
       0.000 a!1 Send(NodeId(1), ["A", "B", "C", "D", "plain"])
       0.000 a>b#1    Text A                         f1 drop
       0.000 a>b#2    Text B                         f2 delay, ok
       0.000 a>b#3    Text C                         f3 duplicate, ok, copy node down
       0.000 a>b#4    Text D                         f4 corrupt, ok
       0.000 a>b#5    len=5                          ok
       0.000 a   Cmd
       0.000 a!2 Send(NodeId(2), ["LONG"])
       0.000 a>c#1    Text LONG                      too large
       0.000 a   Cmd
       0.001 b   < a>b#3
       0.001 b   Got(0, "C")
       0.001 b   < a>b#4
       0.001 b   Got(0, "")
       0.001 b   < a>b#5
       0.001 b   Got(0, "plain")
       0.004 b   < a>b#2
       0.004 b   Got(0, "B")
       0.009 -   f5 partition a|b
       0.010 a!3 Send(NodeId(1), ["E"])
       0.010 a>b#6    Text E                         f5 cut
       0.010 a   Cmd
       0.010 a!4 SendTo(Addr(9))
       0.010 a>?9 len=5  no such address
       0.010 a   Cmd
       0.011 -   f5 healed
       0.012 b   f6 CRASH
       0.020 c!1 Send(NodeId(1), ["F"])
       0.020 c>b#1    Text F                         node down
       0.020 c   Cmd
       0.020 b!1 Every(1, 0)  node down
       0.029 c   f7 disk full
       0.030 c!2 Store(Append { file: "log", bytes: [0, 0, 0] })
       0.030 c   store 1: append log 3 B
       0.030 c   Cmd
       0.030 c   store 1 failed: no space left on the disk
       0.030 c   Stored(1, Err(NoSpace))
       0.032 b   f6 restart
       0.032 b   Booted { life: 1, seed: 68, disk: [] }
       0.034 c   f7 disk mended
       0.035 c!3 Every(36, 0)
       0.035 c   Cmd
       0.036 c.timer#1
       0.036 c   Timer
       0.050 a   f8 pause
       0.055 a   f8 resume
       0.099 c!4 Send(NodeId(0), ["l8"])
       0.099 c>a#1    len=2                          ok
       0.099 c   Cmd
       0.100 c!5 Send(NodeId(0), ["l8"])
       0.100 c>a#2    len=2                          under way
       0.100 c   Cmd
       0.100 a   < c>a#1
       0.100 a   Got(2, "l8")
    PASS
    "#);
}

#[test]
fn merged_outcomes_of_one_host() {
    let view = TraceView::outcomes().group(Order::Merged).time(Times::Delta).hosts(["c"]);
    insta::assert_snapshot!(everything().view(view), @r"
          +0 c   Booted { life: 0, seed: 32, disk: [] }
         +20 c   Cmd
          +9 c   f7 disk full
          +1 c   Cmd
          +0 c   Stored(1, Err(NoSpace))
          +3 c   f7 disk mended
          +1 c   Cmd
          +1 c   Timer
         +63 c   Cmd
          +1 c   Cmd
    PASS
    ");
}

#[test]
fn levels_hold_one_another() {
    let trace = everything();
    let lines = |view: TraceView| {
        trace.view(view.group(Order::Merged).time(Times::Off)).lines().map(String::from).collect()
    };
    let [outcomes, messages, packets]: [Vec<String>; 3] =
        [TraceView::outcomes(), TraceView::messages(), TraceView::packets()].map(lines);
    for (less, more) in [(&outcomes, &messages), (&messages, &packets)] {
        let mut rest = more.iter();
        assert!(less.iter().all(|line| rest.any(|other| other == line)));
        assert!(less.len() < more.len());
    }
}

#[test]
fn without_recording_there_is_only_the_verdict() {
    let (mut sim, _) = three();
    let trace = replay(sim.record(false), "").trace;
    assert!(trace.is_empty());
    assert_eq!(trace.view(TraceView::messages()), "PASS\n");
}

#[test]
fn bytes_are_shown_where_they_are_asked_for() {
    let trace = everything();
    let all = trace.view(TraceView::bytes().hosts(["a", "c"]));
    let has = |text: &str| assert!(all.contains(text), "{text} in\n{all}");
    has(
        "   0.000 a>b#4    Text D                         f4 corrupt, ok\n           | 44                                               D\n",
    );
    has("   0.000 a>b#4    f4 corrupt: 0 bytes\n");
    has(
        "   0.030 c   store 1: append log 3 B\n           | 00 00 00                                         ...\n",
    );

    let grouped = trace.view(TraceView::bytes().group(Order::Grouped).time(Times::Off));
    assert!(
        grouped.contains("b   < a>b#4\n") && grouped.contains("  a>b#4    f4 corrupt: 0 bytes\n"),
        "{grouped}"
    );

    let few = trace.view(TraceView::messages().payload(Payload::Hex(2)).hosts(["a"]));
    assert!(
        few.contains(
            "| 70 6c                                            pl\n           | and 3 bytes more\n"
        ),
        "{few}"
    );
    let none = trace.view(TraceView::messages().payload(Payload::None));
    assert!(none.contains("  a>b#1    f1 drop\n") && !none.contains("Text"), "{none}");
}

#[test]
fn a_view_can_be_of_what_is_around_a_fault() {
    let trace = everything();
    let view = TraceView::packets().time(Times::Off);
    insta::assert_snapshot!(trace.view(view.clone().around("f6", 1)), @r#"
    -   f5 healed
    b   f6 CRASH
    c!1 Send(NodeId(1), ["F"])
       ...
    c   Stored(1, Err(NoSpace))
    b   f6 restart
    b   Booted { life: 1, seed: 68, disk: [] }
    "#);
    assert_eq!(trace.view(view.around("f9", 1)), "nothing in this run is called f9\n");
    let bytes = trace.view(TraceView::bytes().around("f4", 0));
    assert_eq!(bytes.lines().filter(|line| line.contains("a>b#4")).count(), 2, "{bytes}");
    assert!(bytes.lines().nth(1).is_some_and(|line| line.starts_with("           | 44")), "{bytes}");
}
