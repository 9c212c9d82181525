//! A map from hashed keys to counters. Its order is never looked at, so it cannot leak into a run.

/// Open addressing with linear probing; keys are hashes already. Grows at half load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    slots: Vec<(u64, u32)>,
    used: usize,
}

impl Table {
    /// The value of `key`, made 0 if it was absent.
    pub(crate) fn entry(&mut self, key: u64) -> &mut u32 {
        let key = key.max(1);
        if self.slots.len() <= self.used * 2 {
            self.grow();
        }
        let index = self.find(key);
        let slot = &mut self.slots[index];
        if slot.0 == 0 {
            slot.0 = key;
            self.used += 1;
        }
        &mut slot.1
    }

    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut index = (key >> 16) as usize & mask;
        while self.slots[index].0 != key && self.slots[index].0 != 0 {
            index = (index + 1) & mask;
        }
        index
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for slot in old.into_iter().filter(|slot| slot.0 != 0) {
            let index = self.find(slot.0);
            self.slots[index] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prf::mix;

    #[test]
    fn counts_like_a_map() {
        let mut table = Table::default();
        let mut model = std::collections::BTreeMap::new();
        for i in 0..5_000_u64 {
            let key = mix(i % 700);
            *table.entry(key) += 1;
            *model.entry(key).or_insert(0_u32) += 1;
        }
        for (key, count) in model {
            assert_eq!(*table.entry(key), count);
        }
    }

    #[test]
    fn key_zero_is_a_key() {
        let mut table = Table::default();
        *table.entry(0) += 5;
        assert_eq!(*table.entry(0), 5);
    }
}
