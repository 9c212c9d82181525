//! What is measured, and with whom.

use crate::messages::{Check, Messages};
use crate::pair::{Baseline, Bowline, CRC, Class, Enet, Kcp, Pair, Protection, Quinn, no_crc};

/// One kind of traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Its name here and in performance figures.
    pub(crate) name: &'static str,
    /// Payload bytes.
    pub(crate) size: usize,
    /// Messages that are outstanding at most.
    pub(crate) batch: u64,
    pub(crate) traffic: Traffic,
    /// Messages for a stack that takes a microsecond for each, in a repetition.
    pub(crate) count: u64,
}

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    OneWay(Class),
    /// Each is sent back.
    Echo,
}

/// All of them.
pub(crate) const WORKLOADS: [Workload; 8] = [
    Workload { name: "w7", size: 1024, batch: 64, traffic: Traffic::OneWay(Class::Reliable), count: 60_000 },
    Workload {
        name: "w2-64",
        size: 64,
        batch: 512,
        traffic: Traffic::OneWay(Class::Reliable),
        count: 200_000,
    },
    Workload {
        name: "w2-16k",
        size: 16 << 10,
        batch: 8,
        traffic: Traffic::OneWay(Class::Reliable),
        count: 6000,
    },
    Workload {
        name: "w2-256k",
        size: 256 << 10,
        batch: 1,
        traffic: Traffic::OneWay(Class::Reliable),
        count: 400,
    },
    Workload {
        name: "w3-64",
        size: 64,
        batch: 512,
        traffic: Traffic::OneWay(Class::Unreliable),
        count: 200_000,
    },
    Workload {
        name: "w3-1k",
        size: 1024,
        batch: 64,
        traffic: Traffic::OneWay(Class::Unreliable),
        count: 60_000,
    },
    Workload { name: "w1", size: 64, batch: 1, traffic: Traffic::Echo, count: 20_000 },
    Workload { name: "w4", size: 64, batch: 64, traffic: Traffic::Echo, count: 60_000 },
];

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Baseline,
    Bowline,
    BowlineCrc,
    BowlineAes,
    Kcp,
    Enet,
    Quinn,
    QuinnAes,
}

impl Stack {
    pub(crate) const ALL: [Self; 8] = [
        Self::Baseline,
        Self::Bowline,
        Self::BowlineCrc,
        Self::BowlineAes,
        Self::Kcp,
        Self::Enet,
        Self::Quinn,
        Self::QuinnAes,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "copy",
            Self::Bowline => "bowline",
            Self::BowlineCrc => "bowline+crc",
            Self::BowlineAes => "bowline+aes",
            Self::Kcp => "kcp",
            Self::Enet => "enet",
            Self::Quinn => "quinn-plain",
            Self::QuinnAes => "quinn-aes",
        }
    }

    /// Whether it can do that at all.
    pub(crate) fn offers(self, workload: &Workload) -> bool {
        match self {
            Self::Kcp => workload.traffic != Traffic::OneWay(Class::Unreliable) && workload.size <= 64 << 10,
            Self::Baseline => workload.traffic != Traffic::Echo,
            _ => true,
        }
    }

    /// Two ends of it that have just connected.
    pub(crate) fn start<'a>(self, messages: &'a Messages, workload: Workload) -> Box<dyn Run + 'a> {
        match self {
            Self::Baseline => run(Baseline::default(), messages, workload),
            Self::Bowline => run(Bowline::new(no_crc, false), messages, workload),
            Self::BowlineCrc => run(Bowline::new(CRC, false), messages, workload),
            Self::BowlineAes => run(Bowline::new(CRC, true), messages, workload),
            Self::Kcp => run(Kcp::new(), messages, workload),
            Self::Enet => run(Enet::new(), messages, workload),
            Self::Quinn => run(Quinn::new(Protection::None), messages, workload),
            Self::QuinnAes => run(Quinn::new(Protection::Aes), messages, workload),
        }
    }
}

/// A connected pair under a workload.
pub(crate) trait Run {
    /// Carries `count` more messages and checks them. They are many enough for the loop around to cost nothing.
    fn messages(&mut self, count: u64);
}

struct Running<'a, P> {
    pair: P,
    messages: &'a Messages,
    workload: Workload,
    done: u64,
}

fn run<'a>(pair: impl Pair + 'a, messages: &'a Messages, workload: Workload) -> Box<dyn Run + 'a> {
    Box::new(Running { pair, messages, workload, done: 0 })
}

impl<P: Pair> Run for Running<'_, P> {
    fn messages(&mut self, count: u64) {
        let Self { pair, messages, workload, done } = self;
        let mut check = Check::new(messages, *done);
        let (mut sent, end) = (*done, *done + count);
        let mut stalled = 0;
        while check.number() < end {
            let before = check.number();
            let mut waiting =
                (sent..end.min(check.number() + workload.batch)).map(|number| messages.get(number));
            sent += match workload.traffic {
                Traffic::OneWay(class) => pair.send_all(class, waiting),
                Traffic::Echo => {
                    let mut asked = 0;
                    while waiting.next().is_some_and(|message| pair.ask(message)) {
                        asked += 1;
                    }
                    asked
                }
            };
            pair.exchange();
            match workload.traffic {
                Traffic::OneWay(_) => pair.receive(&mut check),
                Traffic::Echo => {
                    pair.answer();
                    pair.exchange();
                    pair.receive_answers(&mut check);
                }
            }
            stalled = if check.number() == before { stalled + 1 } else { 0 };
            assert!(stalled < 10_000, "nothing arrives any more");
        }
        *done = end;
    }
}
