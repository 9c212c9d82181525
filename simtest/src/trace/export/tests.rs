use crate::probe::{Cmd, Probe, replay, three, tshark};
use crate::{Chaos, FromSeed, Link, Outcome, Sim, TooLarge, ms, secs};

fn story() -> Outcome<Probe> {
    let (mut sim, [a, b, _]) = three();
    sim.run_for(ms(100)).workload(|w| {
        w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["X", "Y \"<quoted>\""]));
        w.at(ms(40)).cmd(b, Cmd::Send(a, vec!["Z"]));
    });
    replay(
        &sim,
        "f1 drop a>b \"Text X\" occ=1\nf2 duplicate b>a \"Text Z\" occ=1 by=3ms\nf3 crash c at=20ms for=10ms disk=unsynced\n\
         f4 corrupt b>a \"Text Z\" occ=1 flip=0x1",
    )
}

#[test]
fn one_json_object_per_record() {
    let text = story().trace.jsonl();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), story().trace.len() + 1);
    assert!(lines.iter().all(|line| line.starts_with("{\"v\":1,\"n\":") && line.ends_with('}')));
    let has = |part: &str| assert!(text.contains(part), "{part} in\n{text}");
    has(r#""t":1000000,"h":"a","k":"tx","id":"a>b#1","to":"b","len":1,"l":"Text X","fate":"f1 drop","c":["#);
    has(r#""t":1000000,"h":"a","k":"drop","id":"a>b#1","f":"f1","c":["#);
    has(r#""k":"tx","id":"a>b#2","to":"b","len":12,"l":"Text Y \"\u003cquoted>\"","fate":"ok","c":["#);
    has(r#""t":20000000,"h":"c","k":"crash","l":"unsynced","f":"f3"}"#);
    has(r#""t":44000000,"h":"a","k":"rx","id":"b>a#1'","c":["#);
    has(r#""t":1000000,"h":"a","k":"cmd","id":"a!1","i":1,"l":"Send("#);
    let cause = |line: &str| -> usize {
        line.rsplit_once("\"c\":[").and_then(|(_, rest)| rest.trim_end_matches("]}").parse().ok()).unwrap()
    };
    let line = |part: &str| lines.iter().position(|line| line.contains(part)).expect(part);
    assert_eq!(cause(lines[line("\"k\":\"rx\",\"id\":\"b>a#1'\"")]), line("\"k\":\"tx\",\"id\":\"b>a#1\""));
    assert_eq!(cause(lines[line("\"k\":\"tx\",\"id\":\"b>a#1\"")]), line("\"h\":\"b\",\"k\":\"cmd\""));
    assert_eq!(cause(lines[line("\"k\":\"restart\"")]), line("\"k\":\"crash\""));
    assert_eq!(
        lines.last(),
        Some(&&*format!(
            "{{\"v\":1,\"n\":{},\"k\":\"verdict\",\"ok\":true,\"l\":\"PASS\"}}",
            lines.len() - 1
        ))
    );
}

#[test]
fn the_last_line_names_the_judge() {
    let (mut sim, [a, ..]) = three();
    sim.run_for(ms(10)).invariant("quiet: always", |v| v.latest().is_none()).workload(|w| {
        w.at(ms(1)).cmd(a, Cmd::Every(2, 0));
    });
    let text = replay(&sim, "").trace.jsonl();
    let last = text.lines().last().unwrap_or_default();
    assert!(
        last.contains(r#""k":"verdict","oracle":"quiet: always","ok":false,"l":"FAIL quiet: always"#),
        "{last}"
    );
}

#[test]
fn a_diagram_for_a_page_of_text() {
    let trace = story().trace;
    assert_eq!(trace.mermaid(2), Err(TooLarge { arrows: 3, most: 2 }));
    // Three arrows, but three nodes that boot and say so, and so on.
    assert_eq!(trace.mermaid(3), Err(TooLarge { arrows: 13, most: 3 }));
    let text = trace.mermaid(13).unwrap();
    assert!(
        text.starts_with("sequenceDiagram\n  participant a\n  participant b\n  participant c\n"),
        "{text}"
    );
    assert!(text.contains("  a-xb: Text X [f1 drop]\n"), "{text}");
    assert!(text.contains("  b->>a: Text Z [f2 duplicate, f4 corrupt, ok, copy ok]\n"), "{text}");
    assert!(text.contains("  Note over c: f3 crash unsynced\n"), "{text}");
    assert!(text.ends_with("  Note over a: PASS\n"), "{text}");
}

/// A text with what has a meaning in other languages, and numbers.
#[test]
fn labels_are_escaped_and_their_numbers_told() {
    let (mut sim, [a, b, _]) = three();
    let long: &'static str =
        "LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG";
    sim.run_for(ms(100)).workload(|w| {
        w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["C\r\\\"", "Seq seq=7, slot=-2 seq=8 x=y =3", long]));
    });
    let trace = replay(&sim, "").trace;
    assert!(trace.lua().contains(r#"= "Text C\013\\\"","#), "{}", trace.lua());
    let text = trace.jsonl();
    assert!(
        text.contains(r#""l":"Text Seq seq=7, slot=-2 seq=8 x=y =3","d":{"seq":7,"slot":-2},"fate":"#),
        "{text}"
    );
    assert!(text.contains(r#""l":"Text C\u000d\\\"","fate":"#), "{text}");
    let diagram = trace.mermaid(100).unwrap();
    assert!(diagram.contains("..."), "{diagram}");
    assert!(!diagram.contains('\r') && diagram.lines().all(|line| line.len() < 140), "{diagram}");
}

#[test]
fn two_lines_tell_of_the_run() {
    let outcome = story();
    let text = outcome.trace.view(crate::TraceView::packets().header());
    let (hash, records) = (outcome.hash, outcome.trace.len());
    let head = format!(
        "simtest-trace 1  test=probe  hash={hash:032x}\nhosts a b c  faults 4  records {records}  verdict PASS\n"
    );
    assert_eq!(text, head + &outcome.trace.view(crate::TraceView::packets()));
}

#[test]
fn receipts_know_what_came_before() {
    let text = story().trace.shiviz();
    let pairs: Vec<(&str, &str)> = text.lines().step_by(2).zip(text.lines().skip(1).step_by(2)).collect();
    let clock = |event: &str| pairs.iter().find(|(_, text)| text.starts_with(event)).expect(event).0;
    // a: booted and told, a command, two datagrams; b has the second of them.
    assert_eq!(clock("tx a>b#2"), r#"a {"a":5}"#);
    assert_eq!(clock("rx a>b#2"), r#"b {"a":5,"b":3}"#);
    assert!(clock("rx b>a#1'").starts_with("a {"));
}

#[test]
fn qlog_records_are_framed() {
    let text = story().trace.qlog();
    assert_eq!(text.matches('\u{1e}').count(), story().trace.len() + 3);
    assert!(text.contains(
        r#""name":"simulation:scenario","data":{"name":"probe","details":{"hosts":["a","b","c"],"#
    ));
    assert!(text.ends_with("\"data\":{\"type\":\"verdict\",\"message\":\"PASS\"}}\n"));
    assert!(text.lines().all(|line| line.starts_with("\u{1e}{") && line.ends_with('}')));
    assert!(text.contains(
        r#"{"time":1.000,"name":"simtest:datagram_dropped","group_id":"a","data":{"id":"a>b#1","trigger":"drop"}}"#
    ));
}

/// Walks through the blocks as a reader would.
#[test]
fn a_capture_can_be_read() {
    let bytes = story().trace.pcapng();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut kinds, mut packets) = (0, Vec::new(), Vec::new());
    while at < bytes.len() {
        let (kind, len) = (word(at), word(at + 4) as usize);
        assert_eq!((len % 4, word(at + len - 4) as usize), (0, len), "framed on both ends");
        if kind == 6 {
            let captured = word(at + 20) as usize;
            let time = u64::from(word(at + 12)) << 32 | u64::from(word(at + 16));
            packets.push((word(at + 8), time, bytes[at + 28..at + 28 + captured].to_vec()));
        }
        kinds.push(kind);
        at += len;
    }
    assert_eq!(kinds[..4], [0x0a0d_0d0a, 1, 1, 1], "a section and three interfaces");
    // Sent: X, Y, Z; arrived: Y, Z damaged, Z copied.
    assert_eq!(packets.len(), 6);
    for (_, _, packet) in &packets {
        let len = u16::from_be_bytes([packet[4], packet[5]]);
        assert_eq!((packet[0] >> 4, usize::from(len)), (6, packet.len() - 40));
        let mut pseudo = packet[8..40].to_vec();
        pseudo.extend_from_slice(&[0, 0, packet[4], packet[5], 0, 0, 0, 17]);
        pseudo.extend_from_slice(&packet[40..]);
        let mut sum: u32 = pseudo
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        sum = (sum & 0xffff) + (sum >> 16);
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the UDP checksum is right");
    }
    let (interface, time, packet) = &packets[0];
    assert_eq!((*interface, *time, &packet[48..]), (0, 1_000_000, &b"X"[..]));
    let damaged =
        packets.iter().filter(|(_, _, packet)| packet.len() == 49 && ![b'X', b'Z'].contains(&packet[48]));
    assert_eq!(damaged.count(), 1);
    assert!(story().trace.lua().contains("  [\"58\"] = \"Text X\",\n"));
}

#[test]
fn a_page_holds_ten_thousand_events() {
    let (mut sim, [a, b, c]): (Sim<Probe>, _) = three();
    sim.links(Link::wifi()).campaign(Chaos::default().until(secs(20)).quiet_for(secs(1))).workload(|w| {
        for i in 0..1_700 {
            w.at(ms(i * 10)).cmd(a, Cmd::Send(b, vec!["X", "A longer text"])).cmd(c, Cmd::Send(a, vec!["Z"]));
        }
    });
    let outcome = sim.run(FromSeed::new(1));
    assert!(outcome.stats.events > 7_000 && outcome.trace.len() > 10_000, "{}", outcome.trace.len());
    let page = outcome.html();
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(!page.contains("/*DATA*/") && !page.contains("http"), "it needs nothing else");
    if let Some(path) = std::env::var_os("SIMTEST_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}

#[test]
fn tshark_opens_the_capture_with_the_labels() {
    let fields =
        ["frame.interface_name", "udp.checksum.status", "simtest.label", "frame.comment", "_ws.malformed"];
    let asked: Vec<&str> = fields.iter().flat_map(|field| ["-e", field]).collect();
    let Some(lines) = tshark(&story().trace, "datagrams", &asked) else { return };
    let has =
        |line: &str| assert!(lines.iter().any(|shown| shown.trim_end() == line), "{line:?} in {lines:#?}");
    // Checksum 1: it is right.
    has("a\t1\tText X\ta>b#1 Text X [f1 drop]");
    has("a\t1\tText Y \"<quoted>\"\ta>b#2 Text Y \"<quoted>\" [ok]");
    has("b\t1\tText Y \"<quoted>\"\ta>b#2 arrives");
    has("a\t1\tdamaged\tb>a#1 arrives");
    has("a\t1\tText Z\tb>a#1' arrives");
    assert_eq!(lines.len(), 6, "{lines:#?}");
}
