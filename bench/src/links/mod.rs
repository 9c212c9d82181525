//! Adapters over real links, beside raw sockets and others of their kind: a server and a client, each a process of its own on a
//! core of its own.

mod asynchronous;
mod ends;
mod enet;
mod many;
mod raw;
mod spin;
mod stack;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use self::stack::Stack;

/// What goes on: see `bench/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    RoundTrip,
    Ordered,
    Unreliable,
    Outstanding,
    FanOut,
    Idle,
}

/// Their names, sizes of messages, and what a good figure is called.
const ALL: [(Workload, &str, &[usize], &str); 6] = [
    (Workload::RoundTrip, "l1", &[64], "p50 us"),
    (Workload::Ordered, "l2", &[64, 1 << 10, 16 << 10, 256 << 10], "messages/s"),
    (Workload::Unreliable, "l3", &[64, 1 << 10], "messages/s"),
    (Workload::Outstanding, "l4", &[64], "requests/s"),
    (Workload::FanOut, "l5", &[128], "p50 ms"),
    (Workload::Idle, "l6", &[64], "bytes each"),
];

/// What `--only` may name.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|&(_, name, ..)| name).chain(Stack::ALL.map(Stack::name)).collect()
}

/// What one of the two processes is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    stack: Stack,
    workload: Workload,
    size: usize,
    time: Duration,
}

/// Figures of one stack.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    pub(crate) size: usize,
    pub(crate) stack: &'static str,
    /// By name, as both processes told them.
    pub(crate) figures: BTreeMap<String, f64>,
}

/// Measures for `seconds` each, and prints it.
pub(crate) fn run(seconds: u64, wants: impl Fn(&str, &[&str]) -> bool) -> Result<Vec<Row>, String> {
    let is_pinned = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_pinned {
        println!("taskset is not installed: the processes are not bound to cores.");
    }
    let (workloads, stacks) = (ALL.map(|(_, name, ..)| name), Stack::ALL.map(Stack::name));
    let mut rows = Vec::new();
    for (workload, name, sizes, _) in ALL.into_iter().filter(|&(_, name, ..)| wants(name, &workloads)) {
        for &size in sizes {
            println!("\n{name}, {size} bytes");
            let mut raw = BTreeMap::new();
            for stack in Stack::ALL.into_iter().filter(|stack| wants(stack.name(), &stacks)) {
                if !stack.offers(workload, size) {
                    continue;
                }
                let job = Job { stack, workload, size, time: Duration::from_secs(seconds) };
                let figures =
                    measure(&job, is_pinned).map_err(|error| format!("{}: {error}", stack.name()))?;
                if stack.is_raw() {
                    raw.insert(stack.link(), figures.clone());
                }
                print(stack, &figures, raw.get(stack.link()));
                rows.push(Row { workload: name, size, stack: stack.name(), figures });
            }
        }
    }
    Ok(rows)
}

fn print(stack: Stack, figures: &BTreeMap<String, f64>, raw: Option<&BTreeMap<String, f64>>) {
    print!("  {:<16}", stack.name());
    for (name, &figure) in figures {
        let shown = if figure < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") };
        print!(" {name} {shown:<10}");
        if let Some(limit) = raw.and_then(|raw| raw.get(name)).filter(|_| !stack.is_raw()) {
            print!("({:.2} of raw)  ", figure / limit);
        }
    }
    println!();
}

/// Runs the two processes, and gathers what they say.
fn measure(job: &Job, is_pinned: bool) -> Result<BTreeMap<String, f64>, String> {
    let mut server = spawn(job, None, is_pinned.then_some(0))?;
    let mut said = BufReader::new(server.stdout.take().ok_or("no output")?);
    let mut address = String::new();
    said.read_line(&mut address).map_err(|error| error.to_string())?;
    let client = spawn(job, Some(address.trim()), is_pinned.then_some(1))?;
    let client = client.wait_with_output().map_err(|error| error.to_string())?;
    if !client.status.success() {
        let _ = server.kill();
    }
    let mut rest = String::new();
    said.read_to_string(&mut rest).map_err(|error| error.to_string())?;
    let ended = server.wait().map_err(|error| error.to_string())?;
    if !client.status.success() || !ended.success() {
        return Err(format!("client {}, server {ended}", client.status));
    }
    rest.push_str(&String::from_utf8_lossy(&client.stdout));
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(rest.lines().filter_map(figure).collect())
}

fn spawn(job: &Job, address: Option<&str>, core: Option<u8>) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    };
    let name = ALL.iter().find(|&&(workload, ..)| workload == job.workload).map_or("", |&(_, name, ..)| name);
    let seconds = job.time.as_secs().to_string();
    command.args(["--link", name, job.stack.name(), &job.size.to_string(), &seconds]);
    command.arg(address.unwrap_or("-"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())
}

/// One of the two processes.
pub(crate) fn take_part(arguments: &[String]) -> Result<(), String> {
    let [workload, stack, size, seconds, address] = arguments else { return Err("five arguments".into()) };
    let known = ALL.iter().find(|&&(_, name, ..)| name == workload).ok_or("no such workload")?;
    let job = Job {
        stack: Stack::ALL.into_iter().find(|known| known.name() == stack).ok_or("no such stack")?,
        workload: known.0,
        size: size.parse().map_err(|_| "no such size")?,
        time: Duration::from_secs(seconds.parse().map_err(|_| "no such time")?),
    };
    let address = (address != "-").then_some(address.as_str());
    match (job.stack, job.workload) {
        (stack, _) if stack.is_raw() => raw::take_part(&job, address),
        (Stack::BowlineSpin, _) => spin::take_part(&job, address),
        (Stack::Enet, _) => enet::take_part(&job, address),
        (_, Workload::FanOut | Workload::Idle) => many::take_part(&job, address),
        _ => asynchronous::take_part(&job, address),
    }
    Ok(())
}

/// Tells the parent a figure.
fn tell(name: &str, figure: f64) {
    println!("{name} {figure}");
}

/// Tells median and 99th percentile.
fn tell_times(times: &mut [Duration], unit: &str, units_per_second: f64) {
    times.sort_unstable();
    for percent in [50, 99] {
        let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        let time = times.get(at).map_or(f64::NAN, Duration::as_secs_f64);
        tell(&format!("p{percent} {unit}"), time * units_per_second);
    }
}

/// Message `number`, of `size` bytes: at least 8.
fn message(number: u64, size: usize) -> Vec<u8> {
    let mut message = vec![number as u8; size];
    message[..8].copy_from_slice(&number.to_be_bytes());
    message
}

/// The number of a message, whose last byte follows from it.
fn number(message: &[u8], size: usize) -> u64 {
    assert_eq!(message.len(), size, "another length");
    let number = u64::from_be_bytes(message[..8].try_into().expect("it has 8 bytes"));
    assert!(size == 8 || message[size - 1] == number as u8, "message {number} is wrong");
    number
}
