use std::fs::{self, OpenOptions};

use proto_core::Timestamp;

use super::*;

fn now(millis: u64) -> Now {
    Now { mono: Timestamp::from_millis(millis), unix_ms: 1_700_000_000_000 + millis }
}

#[test]
fn all_is_written_in_order_however_much_it_is() {
    let path = std::env::temp_dir().join(format!("driver-recorder-{}.rec", std::process::id()));
    let mut recorder = Recorder::create(&path, "test/1", u64::MAX).unwrap().with_memory(64 << 20);
    recorder.flush();
    assert_eq!(fs::read(&path).unwrap(), b"simtest-rec 2 test/1\n");
    for i in 0..20_000_u64 {
        let len = if i == 7 { 300_000 } else { 200 };
        recorder.note(now(1), 3, &[&i.to_le_bytes(), &vec![b'x'; len]]);
    }
    drop(recorder);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    // It is what was noted, and each checksum is right.
    let recording = simtest::Recording::parse(&bytes).unwrap();
    assert_eq!(recording.inputs.len(), 20_000);
    for (i, input) in (0..).zip(&recording.inputs) {
        let len = if i == 7 { 300_000 } else { 200 };
        assert_eq!((input.at, input.unix_ms, input.kind), (1_000_000, 1_700_000_000_001, 3));
        let (number, rest) = input.bytes.split_at(8);
        assert_eq!((number, rest.len()), (&u64::to_le_bytes(i)[..], len));
        assert!(rest.iter().all(|byte| *byte == b'x'));
    }
    for at in [100, 40_000, bytes.len() - 30] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        simtest::Recording::parse(&damaged).unwrap_err();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_ends_it() {
    let mut recorder =
        Recorder::create(Path::new("/dev/full"), "test/1", u64::MAX).unwrap().with_memory(1 << 30);
    for i in 0..40_000 {
        recorder.note(now(i), 3, &[&[0; 200]]);
    }
    recorder.flush();
    let why = recorder.ended().expect("a reason");
    assert!(why.contains("No space left"), "{why}");
    recorder.note(now(1), 3, &[]);
    recorder.flush();
    assert_eq!(recorder.ended(), None);
}

/// The other end of a pipe that nobody reads is a disk that takes nothing.
#[cfg(unix)]
#[test]
fn a_disk_that_is_too_slow_ends_it_and_nobody_waits() {
    let path = std::env::temp_dir().join(format!("driver-recorder-slow-{}", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut recorder = Recorder::create(&path, "test/1", u64::MAX).unwrap().with_memory(100_000);
    // Longer than what may wait, and than what a pipe holds: alone it may.
    recorder.note(now(1), 3, &[&vec![7; 2_000_000]]);
    assert_eq!(recorder.ended(), None);
    recorder.note(now(1), 3, &[&vec![7; 100_000]]);
    recorder.note(now(1), 3, &[]);
    assert_eq!(recorder.ended().as_deref(), Some("the disk takes less than comes"));
    assert_eq!(recorder.missed(), 2);
    let reading =
        std::thread::spawn(move || io::copy(&mut io::Read::take(reader, 2_000_037), &mut io::sink()));
    drop(recorder);
    fs::remove_file(&path).unwrap();
    assert_eq!(
        reading.join().unwrap().unwrap(),
        2_000_037,
        "all that was handed over, and nothing behind it"
    );
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_it_and_nobody_else_writes_to_it() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("driver-recorder-mode-{}.rec", std::process::id()));
    fs::write(&path, "simtest-rec 2 test/1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let first = Recorder::create(&path, "test/1", u64::MAX).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let second = Recorder::create(&path, "test/1", u64::MAX).unwrap_err();
    assert!(second.to_string().ends_with("another recorder writes to it"), "{second}");
    drop(first);
    assert_eq!(fs::read(&path).unwrap(), b"simtest-rec 2 test/1\n");
    Recorder::create(&path, "test/1", u64::MAX).expect("it is free again");
    fs::remove_file(&path).unwrap();
}

/// The recording of a crash outlives the start after it, and starts that come to nothing.
#[test]
fn what_was_recorded_before_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [file, old] = ["a.rec", "a.old.rec"].map(|name| folder.path().join(name));
    let record = |inputs: u64| {
        let mut recorder = Recorder::create(&file, "test/1", u64::MAX).unwrap();
        for i in 0..inputs {
            recorder.note(now(i), 3, &[&[7; 2_000]]);
        }
        recorder.kept().map(Path::to_owned)
    };
    let held = |file: &Path| simtest::Recording::parse(&fs::read(file).unwrap()).unwrap().inputs.len();
    for empty in [0, 1, 0] {
        assert_eq!(record(empty), None);
    }
    assert_eq!(record(40), None, "what has only been born is not kept");
    for failed in [1, 0, 1] {
        let kept = (failed == 1 && held(&file) == 40).then(|| old.clone());
        assert_eq!(record(failed), kept);
        assert_eq!((held(&file), held(&old)), (failed as usize, 40));
    }
    record(2);
    assert_eq!(held(&old), 40);
    assert_eq!(record(0).as_deref(), Some(&*old));
    assert_eq!(held(&old), 2, "the latest");

    // What somebody has put there is not lost, whatever it is.
    for other in [&b"notes of mine"[..], b"simtest-rec 1 test/1\n\x01", b"\n", &[0xff; 3_000]] {
        fs::write(&file, other).unwrap();
        assert_eq!(record(0).as_deref(), Some(&*old));
        assert_eq!(fs::read(&old).unwrap(), other);
    }
    // Where it cannot be kept, nothing is overwritten.
    fs::remove_file(&old).unwrap();
    fs::create_dir(&old).unwrap();
    fs::write(&file, "notes of mine").unwrap();
    let error = Recorder::create(&file, "test/1", u64::MAX).unwrap_err().to_string();
    assert!(error.contains("cannot be kept as") && error.contains("a.old.rec"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"notes of mine");
}

#[cfg(unix)]
#[test]
fn a_link_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let [link, file] = ["link.rec", "far.rec"].map(|name| folder.path().join(name));
    fs::write(&file, "notes of mine").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    drop(Recorder::create(&link, "test/1", u64::MAX).unwrap());
    assert!(link.is_symlink());
    assert_eq!(fs::read(folder.path().join("far.old.rec")).unwrap(), b"notes of mine");
    assert_eq!(fs::read(&link).unwrap(), b"simtest-rec 2 test/1\n");
}
