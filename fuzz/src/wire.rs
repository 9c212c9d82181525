//! Decoders of packets, frames and records in a stream.

use proto_core::framing::{Deframer, MAX_RECORD};
use proto_core::wire::checksum::crc32c;
use proto_core::wire::{Frame, Packet, Record, RecordWriter};

/// A packet, or failing that a record: what is understood is written again and says the same.
pub(crate) fn records(bytes: &[u8]) {
    let payload = match Packet::decode(bytes, crc32c) {
        Ok(Packet::Long(long)) => long.payload,
        Ok(Packet::Short(_)) | Err(_) => bytes,
    };
    let frames: Vec<_> = Record::new(payload).map_while(Result::ok).collect();
    let is_whole = Record::new(payload).all(|frame| frame.is_ok());
    if !is_whole || frames.is_empty() {
        return;
    }
    let mut again = Vec::new();
    let mut writer = RecordWriter::new(&mut again);
    for (index, frame) in frames.iter().enumerate() {
        writer.write(frame, index + 1 == frames.len() && matches!(frame, Frame::Msg(_)));
    }
    let reread: Result<Vec<_>, _> = Record::new(&again).collect();
    assert_eq!(reread.as_ref(), Ok(&frames), "what was written is what was read");
}

/// Bytes of a stream come in chunks of any size, and the records are the same.
pub(crate) fn deframer(bytes: &[u8]) {
    let Some((&chunk, stream)) = bytes.split_first() else { return };
    let limit = [100, 4096, MAX_RECORD][usize::from(chunk) % 3];
    let cut = |size: usize| {
        let (mut deframer, mut records) = (Deframer::default(), Vec::new());
        for mut input in stream.chunks(size) {
            loop {
                match deframer.next(&mut input, limit) {
                    Ok(Some(record)) => {
                        assert!((1..=limit).contains(&record.len()), "{} bytes", record.len());
                        records.push(record.to_vec());
                    }
                    Ok(None) => break,
                    Err(error) => return (records, Some(error)),
                }
            }
            assert!(input.is_empty(), "it takes all that is there");
        }
        (records, None)
    };
    assert_eq!(cut(usize::from(chunk / 3) + 1), cut(stream.len().max(1)));
}
