//! Texts of strangers, made safe to print: no control character reaches the terminal, and every entry stays on one line.

use std::fmt::{self, Write as _};

/// Shows bytes that should be UTF-8 in the form that `bowline chat --help` describes.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|char| escape(char, f))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

fn escape(char: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match char {
        '\t' => f.write_str("\\t"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\\' => f.write_str("\\\\"),
        char if char.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(char)),
        char if char.is_control() || is_layout(char) => write!(f, "\\u{{{:x}}}", u32::from(char)),
        char => f.write_char(char),
    }
}

/// Characters that would move other people's text: line and paragraph separators, and changes of direction.
fn is_layout(char: char) -> bool {
    matches!(char, '\u{2028}' | '\u{2029}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn harmless_text_stays_as_it_is() {
        for text in ["", "hello, world", "Grüße 🦀 日本語", "a\"b'c{d}"] {
            assert_eq!(Escaped(text.as_bytes()).to_string(), text);
        }
    }

    #[test]
    fn whatever_moves_the_cursor_is_written_out() {
        let cases: [(&[u8], &str); 7] = [
            (b"a\tb\nc\rd\\e", r"a\tb\nc\rd\\e"),
            (b"\x1b[2J\x00\x7f", r"\x1b[2J\x00\x7f"),
            ("\u{85}\u{9b}".as_bytes(), r"\u{85}\u{9b}"),
            ("\u{2028}\u{202e}\u{2066}".as_bytes(), r"\u{2028}\u{202e}\u{2066}"),
            (b"caf\xe9!", r"caf\xe9!"),
            (b"\xf0\x9f\xa6", r"\xf0\x9f\xa6"),
            (br"\t", r"\\t"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Escaped(bytes).to_string(), expected);
        }
    }

    #[test]
    fn no_control_character_gets_through() {
        let everything: String = ('\0'..=char::MAX).collect();
        assert!(!Escaped(everything.as_bytes()).to_string().chars().any(char::is_control));
    }
}
