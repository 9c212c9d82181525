use std::fmt::Write as _;

use super::*;

/// The published vectors. They never change: stored seeds and schedules depend on them.
#[test]
fn frozen() {
    assert_eq!(mix(0), 0);
    assert_eq!(mix(1), 0x4179_b061_e0c0_e0d0);
    assert_eq!(prf(0, 0, 0, 0), 0x3cbc_9f13_07a6_6922);
    assert_eq!(prf(42, 1, 7, 1), 0x0af3_6d06_76cd_74c7);
    assert_eq!(prf(u64::MAX, 255, u64::MAX, u32::MAX), 0x898c_14dc_3d60_e80f);
    assert_eq!(hash_bytes(0, b""), 0x6567_b19f_153d_437a);
    assert_eq!(hash_bytes(0, b"simtest"), 0x3620_1340_200e_1e26);
    assert_eq!(hash_bytes(1, b"0123456789abcdef!"), 0xeb4c_426b_2775_8379);
}

#[test]
fn neighbouring_keys_are_unrelated() {
    for kind in 0..4 {
        for occ in 0..200 {
            let a = prf(1, kind, 5, occ);
            for b in [
                prf(2, kind, 5, occ),
                prf(1, kind + 1, 5, occ),
                prf(1, kind, 6, occ),
                prf(1, kind, 5, occ + 1),
            ] {
                let bits = (a ^ b).count_ones();
                assert!((8..=56).contains(&bits), "{bits} bits differ");
            }
        }
    }
}

#[test]
fn scaling_covers_the_span() {
    assert_eq!(scale(0, 10), 0);
    assert_eq!(scale(u64::MAX, 10), 9);
    assert_eq!(scale(u64::MAX, 0), 0);
}

#[test]
fn each_byte_of_a_seed_varies() {
    let seeds: Vec<[u8; 32]> = (0..64).map(|occ| seed_bytes(1, 2, occ)).collect();
    for i in 0..32 {
        assert!(seeds.iter().any(|seed| seed[i] != seeds[0][i]));
    }
}

#[test]
fn the_writer_hashes_content_not_chunks() {
    let hash = |parts: &[&str]| {
        let mut writer = HashWriter::new();
        for part in parts {
            writer.write_str(part).unwrap();
        }
        writer.finish()
    };
    assert_eq!(hash(&["one", "", " two three"]), hash(&["one two three"]));
    let text = "what is written at once or in parts of any length is the same";
    let bytewise: Vec<&str> = (0..text.len()).map(|i| &text[i..=i]).collect();
    assert_eq!(hash(&bytewise), 0x6908_bee2_6652_a2c6);
    for cut in 0..text.len() {
        assert_eq!(hash(&[&text[..cut], &text[cut..]]), hash(&bytewise), "cut at {cut}");
    }
    let all = ["", "\0", "\0\0", "a", "a\0", "abcdefgh", "abcdefgh\0", "abcdefghi"];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| hash(&[a]) != hash(&[b])), "{a:?}");
    }
}

#[test]
fn a_rolling_hash_knows_the_order() {
    let hash = |words: &[u64]| {
        let mut rolling = Rolling::new();
        for word in words {
            rolling.absorb(*word);
        }
        rolling.value()
    };
    let all = [hash(&[]), hash(&[0]), hash(&[0, 0]), hash(&[1, 2]), hash(&[2, 1]), hash(&[3])];
    for (i, a) in all.iter().enumerate() {
        assert!(!all[..i].contains(a));
    }
}
