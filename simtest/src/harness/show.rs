//! What a run that was asked for by name shows of itself.

use std::{env, fs};

use super::note;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::runner::say;
use crate::trace::{Trace, TraceView};

/// The most arrows of a diagram.
const ARROWS: usize = 200;

/// `SIMTEST_VIEW` is `outcomes`, `messages`, `packets` (the default), `host=<name>`, `around=<fault>+<lines>` or `none`; `SIMTEST_SHOW=<form>:<file>` writes the run to a
/// file, as `html`, `jsonl`, `mermaid`, `pcap`, `lua`, `qlog`, `shiviz` or `sched`.
pub(crate) fn show<N: Node>(outcome: &Outcome<N>, packets: &str) {
    if let Ok(view) = env::var("SIMTEST_VIEW") {
        is_there(outcome, packets, &view).unwrap_or_else(|why| refuse(&format!("{view}: {why}")));
    }
    match env::var("SIMTEST_VIEW").as_deref() {
        Ok("none") => {}
        Ok("outcomes") => println!("{}", outcome.trace.view(TraceView::outcomes())),
        Ok("messages") => println!("{}", outcome.trace.view(TraceView::messages())),
        Ok(view) if view.starts_with("host=") => {
            let names = view["host=".len()..].split(',');
            println!("{}", outcome.trace.view(TraceView::packets().hosts(names)));
        }
        Ok(view) if view.starts_with("around=") => println!("{}", around(packets, &view["around=".len()..])),
        Ok(view) if view != "packets" && !view.is_empty() => refuse(&format!(
            "SIMTEST_VIEW={view}: expected outcomes, messages, packets, host=NAME, around=f2+20 or none"
        )),
        _ => println!("{packets}"),
    }
    let Ok(asked) = env::var("SIMTEST_SHOW") else { return };
    let (form, path) = asked.split_once(':').unwrap_or((&asked, ""));
    let content = if form == "sched" {
        Ok(outcome.schedule().to_text().into_bytes())
    } else if form == "html" {
        Ok(outcome.html().into_bytes())
    } else {
        exported(&outcome.trace, form)
    };
    let written =
        content.and_then(|content| fs::write(path, content).map_err(|error| format!("{path}: {error}")));
    if let Err(why) = written {
        note("failed", &why);
        panic!("{why}");
    }
    if env::var_os("SIMTEST_RESULT").is_some() {
        say("\u{1}wrote\n");
    }
}

/// Whether a run has what is to be shown of it.
fn is_there<N: Node>(outcome: &Outcome<N>, packets: &str, view: &str) -> Result<(), String> {
    if let Some(names) = view.strip_prefix("host=") {
        let known: Vec<&str> = outcome.trace.names.iter().map(String::as_str).collect();
        let stranger = names.split(',').find(|name| !known.contains(name));
        return stranger
            .map_or(Ok(()), |name| Err(format!("there is no host `{name}`, only {}", known.join(", "))));
    }
    let fault = view.strip_prefix("around=").map(|asked| asked.split(['+', '±']).next().unwrap_or_default());
    match fault {
        Some(fault) if !packets.lines().any(|line| speaks(line, fault)) => {
            Err(format!("nothing in this run is called {fault}"))
        }
        _ => Ok(()),
    }
}

/// What was asked for cannot be had.
fn refuse(why: &str) -> ! {
    note("usage", why);
    panic!("{why}");
}

fn speaks(line: &str, fault: &str) -> bool {
    line.split([' ', ',']).any(|word| word == fault)
}

/// The lines that speak of a fault, and some before and after: `f2+20`.
fn around(packets: &str, asked: &str) -> String {
    let (fault, reach) = asked.split_once(['+', '±']).unwrap_or((asked, "20"));
    let reach = reach.parse();
    let reach: usize =
        reach.unwrap_or_else(|_| refuse(&format!("around={asked}: expected a number of lines")));
    let lines: Vec<&str> = packets.lines().collect();
    let found = (0..).zip(&lines).filter(|(_, line)| speaks(line, fault));
    let found: Vec<usize> = found.map(|(i, _)| i).collect();
    let near = |i: usize| found.iter().any(|at| at.abs_diff(i) <= reach);
    let mut out = String::new();
    let mut gap = false;
    for (i, line) in lines.iter().enumerate() {
        if near(i) {
            out.push_str(if std::mem::take(&mut gap) && !out.is_empty() { "   ...\n" } else { "" });
            out.push_str(line);
            out.push('\n');
        } else {
            gap = true;
        }
    }
    out
}

fn exported(trace: &Trace, form: &str) -> Result<Vec<u8>, String> {
    match form {
        "jsonl" => Ok(trace.jsonl().into_bytes()),
        "qlog" => Ok(trace.qlog().into_bytes()),
        "shiviz" => Ok(trace.shiviz().into_bytes()),
        "lua" => Ok(trace.lua().into_bytes()),
        "pcap" => Ok(trace.pcapng()),
        "mermaid" => trace.mermaid(ARROWS).map(String::into_bytes).map_err(|error| error.to_string()),
        _ => Err("expected html, jsonl, mermaid, pcap, lua, qlog, shiviz or sched".into()),
    }
}
