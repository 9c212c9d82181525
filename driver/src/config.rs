//! What adapters add to the core's settings.

use std::io;

use proto_core::{ConfigBuilder, Link};

/// UDP as the core sees it: packets of at most 1200 bytes, which every path of the internet carries whole.
pub const LINK: Link = Link::datagram(1200);

/// Connections that wait to be accepted at most.
pub(crate) const BACKLOG: usize = 1024;

/// The same settings with the checksum computed by the processor, where it can. Endpoints of adapters do this themselves; it is
/// for those who run a machine of their own.
pub fn config(mut builder: ConfigBuilder) -> ConfigBuilder {
    builder.checksum = crc32c::crc32c_append;
    builder
}

/// Randomness of the operating system, for a machine's seed.
pub fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use proto_core::ConfigBuilder;

    #[test]
    fn the_processor_computes_what_the_table_does() {
        let bytes: Vec<u8> = (0..3000_u32).map(|i| (i * 31 % 251) as u8).collect();
        let (table, processor) =
            (ConfigBuilder::default().checksum, super::config(ConfigBuilder::default()).checksum);
        for len in (0..64).chain([1199, 1200, 3000]) {
            for start in [0, 1, u32::MAX] {
                assert_eq!(processor(start, &bytes[..len]), table(start, &bytes[..len]), "{start} {len}");
            }
        }
    }
}
