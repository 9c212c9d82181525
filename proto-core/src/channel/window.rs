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

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use bytes::Bytes;

    use super::{RECEIVE_WINDOW, Slot, Window};
    use crate::Class;
    use crate::channel::arrival::Delivery;
    use crate::wire::Kind;

    /// What a window is to be.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fate {
        Missing,
        Waiting,
        Done,
        Skipped,
    }

    fn delivery(id: u64) -> Delivery {
        Delivery {
            class: Class::ReliableOrdered,
            id,
            kind: Kind::OneWay,
            payload: Bytes::new(),
            gap: 0,
            said: None,
        }
    }

    /// All ways in which four of the next four numbers can come, wait or be skipped, from both ends of the numbers.
    #[test]
    fn no_four_steps_lead_away_from_a_list_of_fates() {
        const FATES: [Fate; 3] = [Fate::Waiting, Fate::Done, Fate::Skipped];
        for (base, path) in
            [0, (1 << 62) - 8].into_iter().flat_map(|base| (0..12_u32.pow(4)).map(move |path| (base, path)))
        {
            let mut window = Window { base, ..Window::default() };
            let mut fates = [Fate::Missing; 16];
            let (mut next, mut skipped, mut left) = (0, 0, path);
            for _ in 0..4 {
                let (ahead, fate) = (left as usize % 4, FATES[left as usize / 4 % 3]);
                left /= 12;
                let id = base + (next + ahead) as u64;
                *window.slot(id).expect("it is near") = match fate {
                    Fate::Waiting => Slot::Waiting(Box::new(delivery(id))),
                    Fate::Done => Slot::Done,
                    _ => Slot::Skipped,
                };
                fates[next + ahead] = fate;
                let mut expected = Vec::new();
                while fates[next] != Fate::Missing {
                    match fates[next] {
                        Fate::Waiting => expected.push((base + next as u64, core::mem::take(&mut skipped))),
                        Fate::Skipped => skipped += 1,
                        _ => {}
                    }
                    next += 1;
                }
                let mut out = Vec::new();
                window.advance(&mut out);
                assert!(out.iter().map(|one| (one.id, one.gap)).eq(expected), "{path}");
                assert_eq!((window.base, window.gap), (base + next as u64, skipped), "{path}");
            }
        }
    }

    #[test]
    fn a_window_begins_at_its_base_and_has_its_width() {
        let mut window = Window { base: 7, ..Window::default() };
        assert!(window.slot(6).is_err() && window.slot(7 + RECEIVE_WINDOW).is_err());
        assert!(window.slots.is_empty(), "what is refused takes nothing");
        assert!(window.slot(7).is_ok());
        assert_eq!(window.slots.len(), 1);
        assert!(window.slot(6 + RECEIVE_WINDOW).is_ok());
        assert_eq!(window.slots.len() as u64, RECEIVE_WINDOW);
    }
}
