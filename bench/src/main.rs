//! How fast the core is, beside others of its kind in the same run. `bench/README.md` says how to read the figures.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "how long things take is what this is about"
)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "figures for people")]

mod alloc;
mod idle;
mod instructions;
mod links;
mod measure;
mod messages;
mod pair;
mod report;
mod w8;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::instructions::Bar;
use self::workload::{Stack, WORKLOADS, Workload};

/// How fast the core is, beside others of its kind in the same run.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct Options {
    /// Only workloads or stacks whose names are given, separated by commas: `w7,w6` or `bowline,kcp` or both.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A few repetitions, for a first look.
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure delay and throughput over sockets and a relay that loses packets, instead.
    #[arg(long)]
    w8: bool,
    /// Measure adapters over real links, two processes beside raw sockets and others of their kind, instead.
    #[arg(long)]
    links: bool,
    /// Count instructions with valgrind instead of measuring time.
    #[arg(long)]
    instructions: bool,
    /// Count what this file has, and fail where there are more than it allows.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Be one of the two processes.
    #[arg(long, hide = true, num_args = 5, value_names = ["WORKLOAD", "STACK", "SIZE", "SECONDS", "ADDRESS"])]
    link: Vec<String>,
    /// Carry messages and say nothing: what valgrind is to look at.
    #[arg(long, hide = true, num_args = 3, value_names = ["WORKLOAD", "STACK", "COUNT"])]
    carry: Vec<String>,
}

impl Options {
    /// A workload or stack is in when it is named, or when none of its kind is.
    fn wants(&self, name: &str, kind: &[&str]) -> bool {
        let mut named = self.only.iter().filter(|only| kind.contains(&only.as_str())).peekable();
        named.peek().is_none() || named.any(|only| only == name)
    }

    fn workloads(&self) -> Vec<Workload> {
        let names = workload_names();
        WORKLOADS.into_iter().filter(|workload| self.wants(workload.name, &names)).collect()
    }

    fn stacks(&self) -> Vec<Stack> {
        let names = Stack::ALL.map(Stack::name);
        Stack::ALL.into_iter().filter(|stack| self.wants(stack.name(), &names)).collect()
    }
}

fn workload_names() -> Vec<&'static str> {
    WORKLOADS.iter().map(|workload| workload.name).chain(["w6"]).collect()
}

fn main() -> ExitCode {
    let options = Options::parse();
    let known: Vec<_> = workload_names()
        .into_iter()
        .chain(Stack::ALL.map(Stack::name))
        .chain(w8::NAMES)
        .chain(w8::WORKLOADS)
        .chain(links::names())
        .collect();
    if let Some(unknown) = options.only.iter().find(|only| !known.contains(&only.as_str())) {
        eprintln!("there is no {unknown}; there are {}", known.join(", "));
        return ExitCode::from(2);
    }
    let result = if let [workload, stack, count] = &options.carry[..] {
        carry(workload, stack, count)
    } else if !options.link.is_empty() {
        links::take_part(&options.link)
    } else if options.links {
        measure_links(&options)
    } else if options.instructions || options.check.is_some() {
        count_instructions(&options)
    } else if options.w8 {
        measure_loss(&options)
    } else {
        measure_time(&options)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn carry(workload: &str, stack: &str, count: &str) -> Result<(), String> {
    let workload = WORKLOADS.into_iter().find(|known| known.name == workload).ok_or("no such workload")?;
    let stack = Stack::ALL.into_iter().find(|known| known.name() == stack).ok_or("no such stack")?;
    instructions::carry(workload, stack, count.parse().map_err(|_| "no such count")?);
    Ok(())
}

fn measure_time(options: &Options) -> Result<(), String> {
    let (repetitions, connections) = if options.quick { (5, 1000) } else { (21, 10_000) };
    if !options.workloads().is_empty() {
        report::print_head();
    }
    let mut rows = Vec::new();
    for workload in options.workloads() {
        let measured = measure::measure(workload, &options.stacks(), repetitions);
        report::print(&measured);
        rows.extend(measured);
    }
    let idle = if options.wants("w6", &workload_names()) { idle::run(connections) } else { Vec::new() };
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, report::json(&rows, &idle)).map_err(|error| format!("{}: {error}", path.display()))
}

fn measure_loss(options: &Options) -> Result<(), String> {
    let seconds = if options.quick { 3 } else { 15 };
    let stacks: Vec<_> = options.only.iter().filter(|only| !w8::WORKLOADS.contains(&only.as_str())).collect();
    let wants = |stack: &str| stacks.is_empty() || stacks.iter().any(|only| stack.starts_with(only.as_str()));
    let [lossy, narrow] = w8::WORKLOADS.map(|workload| options.wants(workload, &w8::WORKLOADS));
    let rows = if lossy { w8::run(seconds, wants) } else { Vec::new() };
    let narrow = if narrow { w8::run_narrow(seconds, wants) } else { Vec::new() };
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, report::w8_json(&rows, &narrow))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn measure_links(options: &Options) -> Result<(), String> {
    let rows = links::run(if options.quick { 2 } else { 5 }, |name, kind| options.wants(name, kind))?;
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, report::links_json(&rows)).map_err(|error| format!("{}: {error}", path.display()))
}

fn count_instructions(options: &Options) -> Result<(), String> {
    if !instructions::is_available() {
        println!("SKIPPED: valgrind is not installed, so INSTRUCTIONS WERE NOT COUNTED.");
        return Ok(());
    }
    let bar = options.check.as_deref().map(Bar::read).transpose()?;
    let mut over = 0;
    println!("{:<8} {:<12} {:>20} {:>10}", "workload", "stack", "instructions/message", "at most");
    for workload in options.workloads() {
        for stack in options.stacks().into_iter().filter(|stack| stack.offers(&workload)) {
            if bar.as_ref().is_some_and(|bar| !bar.has(workload, stack)) {
                continue;
            }
            let count = instructions::count(workload, stack)?;
            let limit = bar.as_ref().and_then(|bar| bar.limit(workload, stack));
            let shown = limit.map_or_else(String::new, |limit| limit.to_string());
            println!("{:<8} {:<12} {count:>20} {shown:>10}", workload.name, stack.name());
            over += usize::from(limit.is_some_and(|limit| count > limit));
        }
    }
    if over > 0 {
        return Err(format!("{over} of these take more instructions than they may"));
    }
    Ok(())
}
