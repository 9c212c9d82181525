//! HyStart++ (RFC 9406): slow start ends when the round trips grow, before the queue is full.

use core::time::Duration;

use super::Acked;

const MIN_THRESHOLD: Duration = Duration::from_millis(4);
const MAX_THRESHOLD: Duration = Duration::from_millis(16);
const MIN_SAMPLES: u32 = 8;
/// Conservative slow start grows the window by this part of what slow start would.
const GROWTH_DIVISOR: u64 = 4;
const CONSERVATIVE_ROUNDS: u32 = 5;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HyStart {
    /// The round ends when this much has been delivered.
    round_end: u64,
    last_min: Option<Duration>,
    this_min: Option<Duration>,
    samples: u32,
    /// The round trip time that began conservative slow start, and its rounds so far.
    conservative: Option<(Duration, u32)>,
}

/// What an ACK in slow start means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// The window grows by so many bytes.
    By(u64),
    /// Slow start is over.
    Over,
}

impl HyStart {
    pub(super) fn on_acked(&mut self, acked: &Acked) -> Growth {
        if acked.delivered_at_send >= self.round_end {
            self.round_end = acked.delivered;
            self.last_min = self.this_min.take();
            self.samples = 0;
            if let Some((_, rounds)) = &mut self.conservative {
                *rounds += 1;
                if *rounds > CONSERVATIVE_ROUNDS {
                    return Growth::Over;
                }
            }
        }
        if let Some(rtt) = acked.rtt {
            self.this_min = Some(self.this_min.map_or(rtt, |min| min.min(rtt)));
            self.samples += 1;
        }
        if self.samples >= MIN_SAMPLES
            && let (Some(this), Some(last)) = (self.this_min, self.last_min)
        {
            match self.conservative {
                None if this >= last + (last / 8).clamp(MIN_THRESHOLD, MAX_THRESHOLD) => {
                    self.conservative = Some((this, 0));
                }
                Some((baseline, _)) if this < baseline => self.conservative = None,
                _ => {}
            }
        }
        Growth::By(if self.conservative.is_some() { acked.bytes / GROWTH_DIVISOR } else { acked.bytes })
    }
}
