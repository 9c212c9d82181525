use bytes::Bytes;

use super::{Candidate, Outbox, Piece};
use crate::wire::Kind;
use crate::{ChannelId, Class, ReceiptKind, Timestamp};

const MESSAGE: Bytes = Bytes::from_static(b"a message");

fn next(outbox: &mut Outbox, window: u64) -> Option<Candidate> {
    outbox.peek(window).and_then(|_| outbox.candidate(Timestamp::ZERO))
}

fn write(outbox: &mut Outbox, len: u32) -> Candidate {
    let candidate = next(outbox, u64::MAX).expect("something to write");
    outbox.take(&candidate, len).expect("the present candidate");
    candidate
}

#[test]
fn what_is_dropped_unwritten_leaves_nothing_behind() {
    let mut outbox = Outbox::default();
    let first = outbox.push(MESSAGE, Kind::OneWay, ReceiptKind::None, None);
    write(&mut outbox, 4);
    for _ in 0..1000 {
        outbox.push(MESSAGE, Kind::OneWay, ReceiptKind::None, None);
        let (oldest, len) = outbox.unwritten().next().expect("it was pushed");
        assert_eq!(len, MESSAGE.len());
        assert!(outbox.settle(oldest).is_some_and(|settled| !settled.written && settled.id == oldest));
    }
    assert_eq!(outbox.slots.len(), 1, "the one that was begun");
    assert_eq!(next(&mut outbox, u64::MAX).map(|next| (next.id, next.offset)), Some((first, 4)));
}

#[test]
fn numbers_on_the_wire_have_no_gaps() {
    let mut outbox = Outbox::default();
    let ids: [u64; 6] = core::array::from_fn(|_| outbox.push(MESSAGE, Kind::OneWay, ReceiptKind::None, None));
    for dropped in [ids[0], ids[2], ids[5]] {
        outbox.settle(dropped).expect("it waits");
    }
    let written: [_; 3] = core::array::from_fn(|_| write(&mut outbox, 9));
    assert_eq!(written.map(|candidate| candidate.number), [0, 1, 2]);
    assert_eq!(written.map(|candidate| candidate.id), [ids[1], ids[3], ids[4]]);
    assert!(next(&mut outbox, u64::MAX).is_none());
    // Settled in any order, each once.
    for at in [1, 2, 0] {
        let piece = Piece::new(ChannelId::DEFAULT, Class::Unreliable, &written[at], 9);
        assert!(outbox.on_acked(&piece).is_some());
        assert!(outbox.on_acked(&piece).is_none());
    }
    assert!(outbox.is_empty());
    assert_eq!(outbox.push(MESSAGE, Kind::OneWay, ReceiptKind::None, None), 6);
    assert_eq!(next(&mut outbox, u64::MAX).map(|next| next.number), Some(3));
}

#[test]
fn a_new_message_stays_within_the_window() {
    let mut outbox = Outbox::default();
    for _ in 0..5 {
        outbox.push(MESSAGE, Kind::OneWay, ReceiptKind::None, None);
    }
    let first = write(&mut outbox, 9);
    write(&mut outbox, 9);
    assert!(next(&mut outbox, 2).is_none(), "2 beyond the oldest that is open");
    let piece = Piece::new(ChannelId::DEFAULT, Class::ReliableOrdered, &first, 9);
    assert!(outbox.on_acked(&piece).is_some());
    assert!(next(&mut outbox, 2).is_some());
}
