//! A newer message with the key of an older one takes its place (docs/spec/channels.md, section 7).

use super::{Channel, Ends, Settled};
use crate::{Class, Fate, Timestamp};

impl Channel {
    /// A newer message with this key comes: the older one goes, at once or when a piece of it is lost. Returns the one that goes on.
    pub(super) fn supersede_key(
        &mut self,
        now: Timestamp,
        key: Option<u64>,
        ends: &mut Ends,
    ) -> Option<(Class, u64)> {
        let (class, id) = key.and_then(|key| self.extra.as_mut()?.keys.remove(&key))?;
        let outbox = &mut self.outboxes[class as usize];
        // What is half out goes on: under load nothing would ever be finished otherwise.
        if outbox.is_unwritten(id) == Some(true) || outbox.is_lost(id) {
            let overtook = outbox.overtook(id);
            self.give_up(now, class, id, Fate::Superseded, ends);
            overtook
        } else {
            outbox.doom(id, Fate::Superseded);
            Some((class, id))
        }
    }

    /// A message that was to take the place of `overtook` was given up for another reason than a newer one.
    pub(super) fn restore_key(&mut self, class: Class, settled: &Settled, overtook: Option<(Class, u64)>) {
        let Some((key, older)) = settled.key.zip(overtook) else { return };
        let Some(extra) = &mut self.extra else { return };
        if let Some(&(newest_class, newest)) = extra.keys.get(&key) {
            let outbox = &mut self.outboxes[newest_class as usize];
            if outbox.overtook(newest) == Some((class, settled.id)) {
                outbox.set_overtook(newest, overtook);
            }
        } else if self.outboxes[older.0 as usize].reinstate(older.1) {
            extra.keys.insert(key, older);
        }
    }
}
