//! Frames of WebSocket (RFC 6455, section 5): one binary message carries one record.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Longest header: two bytes, eight of length, four of mask.
const MAX_HEAD: usize = 14;
/// Longest payload of a control frame.
const MAX_CONTROL: usize = 125;
/// Masks that are drawn at once.
const MASKS: usize = 16;

/// Which end of a web socket this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got<'a> {
    Record(&'a [u8]),
    /// [`Frames::owe_pong`] is to be called.
    Ping,
    Pong,
    Close,
}

/// Frames of one web socket, both ways.
#[derive(Debug)]
pub(super) struct Frames {
    role: Role,
    head: [u8; MAX_HEAD],
    head_len: usize,
    frame: Option<Frame>,
    /// The message under way.
    message: Vec<u8>,
    is_fragmented: bool,
    /// `message` was handed out.
    is_done: bool,
    /// The control frame under way.
    control: Vec<u8>,
    /// What the last ping carried, until its pong is written.
    owed: Option<Vec<u8>>,
    masks: [[u8; 4]; MASKS],
    masks_left: usize,
    close_code: u16,
}

/// What a web socket says when it closes (RFC 6455, section 7.4.1): it was meant to, or what came was wrong.
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const TOO_BIG: u16 = 1009;

/// A frame whose payload is under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: Option<[u8; 4]>,
    len: usize,
    taken: usize,
}

impl Frames {
    pub(super) const fn new(role: Role) -> Self {
        Self {
            role,
            head: [0; MAX_HEAD],
            head_len: 0,
            frame: None,
            message: Vec::new(),
            is_fragmented: false,
            is_done: false,
            control: Vec::new(),
            owed: None,
            masks: [[0; 4]; MASKS],
            masks_left: 0,
            close_code: NORMAL,
        }
    }

    /// With what the web socket is closed by this side.
    pub(super) const fn close_code(&self) -> u16 {
        self.close_code
    }

    /// What came makes no sense.
    const fn wrong<T>(&mut self, code: u16, why: &'static str) -> Result<T, &'static str> {
        self.close_code = code;
        Err(why)
    }

    /// The next of what came; `None` when all of `input` was taken and more is needed. `limit` is the longest record that is taken.
    pub(super) fn next<'a>(
        &'a mut self,
        input: &mut &[u8],
        limit: usize,
    ) -> Result<Option<Got<'a>>, &'static str> {
        if std::mem::take(&mut self.is_done) {
            self.message.clear();
        }
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.take_head(input, limit)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let is_control = matches!(frame.opcode, OpCode::Control(_));
            let (payload, rest) = input.split_at((frame.len - frame.taken).min(input.len()));
            *input = rest;
            let body = if is_control { &mut self.control } else { &mut self.message };
            let start = body.len();
            body.extend_from_slice(payload);
            if let Some(mask) = frame.mask {
                apply(mask, frame.taken, &mut body[start..]);
            }
            let taken = frame.taken + payload.len();
            if taken < frame.len {
                self.frame = Some(Frame { taken, ..frame });
                return Ok(None);
            }
            self.frame = None;
            match frame.opcode {
                OpCode::Control(Control::Ping) => return Ok(Some(Got::Ping)),
                OpCode::Control(Control::Pong) => return Ok(Some(Got::Pong)),
                OpCode::Control(_) => return Ok(Some(Got::Close)),
                OpCode::Data(_) if frame.is_final => {
                    self.is_fragmented = false;
                    self.is_done = true;
                    return Ok(Some(Got::Record(&self.message)));
                }
                OpCode::Data(_) => self.is_fragmented = true,
            }
        }
    }

    /// Whether no message and no frame is under way.
    pub(super) const fn is_idle(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && !self.is_fragmented
    }

    /// Reads a header, or as much of it as is there.
    fn take_head(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<Frame>, &'static str> {
        loop {
            let missing = head_len(&self.head[..self.head_len]) - self.head_len;
            if missing == 0 {
                break;
            }
            let (head, rest) = input.split_at(missing.min(input.len()));
            self.head[self.head_len..self.head_len + head.len()].copy_from_slice(head);
            self.head_len += head.len();
            *input = rest;
            if head.len() < missing {
                return Ok(None);
            }
        }
        let mut cursor = Cursor::new(&self.head[..self.head_len]);
        self.head_len = 0;
        let Ok(Some((header, len))) = FrameHeader::parse(&mut cursor) else {
            return self.wrong(PROTOCOL_ERROR, "a frame of the web socket has an unknown opcode");
        };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return self.wrong(PROTOCOL_ERROR, "a frame of the web socket has reserved bits");
        }
        if header.mask.is_some() != (self.role == Role::Server) {
            let why = "a frame of the web socket is masked where it must not be, or the other way round";
            return self.wrong(PROTOCOL_ERROR, why);
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match header.opcode {
            OpCode::Control(_) if !header.is_final || len > MAX_CONTROL => {
                return self
                    .wrong(PROTOCOL_ERROR, "a control frame of the web socket is too long or in pieces");
            }
            OpCode::Control(_) => self.control.clear(),
            OpCode::Data(Data::Text) => {
                return self.wrong(UNSUPPORTED, "a message of the web socket is text");
            }
            OpCode::Data(Data::Continue) if !self.is_fragmented => {
                return self.wrong(PROTOCOL_ERROR, "a frame of the web socket continues nothing");
            }
            OpCode::Data(data) if self.is_fragmented && data != Data::Continue => {
                return self.wrong(PROTOCOL_ERROR, "a message of the web socket begins inside of another");
            }
            OpCode::Data(_) if len > limit.saturating_sub(self.message.len()) => {
                return self.wrong(TOO_BIG, "a message of the web socket is longer than it may be");
            }
            OpCode::Data(_) => {}
        }
        let FrameHeader { opcode, is_final, mask, .. } = header;
        Ok(Some(Frame { opcode, is_final, mask, len, taken: 0 }))
    }

    /// Makes room for a header at the end of `out`; a record must be appended, then [`Self::finish`] called.
    pub(super) fn begin(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.resize(start + self.long_head(), 0);
        start
    }

    /// Writes the header of the record that was appended since [`Self::begin`] returned `start`.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, start: usize) {
        let body = start + self.long_head();
        let len = out.len() - body;
        let header = self.header(OpCode::Data(Data::Binary));
        if let Some(mask) = header.mask {
            apply(mask, 0, &mut out[body..]);
        }
        let head = header.len(len as u64);
        if head < self.long_head() {
            out.copy_within(body.., start + head);
            out.truncate(start + head + len);
        } else if head > self.long_head() {
            // Only records over 65,535 bytes, which no link is allowed to write.
            out.splice(body..body, std::iter::repeat_n(0, head - self.long_head()));
        }
        put(&header, len, &mut out[start..start + head]);
    }

    /// Appends a control frame with at most 125 bytes of `payload`.
    pub(super) fn control(&mut self, control: Control, payload: &[u8], out: &mut Vec<u8>) {
        let payload = &payload[..payload.len().min(MAX_CONTROL)];
        let header = self.header(OpCode::Control(control));
        let (start, head) = (out.len(), header.len(payload.len() as u64));
        out.resize(start + head, 0);
        put(&header, payload.len(), &mut out[start..]);
        out.extend_from_slice(payload);
        if let Some(mask) = header.mask {
            apply(mask, 0, &mut out[start + head..]);
        }
    }

    /// A ping is to be answered; whether an earlier one will not be. One answer is enough (RFC 6455, section 5.5.3), so that whoever
    /// pings without reading has nothing piled up.
    pub(super) fn owe_pong(&mut self) -> bool {
        self.owed.replace(std::mem::take(&mut self.control)).is_some()
    }

    pub(super) const fn has_answer(&self) -> bool {
        self.owed.is_some()
    }

    /// Appends the pong that is owed.
    pub(super) fn answer(&mut self, out: &mut Vec<u8>) {
        if let Some(payload) = self.owed.take() {
            self.control(Control::Pong, &payload, out);
        }
    }

    /// Gives back the memory of messages, if none is under way.
    pub(super) fn release(&mut self) {
        if self.frame.is_none() && !self.is_fragmented {
            (self.message, self.control, self.is_done) = (Vec::new(), Vec::new(), false);
        }
    }

    /// What the last control frame carried.
    #[cfg(test)]
    pub(super) fn carried(&self) -> &[u8] {
        &self.control
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.message.capacity() + self.control.capacity()
    }

    /// The header of a record of 126 to 65,535 bytes.
    const fn long_head(&self) -> usize {
        match self.role {
            Role::Client => 8,
            Role::Server => 4,
        }
    }

    fn header(&mut self, opcode: OpCode) -> FrameHeader {
        let mask = (self.role == Role::Client).then(|| self.mask());
        FrameHeader { is_final: true, rsv1: false, rsv2: false, rsv3: false, opcode, mask }
    }

    /// Masks keep applications from writing bytes of their choice past a proxy, so they are not to be guessed.
    fn mask(&mut self) -> [u8; 4] {
        if self.masks_left == 0 {
            // Without randomness from the system there would be no endpoint.
            let _ = getrandom::fill(self.masks.as_flattened_mut());
            self.masks_left = MASKS;
        }
        self.masks_left -= 1;
        self.masks[self.masks_left]
    }
}

/// How long a header is, as far as its beginning tells.
fn head_len(head: &[u8]) -> usize {
    let [_, second, ..] = *head else { return 2 };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

fn put(header: &FrameHeader, len: usize, mut out: &mut [u8]) {
    let written = header.format(len as u64, &mut out);
    debug_assert!(written.is_ok() && out.is_empty(), "the header has the length that it said");
}

/// Masks or unmasks bytes that begin `offset` bytes into a payload.
fn apply(mask: [u8; 4], offset: usize, bytes: &mut [u8]) {
    let mask: [u8; 4] = std::array::from_fn(|i| mask[(i + offset) % 4]);
    let word = u64::from_ne_bytes(std::array::from_fn(|i| mask[i % 4]));
    let mut words = bytes.chunks_exact_mut(8);
    for chunk in &mut words {
        let masked = u64::from_ne_bytes(std::array::from_fn(|i| chunk[i])) ^ word;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
