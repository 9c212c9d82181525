//! Who is measured over real links.

use super::Workload;

/// A stack over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    RawUdp,
    BowlineUdp,
    Enet,
    Quinn,
    /// Raw UDP, and Bowline on threads, that ask over and over instead of sleeping.
    RawSpin,
    BowlineSpin,
    RawTcp,
    BowlineTcp,
    Codec,
    RawUds,
    BowlineUds,
    BowlineWs,
    Tungstenite,
}

impl Stack {
    /// The raw one of a kind of link comes before the others.
    pub(super) const ALL: [Self; 13] = [
        Self::RawUdp,
        Self::BowlineUdp,
        Self::Enet,
        Self::Quinn,
        Self::RawSpin,
        Self::BowlineSpin,
        Self::RawTcp,
        Self::BowlineTcp,
        Self::Codec,
        Self::BowlineWs,
        Self::Tungstenite,
        Self::RawUds,
        Self::BowlineUds,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RawUdp => "raw-udp",
            Self::BowlineUdp => "bowline-udp",
            Self::Enet => "enet-udp",
            Self::Quinn => "quinn-udp",
            Self::RawSpin => "raw-spin",
            Self::BowlineSpin => "bowline-spin",
            Self::RawTcp => "raw-tcp",
            Self::BowlineTcp => "bowline-tcp",
            Self::Codec => "codec-tcp",
            Self::RawUds => "raw-uds",
            Self::BowlineUds => "bowline-uds",
            Self::BowlineWs => "bowline-ws",
            Self::Tungstenite => "tungstenite-ws",
        }
    }

    /// The kind of socket below.
    pub(super) const fn link(self) -> &'static str {
        match self {
            Self::RawUdp | Self::BowlineUdp | Self::Enet | Self::Quinn => "udp",
            Self::RawSpin | Self::BowlineSpin => "spin",
            Self::RawTcp | Self::BowlineTcp | Self::Codec | Self::BowlineWs | Self::Tungstenite => "tcp",
            Self::RawUds | Self::BowlineUds => "uds",
        }
    }

    pub(super) const fn is_raw(self) -> bool {
        matches!(self, Self::RawUdp | Self::RawSpin | Self::RawTcp | Self::RawUds)
    }

    /// Whether it can do that at all.
    pub(super) fn offers(self, workload: Workload, size: usize) -> bool {
        match workload {
            _ if self.link() == "spin" => workload == Workload::RoundTrip,
            Workload::RoundTrip | Workload::Outstanding => true,
            Workload::Ordered => self != Self::RawUdp || size <= 1 << 10,
            Workload::Unreliable => self.link() == "udp",
            Workload::FanOut => !self.is_raw(),
            Workload::Idle => !self.is_raw() && self != Self::Enet,
        }
    }
}
