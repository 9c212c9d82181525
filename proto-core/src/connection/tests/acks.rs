//! Acknowledgements that lie.

use alloc::vec;
use alloc::vec::Vec;

use super::abuse::assert_ended;
use super::{Client, Pair, Server, Side, ms, secs, small};
use crate::wire::packet::MAX_PACKET_NUMBER;
use crate::wire::varint;
use crate::{Class, ConfigBuilder, Message, State, code};

fn inject_ack(pair: &mut Pair, from: Side, ranges: &[core::ops::RangeInclusive<u64>]) {
    let packet = pair.forge(from, |writer| writer.write_ack(0, ranges.iter().cloned()));
    pair.hand_in(from.other(), &packet);
}

#[test]
fn acknowledging_what_was_not_sent_ends_the_connection() {
    let first_unsent = |pair: &mut Pair| pair.conn(Server).recovery.next_number().0;
    for ahead in [0, 1, 1000, MAX_PACKET_NUMBER / 2] {
        let mut pair = Pair::established(small());
        let number = first_unsent(&mut pair) + ahead;
        inject_ack(&mut pair, Client, &[number..=number]);
        assert_ended(&mut pair, Server, code::PROTOCOL_VIOLATION, "an ACK of the future");
    }
    let mut pair = Pair::established(small());
    let number = first_unsent(&mut pair) - 1;
    inject_ack(&mut pair, Client, &[0..=number]);
    assert_ended(&mut pair, Server, code::PROTOCOL_VIOLATION, "an ACK of numbers below the first");
}

#[test]
fn acknowledging_a_skipped_number_ends_the_connection() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let mut skipped = Vec::new();
    let mut before = pair.conn(Server).recovery.next_number().0;
    // Honest traffic until several numbers have been skipped, each one only once the last was passed.
    for _ in 0..400 {
        pair.send(Server, 0, Message::new("x").class(Class::Unreliable));
        pair.run(ms(40));
        pair.recv_all(Client, 0);
        let next = pair.conn(Server).recovery.next_number().0;
        let sent = pair.sent.iter().filter(|sent| sent.from == Server).count() as u64;
        pair.sent.clear();
        if next - before > sent {
            skipped.push(before..next);
        }
        before = next;
    }
    assert!(skipped.len() >= 3, "{skipped:?}");
    let range = skipped.last().expect("some were skipped");
    let mut guilty = pair;
    inject_ack(&mut guilty, Client, &[range.start..=range.end - 1]);
    assert_ended(&mut guilty, Server, code::PROTOCOL_VIOLATION, "an optimistic ACK");
}

#[test]
fn ack_bombs_cost_what_was_sent_and_not_what_they_claim() {
    let mut pair = Pair::established(small());
    pair.lose(|sent| sent.from == Server);
    pair.send(Server, 0, Message::new("x"));
    pair.drain();
    let next = pair.conn(Server).recovery.next_number().0;
    // 64 ranges over everything below what was sent: a loop over numbers would take for ever at the largest.
    let frames: Vec<_> = (0..64).map(|i| next - 1 - 3 * i..=next - 1 - 3 * i).collect();
    inject_ack(&mut pair, Client, &frames[..1]);
    assert_eq!(pair.conn(Server).state(), State::Established);
    assert_eq!(pair.conn(Server).unsettled(), 0);

    let mut record = vec![0x03];
    for value in [MAX_PACKET_NUMBER, 0, 64, 0] {
        varint::encode(value, &mut record);
    }
    record.extend([0; 128]);
    let conn = pair.conn(Client);
    let (number, len) = conn.recovery.next_number();
    let mut buf = Vec::new();
    crate::wire::packet::start_short(&mut buf, conn.remote_cid, number, len);
    buf.extend(record);
    crate::wire::packet::finish_short(&mut buf, 0, conn.guard, number, conn.config.checksum);
    pair.hand_in(Server, &buf);
    assert_ended(&mut pair, Server, code::FRAME_ENCODING, "65 ranges");
}

#[test]
fn lies_about_the_delay_are_clamped() {
    let mut pair = Pair::established(small());
    for delay in [0, u64::MAX, 1 << 61] {
        pair.lose(|sent| sent.from == Server);
        pair.send(Server, 0, Message::new("x"));
        pair.drain();
        pair.now += ms(20);
        let next = pair.conn(Server).recovery.next_number().0;
        let packet = pair.forge(Client, |writer| writer.write_ack(delay, [next - 1..=next - 1].into_iter()));
        pair.hand_in(Server, &packet);
        let (rtt, pto) = (pair.conn(Server).rtt(), pair.conn(Server).pto());
        assert!(rtt >= ms(15) && rtt <= ms(25), "{rtt:?}");
        assert!(pto < secs(1), "{pto:?}");
    }
}
