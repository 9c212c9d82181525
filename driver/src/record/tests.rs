use std::fs;

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
    assert_eq!(fs::read(&path).unwrap(), b"simtest-rec 1 test/1\n");
    for i in 0..20_000_u64 {
        let len = if i == 7 { 300_000 } else { 200 };
        recorder.note(now(1), 3, &[&i.to_le_bytes(), &vec![b'x'; len]]);
    }
    drop(recorder);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut rest = &bytes[b"simtest-rec 1 test/1\n".len()..];
    for i in 0..20_000_u64 {
        let (head, len) = match i {
            // Nanoseconds and milliseconds since zero, the sort, the length.
            0 => (3 + 6 + 1 + 2, 200),
            7 => (1 + 1 + 1 + 3, 300_000),
            _ => (1 + 1 + 1 + 2, 200),
        };
        let (input, after) = rest.split_at(head + 8 + len);
        assert_eq!(input[head..head + 8], i.to_le_bytes());
        assert!(input[head + 8..].iter().all(|byte| *byte == b'x'));
        rest = after;
    }
    assert!(rest.is_empty());
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
        std::thread::spawn(move || io::copy(&mut io::Read::take(reader, 2_000_029), &mut io::sink()));
    drop(recorder);
    fs::remove_file(&path).unwrap();
    assert_eq!(
        reading.join().unwrap().unwrap(),
        2_000_029,
        "all that was handed over, and nothing behind it"
    );
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_it_and_nobody_else_writes_to_it() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("driver-recorder-mode-{}.rec", std::process::id()));
    fs::write(&path, "older").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let first = Recorder::create(&path, "test/1", u64::MAX).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let second = Recorder::create(&path, "test/1", u64::MAX).unwrap_err();
    assert!(second.to_string().ends_with("another recorder writes to it"), "{second}");
    drop(first);
    assert_eq!(fs::read(&path).unwrap(), b"simtest-rec 1 test/1\n");
    Recorder::create(&path, "test/1", u64::MAX).expect("it is free again");
    fs::remove_file(&path).unwrap();
}
