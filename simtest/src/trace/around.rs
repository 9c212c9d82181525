//! A part of a view.

use super::dump::MARGIN;

/// The lines of a view that speak of a fault (`f2`), and so many before and after each; lines of bytes go with the line above. `None`
/// if there is none.
pub(crate) fn around(view: &str, fault: &str, reach: usize) -> Option<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in view.lines() {
        match entries.last_mut() {
            Some(entry) if line.starts_with(MARGIN) => *entry += line,
            _ => entries.push(line.to_owned()),
        }
        entries.iter_mut().next_back()?.push('\n');
    }
    let head = |entry: &String| entry.lines().next().is_some_and(|line| speaks(line, fault));
    let found: Vec<usize> = (0..).zip(&entries).filter(|(_, entry)| head(entry)).map(|(i, _)| i).collect();
    let mut out = String::new();
    let mut gap = false;
    for (i, entry) in entries.iter().enumerate() {
        if found.iter().any(|at| at.abs_diff(i) <= reach) {
            out.push_str(if std::mem::take(&mut gap) && !out.is_empty() { "   ...\n" } else { "" });
            out.push_str(entry);
        } else {
            gap = true;
        }
    }
    (!found.is_empty()).then_some(out)
}

fn speaks(line: &str, fault: &str) -> bool {
    line.split([' ', ',']).any(|word| word == fault)
}
