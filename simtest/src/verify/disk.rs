//! What a disk must have kept: a model of its own.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// The most bytes at the end of what is kept that a crash may turn into junk.
const JUNK: usize = 16;

#[derive(Clone, Default)]
struct File {
    data: Vec<u8>,
    durable: usize,
    /// What a failed sync should have covered.
    doubtful: Vec<Range<usize>>,
}

/// What a node must find in a file.
struct Kept {
    data: Vec<u8>,
    /// It may be shorter, but not shorter than this.
    least: usize,
    /// These may be zeros.
    doubtful: Vec<Range<usize>>,
    /// The last of what is found may be junk, but nothing before this.
    junk_from: usize,
}

#[derive(Default)]
pub(super) struct Disk {
    files: BTreeMap<String, File>,
    /// What was asked for and has not ended, with the bytes of an append.
    asked: VecDeque<(u64, String, Vec<u8>)>,
    kept: BTreeMap<String, Kept>,
}

impl Disk {
    pub(super) fn asks(&mut self, op: u64, text: &str, bytes: &[u8]) {
        self.asked.push_back((op, text.to_owned(), bytes.to_vec()));
    }

    pub(super) fn ends(&mut self, op: u64, ok: bool) -> Result<(), String> {
        let Some((first, text, bytes)) = self.asked.pop_front() else {
            return Err("nobody asked for it".into());
        };
        if first != op {
            return Err(format!("operation {first} comes first"));
        }
        let mut words = text.split(' ');
        let (what, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let file = self.files.entry(name.to_owned()).or_default();
        match what {
            "append" if ok => file.data.extend_from_slice(&bytes),
            // A failed sync leaves in doubt what it should have covered: the bytes stay, their content may not.
            "sync" => {
                if !ok && file.durable < file.data.len() {
                    file.doubtful.push(file.durable..file.data.len());
                }
                file.durable = file.data.len();
            }
            "truncate" if ok => {
                file.data.truncate(number);
                let len = file.data.len();
                file.durable = file.durable.min(len);
                file.doubtful.retain(|range| range.start < len);
                file.doubtful.iter_mut().for_each(|range| range.end = range.end.min(len));
            }
            "remove" if ok => *file = File::default(),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn crashes(&mut self, loss: &str) -> Result<(), String> {
        self.asked.clear();
        let word = loss.split(':').next().unwrap_or_default();
        for (name, file) in std::mem::take(&mut self.files) {
            let File { mut data, durable, mut doubtful } = file;
            let len = data.len();
            let (least, junk_from) = match word {
                "unsynced" => {
                    data.truncate(durable);
                    for range in std::mem::take(&mut doubtful) {
                        data[range].fill(0);
                    }
                    (durable, durable)
                }
                "kept" => {
                    doubtful.clear();
                    (len, len)
                }
                "torn" => (durable, len),
                "garbled" => (durable, durable),
                _ => return Err(format!("an unknown loss {loss:?}")),
            };
            self.kept.insert(name, Kept { data, least, doubtful, junk_from });
        }
        Ok(())
    }

    /// `text` is a list of files with their lengths, each after a space; `bytes` is what is in them, one after the other.
    pub(super) fn boots(&mut self, text: &str, bytes: &[u8]) -> Result<(), String> {
        let mut kept = std::mem::take(&mut self.kept);
        let mut rest = bytes;
        for word in text.split_whitespace() {
            let (name, len) = word.rsplit_once('=').ok_or_else(|| format!("not a file: {word}"))?;
            let len: usize = len.parse().map_err(|_| format!("not a length: {word}"))?;
            let Some(kept) = kept.remove(name) else { return Err(format!("{name} was never written")) };
            kept.allows(name, len)?;
            let (found, behind) =
                rest.split_at_checked(len).ok_or_else(|| format!("{name} has other bytes"))?;
            rest = behind;
            kept.holds(name, found)?;
            let file = File { data: found.to_vec(), durable: len, doubtful: Vec::new() };
            self.files.insert(name.to_owned(), file);
        }
        kept.iter().try_for_each(|(name, kept)| kept.allows(name, 0))
    }
}

impl Kept {
    fn allows(&self, name: &str, len: usize) -> Result<(), String> {
        let (least, most) = (self.least, self.data.len());
        if (least..=most).contains(&len) {
            return Ok(());
        }
        Err(format!("{name} has {len} bytes, but must have {least} to {most}"))
    }

    fn holds(&self, name: &str, found: &[u8]) -> Result<(), String> {
        let junk_from = self.junk_from.max(found.len().saturating_sub(JUNK));
        let wrong = found.iter().zip(&self.data).enumerate().position(|(i, (is, was))| {
            let zeroed = *is == 0 && self.doubtful.iter().any(|range| range.contains(&i));
            is != was && !zeroed && i < junk_from
        });
        wrong.map_or(Ok(()), |i| Err(format!("byte {i} of {name} is not as it was written")))
    }
}
