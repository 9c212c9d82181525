//! Every prefix of every vector, and every vector with every byte changed: nothing panics, and nothing that still decodes has
//! another encoding.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::panic::AssertUnwindSafe;

use super::model::ModelRecord;
use super::vectors::{self, Vector};
use super::{guard, rewrite, rewrite_packet, whole_number};
use crate::wire::checksum::crc32c;
use crate::wire::packet::{Packet, TAG_LEN};
use crate::wire::params::Params;
use crate::wire::{DecodeError, varint};

/// What became of some damaged bytes.
enum Outcome {
    /// Refused, as they may be.
    Refused,
    /// They decode, and to nothing else.
    Same,
    /// They decode, and encoding again gives other bytes.
    Other(Vec<u8>),
}

fn outcome(bytes: &[u8], again: Result<Vec<u8>, DecodeError>) -> Outcome {
    match again {
        Err(_) => Outcome::Refused,
        Ok(again) if again == bytes => Outcome::Same,
        Ok(again) => Outcome::Other(again),
    }
}

/// Every damaged form of `bytes`: cut, with one byte changed to every value, with one byte dropped or doubled.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let changed = (0..bytes.len()).flat_map(move |at| {
        (1..=0xFF).map(move |flip: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= flip;
            bytes
        })
    });
    let dropped = (0..bytes.len()).map(|at| [&bytes[..at], &bytes[at + 1..]].concat());
    let doubled = (0..bytes.len()).map(|at| [&bytes[..=at], &bytes[at..]].concat());
    cut.chain(changed).chain(dropped).chain(doubled)
}

/// Runs `check` over every damaged form of every vector and returns how many still decode; fails with all offenders.
fn sweep(prefixes: &[&str], check: impl Fn(&Vector, &[u8]) -> Outcome) -> usize {
    let (mut same, mut offenders) = (0, Vec::<String>::new());
    for vector in vectors::all().iter().filter(|vector| prefixes.contains(&vector.prefix())) {
        for bytes in damaged(&vector.bytes) {
            let what = || format!("{} as {}", vector.name, vectors::to_hex(&bytes));
            match std::panic::catch_unwind(AssertUnwindSafe(|| check(vector, &bytes))) {
                Ok(Outcome::Refused) => {}
                Ok(Outcome::Same) => same += 1,
                Ok(Outcome::Other(again)) => {
                    offenders.push(format!("{} becomes {}", what(), vectors::to_hex(&again)));
                }
                Err(_) => offenders.push(format!("{} panics", what())),
            }
        }
    }
    assert!(offenders.is_empty(), "{} offenders:\n{}", offenders.len(), offenders.join("\n"));
    same
}

#[test]
fn damaged_records() {
    let same = sweep(&["record", "refused"], |_, bytes| {
        assert_eq!(ModelRecord::decode(bytes).is_ok(), rewrite(bytes).is_ok());
        outcome(bytes, rewrite(bytes))
    });
    assert!(same > 10_000, "only {same} damaged records decode: the sweep does not reach far");
}

#[test]
fn damaged_integers() {
    sweep(&["vi64", "refused-vi64"], |_, bytes| {
        let mut again = Vec::new();
        match varint::decode(bytes) {
            Err(_) => Outcome::Refused,
            Ok((value, len)) => {
                varint::encode(value, &mut again);
                again.extend_from_slice(&bytes[len..]);
                outcome(bytes, Ok(again))
            }
        }
    });
}

#[test]
fn damaged_parameters() {
    sweep(&["params", "ignored-params", "refused-params"], |_, bytes| {
        let _ = Params::decode(bytes);
        Outcome::Refused
    });
}

#[test]
fn damaged_packets_never_existed() {
    let same = sweep(&["packet", "refused-packet"], |vector, bytes| {
        outcome(bytes, rewrite_packet(bytes, vectors::packet_number(&vector.name)))
    });
    assert_eq!(same, 1, "only refused-packet/long-checksum can be repaired by changing a byte");
}

/// `covered` with the tag that makes it a packet: the way of damage behind the check.
fn sealed(covered: &[u8], number: u64) -> Vec<u8> {
    let mut bytes = [covered, &[0; TAG_LEN]].concat();
    let start = match Packet::decode(&bytes, crc32c) {
        Ok(Packet::Short(short)) => crc32c(guard(), &whole_number(&short, number).to_be_bytes()),
        _ => 0,
    };
    bytes.truncate(covered.len());
    bytes.extend(crc32c(start, covered).to_be_bytes());
    bytes
}

#[test]
fn damaged_packets_with_a_right_tag() {
    let same = sweep(&["packet", "refused-packet"], |vector, bytes| {
        let number = vectors::packet_number(&vector.name);
        let bytes = sealed(&bytes[..bytes.len().saturating_sub(TAG_LEN)], number);
        outcome(&bytes, rewrite_packet(&bytes, number))
    });
    assert!(same > 10_000, "only {same} damaged packets decode: the sweep does not reach far");
}
