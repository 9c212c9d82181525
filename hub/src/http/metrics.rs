//! Numbers for Prometheus (docs/metrics.md lists them).

use std::fmt::Write as _;

use proto_core::Drop as Dropped;
use proto_core::room::Reason;

use super::Site;
use super::routes::STATUSES;
use crate::gateway::{self, End, Ignored};
use crate::serve::Numbers;
use crate::store::Swept;

/// The text format that every Prometheus reads.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics under construction.
struct Page(String);

macro_rules! put {
    // Writing to a String cannot fail.
    ($page:expr, $($arg:tt)*) => { let _ = writeln!($page.0, $($arg)*); };
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        put!(self, "# HELP bowline_{name} {help}");
        put!(self, "# TYPE bowline_{name} {kind}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        put!(self, "bowline_{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        put!(self, "bowline_{name} {value}");
    }

    /// A counter for each value of a label.
    fn counters<L: std::fmt::Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) {
        self.family(name, "counter", help);
        for (of, value) in values {
            put!(self, "bowline_{name}{{{label}=\"{of}\"}} {value}");
        }
    }
}

/// All numbers, as they are now.
pub(super) fn render(site: &Site) -> String {
    let mut numbers = site.shared.inspect(crate::serve::Hub::numbers);
    let Numbers { connections, endpoint, server, .. } = &mut numbers;
    site.pumps.add_to(connections, endpoint, server);
    let mut page = Page(String::with_capacity(16 * 1024));
    process(&mut page, site, &numbers);
    transport(&mut page, site, &numbers);
    chat(&mut page, &numbers);
    logs(&mut page, site, &numbers);
    rooms(&mut page, &numbers);
    guests(&mut page, &numbers);
    http(&mut page, site);
    page.0
}

fn process(page: &mut Page, site: &Site, numbers: &Numbers) {
    page.family("build_info", "gauge", "Always 1; the label says which version runs.");
    put!(page, "bowline_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    let up = numbers.now.mono.since(numbers.started.mono).as_secs();
    page.gauge("uptime_seconds", "Since the server began to serve.", up);
    if let Some(bytes) = resident() {
        page.gauge("resident_memory_bytes", "Memory of the process that is in RAM.", bytes);
    }
    let recordings = site.pumps.recordings(&site.shared);
    page.gauge("recordings", "Files of recordings that are being written.", recordings.under_way);
    page.counter("unrecorded_total", "Inputs that are in no recording, as it had ended.", recordings.missed);
    let ready = u64::from(numbers.trouble.is_none());
    page.gauge("ready", "1 if the log can be read and written.", ready);
}

/// What of the process is in RAM, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn transport(page: &mut Page, site: &Site, numbers: &Numbers) {
    let endpoint = &numbers.endpoint;
    page.gauge(
        "connections",
        "Native connections, handshakes under way included.",
        numbers.connections as u64,
    );
    page.counter("packets_received_total", "Packets that came.", endpoint.packets_received);
    page.counter("packets_sent_total", "Packets that went out.", endpoint.packets_sent);
    page.counters(
        "drops_total",
        "What the transport dropped, by reason.",
        "reason",
        Dropped::ALL.iter().map(|reason| (reason.name().replace('-', "_"), endpoint.drops.get(*reason))),
    );
    page.counter(
        "evictions_total",
        "Sessions without a link that were ended for want of room.",
        endpoint.evictions,
    );
    let udp = site.pumps.stats();
    page.counters(
        "udp_datagrams_total",
        "Datagrams read and sent by the UDP sockets.",
        "direction",
        [("received", udp.packets_received), ("sent", udp.packets_sent)],
    );
    page.counters(
        "udp_errors_total",
        "Datagrams lost to errors of the system, by kind.",
        "kind",
        [
            ("receive", udp.receive_errors),
            ("refused", udp.refused),
            ("too_large", udp.too_large),
            ("unreachable", udp.unreachable),
            ("send", udp.send_errors),
            ("handover", udp.handover_drops),
        ],
    );
    let links = site.pumps.link_stats();
    page.counter(
        "streams_accepted_total",
        "Streams of TCP, TLS, WebSocket and Unix sockets.",
        links.accepted,
    );
    page.counters(
        "stream_bytes_total",
        "Bytes of whole records on streams.",
        "direction",
        [("received", links.bytes_read), ("sent", links.bytes_written)],
    );
    page.counters(
        "stream_errors_total",
        "Streams that failed, by kind.",
        "kind",
        [
            ("accept", links.accept_errors),
            ("handshake", links.handshakes_failed),
            ("handshake_refused", links.handshakes_refused),
            ("handshake_evicted", links.handshakes_evicted),
            ("broken", links.broken),
            ("record_overdue", links.records_overdue),
            ("handover", links.handover_drops),
        ],
    );
    page.counters(
        "stream_delays_total",
        "What of a stream had to wait, or was passed over, for others to be served.",
        "what",
        [("records", links.turns_cut), ("pings", links.pings_passed_over)],
    );
    page.counters(
        "handed_over_total",
        "What came to another shard than its own, and was handed over.",
        "what",
        [("datagrams", udp.handed_over), ("streams", links.handed_over)],
    );
}

fn chat(page: &mut Page, numbers: &Numbers) {
    let (chat, server) = (&numbers.chat, &numbers.server);
    page.counter("appends_accepted_total", "Appends that took a place in a queue.", chat.accepted);
    page.counter("entries_committed_total", "Entries that became durable.", chat.committed);
    page.counters(
        "store_batches_total",
        "Batches handed to the store, and those of them that it could not write.",
        "result",
        [("handed_out", chat.batches), ("failed", chat.batches_failed)],
    );
    page.counter("chat_pages_total", "Pages of the log sent to clients.", chat.pages);
    page.counters(
        "chat_repeats_total",
        "Appends that came again, by what answered them.",
        "answer",
        [("memory", chat.duplicates), ("when_durable", chat.repeated)],
    );
    page.counters(
        "chat_refused_total",
        "Appends and joins refused, by reason.",
        "reason",
        [
            ("malformed", chat.malformed),
            ("overrun", chat.overruns),
            ("after_end", chat.after_end),
            ("not_joined", chat.not_joined),
            ("already_joined", chat.already_joined),
            ("too_large", chat.too_large),
            ("not_let_in", chat.not_let_in),
            ("own", chat.own_refused),
            ("conflict", chat.conflicts),
            ("unknown_sequence", chat.unknown_sequences),
            ("seen_too_high", chat.seen_too_high),
            ("too_many_rooms", chat.too_many_rooms),
            ("too_many_clients", chat.too_many_clients),
            ("stopped", chat.stopped),
        ],
    );
    page.counter(
        "chat_throttled_total",
        "Times that a connection was not heard for a while, because its client wrote faster than it may.",
        chat.throttled,
    );
    page.counters(
        "chat_drops_total",
        "What of the log was not done or not sent, by reason; clients ask again.",
        "reason",
        [
            ("given_back", chat.given_back),
            ("abandoned", chat.abandoned),
            ("updates", chat.updates_dropped),
            ("reads_failed", chat.reads_failed),
            ("reads_stale", chat.reads_stale),
            ("entries_skipped", server.entries_skipped),
        ],
    );
    page.counters(
        "chat_clients_total",
        "Clients of the log that were put away, by why.",
        "reason",
        [("fenced", chat.fenced), ("forgotten", chat.forgotten)],
    );
}

fn logs(page: &mut Page, site: &Site, numbers: &Numbers) {
    page.gauge("logs", "Logs of rooms, those of empty rooms included.", numbers.logs as u64);
    let proto_core::chat::ServerStats { expired, expired_silent, expired_early, .. } = numbers.chat;
    page.counters(
        "logs_expired_total",
        "Logs of empty rooms that have ended, by reason.",
        "reason",
        [
            ("old", expired - expired_silent - expired_early),
            ("silent", expired_silent),
            ("place", expired_early),
        ],
    );
    let Swept { segments, bytes, put_off, no_space, failed } = site.sweeping.totals();
    page.counters(
        "log_sweeps_total",
        "Files looked through for expired logs: written anew, put off for a copy, left for want of space, or failed.",
        "result",
        [("file", segments), ("put_off", put_off), ("no_space", no_space), ("failed", failed)],
    );
    page.counter("log_swept_bytes_total", "Bytes of files that expired logs have left.", bytes);
}

fn rooms(page: &mut Page, numbers: &Numbers) {
    let (hall, server) = (&numbers.hall, &numbers.server);
    page.gauge("rooms", "Rooms with somebody in them.", numbers.rooms as u64);
    page.gauge(
        "participants",
        "Participants of all rooms, the suspended included.",
        numbers.participants as u64,
    );
    page.counter("room_joins_total", "Times that a connection came into a room.", hall.joined);
    page.counter(
        "room_lines_again_total",
        "Lines of guests that came again and had been heard: they are said once.",
        hall.said_again,
    );
    page.counter("room_evictions_total", "Connections that a ban has moved away.", hall.evicted);
    page.counter("notes_total", "Notes that were played to others.", hall.notes);
    page.counter("room_resyncs_total", "Snapshots for connections that had missed something.", hall.resynced);
    page.counters(
        "room_refused_total",
        "Commands refused, by reason.",
        "reason",
        Reason::ALL.iter().map(|reason| (snake(&format!("{reason:?}")), hall.refusals(*reason))),
    );
    page.counters(
        "room_drops_total",
        "What rooms did not do or send, by reason.",
        "reason",
        [
            ("peers_full", hall.peers_refused),
            ("reads_again", hall.reads_again),
            ("out_of_order", hall.out_of_order),
            ("events_skipped", server.room_events_skipped),
            ("notes_skipped", server.notes_skipped),
            ("guest_outputs", server.guest_outputs_dropped),
            ("not_chat", server.not_chat),
            ("operator_events", server.events_dropped),
            ("undeliverable", server.undeliverable),
        ],
    );
    page.counter("slow_connections_closed_total", "Native connections closed as too slow.", server.slow);
}

fn guests(page: &mut Page, numbers: &Numbers) {
    let stats = &numbers.gateway;
    page.gauge("guests", "Guests of the gateway.", numbers.guests as u64);
    page.gauge("guest_queued_bytes", "Bytes that wait for guests.", numbers.guest_queued as u64);
    page.counter("guests_opened_total", "Guests that have come.", stats.opened);
    page.counter("guests_refused_total", "Guests for whom there was no room.", stats.refused);
    page.counter("guest_messages_received_total", "Messages that guests sent.", stats.messages_received);
    page.counter("guest_bytes_received_total", "Bytes of the texts that guests sent.", stats.bytes_received);
    page.counter("guest_frames_sent_total", "Texts handed out for guests.", stats.frames_sent);
    page.counters(
        "guest_ignored_total",
        "What guests sent and was ignored, by reason.",
        "reason",
        Ignored::ALL.iter().map(|why| (why.label(), stats.ignored_for(*why))),
    );
    page.counters(
        "guest_drops_total",
        "Texts not sent to guests, by reason.",
        "reason",
        gateway::Dropped::ALL.iter().map(|why| (why.label(), stats.dropped_for(*why))),
    );
    page.counters(
        "guests_ended_total",
        "Guests sent away, by close code.",
        "code",
        End::ALL.iter().map(|end| (end.code, stats.ended_for(*end))),
    );
}

fn http(page: &mut Page, site: &Site) {
    let doors = site.doors.stats();
    let (answers, silent, broken) = site.counts.read();
    page.gauge("http_connections", "Connections of HTTP, web sockets included.", doors.connections as u64);
    page.counters(
        "http_requests_total",
        "Requests answered, by status; 0 stands for any other.",
        "status",
        STATUSES.into_iter().zip(answers),
    );
    page.counters(
        "http_refused_total",
        "Connections of HTTP that came to nothing, by reason.",
        "reason",
        [
            ("full", doors.refused_full),
            ("address", doors.refused_address),
            ("silent", silent),
            ("broken", broken),
        ],
    );
}

/// `TooManyTabs` as `too_many_tabs`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
