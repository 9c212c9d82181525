//! How many bytes a disk must have kept: the model counts, and knows no contents.

use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Copy, Default)]
struct Lengths {
    written: u64,
    durable: u64,
}

#[derive(Default)]
pub(super) struct Disk {
    files: BTreeMap<String, Lengths>,
    /// What was asked for and has not ended.
    asked: VecDeque<(u64, String)>,
    /// After a crash: the least and the most that each file may have.
    kept: BTreeMap<String, (u64, u64)>,
}

impl Disk {
    pub(super) fn asks(&mut self, op: u64, text: &str) {
        self.asked.push_back((op, text.to_owned()));
    }

    pub(super) fn ends(&mut self, op: u64, ok: bool) -> Result<(), String> {
        let Some((first, text)) = self.asked.pop_front() else { return Err("nobody asked for it".into()) };
        if first != op {
            return Err(format!("operation {first} comes first"));
        }
        let mut words = text.split(' ');
        let (what, file) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let lengths = self.files.entry(file.to_owned()).or_default();
        match what {
            "append" if ok => lengths.written += number,
            // A failed sync leaves in doubt what it should have covered: the bytes stay, their content may not.
            "sync" => lengths.durable = lengths.written,
            "truncate" if ok => {
                lengths.written = lengths.written.min(number);
                lengths.durable = lengths.durable.min(number);
            }
            "remove" if ok => *lengths = Lengths::default(),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn crashes(&mut self, loss: &str) -> Result<(), String> {
        self.asked.clear();
        let word = loss.split(':').next().unwrap_or_default();
        for (file, lengths) in &self.files {
            let kept = match word {
                "unsynced" => (lengths.durable, lengths.durable),
                "kept" => (lengths.written, lengths.written),
                "torn" | "garbled" => (lengths.durable, lengths.written),
                _ => return Err(format!("an unknown loss {loss:?}")),
            };
            self.kept.insert(file.clone(), kept);
        }
        Ok(())
    }

    /// `text` is a list of files with their lengths, each after a space.
    pub(super) fn boots(&mut self, text: &str) -> Result<(), String> {
        let mut found: BTreeMap<&str, u64> = BTreeMap::new();
        for word in text.split_whitespace() {
            let (file, len) = word.rsplit_once('=').ok_or_else(|| format!("not a file: {word}"))?;
            found.insert(file, len.parse().map_err(|_| format!("not a length: {word}"))?);
        }
        for (file, (least, most)) in std::mem::take(&mut self.kept) {
            let len = found.remove(&file[..]).unwrap_or(0);
            if !(least..=most).contains(&len) {
                return Err(format!("{file} has {len} bytes, but must have {least} to {most}"));
            }
            self.files.insert(file, Lengths { written: len, durable: len });
        }
        match found.first_key_value() {
            Some((file, _)) => Err(format!("{file} was never written")),
            None => Ok(()),
        }
    }
}
