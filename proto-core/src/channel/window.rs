//! Which messages of a reliable class have come.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::arrival::{Delivery, Refused};
use crate::{Refusal, code};

/// Reliable messages that may be under way above the lowest one missing.
pub(crate) const RECEIVE_WINDOW: u64 = 4096;

#[derive(Clone, Debug)]
pub(super) enum Slot {
    Missing,
    /// Charged, and not whole yet.
    Partial,
    /// Waits for those before it; boxed, as a peer that leaves one out can make thousands of slots.
    Waiting(Box<Delivery>),
    /// Delivered out of order.
    Done,
    /// Never to come.
    Skipped,
}

/// The numbers of one reliable class from the lowest one missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    pub(super) base: u64,
    pub(super) slots: VecDeque<Slot>,
    /// Messages skipped since the last one that was appended to a list of deliveries.
    pub(super) gap: u32,
}

impl Window {
    pub(super) fn slot(&mut self, id: u64) -> Result<&mut Slot, Refused> {
        let ahead = id.checked_sub(self.base).ok_or(Refused::Dropped(Refusal::Duplicate))?;
        if ahead >= RECEIVE_WINDOW {
            return Err(Refused::Violation(code::FLOW_CONTROL, "a message beyond the receive window"));
        }
        let index = ahead as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Slot::Missing);
        }
        Ok(&mut self.slots[index])
    }

    /// Moves past what is done, appending to `out` what waited for it.
    pub(super) fn advance(&mut self, out: &mut Vec<Delivery>) {
        while let Some(Slot::Waiting(_) | Slot::Done | Slot::Skipped) = self.slots.front() {
            match self.slots.pop_front() {
                Some(Slot::Waiting(mut delivery)) => {
                    delivery.gap = mem::take(&mut self.gap);
                    out.push(*delivery);
                }
                Some(Slot::Skipped) => self.gap = self.gap.saturating_add(1),
                _ => {}
            }
            self.base += 1;
        }
    }
}

crate::sleep::saved!(Window { base, slots, gap });
