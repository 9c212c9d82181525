//! What holds for every frame, packet and number, not only for the specification's.

use alloc::vec::Vec;
use core::time::Duration;

use quickcheck::{Arbitrary, Gen, TestResult, quickcheck};

use super::model::{Model, ModelMsg, ModelRecord, below, number};
use super::{CLIENT, guard, rewrite, rewrite_packet};
use crate::wire::checksum::crc32c;
use crate::wire::packet::{self, Long, LongKind, MAX_PACKET_NUMBER, Packet, expand_number, number_len};
use crate::wire::params::Params;

impl Arbitrary for Params {
    fn arbitrary(g: &mut Gen) -> Self {
        let default = Self::default();
        let value = |g: &mut Gen| if bool::arbitrary(g) { 0 } else { number(g) };
        let heartbeat = if bool::arbitrary(g) { 10_000 } else { 100 + below(g, 3_599_901) as u64 };
        let longest = 4 * 3_600_000 - 2 * heartbeat + 1;
        Self {
            max_message: value(g),
            session_bytes: value(g),
            session_messages: value(g),
            channel_bytes: value(g),
            channel_messages: value(g),
            max_channels: value(g),
            heartbeat: Duration::from_millis(heartbeat),
            dead: Duration::from_millis(2 * heartbeat + number(g) % longest),
            max_ack_delay: if bool::arbitrary(g) {
                default.max_ack_delay
            } else {
                Duration::from_millis(below(g, 1001) as u64)
            },
            resume_window: Duration::from_millis(value(g) % (24 * 3_600_000 + 1)),
            spare_cids: below(g, 4) as u64,
        }
    }
}

/// Any packet number, or one near a power of two.
fn packet_number(g: &mut Gen) -> u64 {
    let near = (1_u64 << (u32::arbitrary(g) % 63)).wrapping_add_signed(i64::from(i8::arbitrary(g)));
    (if bool::arbitrary(g) { near } else { number(g) }) & MAX_PACKET_NUMBER
}

#[derive(Clone, Copy, Debug)]
struct PacketNumber(u64);

impl Arbitrary for PacketNumber {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(packet_number(g))
    }
}

fn low_bytes(number: u64, len: u8) -> u32 {
    (number & ((1 << (8 * u32::from(len))) - 1)) as u32
}

/// What the specification says about numbers: of those with these low bytes, the one nearest to `expected`.
fn nearest(expected: u64, low: u32, len: u8) -> u64 {
    let (expected, low, window) = (i128::from(expected), i128::from(low), 1_i128 << (8 * u32::from(len)));
    let base = expected / window * window + low;
    (-2..=2)
        .map(|k| base + k * window)
        .filter(|candidate| (0..=i128::from(MAX_PACKET_NUMBER)).contains(candidate))
        .min_by_key(|candidate| ((candidate - expected).abs(), -candidate))
        .and_then(|candidate| u64::try_from(candidate).ok())
        .expect("a window holds a number in range")
}

/// Every expectation that a receiver can have of `number`: from what the sender knows to have arrived up to half a window
/// past the number, when later packets overtook it.
fn assert_expands(number: u64, unacked: u64) {
    let len = number_len(number, unacked);
    let half = 1_u64 << (8 * u32::from(len) - 1);
    assert!(number - unacked < half, "{number} with {unacked} unacked does not fit into {len} bytes");
    assert!(
        len == 1 || (number - unacked + 1) * 2 > 1 << (8 * (len - 1)),
        "{number}: {len} bytes are too many"
    );
    for expected in [unacked, unacked + (number - unacked) / 2, number, number + 1, number + half - 1] {
        if expected <= MAX_PACKET_NUMBER + 1 {
            let whole = expand_number(expected, low_bytes(number, len), len);
            assert_eq!(whole, number, "{len} bytes, {expected} expected, {unacked} unacked");
        }
    }
}

/// The definition: of all numbers that end in `low` the nearest, of two that are as near the larger.
#[test]
fn a_byte_expands_to_the_nearest_number_wherever_it_is() {
    let all = |expected: u64| {
        for low in 0..256_u32 {
            let base = expected & !0xFF;
            let candidates = [base.checked_sub(256), Some(base), base.checked_add(256)];
            let candidates = candidates.into_iter().flatten().map(|base| base + u64::from(low));
            let nearest = candidates
                .filter(|&candidate| candidate <= MAX_PACKET_NUMBER)
                .min_by_key(|&candidate| (candidate.abs_diff(expected), core::cmp::Reverse(candidate)));
            assert_eq!(Some(expand_number(expected, low, 1)), nearest, "{expected}, {low}");
        }
    };
    (0..2000).for_each(all);
    (MAX_PACKET_NUMBER - 2000..=MAX_PACKET_NUMBER).for_each(all);
    (8..62).for_each(|bits| ((1 << bits) - 2..=(1 << bits) + 2).for_each(all));
}

#[test]
fn numbers_expand_at_every_boundary() {
    let powers = [
        0,
        1 << 7,
        1 << 8,
        1 << 15,
        1 << 16,
        1 << 23,
        1 << 24,
        1 << 31,
        1 << 32,
        1 << 40,
        1 << 61,
        MAX_PACKET_NUMBER,
    ];
    let spread = |power: u64| (power.saturating_sub(3)..=power + 3).filter(|n| *n <= MAX_PACKET_NUMBER);
    for unacked in powers.into_iter().flat_map(spread) {
        for distance in powers.into_iter().flat_map(spread).filter(|distance| *distance < 1 << 31) {
            if unacked + distance <= MAX_PACKET_NUMBER {
                assert_expands(unacked + distance, unacked);
            }
        }
    }
}

#[test]
fn ties_go_up() {
    for len in 1..=4 {
        let half = 1_u64 << (8 * u32::from(len) - 1);
        for expected in [
            0,
            1,
            half - 1,
            half,
            half + 1,
            2 * half,
            3 * half,
            1 << 40,
            MAX_PACKET_NUMBER - half,
            MAX_PACKET_NUMBER,
        ] {
            for low in (0..3).map(|i| low_bytes(expected + half + i - 1, len)) {
                let whole = expand_number(expected, low, len);
                assert_eq!(whole, nearest(expected, low, len), "{len} bytes {low:#x}, {expected} expected");
            }
        }
    }
}

quickcheck! {
    fn numbers_expand(unacked: PacketNumber, distance: u32) -> TestResult {
        let number = unacked.0 + u64::from(distance >> 1 >> (distance % 31));
        if number > MAX_PACKET_NUMBER {
            return TestResult::discard();
        }
        assert_expands(number, unacked.0);
        TestResult::passed()
    }

    fn the_nearest_number_is_taken(expected: PacketNumber, low: u32, len: u8) -> bool {
        let len = len % 4 + 1;
        let low = low_bytes(low.into(), len);
        expand_number(expected.0, low, len) == nearest(expected.0, low, len)
    }

    fn no_expectation_leads_out_of_range(expected: u64, low: u32, len: u8) -> bool {
        let len = len % 4 + 1;
        let low = low_bytes(low.into(), len);
        let whole = expand_number(expected, low, len);
        whole <= MAX_PACKET_NUMBER && low_bytes(whole, len) == low
    }

    fn records_survive(record: ModelRecord) -> bool {
        let bytes = record.encode();
        ModelRecord::decode(&bytes).as_ref() == Ok(&record) && rewrite(&bytes) == Ok(bytes)
    }

    fn each_frame_survives_alone(model: Model) -> TestResult {
        let record = ModelRecord(alloc::vec![model]);
        if matches!(&record.0[0], Model::Msg(ModelMsg { id: crate::wire::WireId::Next, .. })) {
            return TestResult::discard();
        }
        TestResult::from_bool(ModelRecord::decode(&record.encode()) == Ok(record))
    }

    fn what_decodes_has_no_other_encoding(record: ModelRecord, damage: Vec<(usize, u8)>, cut: usize) -> bool {
        let mut bytes = record.encode();
        for (at, value) in damage.into_iter().take(3) {
            let len = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at % len) {
                *byte = value;
            }
        }
        if cut.is_multiple_of(4) {
            bytes.truncate(cut / 4 % (bytes.len() + 1));
        }
        rewrite(&bytes).is_ok_and(|again| again == bytes) || rewrite(&bytes).is_err()
    }

    fn random_bytes_have_no_other_encoding(bytes: Vec<u8>) -> bool {
        let record = rewrite(&bytes).is_ok_and(|again| again == bytes) || rewrite(&bytes).is_err();
        let packet = rewrite_packet(&bytes, 0).is_ok_and(|again| again == bytes) || rewrite_packet(&bytes, 0).is_err();
        record && packet
    }

    fn long_packets_survive(kind: u8, version: u32, dcid: Vec<u8>, scid: Vec<u8>, payload: Vec<u8>) -> TestResult {
        if dcid.len() > 20 || scid.len() > 20 || payload.is_empty() {
            return TestResult::discard();
        }
        let kinds = [LongKind::Init, LongKind::Retry, LongKind::Accept, LongKind::Refuse];
        let kind = kinds[usize::from(kind % 4)];
        let long = Long { kind, version, dcid: &dcid, scid: &scid, payload: &payload };
        let mut bytes = Vec::new();
        long.encode(&mut bytes, crc32c);
        TestResult::from_bool(Packet::decode(&bytes, crc32c) == Ok(Packet::Long(long)))
    }

    fn short_packets_survive(number: PacketNumber, len: u8, payload: Vec<u8>, before: Vec<u8>) -> TestResult {
        if payload.is_empty() {
            return TestResult::discard();
        }
        let (number, len) = (number.0, len % 4 + 1);
        let (mut bytes, start) = (before.clone(), before.len());
        packet::start_short(&mut bytes, CLIENT, number, len);
        bytes.extend_from_slice(&payload);
        packet::finish_short(&mut bytes, start, guard(), number, crc32c);
        let Ok(Packet::Short(short)) = Packet::decode(&bytes[start..], crc32c) else { return TestResult::failed() };
        TestResult::from_bool(
            bytes.len() - start == packet::short_overhead(len) + payload.len()
                && (short.dcid, short.number, short.number_len) == (CLIENT, low_bytes(number, len), len)
                && short.payload == payload
                && short.verify(guard(), number, crc32c)
                && !short.verify(guard(), number ^ 1 << 40, crc32c)
                && !short.verify(guard() ^ 1, number, crc32c),
        )
    }

    fn parameters_survive(params: Params) -> bool {
        let mut block = Vec::new();
        params.encode(&mut block);
        Params::decode(&block) == Ok(params)
    }

    fn damaged_parameters_have_no_other_encoding(params: Params, at: usize, value: u8) -> TestResult {
        let mut block = Vec::new();
        params.encode(&mut block);
        let grease = block.len() - 3;
        block[at % grease.max(1)] = value;
        let Ok(params) = Params::decode(&block) else { return TestResult::discard() };
        let mut again = Vec::new();
        params.encode(&mut again);
        // An id may have been changed to one that is ignored: then the block that is written is shorter.
        TestResult::from_bool(again == block || again.len() < block.len())
    }
}
