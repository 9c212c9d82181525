//! How far the log goes, noted outside of it: an end that was lost with a damaged page or a whole file is missed.
//!
//! ```text
//! file = slot  zeroes up to byte 512  slot
//! slot = checksum:8  turn:8  log:8  segment:4  frame:8
//! ```
//!
//! The slots are written in turn, so that one is whole whatever happens during a write; the highest turn counts. A frame is
//! noted after it is durable and before anybody is told of it. The note itself is in the hands of the system from then on,
//! which outlives the process; it is synced with each segment, and when the log is opened or closed. So it never says more
//! than the log holds. The log's random number is in each of its segments too: one of another log is not taken for its own.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use proto_core::wire::{DecodeError, Reader};

use super::StoreError;
use super::row;

/// Where the slots are: in two sectors, which are not written together.
const SLOTS: [u64; 2] = [0, 512];
/// The bytes of a slot.
const SLOT: usize = 8 + 8 + 8 + 4 + 8;
/// What the checksum of a slot also covers.
pub(super) const KEY: &[u8] = b"tip";

/// Which log it is, its newest segment, and the last frame that is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) log: u64,
    pub(super) segment: u32,
    pub(super) frame: u64,
}

/// The file of the tip.
pub(super) struct TipFile {
    path: PathBuf,
    file: File,
    turn: u64,
    tip: Tip,
}

impl TipFile {
    /// What the file of log `log` holds while it has no segment.
    pub(super) fn blank(log: u64) -> Vec<u8> {
        let tip = Tip { log, ..Tip::default() };
        let mut bytes = vec![0; SLOTS[1] as usize];
        bytes[..SLOT].copy_from_slice(&encode(0, tip));
        bytes.extend_from_slice(&encode(1, tip));
        bytes
    }

    /// Reads `file`, which is at `path`.
    pub(super) fn open(path: PathBuf, mut file: File) -> Result<Self, StoreError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| StoreError::io("read", &path, error))?;
        let slots = SLOTS.into_iter().filter_map(|at| decode(bytes.get(at as usize..)?).ok());
        let Some((turn, tip)) = slots.max_by_key(|(turn, _)| *turn) else {
            return Err(StoreError::damaged(&path, "it does not say how far the log goes"));
        };
        Ok(Self { path, file, turn, tip })
    }

    pub(super) const fn tip(&self) -> Tip {
        self.tip
    }

    /// Notes that the log goes as far as frame `frame`, in segment `segment`.
    pub(super) fn note(&mut self, segment: u32, frame: u64) -> Result<(), StoreError> {
        let (turn, tip) = (self.turn + 1, Tip { segment, frame, ..self.tip });
        self.write(turn, tip).map_err(|error| StoreError::io("write", &self.path, error))?;
        (self.turn, self.tip) = (turn, tip);
        Ok(())
    }

    fn write(&mut self, turn: u64, tip: Tip) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(SLOTS[(turn % 2) as usize]))?;
        self.file.write_all(&encode(turn, tip))
    }

    /// Makes the note outlive the power, too.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::io("sync", &self.path, error))
    }
}

fn encode(turn: u64, tip: Tip) -> Vec<u8> {
    let mut contents = turn.to_be_bytes().to_vec();
    contents.extend_from_slice(&tip.log.to_be_bytes());
    contents.extend_from_slice(&tip.segment.to_be_bytes());
    contents.extend_from_slice(&tip.frame.to_be_bytes());
    row::seal(KEY, &contents)
}

pub(super) fn decode(bytes: &[u8]) -> Result<(u64, Tip), DecodeError> {
    let slot = bytes.get(..SLOT).ok_or(DecodeError::Invalid("the file is too short"))?;
    let mut reader = Reader::new(row::open(KEY, slot)?);
    let turn = reader.u64()?;
    let log = reader.u64()?;
    Ok((turn, Tip { log, segment: u32::from_be_bytes(reader.array()?), frame: reader.u64()? }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::{SLOT, SLOTS, StoreError, Tip, TipFile};

    fn open(bytes: &[u8]) -> Result<TipFile, StoreError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        TipFile::open(file.path().to_owned(), file.reopen().unwrap())
    }

    #[test]
    fn the_last_note_counts_and_the_one_before_stands_in_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tip");
        fs::write(&path, TipFile::blank(7)).unwrap();
        let reopen = || {
            let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
            TipFile::open(path.clone(), file).unwrap()
        };
        assert_eq!(reopen().tip(), Tip { log: 7, segment: 0, frame: 0 });
        for frame in 1..=5 {
            reopen().note(1, frame).unwrap();
            assert_eq!(reopen().tip(), Tip { log: 7, segment: 1, frame });
        }
        let whole = fs::read(&path).unwrap();
        let mut standing_in = SLOTS.map(|at| {
            let mut bytes = whole.clone();
            bytes[at as usize + SLOT - 1] ^= 1;
            open(&bytes).unwrap().tip().frame
        });
        standing_in.sort_unstable();
        assert_eq!(standing_in, [4, 5]);
    }

    #[test]
    fn without_a_whole_slot_it_is_damaged() {
        for bytes in [&[][..], &[0; 1024], &TipFile::blank(7)[1..]] {
            assert!(matches!(open(bytes), Err(StoreError::Damaged { .. })));
        }
        assert!(open(&TipFile::blank(7)[..SLOT]).is_ok());
    }
}
