//! Bytes as text.

use std::fmt::Write as _;

/// What each line of bytes begins with: it belongs to the line above.
pub(super) const MARGIN: &str = "           | ";

/// Bytes of a line.
const ROW: usize = 16;

/// At most `most` of these bytes, 16 a line, in hexadecimal and as ASCII, and how many more there are.
pub(super) fn dump(out: &mut String, bytes: &[u8], most: usize) {
    let shown = &bytes[..bytes.len().min(most)];
    for row in shown.chunks(ROW) {
        out.push_str(MARGIN);
        for byte in row {
            let _ = write!(out, "{byte:02x} ");
        }
        out.extend(std::iter::repeat_n("   ", ROW - row.len()));
        out.push(' ');
        out.extend(row.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }));
        out.push('\n');
    }
    let more = bytes.len() - shown.len();
    if more > 0 {
        let _ = writeln!(out, "{MARGIN}and {more} bytes more");
    }
}
