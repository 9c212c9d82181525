//! The largest packet that the path carries (DPLPMTUD, RFC 8899).

use core::time::Duration;

use crate::Timestamp;

/// Lost probes of one size after which it is taken for too large.
const TRIES: u8 = 3;
/// The search ends when what works and what does not are this close.
const CLOSE_ENOUGH: u16 = 20;
/// A search that found its end begins again after this.
const RAISE_AFTER: Duration = Duration::from_mins(10);
/// Large packets lost, while small ones arrived, after which the path is taken for a black hole.
const BLACK_HOLE: u32 = 3;
const COOLDOWN: Duration = Duration::from_mins(1);

/// The search of one direction. It goes on only while packets are full: nobody else has use for larger ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mtu {
    base: u16,
    limit: u16,
    current: u16,
    /// The smallest size that is known not to work, above all others at first.
    too_large: u32,
    /// The size of the probe under way.
    probe: Option<u16>,
    tries: u8,
    lost_large: u32,
    /// No search before this.
    rest_until: Timestamp,
    /// A packet was at least three quarters as large as it may be.
    full: bool,
}

impl Mtu {
    /// `base` bytes always work; more than `limit` are not tried.
    pub(crate) const fn new(base: u16, limit: u16) -> Self {
        let limit = if limit < base { base } else { limit };
        Self {
            base,
            limit,
            current: base,
            too_large: limit as u32 + 1,
            probe: None,
            tries: 0,
            lost_large: 0,
            rest_until: Timestamp::ZERO,
            full: false,
        }
    }

    /// The largest packet to send.
    pub(crate) const fn current(&self) -> u16 {
        self.current
    }

    pub(crate) const fn base(&self) -> u16 {
        self.base
    }

    /// A packet of `size` bytes with data in it goes out.
    pub(crate) const fn on_sent(&mut self, size: usize) {
        self.full |= size * 4 >= self.current as usize * 3;
    }

    /// The size of a probe that should go out now.
    pub(crate) fn wants_probe(&mut self, now: Timestamp) -> Option<u16> {
        if !self.full || self.probe.is_some() || now < self.rest_until || self.limit == self.base {
            return None;
        }
        let gap = self.too_large - u32::from(self.current);
        if gap <= u32::from(CLOSE_ENOUGH) && self.current < self.limit || self.current == self.limit {
            // Found. The path may carry more later.
            self.rest_until = now + RAISE_AFTER;
            self.too_large = u32::from(self.limit) + 1;
            self.full = false;
            return None;
        }
        // The limit first: it is what most paths carry.
        let is_open = self.too_large == u32::from(self.limit) + 1;
        Some(if is_open { self.limit } else { self.current + (gap / 2) as u16 })
    }

    pub(crate) const fn on_probe_sent(&mut self, size: u16) {
        self.probe = Some(size);
    }

    /// A probe arrived; `true` when packets may be larger from now on.
    pub(crate) fn on_probe_acked(&mut self, size: u16) -> bool {
        if self.probe == Some(size) {
            self.probe = None;
            self.tries = 0;
        }
        // One from before a black hole says nothing.
        let grows = size > self.current && u32::from(size) < self.too_large;
        if grows {
            self.current = size;
            self.lost_large = 0;
        }
        grows
    }

    pub(crate) fn on_probe_lost(&mut self, size: u16) {
        if self.probe != Some(size) {
            return;
        }
        self.probe = None;
        self.tries += 1;
        if self.tries >= TRIES {
            self.tries = 0;
            self.too_large = size.into();
        }
    }

    /// What became of packets larger than the base size, after something arrived; `true` when the path has become narrower.
    pub(crate) fn on_large(&mut self, now: Timestamp, acked: bool, lost: u32) -> bool {
        self.lost_large = if acked { 0 } else { self.lost_large.saturating_add(lost) };
        if self.lost_large < BLACK_HOLE || self.current == self.base {
            return false;
        }
        *self = Self { rest_until: now + COOLDOWN, ..Self::new(self.base, self.limit) };
        true
    }
}

crate::sleep::saved!(Mtu { base, limit, current, too_large, probe, tries, lost_large, rest_until, full });

#[cfg(test)]
mod tests {
    use super::Mtu;
    use crate::Timestamp;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    /// Searches on a path that carries `path` bytes; the sizes that were tried.
    fn search(mtu: &mut Mtu, now: Timestamp, path: u16) -> usize {
        let mut probes = 0;
        mtu.on_sent(mtu.current().into());
        while let Some(size) = mtu.wants_probe(now) {
            probes += 1;
            mtu.on_probe_sent(size);
            assert_eq!(mtu.wants_probe(now), None, "one at a time");
            if size <= path { assert!(mtu.on_probe_acked(size)) } else { mtu.on_probe_lost(size) }
        }
        probes
    }

    #[test]
    fn the_search_finds_what_the_path_carries() {
        for (path, limit, found) in [
            (1452, 1452, 1452..=1452),
            (9000, 1452, 1452..=1452),
            (1280, 1452, 1261..=1280),
            (1200, 1452, 1200..=1200),
            (65_507, 65_507, 65_507..=65_507),
            (8972, 65_507, 8953..=8972),
            (1472, 65_507, 1453..=1472),
        ] {
            let mut mtu = Mtu::new(1200, limit);
            let probes = search(&mut mtu, AT(0), path);
            assert!(found.contains(&mtu.current()), "{path}: {}", mtu.current());
            assert!(probes <= 40, "{probes}");
        }
    }

    #[test]
    fn only_who_fills_packets_searches_and_only_now_and_then() {
        let mut mtu = Mtu::new(1200, 1452);
        mtu.on_sent(600);
        assert_eq!(mtu.wants_probe(AT(0)), None);
        mtu.on_sent(900);
        assert_eq!(mtu.wants_probe(AT(0)), Some(1452));
        search(&mut mtu, AT(0), 1300);
        let found = mtu.current();
        mtu.on_sent(found.into());
        assert_eq!(mtu.wants_probe(AT(599_999)), None);
        search(&mut mtu, AT(600_000), 1452);
        assert_eq!(mtu.current(), 1452);
    }

    #[test]
    fn a_black_hole_leads_back_to_the_base() {
        let mut mtu = Mtu::new(1200, 1452);
        search(&mut mtu, AT(0), 1452);
        assert!(!mtu.on_large(AT(1), false, 2));
        assert!(!mtu.on_large(AT(2), true, 5), "a large one arrived");
        assert!(!mtu.on_large(AT(3), false, 2));
        assert!(mtu.on_large(AT(4), false, 1));
        assert_eq!(mtu.current(), 1200);
        mtu.on_sent(1200);
        assert_eq!(mtu.wants_probe(AT(60_000)), None, "it cools down");
        assert_eq!(search(&mut mtu, AT(60_004), 1452), 1);
        assert_eq!(mtu.current(), 1452);
    }

    #[test]
    fn a_limit_at_the_base_is_never_probed() {
        let mut mtu = Mtu::new(1400, 1200);
        mtu.on_sent(1400);
        assert_eq!((mtu.wants_probe(AT(0)), mtu.current()), (None, 1400));
    }
}
