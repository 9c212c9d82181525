//! What a soak must have come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::reader::Lines;
use crate::rolling::{ROOM, Seen, room};

/// A run that is shorter says nothing about growth: tails and what is remembered of clients fill first.
const LONG: Duration = Duration::from_mins(40);
/// KiB a minute that memory may seem to grow by in the last third of a run.
const STEADY: f64 = 128.0;
/// What the server may have open more than when it began, for the files of its store.
const MORE_FILES: usize = 16;

/// What the server takes at a moment.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    seconds: f64,
    kib: u32,
    descriptors: usize,
}

pub(super) fn sample(process: u32, begun: Instant) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(Sample { seconds: begun.elapsed().as_secs_f64(), kib, descriptors: descriptors(process) })
}

/// What a process has open.
pub(super) fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// KiB a minute by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let count = f64::from(u32::try_from(samples.len()).unwrap_or(u32::MAX).max(1));
    let kib = |sample: &Sample| f64::from(sample.kib);
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.seconds), mean(|sample| f64::from(sample.kib)));
    let covariance: f64 = samples.iter().map(|sample| (sample.seconds - x) * (kib(sample) - y)).sum();
    let variance: f64 = samples.iter().map(|sample| (sample.seconds - x).powi(2)).sum();
    if variance > 0.0 { 60.0 * covariance / variance } else { 0.0 }
}

/// What clients were told, and saw.
pub(super) fn clients(seen: &BTreeMap<usize, Seen>) {
    let total = |of: fn(&Seen) -> u64| seen.values().map(of).sum::<u64>();
    let (said, acked) = (total(|one| one.said), total(|one| one.acked.len() as u64));
    let (doubled, again) = (total(|one| one.doubled), total(|one| one.again));
    println!(
        "soak: {said} lines, {} not acknowledged, {doubled} entries twice, {again} lines in two places",
        said - acked
    );
    assert_eq!((said, doubled, again), (acked, 0, 0), "a line is not acknowledged, or an entry came twice");
}

/// What is in the log of a room must be what was acknowledged to those in it, each line at its place, and nothing else.
pub(super) fn log(number: usize, lines: &Lines, seen: &BTreeMap<usize, Seen>) -> usize {
    let writers = seen.range(number * ROOM..(number + 1) * ROOM).map(|(_, one)| one);
    let acked: Lines = writers
        .flat_map(|one| {
            let author = one.author.expect("it has been in the room");
            one.acked.iter().map(move |(&slot, &line)| (slot, (author, line)))
        })
        .collect();
    let slots = |lines: &Lines| lines.keys().copied().collect::<BTreeSet<_>>();
    let lost: Vec<_> = slots(&acked).difference(&slots(lines)).copied().take(5).collect();
    let strange: Vec<_> = slots(lines).difference(&slots(&acked)).copied().take(5).collect();
    assert!(lost.is_empty(), "{}: acknowledged and not in the log: {lost:?}", room(number));
    assert!(strange.is_empty(), "{}: in the log and never acknowledged: {strange:?}", room(number));
    assert!(*lines == acked, "{}: a place has another line than was acknowledged", room(number));
    lines.len()
}

/// Memory in the last third of the run, before which no server was killed for a third.
pub(super) fn memory(samples: &[Sample]) {
    let end = samples.last().map_or(0.0, |sample| sample.seconds);
    let last: Vec<Sample> =
        samples.iter().copied().filter(|sample| sample.seconds >= end * 2.0 / 3.0).collect();
    let slope = slope(&last);
    println!(
        "soak: at most {} KiB resident, {:+.1} KiB a minute in the last third, at most {} descriptors",
        samples.iter().map(|sample| sample.kib).max().unwrap_or_default(),
        slope,
        samples.iter().map(|sample| sample.descriptors).max().unwrap_or_default(),
    );
    if end < LONG.as_secs_f64() {
        return println!("soak: too short to judge memory by: {} s are needed", LONG.as_secs());
    }
    assert!(slope <= STEADY, "memory grows by {slope:.1} KiB a minute, and {STEADY} are allowed");
}

/// What the server says of itself.
pub(super) struct Page(String);

impl Page {
    pub(super) fn of(server: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(server).expect("the server listens");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("the server reads");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("the server answers");
        Self(page)
    }

    /// The sum of a metric, over all its labels or those that contain `label`.
    fn sum(&self, name: &str, label: &str) -> u64 {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.contains(label).then(|| rest.rsplit(' ').next()?.parse::<u64>().ok())?
        });
        values.sum()
    }

    fn all(&self, name: &str) -> u64 {
        self.sum(name, "")
    }

    /// Whether everybody is gone.
    pub(super) fn is_quiet(&self) -> bool {
        ["bowline_connections", "bowline_guests", "bowline_participants", "bowline_guest_queued_bytes"]
            .iter()
            .all(|name| self.all(name) == 0)
    }
}

/// When everybody is gone, nothing of them is left, and what the last life has counted adds up.
pub(super) fn quiet(page: &Page, open: usize, process: u32) {
    let now = descriptors(process);
    println!("soak: {open} descriptors at first, {now} at the end");
    assert!(page.is_quiet(), "somebody is still there:\n{}", page.0);
    assert!(now <= open + MORE_FILES, "{now} descriptors are open, and there were {open} at first");
    let given_up = ["given_back", "abandoned"]
        .map(|reason| page.sum("bowline_chat_drops_total", &format!("reason=\"{reason}\"")));
    let (accepted, committed) =
        (page.all("bowline_appends_accepted_total"), page.all("bowline_entries_committed_total"));
    assert_eq!(accepted, committed + given_up[0] + given_up[1], "appends that nobody has settled");
    let opened = page.all("bowline_guests_opened_total") + page.all("bowline_guests_refused_total");
    let upgraded = page.sum("bowline_http_requests_total", "status=\"101\"");
    assert_eq!(upgraded, opened, "web sockets, and guests");
    assert_eq!(page.sum("bowline_store_batches_total", "failed"), 0, "the disk takes everything");
    let drops = page.all("bowline_drops_total");
    let datagrams = page.sum("bowline_udp_datagrams_total", "received");
    let packets = page.all("bowline_packets_received_total");
    assert!(datagrams <= packets + drops, "{datagrams} datagrams, {packets} packets and {drops} drops");
    println!(
        "soak: {accepted} appends of the last life, all settled; {datagrams} datagrams, {drops} drops, each under its reason"
    );
}
