//! What a run that was asked for by name shows of itself.

use std::{env, fs};

use super::note;
use crate::explore::Curve;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::runner::say;
use crate::trace::{Trace, TraceView, around};

/// The most arrows of a diagram.
const ARROWS: usize = 200;

/// `SIMTEST_VIEW` is `outcomes`, `messages`, `packets` (the default), `bytes`, `host=<name>`, `around=<fault>+<lines>` or `none`; `SIMTEST_SHOW=<form>:<file>` writes the run to a
/// file, as `html`, `jsonl`, `mermaid`, `pcap`, `lua`, `qlog`, `shiviz` or `sched`.
pub(crate) fn show<N: Node>(outcome: &Outcome<N>, packets: &str, curve: impl FnOnce() -> Option<Curve>) {
    if let Ok(view) = env::var("SIMTEST_VIEW") {
        is_there(outcome, packets, &view).unwrap_or_else(|why| refuse(&format!("{view}: {why}")));
    }
    match env::var("SIMTEST_VIEW").as_deref() {
        Ok("none") => {}
        Ok("outcomes") => println!("{}", outcome.trace.view(TraceView::outcomes())),
        Ok("messages") => println!("{}", outcome.trace.view(TraceView::messages())),
        Ok("bytes") => println!("{}", outcome.trace.view(TraceView::bytes().header())),
        Ok(view) if view.starts_with("host=") => {
            let names = view["host=".len()..].split(',');
            println!("{}", outcome.trace.view(TraceView::packets().hosts(names)));
        }
        Ok(view) if view.starts_with("around=") => {
            let (fault, reach) = near(&view["around=".len()..]).unwrap_or_else(|why| refuse(&why));
            println!("{}", around(packets, fault, reach).unwrap_or_default());
        }
        Ok(view) if view != "packets" && !view.is_empty() => refuse(&format!(
            "SIMTEST_VIEW={view}: expected outcomes, messages, packets, bytes, host=NAME, around=f2+20 or none"
        )),
        _ => println!("{packets}"),
    }
    let Ok(asked) = env::var("SIMTEST_SHOW") else { return };
    let (form, path) = asked.split_once(':').unwrap_or((&asked, ""));
    let content = if form == "sched" {
        Ok(outcome.schedule().to_text().into_bytes())
    } else if form == "html" {
        Ok(outcome.html_with(curve().as_ref()).into_bytes())
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
    let Some(asked) = view.strip_prefix("around=") else { return Ok(()) };
    let (fault, reach) = near(asked)?;
    around(packets, fault, reach).map(|_| ()).ok_or_else(|| format!("nothing in this run is called {fault}"))
}

/// A fault, and how many lines before and after: `f2+20`.
fn near(asked: &str) -> Result<(&str, usize), String> {
    let (fault, reach) = asked.split_once(['+', '±']).unwrap_or((asked, "20"));
    let reach = reach.parse().map_err(|_| format!("around={asked}: expected a number of lines"))?;
    Ok((fault, reach))
}

/// What was asked for cannot be had.
fn refuse(why: &str) -> ! {
    note("usage", why);
    panic!("{why}");
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
