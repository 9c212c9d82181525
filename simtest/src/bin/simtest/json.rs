//! JSON, as far as one line of output needs it.

use std::fmt::Write as _;

/// One object: names and values, these as JSON already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        let text = string(text);
        self.raw(name, &text)
    }

    pub(crate) fn number(self, name: &str, number: u128) -> Self {
        self.raw(name, &number.to_string())
    }

    pub(crate) fn raw(mut self, name: &str, json: &str) -> Self {
        let between = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{between}\"{name}\":{json}");
        self
    }

    pub(crate) fn print(&self) {
        tell!("{{{}}}", self.0);
    }
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
