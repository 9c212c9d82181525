//! One table for people, and the same as JSON.

use std::fmt::Write;

use crate::idle::Idle;
use crate::measure::Row;
use crate::workload::Stack;
use crate::{links, w8};

/// Prints the rows of one workload; `x` is the time over Bowline's without a checksum.
pub(crate) fn print(rows: &[Row]) {
    let bowline = rows.iter().find(|row| row.stack == Stack::Bowline.name()).map(Row::median);
    for row in rows {
        let ratio = bowline.map_or_else(String::new, |bowline| format!("{:.2}", row.median() / bowline));
        println!(
            "{:<8} {:<12} {:>10.1} {:>6.1} {:>10.1} {:>8} {:>9.2}",
            row.workload,
            row.stack,
            row.median(),
            row.spread(),
            row.nanos[0],
            ratio,
            row.allocations
        );
    }
}

/// The line above the rows.
pub(crate) fn print_head() {
    println!(
        "{:<8} {:<12} {:>10} {:>6} {:>10} {:>8} {:>9}",
        "workload", "stack", "ns/message", "± %", "least ns", "x", "allocs"
    );
}

/// All of it as one JSON object.
pub(crate) fn json(rows: &[Row], idle: &[Idle]) -> String {
    let mut out = String::from("{\n  \"messages\": [\n");
    for (i, row) in rows.iter().enumerate() {
        let comma = if i + 1 < rows.len() { "," } else { "" };
        let _ = writeln!(
            out,
            "    {{\"workload\": \"{}\", \"stack\": \"{}\", \"median_ns\": {:.2}, \"spread_percent\": {:.2}, \
             \"least_ns\": {:.2}, \"allocations\": {:.4}}}{comma}",
            row.workload,
            row.stack,
            row.median(),
            row.spread(),
            row.nanos[0],
            row.allocations
        );
    }
    out.push_str("  ],\n  \"idle\": [\n");
    for (i, Idle { stack, connections, bytes }) in idle.iter().enumerate() {
        let comma = if i + 1 < idle.len() { "," } else { "" };
        let _ = writeln!(
            out,
            "    {{\"stack\": \"{stack}\", \"connections\": {connections}, \"bytes_each\": {bytes:.1}}}{comma}"
        );
    }
    out.push_str("  ]\n}\n");
    out
}

/// The rows of W8 as a JSON object.
pub(crate) fn w8_json(rows: &[w8::Row], narrow: &[w8::NarrowRow]) -> String {
    // Not a number stands for "nothing arrived".
    let number = |value: f64| if value.is_finite() { format!("{value:.2}") } else { "null".into() };
    let lossy = rows.iter().map(|row| {
        format!(
            "    {{\"stack\": \"{}\", \"loss_percent\": {}, \"p50_ms\": {}, \"p99_ms\": {}, \
             \"steady_per_second\": {:.1}, \"bulk_per_second\": {:.1}}}",
            row.stack,
            row.loss,
            number(row.p50),
            number(row.p99),
            row.steady,
            row.bulk
        )
    });
    let narrow = narrow.iter().map(|row| {
        format!(
            "    {{\"stack\": \"{}\", \"used_percent\": {:.1}, \"lost_percent\": {:.2}, \
             \"queue_p50_ms\": {}, \"queue_p95_ms\": {}}}",
            row.stack,
            row.used,
            row.lost,
            number(row.p50),
            number(row.p95)
        )
    });
    let list = |rows: Vec<String>| rows.join(",\n");
    format!(
        "{{\n  \"w8\": [\n{}\n  ],\n  \"w8_narrow\": [\n{}\n  ]\n}}\n",
        list(lossy.collect()),
        list(narrow.collect())
    )
}

/// The rows over real links as a JSON object.
pub(crate) fn links_json(rows: &[links::Row]) -> String {
    let rows = rows.iter().map(|row| {
        let figures = row.figures.iter().map(|(name, figure)| format!("\"{name}\": {figure:.3}"));
        let figures: Vec<_> = figures.collect();
        format!(
            "    {{\"workload\": \"{}\", \"size\": {}, \"stack\": \"{}\", {}}}",
            row.workload,
            row.size,
            row.stack,
            figures.join(", ")
        )
    });
    format!("{{\n  \"links\": [\n{}\n  ]\n}}\n", rows.collect::<Vec<_>>().join(",\n"))
}
