//! What the channels of one side promise, and whether they have kept it.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::{Class, Fate, Message, MessageId, ReceiptKind, Received, RequestId, RequestOutcome};

pub(crate) const CHANNELS: usize = 3;
/// The channel whose newest sequenced message is repeated until it arrives.
pub(crate) const REPEATING: usize = 2;
pub(crate) const CLASSES: [Class; 4] = Class::ALL;
/// Channel, class and number of a message.
const HEAD: usize = 6;

/// What a message asks for beside its class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    receipt: ReceiptKind,
    key: Option<u64>,
    /// It may be given up.
    is_mortal: bool,
}

impl Terms {
    pub(crate) fn of(message: &Message) -> Self {
        let is_mortal = message.lifetime.is_some() || message.max_retransmits.is_some();
        Self { receipt: message.receipt, key: message.key, is_mortal }
    }

    /// The message with the terms that the bits of `which` name.
    pub(crate) fn put(mut message: Message, which: u8, value: u8) -> Message {
        if which & 1 != 0 {
            message = message.lifetime(Duration::from_millis(8 * u64::from(value)));
        }
        if which & 2 != 0 {
            message = message.key(u64::from(value % 4));
        }
        if which & 4 != 0 {
            message = message.max_retransmits(u32::from(value % 3));
        }
        match which >> 3 & 3 {
            1 => message.receipt(),
            2 => message.receipt_of_processing(),
            _ => message,
        }
    }
}

#[derive(Debug)]
struct Sent {
    /// Where it asked for a receipt.
    followed: Option<(MessageId, ReceiptKind)>,
    fate: Option<Fate>,
    key: Option<u64>,
    may_be_missing: bool,
}

/// What one side has sent in one class of a channel and the other has received, by the order of sending.
#[derive(Debug, Default)]
struct Said {
    sent: Vec<Sent>,
    received: Vec<u32>,
    /// The transport's number of the last one received.
    last: Option<u64>,
}

#[derive(Debug)]
struct Asked {
    payload: Vec<u8>,
    is_over: bool,
}

#[derive(Default)]
pub(crate) struct Promises {
    said: [[Said; 4]; CHANNELS],
    requests: BTreeMap<RequestId, Asked>,
}

fn number(payload: &[u8]) -> u32 {
    payload[2..].first_chunk().map(|number| u32::from_be_bytes(*number)).expect("a number")
}

impl Promises {
    /// What the next message of a class says.
    pub(crate) fn payload(&self, channel: usize, class: Class, len: usize) -> Vec<u8> {
        let next = self.said[channel][class as usize].sent.len() as u32;
        let mut payload = vec![channel as u8, class as u8];
        payload.extend(next.to_be_bytes());
        payload.resize(HEAD + len, 7);
        payload
    }

    pub(crate) fn sent(&mut self, channel: usize, class: Class, id: MessageId, terms: Terms) {
        if terms.key.is_some() {
            let older = self.said[channel].iter_mut().flat_map(|said| &mut said.sent);
            older.filter(|sent| sent.key == terms.key).for_each(|sent| sent.may_be_missing = true);
        }
        self.said[channel][class as usize].sent.push(Sent {
            followed: (terms.receipt != ReceiptKind::None).then_some((id, terms.receipt)),
            fate: None,
            key: terms.key,
            may_be_missing: terms.is_mortal,
        });
    }

    pub(crate) fn asked(&mut self, channel: usize, class: Class, request: RequestId, payload: Vec<u8>) {
        let sent = Sent { followed: None, fate: None, key: None, may_be_missing: true };
        self.said[channel][class as usize].sent.push(sent);
        let before = self.requests.insert(request, Asked { payload, is_over: false });
        assert!(before.is_none(), "a request has an id of its own");
    }

    fn followed(&mut self) -> impl DoubleEndedIterator<Item = &mut Sent> {
        self.said.iter_mut().flatten().flat_map(|said| &mut said.sent).filter(|sent| sent.followed.is_some())
    }

    pub(crate) fn newest_followed(&mut self) -> Option<MessageId> {
        self.followed().rfind(|sent| sent.fate.is_none())?.followed.map(|(id, _)| id)
    }

    pub(crate) fn cancelled(&mut self, message: MessageId) {
        let mut followed = self.followed().filter(|sent| sent.followed.is_some_and(|(id, _)| id == message));
        followed.next().expect("it was sent").may_be_missing = true;
    }

    /// A message that asked has this fate.
    pub(crate) fn end(&mut self, message: MessageId, fate: Fate) {
        let mut asked = self.followed().filter(|sent| sent.followed.is_some_and(|(id, _)| id == message));
        let sent = asked.next().unwrap_or_else(|| panic!("{message:?} did not ask"));
        let before = sent.fate.replace(fate);
        assert!(before.is_none(), "two fates: {before:?}, {fate:?}");
    }

    pub(crate) fn oldest_request(&self) -> Option<RequestId> {
        self.requests.iter().find(|(_, asked)| !asked.is_over).map(|(id, _)| *id)
    }

    pub(crate) fn conclude(&mut self, request: RequestId, outcome: RequestOutcome, reply: &[u8]) {
        let asked = self.requests.get_mut(&request).expect("it was asked");
        assert!(!asked.is_over, "it is over twice");
        asked.is_over = true;
        if matches!(outcome, RequestOutcome::Replied | RequestOutcome::Failed { code: 0x100, .. }) {
            assert_eq!(reply, asked.payload, "the answer of another question");
        }
    }

    /// What the receiver says of a message that wants to be processed: a reason to reject it.
    pub(crate) fn verdict(received: &Received) -> Option<u64> {
        let number = number(&received.payload);
        (number % 2 == 1).then(|| number.into())
    }

    /// The other side has received it on this channel.
    pub(crate) fn received(&mut self, channel: usize, received: &Received) {
        let (class, payload) = (received.class, &received.payload);
        assert_eq!(payload[..2], [channel as u8, class as u8], "on another channel, or in another class");
        assert!(payload[HEAD..].iter().all(|&byte| byte == 7), "the payload is what was sent");
        let said = &mut self.said[channel][class as usize];
        if matches!(class, Class::ReliableOrdered | Class::Sequenced) {
            assert!(said.last < Some(received.number), "an older one after a newer one");
        }
        if class == Class::ReliableOrdered {
            let next = said.last.map_or(0, |last| last + 1);
            assert_eq!(u64::from(received.gap), received.number - next, "a gap is told");
        }
        said.last = Some(received.number);
        said.received.push(number(payload));
    }

    /// That all was kept, once the network was well for a while, or something is over.
    pub(crate) fn check(&self, is_closed: bool) {
        for (channel, all) in self.said.iter().enumerate() {
            for (class, said) in CLASSES.into_iter().zip(all) {
                said.check(class, is_closed);
                let newest = said.sent.last().filter(|sent| !sent.may_be_missing);
                if channel == REPEATING && class == Class::Sequenced && newest.is_some() && !is_closed {
                    assert_eq!(
                        said.received.last(),
                        Some(&(said.sent.len() as u32 - 1)),
                        "the newest is repeated"
                    );
                }
            }
        }
        assert!(is_closed || self.requests.values().all(|asked| asked.is_over), "a request without an end");
    }
}

impl Said {
    fn check(&self, class: Class, is_closed: bool) {
        let mut distinct = self.received.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), self.received.len(), "nothing twice");
        assert!(
            distinct.last().is_none_or(|&last| (last as usize) < self.sent.len()),
            "nothing that was not sent"
        );
        if matches!(class, Class::ReliableOrdered | Class::Sequenced) {
            assert!(self.received.is_sorted(), "an older one after a newer one");
        }
        let is_reliable = matches!(class, Class::ReliableOrdered | Class::ReliableUnordered);
        for (number, sent) in (0..).zip(&self.sent) {
            let has_come = distinct.binary_search(&number).is_ok();
            if is_reliable && !is_closed {
                assert!(has_come || sent.may_be_missing, "{class:?} {number} is missing");
            }
            let Some((_, kind)) = sent.followed else { continue };
            assert!(is_closed || sent.fate.is_some(), "{class:?} {number} has no fate");
            match sent.fate {
                Some(Fate::Processed | Fate::Rejected(_)) => {
                    let reason = (number % 2 == 1).then_some(u64::from(number));
                    assert_eq!(sent.fate, Some(reason.map_or(Fate::Processed, Fate::Rejected)));
                    assert!(kind == ReceiptKind::Processing && has_come, "nobody has processed it");
                }
                Some(Fate::Acked) if is_reliable && !is_closed => {
                    assert!(has_come || sent.may_be_missing, "{class:?} {number} has not come");
                }
                _ => {}
            }
        }
    }
}
