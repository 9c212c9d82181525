//! What waits for the application, in the order in which it gets it. Messages that came together in one packet wait together, as they
//! came, and are told apart when they are taken: a packet may carry dozens.

use alloc::collections::VecDeque;
use core::mem;

use bytes::{Buf, Bytes};

use super::arrival::Delivery;
use crate::Class;
use crate::arena::Arena;
use crate::wire::{Kind, PlainRun, varint};

/// Payloads within so many bytes are copied at once: holding on to one of them does not hold more.
const TOGETHER: usize = 4 * 1024;

/// A message that says nothing beside its payload, on its way to the application.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) class: Class,
    pub(crate) number: u64,
    pub(crate) payload: Bytes,
    pub(crate) gap: u32,
}

#[derive(Clone, Debug)]
enum Entry {
    One(Delivery),
    Together(Together),
}

/// Such messages with ascending numbers.
#[derive(Clone, Debug)]
struct Together {
    class: Class,
    /// The number of the first, and the ordered messages before it that will never come.
    number: u64,
    gap: u32,
    /// How many they are, and their payloads' bytes.
    left: u32,
    bytes: usize,
    /// From the length of the first on, as they stand in a record.
    body: Bytes,
    /// The last one has no length.
    is_tail: bool,
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready(VecDeque<Entry>);

impl Together {
    #[expect(clippy::inline_always, reason = "every message goes through here, and would be moved each time")]
    #[inline(always)]
    fn pop(&mut self) -> Plain {
        let (class, number, gap) = (self.class, self.number, mem::take(&mut self.gap));
        self.number += 1;
        self.left -= 1;
        let payload = if self.left == 0 && self.is_tail {
            mem::take(&mut self.body)
        } else {
            let (len, size) = varint::decode(&self.body).unwrap_or_default();
            let end = size + len as usize;
            let payload = self.body.slice(size..end);
            // Behind it comes the type of the next.
            self.body.advance(self.body.len().min(end + 1));
            payload
        };
        self.bytes -= payload.len();
        Plain { class, number, payload, gap }
    }
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many messages wait. The work is proportional to the packets that they came in.
    pub(super) fn len(&self) -> usize {
        let count = |entry: &Entry| match entry {
            Entry::One(_) => 1,
            Entry::Together(together) => together.left as usize,
        };
        self.0.iter().map(count).sum()
    }

    /// Their payloads' bytes.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |entry: &Entry| match entry {
            Entry::One(delivery) => delivery.payload.len(),
            Entry::Together(together) => together.bytes,
        };
        self.0.iter().map(bytes).sum()
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        self.0.push_back(Entry::One(delivery));
    }

    /// Appends the messages of `run`, numbered from `number` on, `gap` being the number of ordered ones before it that will never come.
    #[inline]
    pub(super) fn push_run(
        &mut self,
        class: Class,
        number: u64,
        gap: u32,
        run: &PlainRun<'_>,
        arena: &mut Arena,
    ) {
        let body = run.body();
        if run.count == 1 {
            let payload = arena.copy(body);
            return self.push(Delivery { class, id: number, kind: Kind::OneWay, payload, gap, said: None });
        }
        if body.len() > TOGETHER {
            return self.push_parts(class, number, gap, run, arena);
        }
        let (left, bytes, body) = (run.count, run.bytes, arena.copy(body));
        self.0.push_back(Entry::Together(Together { class, number, gap, left, bytes, body, is_tail: true }));
    }

    /// The same for a long one.
    #[inline(never)]
    fn push_parts(&mut self, class: Class, number: u64, gap: u32, run: &PlainRun<'_>, arena: &mut Arena) {
        let (mut part, mut at) = (0..0, 0);
        let mut next = Together { class, number, gap, left: 0, bytes: 0, body: Bytes::new(), is_tail: false };
        for place in run.payloads() {
            if next.left > 0 && place.end - part.start > TOGETHER {
                let following = Together {
                    number: next.number + u64::from(next.left),
                    gap: 0,
                    left: 0,
                    bytes: 0,
                    ..next.clone()
                };
                let body = arena.copy(&run.body()[part]);
                self.0.push_back(Entry::Together(Together { body, ..mem::replace(&mut next, following) }));
                part = at..at;
            }
            next.left += 1;
            next.bytes += place.len();
            part.end = place.end;
            // Behind it comes the type of the next.
            at = place.end + 1;
        }
        let body = arena.copy(&run.body()[part]);
        self.0.push_back(Entry::Together(Together { body, is_tail: true, ..next }));
    }

    pub(super) fn pop(&mut self) -> Option<Delivery> {
        if let Some(Plain { class, number: id, payload, gap }) = self.pop_plain() {
            return Some(Delivery { class, id, kind: Kind::OneWay, payload, gap, said: None });
        }
        match self.0.pop_front()? {
            Entry::One(delivery) => Some(delivery),
            Entry::Together(_) => None,
        }
    }

    /// The next message, when it says nothing beside its payload.
    #[expect(clippy::inline_always, reason = "every message goes through here, and would be moved each time")]
    #[inline(always)]
    pub(super) fn pop_plain(&mut self) -> Option<Plain> {
        match self.0.front_mut()? {
            Entry::Together(together) => {
                let plain = together.pop();
                if together.left == 0 {
                    self.0.pop_front();
                }
                Some(plain)
            }
            Entry::One(next) if next.is_plain() => match self.0.pop_front()? {
                Entry::One(Delivery { class, id: number, payload, gap, .. }) => {
                    Some(Plain { class, number, payload, gap })
                }
                Entry::Together(_) => None,
            },
            Entry::One(_) => None,
        }
    }

    pub(super) fn shrink(&mut self) {
        self.0.shrink_to(0);
    }
}

crate::sleep::saved!(Ready(_));

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Ready, TOGETHER};
    use crate::Class;
    use crate::arena::Arena;
    use crate::wire::{PlainRun, RecordWriter, WireId};

    quickcheck::quickcheck! {
        /// However many and however long, each is what it was, and nothing holds more than it must.
        fn what_came_together_is_told_apart(lens: Vec<u16>, plain: bool) -> bool {
            let lens: Vec<_> = lens.into_iter().map(|len| usize::from(len) % if plain { 200 } else { 6000 }).collect();
            let payloads: Vec<_> = lens.iter().zip(0..).map(|(&len, fill)| alloc::vec![fill; len]).collect();
            let mut record = Vec::new();
            let mut writer = RecordWriter::new(&mut record);
            for (index, payload) in payloads.iter().enumerate() {
                let id = if index == 0 { WireId::Low16(7) } else { WireId::Next };
                writer.write_plain(2, 0, id, payload, index + 1 == payloads.len());
            }
            let Some(run) = PlainRun::read(&record) else { return payloads.is_empty() };
            let (mut ready, mut arena) = (Ready::default(), Arena::default());
            ready.push_run(Class::ReliableOrdered, 7, 3, &run, &mut arena);
            let is_counted = (ready.len(), ready.bytes()) == (payloads.len(), lens.iter().sum());
            let is_split = ready.0.len() >= record.len() / (2 * TOGETHER + 6000);
            let taken = payloads.iter().zip(7..).all(|(payload, number)| {
                let gap = if number == 7 { 3 } else { 0 };
                ready.pop_plain().is_some_and(|plain| {
                    plain.payload == *payload && (plain.number, plain.gap) == (number, gap)
                })
            });
            is_counted && is_split && taken && ready.is_empty() && ready.bytes() == 0
        }
    }
}
