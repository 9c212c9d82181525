//! Numbers of messages of which only the low bits travel (docs/spec/wire.md, section 5.2).

/// The number whose low `bits` are `low` and that lies in `(expected + ahead - 2^bits, expected + ahead]`.
pub(super) fn expand(expected: u64, low: u64, bits: u32, ahead: u64) -> u64 {
    let window = 1_u64 << bits;
    let highest = expected + ahead;
    let candidate = highest & !(window - 1) | low;
    if candidate > highest { candidate.checked_sub(window).unwrap_or(candidate) } else { candidate }
}

#[cfg(test)]
mod tests {
    use super::expand;
    use crate::channel::outbox::LOW16_AHEAD;

    quickcheck::quickcheck! {
        fn a_number_in_the_window_survives(expected: u64, back: u16) -> bool {
            let expected = expected >> 2;
            let highest = expected + LOW16_AHEAD;
            let id = highest.saturating_sub(back.into());
            expand(expected, id & 0xFFFF, 16, LOW16_AHEAD) == id
        }
    }
}
