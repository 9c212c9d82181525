//! How many receipts a connection keeps, owed and given (docs/spec/channels.md, section 8).

use super::Receipts;
use super::table::Channels;
use crate::{ChannelId, Config};

/// Refusals that a connection keeps at least, beside its receipts: what its peer queues on a channel by default.
const REFUSALS: usize = 1024;

/// The most reliable messages that credit is given for: a quarter of the receipts is for those that need none.
pub(super) fn reliable_receipts(config: &Config) -> usize {
    config.max_receipts - config.max_receipts / 4
}

impl Channels {
    /// Lets `change` touch the receipts of a channel; reliable messages get no more credit than there is room for their receipts.
    pub(crate) fn answer<T>(
        &mut self,
        config: &Config,
        id: ChannelId,
        change: impl FnOnce(&mut Receipts) -> T,
    ) -> Option<T> {
        let receipts = &mut self.get_mut(id)?.extra.get_or_insert_default().receipts;
        let before = receipts.len();
        let result = change(receipts);
        let after = receipts.len();
        self.receipts = self.receipts + after - before;
        self.reserve_receipts(config);
        Some(result)
    }

    /// Receipts that are kept, and those that unreliable messages will need which wait for the application.
    fn receipts_needed(&self) -> usize {
        self.receipts + self.asking
    }

    pub(super) fn reserve_receipts(&mut self, config: &Config) {
        let room = config.max_receipts.saturating_sub(self.receipts_needed());
        let most = config.session_messages.min(reliable_receipts(config)).min(room);
        if self.session_receive.hold_messages(most as u64) {
            self.session_credit_due |= self.session_receive.is_due();
        }
    }

    /// Whether there is room for the receipt of another unreliable message, all credit that was given being used.
    pub(crate) fn has_room_for_receipt(&self, config: &Config) -> bool {
        self.receipts_expected() < config.max_receipts as u64
    }

    /// Whether there is room to refuse one: a quarter more than for those that are owed, or [`REFUSALS`].
    pub(crate) fn has_room_for_refusal(&self, config: &Config) -> bool {
        let refusals = (config.max_receipts / 4).max(REFUSALS);
        self.receipts_expected() < (config.max_receipts + refusals) as u64
    }

    fn receipts_expected(&self) -> u64 {
        self.receipts_needed() as u64 + self.session_receive.unreleased_messages()
    }
}
