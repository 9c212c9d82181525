//! Links with well-known names.

use super::{Bottleneck, Dist, Link, RateTrace};
use crate::time::{ms, secs, us};

/// The presets as data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Preset {
    /// [`Link::lan`]
    Lan,
    /// [`Link::wifi`]
    Wifi,
    /// [`Link::lte`]
    Lte,
    /// [`Link::cellular`]
    Cellular,
    /// [`Link::satellite`]
    Satellite,
    /// [`Link::mars`]
    Mars,
    /// [`Link::hostile`]
    Hostile,
}

impl Preset {
    /// All presets, the kindest first.
    pub const ALL: [Self; 7] =
        [Self::Lan, Self::Wifi, Self::Lte, Self::Cellular, Self::Satellite, Self::Mars, Self::Hostile];

    /// The link of this name.
    pub fn link(self) -> Link {
        match self {
            Self::Lan => Link::lan(),
            Self::Wifi => Link::wifi(),
            Self::Lte => Link::lte(),
            Self::Cellular => Link::cellular(),
            Self::Satellite => Link::satellite(),
            Self::Mars => Link::mars(),
            Self::Hostile => Link::hostile(),
        }
    }

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wifi => "wifi",
            Self::Lte => "lte",
            Self::Cellular => "cellular",
            Self::Satellite => "satellite",
            Self::Mars => "mars",
            Self::Hostile => "hostile",
        }
    }
}

impl Link {
    /// A switched network: 200 to 400 µs one way, no faults, datagrams up to 1,472 bytes.
    pub fn lan() -> Self {
        Self::new().delay(Dist::uniform(us(200)..us(400))).mtu(1_472)
    }

    /// A busy access point: 2 ms plus a tail of 3 ms on average; 1 % lost, 0.2 % repeated within 5 ms, 0.5 %
    /// held back by up to 20 ms.
    pub fn wifi() -> Self {
        Self::new()
            .delay(Dist::exp(ms(2), ms(3)))
            .loss(10_000)
            .duplicate(2_000, us(100)..ms(5))
            .reorder(5_000, ms(1)..ms(20))
            .mtu(1_472)
    }

    /// A mobile network: 25 ms plus a tail of 10 ms on average; 0.5 % lost, 1 % held back by up to 80 ms,
    /// datagrams up to 1,400 bytes.
    pub fn lte() -> Self {
        Self::new().delay(Dist::exp(ms(25), ms(10))).loss(5_000).reorder(10_000, ms(5)..ms(80)).mtu(1_400)
    }

    /// A geostationary satellite: 270 to 290 ms; good for 10 s and bad for 100 ms on average, when half is lost; 250,000
    /// bytes a second with a queue of 125,000 bytes (half a second); datagrams up to 1,400 bytes.
    pub fn satellite() -> Self {
        Self::new()
            .delay(Dist::uniform(ms(270)..ms(290)))
            .bursts(secs(10), ms(100), 500_000)
            .bottleneck(Bottleneck::new(250_000, 125_000))
            .mtu(1_400)
    }

    /// A mobile network whose rate varies: 25 ms with a heavy tail up to 300 ms (longer than 50 ms: 6 %); as fast as
    /// [`RateTrace::cell`], with a queue of 200,000 bytes (half a second); 0.1 % lost; datagrams up to 1,400 bytes.
    pub fn cellular() -> Self {
        Self::new()
            .delay(Dist::pareto(ms(25), 4_000, ms(300)))
            .loss(1_000)
            .bottleneck(Bottleneck::traced(RateTrace::cell(), 200_000))
            .mtu(1_400)
    }

    /// Between planets: 8 minutes, 0.1 % lost, 1 % damaged, 64,000 bytes a second with a queue of 1 MB.
    pub fn mars() -> Self {
        Self::new()
            .delay(Dist::fixed(secs(480)))
            .loss(1_000)
            .corrupt(10_000)
            .bottleneck(Bottleneck::new(64_000, 1_000_000))
            .mtu(1_400)
    }

    /// As bad as it gets: 5 to 60 ms; 30 % lost, 10 % repeated within 100 ms, 20 % held back by up to 200 ms,
    /// 1 % damaged, 0.5 % spliced, 0.5 % again 1 to 10 s later; datagrams up to 1,280 bytes.
    pub fn hostile() -> Self {
        Self::new()
            .delay(Dist::uniform(ms(5)..ms(60)))
            .loss(300_000)
            .duplicate(100_000, us(0)..ms(100))
            .reorder(200_000, ms(1)..ms(200))
            .corrupt(10_000)
            .splice(5_000)
            .replay(5_000, secs(1)..secs(10))
            .mtu(1_280)
    }
}
