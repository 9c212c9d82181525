//! Lines of an input that is not a terminal.

use std::io::{self, BufRead, Read as _};

use bytes::Bytes;
use proto_core::chat::MAX_BODY;
use tokio::sync::mpsc;

/// How many lines may wait for the session.
pub(super) const QUEUE: usize = 64;

/// What the user writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line without its end, whatever its bytes. One that is longer than any body is cut one byte behind the limit, so that it
    /// is refused.
    Line(Bytes),
    /// There is no more.
    End,
    /// There may be more, but it cannot be read.
    Broken,
}

/// Sends every line of `input` until it ends or nobody listens.
pub(super) fn forward(mut input: impl BufRead, lines: &mpsc::Sender<Input>) {
    loop {
        let next = match next_line(&mut input) {
            Ok(Some(line)) => Input::Line(line),
            Ok(None) => Input::End,
            Err(error) => {
                tracing::error!(%error, "the input cannot be read");
                Input::Broken
            }
        };
        let is_end = !matches!(next, Input::Line(_));
        if lines.blocking_send(next).is_err() || is_end {
            return;
        }
    }
}

fn next_line(input: &mut impl BufRead) -> io::Result<Option<Bytes>> {
    const LIMIT: usize = MAX_BODY + 1;
    let mut line = Vec::new();
    if input.by_ref().take(LIMIT as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() == LIMIT {
        input.skip_until(b'\n')?;
    }
    Ok(Some(line.into()))
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Input, MAX_BODY, QUEUE, forward, mpsc};

    fn lines(input: &[u8]) -> Vec<Input> {
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        forward(input, &sender);
        drop(sender);
        std::iter::from_fn(|| receiver.blocking_recv()).collect()
    }

    fn line(text: &[u8]) -> Input {
        Input::Line(Bytes::copy_from_slice(text))
    }

    #[test]
    fn each_line_is_a_message() {
        assert_eq!(lines(b""), [Input::End]);
        assert_eq!(lines(b"a\n\nb c\r\n"), [line(b"a"), line(b""), line(b"b c\r"), Input::End]);
        assert_eq!(lines(b"no end"), [line(b"no end"), Input::End]);
    }

    #[test]
    fn bytes_that_are_not_utf8_stay_as_they_are() {
        assert_eq!(lines(b"caf\xe9\n\0\xff"), [line(b"caf\xe9"), line(b"\0\xff"), Input::End]);
    }

    #[test]
    fn an_input_that_breaks_is_not_one_that_ends() {
        struct Breaks;
        impl std::io::Read for Breaks {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::IsADirectory.into())
            }
        }
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        forward(std::io::BufReader::new(Breaks), &sender);
        assert_eq!(receiver.blocking_recv(), Some(Input::Broken));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let longest = [b'x'; MAX_BODY];
        let too_long = [&longest[..], b"y"].concat();
        let input = [&longest[..], b"\n", &longest, b"yz and more\nnext\n"].concat();
        assert_eq!(lines(&input), [line(&longest), line(&too_long), line(b"next"), Input::End]);
    }
}
