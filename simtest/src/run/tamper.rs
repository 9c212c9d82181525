//! What faults do to the bytes of datagrams.

use super::net::{Flow, Net, Packet};
use crate::choice::{Alt, Choice};
use crate::node::Dissect;
use crate::prf::{mix, scale};
use crate::schedule::{Damage, Effect};

impl Net {
    /// The first two mean one of all places in all earlier datagrams; the others, for schedules, say which.
    pub(super) fn ways_to_splice(&self, index: u32) -> [Alt; 4] {
        let Packet { flow, bytes, .. } = &self.packets[index as usize];
        let Flow { rates, past, .. } = &self.flows[*flow as usize];
        let places = (past.len().saturating_sub(1) * bytes.len().saturating_sub(1)) as u64;
        let some = |ppm| Alt { ppm: if places > 0 { ppm } else { 0 }, min: 0, max: places.saturating_sub(1) };
        let any = Alt { ppm: 0, min: 0, max: u64::MAX };
        [some(rates.splice), some(rates.splice_resealed), any, any]
    }

    /// What is meant by a choice among [these ways](Self::ways_to_splice), for the latest datagram of a flow.
    pub(super) fn spliced(&self, flow: u32, choice: Choice) -> Option<Effect> {
        let places = self.flows[flow as usize].past.back().map_or(1, |own| own.len().max(2) as u64 - 1);
        let (back, at) = match choice.alt {
            1 | 2 => (choice.param / places + 1, choice.param % places + 1),
            3 | 4 => (choice.param >> 32, choice.param & u64::from(u32::MAX)),
            _ => return None,
        };
        Some(Effect::Splice { back: back as u32, at: at as u32, reseal: matches!(choice.alt, 2 | 4) })
    }

    /// `false` if there is no earlier one.
    pub(super) fn splice<D: Dissect>(&mut self, index: u32, back: u32, at: u32, reseal: bool) -> bool {
        let packet = &mut self.packets[index as usize];
        let past = &self.flows[packet.flow as usize].past;
        let Some(earlier) = past.len().checked_sub(2) else { return false };
        let other = &past[earlier.saturating_sub(back.saturating_sub(1) as usize)];
        let original = packet.bytes.clone();
        packet.bytes.truncate(at as usize);
        packet.bytes.extend_from_slice(other.get(at as usize..).unwrap_or_default());
        if reseal {
            D::reseal(&original, &mut packet.bytes);
        }
        packet.spliced = packet.bytes != original;
        true
    }
}

impl Flow {
    /// Keeps what is sent for [splices](Effect::Splice).
    pub(super) fn remember(&mut self, bytes: &[u8]) {
        let full = self.past.len() > Effect::FURTHEST_BACK as usize;
        let mut kept = if full { self.past.pop_front().unwrap_or_default() } else { Vec::new() };
        kept.clear();
        kept.extend_from_slice(bytes);
        self.past.push_back(kept);
    }
}

pub(super) fn hurt<D: Dissect>(bytes: &mut Vec<u8>, damage: Damage, word: u32) {
    let random = |i: u32| mix(u64::from(word) << 8 | u64::from(i));
    if damage == Damage::Truncate {
        let len = scale(random(0), bytes.len() as u64) as usize;
        return bytes.truncate(len);
    }
    let original = (damage == Damage::FlipResealed).then(|| bytes.clone());
    let bits = bytes.len() as u64 * 8;
    let mut flipped = [u64::MAX; 3];
    for i in 0..=word % 3 {
        let bit = scale(random(1 + i), bits);
        if bits > 0 && !flipped.contains(&bit) {
            flipped[i as usize] = bit;
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
    if let Some(original) = original {
        D::reseal(&original, bytes);
    }
}
