use quickcheck::quickcheck;

use super::*;

fn recording(steps: &[(u32, i16, u8, Vec<u8>)]) -> Recording {
    let (mut at, mut unix_ms) = (5_000_000_000_u64, 1_700_000_000_000_u64);
    let inputs = steps.iter().map(|(nanos, ms, kind, bytes)| {
        at += u64::from(*nanos);
        unix_ms = unix_ms.wrapping_add_signed(i64::from(*ms));
        Input { at, unix_ms, kind: *kind & 0x7f, bytes: bytes.clone() }
    });
    Recording { protocol: "toy/1".into(), inputs: inputs.collect() }
}

quickcheck! {
    fn files_are_read_as_they_were_written(steps: Vec<(u32, i16, u8, Vec<u8>)>, cut: usize) -> bool {
        let whole = recording(&steps);
        let bytes = whole.to_bytes();
        let first = "simtest-rec 2 toy/1\n".len();
        let cut = first + cut % (bytes.len() - first + 1);
        let part = Recording::parse(&bytes[..cut]).unwrap();
        Recording::parse(&bytes).unwrap() == whole && whole.inputs.starts_with(&part.inputs)
    }

    fn anything_else_is_refused_or_read(bytes: Vec<u8>) -> bool {
        let mut file = b"simtest-rec 2 x\n".to_vec();
        file.extend(&bytes);
        let _ = Recording::parse(&file);
        Recording::parse(&bytes).is_err()
    }

    /// However it is damaged, it is not taken for what was written.
    fn damage_is_found(steps: Vec<(u32, i16, u8, Vec<u8>)>, at: usize, flip: u8) -> bool {
        let whole = recording(&steps);
        let mut bytes = whole.to_bytes();
        let first = "simtest-rec 2 toy/1\n".len();
        let at = first + at % (bytes.len() - first);
        bytes[at] ^= flip.max(1);
        match Recording::parse_cut(&bytes) {
            Ok((_, left)) => left > 0 || at >= bytes.len() - 8,
            Err(_) => true,
        }
    }
}

#[test]
fn checksums_are_those_of_the_standard() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
}

#[test]
fn a_cut_end_is_told_from_damage() {
    let steps: Vec<_> = (0..100).map(|i| (1_000, 0, i, vec![i; 50])).collect();
    let bytes = recording(&steps).to_bytes();
    let (cut, left) = Recording::parse_cut(&bytes[..bytes.len() - 30]).unwrap();
    assert_eq!((cut.inputs.len(), left), (99, 33));
    let twice = [&bytes[..], &bytes["simtest-rec 2 toy/1\n".len()..]].concat();
    let sound = Recording::parse(&twice).unwrap();
    assert_eq!(sound.inputs.len(), 200);

    let damaged = |at: usize, byte: u8| {
        let mut bytes = twice.clone();
        bytes[at] = byte;
        Recording::parse(&bytes).unwrap_err()
    };
    assert_eq!(damaged(100, 0), "damaged: inputs 1 to 100 are not as they were written");
    // A length that leads beyond the end.
    let head = "simtest-rec 2 toy/1\n".len();
    let length = head + twice[head..].iter().position(|byte| *byte == 50).unwrap();
    let mut long = twice.clone();
    long.splice(length..=length, [0xff, 0xff, 0xff, 0x7f]);
    let why = Recording::parse(&[&long[..], &bytes["simtest-rec 2 toy/1\n".len()..]].concat()).unwrap_err();
    assert_eq!(why, "damaged somewhere behind input 0, and goes on later");
}

#[test]
fn what_it_is_instead_is_told() {
    for (bytes, why) in [
        (&b""[..], "not a recording: those begin with `simtest-rec`"),
        (b"simtest-sched 1\n", "not a recording: those begin with `simtest-rec`"),
        (b"simtest-rec 1 x\n", "a recording of version 1, and only version 2 can be read here"),
    ] {
        assert_eq!(Recording::parse(bytes).unwrap_err(), why);
        assert_eq!(Recording::protocol_of(bytes).unwrap_err(), why);
    }
    assert_eq!(Recording::protocol_of(b"simtest-rec 2 toy/1\n"), Ok("toy/1"));
}

#[test]
fn only_what_matters_is_left() {
    let steps: Vec<_> = (0..100).map(|i| (1_000, 0, i, vec![i])).collect();
    let all = recording(&steps);
    let fails = |some: &Recording| {
        let has = |kind| some.inputs.iter().any(|input| input.kind == kind);
        has(17) && has(60)
    };
    let kinds: Vec<u8> = all.shrink(fails).inputs.iter().map(|input| input.kind).collect();
    assert_eq!(kinds, [0, 17, 60], "and the first");
}
