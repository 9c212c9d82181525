use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::{ConfigBuilder, Reconnect};
use crate::{ConfigError, Rate, Setting};

const NANO: Duration = Duration::from_nanos(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn presets() -> [(&'static str, ConfigBuilder); 6] {
    [
        ("default", ConfigBuilder::default()),
        ("lan", ConfigBuilder::lan()),
        ("game", ConfigBuilder::game()),
        ("chat", ConfigBuilder::chat()),
        ("bulk", ConfigBuilder::bulk()),
        ("mobile", ConfigBuilder::mobile()),
    ]
}

#[test]
fn every_preset_builds() {
    for (name, preset) in presets() {
        assert!(preset.build().is_ok(), "{name}");
    }
}

/// The table of presets in the specification is that of the code.
#[test]
fn the_presets_are_as_documented() {
    const SPEC: &str = include_str!("../../../docs/spec/connection.md");
    let (_, table) = SPEC.split_once("## 8 Presets").expect("section 8");
    let (table, _) = table.split_once("## 9 Sessions").expect("section 9");
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let columns: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [field, values @ ..] = &columns[..] else { panic!("not a row: {line}") };
        for (value, (name, preset)) in values.iter().zip(presets()) {
            let time = |time| Setting::Time(time).to_string();
            let count = |count| Setting::Count(count as u64).to_string();
            let bytes = |bytes| Setting::Bytes(bytes as u64).to_string();
            let is = match field.trim_matches('`') {
                "handshake_timeout" => time(preset.handshake_timeout),
                "initial_rtt" => time(preset.initial_rtt),
                "pto_cap" => time(preset.pto_cap),
                "max_ack_delay" => time(preset.max_ack_delay),
                "heartbeat" => time(preset.heartbeat),
                "dead" => time(preset.dead),
                "reconnect" => {
                    preset.reconnect.map_or("none".into(), |r| time(r.first) + " to " + &time(r.cap))
                }
                "max_message" => bytes(preset.max_message),
                "send_messages" => count(preset.send_messages),
                "send_bytes" => bytes(preset.send_bytes),
                "receive_messages" => count(preset.receive_messages),
                "receive_bytes" => bytes(preset.receive_bytes),
                "session_messages" => count(preset.session_messages),
                "session_bytes" => bytes(preset.session_bytes),
                "max_receipts" => count(preset.max_receipts),
                "reassembly_idle" => time(preset.reassembly_idle),
                "reassembly_total" => time(preset.reassembly_total),
                other => panic!("{other} is not in this table"),
            };
            assert_eq!(*value, is, "{field} of {name}");
        }
        rows += 1;
    }
    assert_eq!(rows, 17);
}

fn refused(builder: ConfigBuilder) -> ConfigError {
    builder.build().expect_err("it is out of range")
}

#[test]
fn an_error_names_the_field_its_value_and_the_range() {
    let error = refused(ConfigBuilder { heartbeat: Duration::ZERO, ..ConfigBuilder::default() });
    assert_eq!(error.to_string(), "heartbeat: 0 ms is out of range 100 ms to 1 h");
    assert_eq!((error.field, error.value), ("heartbeat", Setting::Time(Duration::ZERO)));
    assert_eq!((error.range.min, error.range.max), (Setting::Time(ms(100)), Setting::Time(ms(3_600_000))));
    let error = refused(ConfigBuilder { send_bytes: 1000, ..ConfigBuilder::default() });
    assert_eq!(error.to_string(), "send_bytes: 1000 bytes is out of range 262208 bytes to 1 GiB");
    let error = refused(ConfigBuilder { max_requests: 5000, ..ConfigBuilder::default() });
    assert_eq!(error.to_string(), "max_requests: 5000 is out of range 1 to 4096");
    let error = refused(ConfigBuilder { dead: ms(19_999), ..ConfigBuilder::default() });
    assert_eq!(error.to_string(), "dead: 19999 ms is out of range 20 s to 4 h");
    let error = refused(ConfigBuilder { initial_rtt: NANO, ..ConfigBuilder::default() });
    assert_eq!(error.to_string(), "initial_rtt: 1 ns is out of range 1 ms to 1 min");
}

/// Every other field leaves room for any value of the one that is tried.
fn roomy() -> ConfigBuilder {
    ConfigBuilder {
        heartbeat: ms(1000),
        dead: ms(4 * 3_600_000),
        reassembly_total: ms(3_600_000),
        reassembly_idle: ms(1),
        reconnect: Some(Reconnect { first: ms(1), cap: ms(3_600_000), ..Reconnect::default() }),
        max_message: 1000,
        send_bytes: 1 << 30,
        receive_messages: 1,
        receive_bytes: 1 << 30,
        session_messages: 1 << 20,
        session_bytes: 1 << 32,
        ..ConfigBuilder::default()
    }
}

/// Both ends of the range are taken, and what lies beyond them is refused by name.
fn bounds<T: Copy>(
    field: &str,
    [under, min, max, over]: [Option<T>; 4],
    set: impl Fn(&mut ConfigBuilder, T),
) {
    let build = |value| {
        let mut builder = roomy();
        set(&mut builder, value);
        builder.build()
    };
    for value in [min, max].into_iter().flatten() {
        assert!(build(value).is_ok(), "an end of the range of {field}");
    }
    for value in [under, over].into_iter().flatten() {
        assert_eq!(build(value).expect_err(field).field, field);
    }
}

fn times(field: &str, min: Duration, max: Duration, set: impl Fn(&mut ConfigBuilder, Duration)) {
    bounds(field, [min.checked_sub(NANO), Some(min), Some(max), Some(max + NANO)], set);
}

fn counts(field: &str, min: usize, max: usize, set: impl Fn(&mut ConfigBuilder, usize)) {
    bounds(field, [min.checked_sub(1), Some(min), Some(max), max.checked_add(1)], set);
}

#[test]
fn every_time_is_bounded_at_both_ends() {
    let (zero, second, hour) = (Duration::ZERO, ms(1000), ms(3_600_000));
    times("handshake_timeout", ms(1), hour, |b, v| b.handshake_timeout = v);
    times("initial_rtt", ms(1), second * 60, |b, v| b.initial_rtt = v);
    times("pto_cap", ms(10), second * 60, |b, v| b.pto_cap = v);
    times("max_ack_delay", zero, second, |b, v| b.max_ack_delay = v);
    times("timer_granularity", ms(1), ms(100), |b, v| b.timer_granularity = v);
    times("heartbeat", ms(100), hour, |b, v| b.heartbeat = v);
    times("dead", second * 2, hour * 4, |b, v| b.dead = v);
    times("reply_timeout", ms(100), hour * 24, |b, v| b.reply_timeout = v);
    times("reassembly_total", ms(1), hour, |b, v| b.reassembly_total = v);
    times("reassembly_idle", ms(1), hour, |b, v| b.reassembly_idle = v);
    times("admission_timeout", ms(1), hour, |b, v| b.admission_timeout = v);
    times("busy_retry_after", zero, hour, |b, v| b.busy_retry_after = v);
    let reconnect = |b: &mut ConfigBuilder, change: &dyn Fn(&mut Reconnect)| {
        change(b.reconnect.as_mut().expect("it is set"));
    };
    times("reconnect.cap", ms(1), hour, |b, v| reconnect(b, &|r| r.cap = v));
    times("reconnect.first", ms(1), hour, |b, v| reconnect(b, &|r| r.first = v));
    times("reconnect.spread", zero, hour, |b, v| reconnect(b, &|r| r.spread = v));
    times("reconnect.min_uptime", zero, hour * 24, |b, v| reconnect(b, &|r| r.min_uptime = v));
    let attempts = [Some(0), Some(1), Some(u32::MAX), None];
    bounds("reconnect.max_attempts", attempts, |b, v| reconnect(b, &|r| r.max_attempts = Some(v)));
}

#[test]
fn every_limit_is_bounded_at_both_ends() {
    counts("max_message", 1, 16 << 20, |b, v| b.max_message = v);
    counts("send_messages", 1, 4096, |b, v| b.send_messages = v);
    counts("send_bytes", 1064, 1 << 30, |b, v| b.send_bytes = v);
    counts("receive_messages", 1, 4096, |b, v| b.receive_messages = v);
    counts("receive_bytes", 1064, 1 << 30, |b, v| b.receive_bytes = v);
    counts("session_messages", 1, 1 << 20, |b, v| b.session_messages = v);
    counts("session_bytes", 1 << 30, 1 << 32, |b, v| b.session_bytes = v);
    counts("max_channels", 0, 4096, |b, v| b.max_channels = v);
    counts("max_requests", 1, 4096, |b, v| b.max_requests = v);
    counts("max_partials", 1, 1024, |b, v| b.max_partials = v);
    counts("max_connections", 1, 1 << 24, |b, v| b.max_connections = v);
    counts("max_pending", 1, 1 << 24, |b, v| b.max_pending = v);
    counts("max_pending_per_prefix", 1, 1 << 24, |b, v| b.max_pending_per_prefix = v);
    counts("max_bytes", 1 << 20, 1 << 40, |b, v| b.max_bytes = v);
    bounds("accept_rate", [Some(0), Some(1), Some(1_000_000), Some(1_000_001)], |b, v| b.accept_rate = v);
    bounds("accept_burst", [Some(0), Some(1), Some(1 << 24), Some((1 << 24) + 1)], |b, v| b.accept_burst = v);
    bounds("max_resume_failures", [Some(0), Some(1), Some(u32::MAX), None], |b, v| b.max_resume_failures = v);
    bounds("max_key_failures", [Some(0), Some(1), Some(u32::MAX), None], |b, v| b.max_key_failures = v);
    bounds("default_priority", [None, Some(0), Some(7), Some(8)], |b, v| b.default_priority = v);
    bounds("default_weight", [Some(0), Some(1), Some(255), None], |b, v| b.default_weight = v);
    counts("max_message", 1, 16 << 20, |b, v| {
        b.max_message = v;
        b.send_bytes = 1 << 30;
    });
}

#[test]
fn every_rate_is_bounded_at_both_ends() {
    const MOST: usize = 1 << 40;
    type Set = fn(&mut ConfigBuilder, Rate);
    let fields: [(&str, usize, Set); 6] = [
        ("send_rate", 1, |b, v| b.send_rate = Some(v)),
        ("send_rate_per_channel", 1, |b, v| b.send_rate_per_channel = Some(v)),
        ("receive_rate", 1064, |b, v| b.receive_rate = Some(v)),
        ("receive_rate_per_channel", 1064, |b, v| b.receive_rate_per_channel = Some(v)),
        ("receive_rate_per_prefix", 1064, |b, v| b.receive_rate_per_prefix = Some(v)),
        ("receive_rate_per_user", 1064, |b, v| b.receive_rate_per_user = Some(v)),
    ];
    for (field, burst, set) in fields {
        let name = |part: &str| alloc::format!("{field}.{part}");
        let rate = |messages, message_burst, bytes, byte_burst| Rate {
            messages: messages as u64,
            message_burst: message_burst as u64,
            bytes: bytes as u64,
            byte_burst: byte_burst as u64,
        };
        counts(&name("messages"), 1, MOST, |b, v| set(b, rate(v, 1, 0, 0)));
        counts(&name("messages"), 0, MOST, |b, v| set(b, rate(v, 1, 1, burst)));
        counts(&name("message_burst"), 1, MOST, |b, v| set(b, rate(1, v, 0, 0)));
        counts(&name("bytes"), 0, MOST, |b, v| set(b, rate(1, 1, v, burst)));
        counts(&name("byte_burst"), burst, MOST, |b, v| set(b, rate(0, 0, 1, v)));
    }
}
