//! A log of numbered slots that many clients append to and many readers read.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::oracle::Check;

/// A promise that a log may make. The names of the Jepsen and Maelstrom tests are in brackets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// A slot holds one entry, the same for every reader and in every acknowledgement, for ever. Together with
    /// [`NoGaps`](Self::NoGaps) all readers' logs are prefixes of one log. (inconsistent offsets)
    Agreement,
    /// A reader gets slot k only directly after k - 1. (skip, internal or external)
    NoGaps,
    /// A reader never gets a slot again or goes back, and the length that a client reads never falls.
    /// (non-monotonic poll)
    MonotonicReads,
    /// An append is in at most one slot, and acknowledged with no other. (duplicate)
    ExactlyOnce,
    /// What is in the log was appended, and was not refused.
    NoInvention,
    /// The entry that is read is the one that was appended, byte for byte.
    Integrity,
    /// Every acknowledged append is read, by every reader, before the end. (lost write, unobserved)
    NoLoss,
    /// If A was acknowledged before B was invoked, A has the lower slot. (linearizable append)
    RealTime,
    /// The slots of one client's appends rise with their sequence numbers. (per-client FIFO)
    ClientOrder,
    /// A client that reads after the acknowledgement of its append sees it.
    ReadYourWrites,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 10] = [
        Self::Agreement,
        Self::NoGaps,
        Self::MonotonicReads,
        Self::ExactlyOnce,
        Self::NoInvention,
        Self::Integrity,
        Self::NoLoss,
        Self::RealTime,
        Self::ClientOrder,
        Self::ReadYourWrites,
    ];

    /// Its name in failures: `exactly-once`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::NoGaps => "no-gaps",
            Self::MonotonicReads => "monotonic-reads",
            Self::ExactlyOnce => "exactly-once",
            Self::NoInvention => "no-invention",
            Self::Integrity => "integrity",
            Self::NoLoss => "no-loss",
            Self::RealTime => "real-time",
            Self::ClientOrder => "client-order",
            Self::ReadYourWrites => "read-your-writes",
        }
    }
}

/// What a log promises.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSpec {
    rules: BTreeSet<Rule>,
    first_slot: u64,
}

impl LogSpec {
    /// All rules; the first slot is 0.
    pub fn all() -> Self {
        Self { rules: Rule::ALL.into(), first_slot: 0 }
    }

    /// Only these rules.
    pub fn only(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), first_slot: 0 }
    }

    /// All but this rule.
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Self {
        self.rules.remove(&rule);
        self
    }

    /// The number of the first slot.
    #[must_use]
    pub fn first_slot(self, slot: u64) -> Self {
        Self { first_slot: slot, ..self }
    }
}

/// (client, sequence number) of an append.
type Op = (u64, u64);

/// Where an entry was seen, for witnesses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    step: u64,
    /// `None`: in an acknowledgement.
    reader: Option<u64>,
}

#[derive(Clone, Debug)]
struct Slot {
    op: Op,
    seen: Seen,
    /// The body as the first reader got it, and who that was.
    body: Option<(u64, Seen)>,
}

#[derive(Clone, Debug, Default)]
struct Append {
    invoked: Option<Invoked>,
    rejected: Option<u64>,
    placed: Option<(u64, Seen)>,
    acked: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Invoked {
    step: u64,
    body: u64,
    /// The greatest slot acknowledged before, and the step of that acknowledgement.
    floor: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Reader {
    next: u64,
    step: u64,
}

#[derive(Clone, Debug, Default)]
struct Client {
    /// Slots by sequence number.
    slots: BTreeMap<u64, u64>,
    /// The greatest slot acknowledged to it, and when.
    acked: Option<(u64, u64)>,
    /// The longest read, and when.
    read: Option<(u64, u64)>,
}

/// Follows the history of one log and says at once when a rule is broken: O(log n) for each call.
///
/// Each call returns the rule that it broke, with the conflicting steps as witness (steps are numbered from
/// 1, one a call). [`finally`](Self::finally) repeats the first failure, so that the results in between may
/// also be dropped. Bodies are given as hashes. An append without an answer stays open for ever: it may still
/// take effect.
#[derive(Clone, Debug)]
pub struct SlotLog {
    spec: LogSpec,
    step: u64,
    slots: BTreeMap<u64, Slot>,
    appends: BTreeMap<Op, Append>,
    clients: BTreeMap<u64, Client>,
    readers: BTreeMap<u64, Reader>,
    last_acked: Option<(u64, u64)>,
    broken: Option<String>,
}

impl SlotLog {
    /// An empty history.
    pub fn new(spec: LogSpec) -> Self {
        Self {
            spec,
            step: 0,
            slots: BTreeMap::new(),
            appends: BTreeMap::new(),
            clients: BTreeMap::new(),
            readers: BTreeMap::new(),
            last_acked: None,
            broken: None,
        }
    }

    /// A client appends. Repetitions of an append are not new ones: only the first counts.
    pub fn invoke(&mut self, client: u64, seq: u64, body: u64) -> Check {
        self.step += 1;
        let invoked = Invoked { step: self.step, body, floor: self.last_acked };
        self.appends.entry((client, seq)).or_default().invoked.get_or_insert(invoked);
        Ok(())
    }

    /// A client is told that its append is in this slot.
    pub fn acked(&mut self, client: u64, seq: u64, slot: u64) -> Check {
        self.step += 1;
        let step = self.step;
        let check = self.claim((client, seq), slot, None, None);
        self.appends.entry((client, seq)).or_default().acked.get_or_insert((slot, step));
        let later = |old: Option<(u64, u64)>| old.filter(|(old, _)| *old >= slot).or(Some((slot, step)));
        self.last_acked = later(self.last_acked);
        let client = self.clients.entry(client).or_default();
        client.acked = later(client.acked);
        self.note(check)
    }

    /// A client is told that its append was refused: it must never be in the log.
    pub fn rejected(&mut self, client: u64, seq: u64) -> Check {
        self.step += 1;
        let step = self.step;
        let append = self.appends.entry((client, seq)).or_default();
        append.rejected.get_or_insert(step);
        let check = match append.placed {
            Some((slot, seen)) => self.broke(Rule::NoInvention, || {
                format!("step {step}: {client}#{seq} was rejected, but {} in slot {slot}", it_was(seen))
            }),
            None => Ok(()),
        };
        self.note(check)
    }

    /// A reader gets the entry of a slot.
    pub fn deliver(&mut self, reader: u64, slot: u64, client: u64, seq: u64, body: u64) -> Check {
        self.step += 1;
        let order = self.in_order(reader, slot);
        let claim = self.claim((client, seq), slot, Some(reader), Some(body));
        self.note(order.and(claim))
    }

    /// A reader (new, or connected again) announces that it goes on from this slot. Without this a reader
    /// starts at the first.
    pub fn reader_starts(&mut self, reader: u64, slot: u64) -> Check {
        self.step += 1;
        self.readers.insert(reader, Reader { next: slot, step: self.step });
        Ok(())
    }

    /// A reader is gone for good: it need not read to the end.
    pub fn reader_gone(&mut self, reader: u64) -> Check {
        self.step += 1;
        self.readers.remove(&reader);
        Ok(())
    }

    /// A client reads the log at once and finds all slots below `next`.
    pub fn read(&mut self, client: u64, next: u64) -> Check {
        self.step += 1;
        let step = self.step;
        let known = self.clients.entry(client).or_default();
        let (acked, read) = (known.acked, known.read);
        known.read = read.filter(|(longest, _)| *longest >= next).or(Some((next, step)));
        let reads = || format!("step {step}: client {client} reads below slot {next}");
        let own = match acked {
            Some((slot, when)) if slot >= next => {
                let witness = || format!("{}, but step {when} acknowledged its slot {slot}", reads());
                self.broke(Rule::ReadYourWrites, witness)
            }
            _ => Ok(()),
        };
        let back = match read {
            Some((longest, when)) if longest > next => {
                let witness = || format!("{}, but read below {longest} in step {when}", reads());
                self.broke(Rule::MonotonicReads, witness)
            }
            _ => Ok(()),
        };
        self.note(own.and(back))
    }

    /// The end of the history, when everything should have been read: the first failure, or what was lost.
    pub fn finally(&self) -> Check {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        for ((client, seq), append) in &self.appends {
            let Some((slot, step)) = append.acked else { continue };
            let read = self.slots.get(&slot).is_some_and(|at| at.body.is_some());
            if !read {
                let text = || {
                    format!(
                        "step {step} acknowledged {client}#{seq} in slot {slot}, and no reader got that slot"
                    )
                };
                self.broke(Rule::NoLoss, text)?;
            }
            let behind = self.readers.iter().find(|(_, reader)| reader.next <= slot);
            if let Some((name, Reader { next, .. })) = behind {
                let text = || {
                    format!(
                        "step {step} acknowledged {client}#{seq} in slot {slot}, and reader {name} still waits for \
                         slot {next}"
                    )
                };
                self.broke(Rule::NoLoss, text)?;
            }
        }
        Ok(())
    }

    /// The slot after the last that a reader got.
    pub fn reader_next(&self, reader: u64) -> u64 {
        self.readers.get(&reader).map_or(self.spec.first_slot, |reader| reader.next)
    }

    fn broke(&self, rule: Rule, witness: impl FnOnce() -> String) -> Check {
        if self.spec.rules.contains(&rule) { Err(format!("{}: {}", rule.name(), witness())) } else { Ok(()) }
    }

    fn note(&mut self, check: Check) -> Check {
        if let Err(why) = &check {
            self.broken.get_or_insert_with(|| why.clone());
        }
        check
    }

    fn in_order(&mut self, reader: u64, slot: u64) -> Check {
        let step = self.step;
        let start = Reader { next: self.spec.first_slot, step: 0 };
        let Reader { next, step: before } =
            self.readers.insert(reader, Reader { next: slot.saturating_add(1), step }).unwrap_or(start);
        let rule = match slot.cmp(&next) {
            Ordering::Less => Rule::MonotonicReads,
            Ordering::Equal => return Ok(()),
            Ordering::Greater => Rule::NoGaps,
        };
        let witness = || {
            format!("step {step}: reader {reader} gets slot {slot}, after step {before} slot {next} was next")
        };
        self.broke(rule, witness)
    }

    /// Somebody says that this append is in this slot.
    fn claim(&mut self, op: Op, slot: u64, reader: Option<u64>, body: Option<u64>) -> Check {
        let seen = Seen { step: self.step, reader };
        let checks = [
            self.agrees(op, slot, seen, body),
            self.once(op, slot, seen),
            self.invoked(op, slot, seen, body),
            self.client_order(op, slot, seen),
        ];
        self.appends.entry(op).or_default().placed.get_or_insert((slot, seen));
        checks.into_iter().collect()
    }

    fn agrees(&mut self, op: Op, slot: u64, seen: Seen, body: Option<u64>) -> Check {
        let known = self.slots.entry(slot).or_insert_with(|| Slot { op, seen, body: None });
        let before = known.body;
        known.body = before.or(body.map(|body| (body, seen)));
        let (other, first) = (known.op, known.seen);
        if other != op {
            let witness = || {
                format!(
                    "{} {}#{} in slot {slot}, but {} {}#{} there",
                    it_is(seen),
                    op.0,
                    op.1,
                    it_was(first),
                    other.0,
                    other.1
                )
            };
            return self.broke(Rule::Agreement, witness);
        }
        match (before, body) {
            (Some((other, first)), Some(body)) if other != body => {
                let witness = || {
                    format!(
                        "{} body {body:#x} in slot {slot}, but {} body {other:#x} there",
                        it_is(seen),
                        it_was(first)
                    )
                };
                self.broke(Rule::Agreement, witness)
            }
            _ => Ok(()),
        }
    }

    fn once(&self, op: Op, slot: u64, seen: Seen) -> Check {
        match self.appends.get(&op).and_then(|append| append.placed) {
            Some((other, first)) if other != slot => {
                let (client, seq) = op;
                let witness = || {
                    format!(
                        "{} {client}#{seq} in slot {slot}, but {} in slot {other}",
                        it_is(seen),
                        it_was(first)
                    )
                };
                self.broke(Rule::ExactlyOnce, witness)
            }
            _ => Ok(()),
        }
    }

    fn invoked(&self, op: Op, slot: u64, seen: Seen, body: Option<u64>) -> Check {
        let (client, seq) = op;
        let append = self.appends.get(&op);
        if let Some(step) = append.and_then(|append| append.rejected) {
            let witness =
                || format!("{} {client}#{seq} in slot {slot}, but step {step} rejected it", it_is(seen));
            self.broke(Rule::NoInvention, witness)?;
        }
        let Some(Invoked { step, body: appended, floor }) = append.and_then(|append| append.invoked) else {
            let witness =
                || format!("{} {client}#{seq} in slot {slot}, but nobody has appended it", it_is(seen));
            return self.broke(Rule::NoInvention, witness);
        };
        if let Some(body) = body.filter(|body| *body != appended) {
            let witness = || {
                format!(
                    "{} {client}#{seq} with body {body:#x}, but step {step} appended {appended:#x}",
                    it_is(seen)
                )
            };
            self.broke(Rule::Integrity, witness)?;
        }
        match floor {
            Some((lower, acked)) if slot <= lower => {
                let witness = || {
                    format!(
                        "{} {client}#{seq} in slot {slot}, but it was invoked in step {step}, after step {acked} \
                         acknowledged slot {lower}",
                        it_is(seen)
                    )
                };
                self.broke(Rule::RealTime, witness)
            }
            _ => Ok(()),
        }
    }

    fn client_order(&mut self, (client, seq): Op, slot: u64, seen: Seen) -> Check {
        let slots = &mut self.clients.entry(client).or_default().slots;
        let slot = *slots.entry(seq).or_insert(slot);
        let before = slots.range(..seq).next_back().filter(|(_, other)| **other >= slot);
        let after = slots
            .range(seq.saturating_add(1)..)
            .find(|(other, _)| **other != seq)
            .filter(|(_, other)| **other <= slot);
        let Some((&other, &at)) = before.or(after) else { return Ok(()) };
        let witness =
            || format!("{} {client}#{seq} in slot {slot}, but {client}#{other} is in slot {at}", it_is(seen));
        self.broke(Rule::ClientOrder, witness)
    }
}

fn it_is(Seen { step, reader }: Seen) -> String {
    match reader {
        Some(reader) => format!("step {step}: reader {reader} gets"),
        None => format!("step {step}: acknowledged is"),
    }
}

fn it_was(Seen { step, reader }: Seen) -> String {
    match reader {
        Some(reader) => format!("in step {step} reader {reader} got it"),
        None => format!("step {step} acknowledged it"),
    }
}
