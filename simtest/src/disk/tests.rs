use quickcheck::quickcheck;

use super::*;

const LOG: &str = "log";

fn append(bytes: &[u8]) -> DiskOp {
    DiskOp::Append { file: LOG.into(), bytes: bytes.to_vec() }
}

/// "durable" synced, then "more" appended.
fn disk() -> Disk {
    let mut disk = Disk::default();
    for op in [append(b"durable"), DiskOp::Sync { file: LOG.into() }, append(b"more")] {
        disk.apply(op);
    }
    disk
}

fn after(mut disk: Disk, loss: DiskLoss) -> Vec<u8> {
    disk.crash(loss);
    disk.read(LOG).unwrap_or_default().to_vec()
}

#[test]
fn a_running_node_reads_what_it_wrote() {
    assert_eq!(disk().read(LOG), Some(&b"durablemore"[..]));
    assert_eq!(disk().read("other"), None);
    assert!(disk().files().eq([LOG]));
}

#[test]
fn a_disk_for_unit_tests_of_boot_code_is_all_durable() {
    let disk = Disk::with_files([("log", &b"one"[..]), ("index", b"two")]);
    assert!(disk.files().eq(["index", "log"]));
    assert_eq!(after(disk, DiskLoss::Unsynced), b"one");
}

#[test]
fn what_a_crash_keeps() {
    assert_eq!(after(disk(), DiskLoss::Unsynced), b"durable");
    assert_eq!(after(disk(), DiskLoss::Kept), b"durablemore");
}

#[test]
fn a_file_that_was_never_synced_is_gone() {
    let mut disk = Disk::default();
    disk.apply(append(b"x"));
    disk.crash(DiskLoss::Unsynced);
    assert_eq!(disk, Disk::default());
}

#[test]
fn truncation_and_removal_are_durable() {
    let mut cut = disk();
    cut.apply(DiskOp::Truncate { file: LOG.into(), len: 3 });
    assert_eq!(after(cut, DiskLoss::Unsynced), b"dur");
    let mut gone = disk();
    gone.apply(DiskOp::Remove { file: LOG.into() });
    assert_eq!(gone, Disk::default());
}

#[test]
fn a_later_sync_does_not_cover_a_failed_one() {
    let doubtful = || {
        let mut disk = disk();
        disk.doubt(LOG);
        disk.apply(append(b"!"));
        disk.apply(DiskOp::Sync { file: LOG.into() });
        disk
    };
    assert_eq!(after(doubtful(), DiskLoss::Unsynced), b"durable\0\0\0\0!");
    assert_eq!(after(doubtful(), DiskLoss::Kept), b"durablemore!");
    let mut mended = doubtful();
    mended.apply(DiskOp::Truncate { file: LOG.into(), len: 7 });
    mended.apply(append(b"again"));
    mended.apply(DiskOp::Sync { file: LOG.into() });
    assert_eq!(after(mended, DiskLoss::Unsynced), b"durableagain");
}

#[test]
fn garbling_zeroes_or_scrambles_the_tail() {
    let tails: Vec<Vec<u8>> = (0..200).map(|seed| after(disk(), DiskLoss::Garbled(seed))).collect();
    assert!(tails.iter().any(|tail| tail == b"durablemor\0"));
    assert!(tails.iter().any(|tail| tail.len() == 11 && !tail.ends_with(b"more") && !tail.ends_with(b"\0")));
    assert!(tails.iter().any(|tail| tail == b"durable"));
}

quickcheck! {
    fn synced_bytes_survive_every_tear(seed: u32, garbled: bool) -> bool {
        let loss = if garbled { DiskLoss::Garbled(seed) } else { DiskLoss::Torn(seed) };
        let left = after(disk(), loss);
        let prefix = b"durablemore".starts_with(&left[..]);
        left.starts_with(b"durable") && left.len() <= 11 && (garbled || prefix) && left == after(disk(), loss)
    }
}
