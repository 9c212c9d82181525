//! What guests send, field by field. Nothing here can fail but by saying so.

use std::sync::Arc;

use proto_core::room::limits::{
    MAX_DELAY_MS, MAX_KEY, MAX_LIMIT, MAX_MIN_ONLINE_MS, MAX_NOTES, MAX_VELOCITY,
};
use proto_core::room::{Color, Note, Notes, Position, SettingsChange, Touch, UserId};
use serde_json::{Map, Value};

pub(super) type Object = Map<String, Value>;

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// `value` times `scale`, rounded, between `least` and `most`.
#[expect(clippy::cast_possible_truncation, reason = "it is clamped before")]
fn scaled(value: f64, scale: f64, least: i64, most: i64) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "the limits are small")]
    let clamped = (value * scale).round().clamp(least as f64, most as f64);
    clamped as i64
}

pub(super) fn user(value: Option<&Value>) -> Option<UserId> {
    value.and_then(Value::as_str).and_then(UserId::from_hex)
}

pub(super) fn text<'a>(message: &'a Object, field: &str) -> Option<&'a str> {
    message.get(field).and_then(Value::as_str)
}

pub(super) fn object<'a>(message: &'a Object, field: &str) -> Option<&'a Object> {
    message.get(field).and_then(Value::as_object)
}

/// A whole number of milliseconds, at most `most`; what is below 0 is 0.
pub(super) fn millis(value: &Value, most: u32) -> Option<u32> {
    let Value::Number(value) = value else { return None };
    let value = scaled(value.as_f64()?, 1.0, 0, most.into());
    u32::try_from(value).ok()
}

/// Where a cursor is: in hundredths, and not further from the page than a position can be.
pub(super) fn position(message: &Object) -> Option<Position> {
    let part = |field| {
        let value = number(message.get(field)?)?;
        i16::try_from(scaled(value, 100.0, i16::MIN.into(), i16::MAX.into())).ok()
    };
    Some(Position { x: part("x")?, y: part("y")? })
}

/// Notes; those that make no sense are left out. `None` when nothing is left, or there are more than anybody may play.
pub(super) fn notes(message: &Object) -> Option<Notes> {
    let Value::Number(at) = message.get("t")? else { return None };
    let at_ms = scaled(at.as_f64()?, 1.0, 0, 1 << 53);
    let notes = message.get("n")?.as_array()?;
    if notes.len() > MAX_NOTES {
        return None;
    }
    let notes: Vec<_> = notes.iter().filter_map(note).collect();
    if notes.is_empty() { None } else { Some(Notes { at_ms: at_ms.unsigned_abs(), notes }) }
}

fn note(value: &Value) -> Option<Note> {
    let note = value.as_object()?;
    let key = text(note, "n")?;
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let delay = match note.get("d") {
        None | Some(Value::Null) => 0,
        Some(value) => scaled(number(value)?, 1.0, 0, MAX_DELAY_MS.into()),
    };
    let touch = match (note.get("s"), note.get("v")) {
        (Some(Value::Bool(true)), _) => Touch::Up,
        (Some(Value::Number(stop)), _) if stop.as_f64() != Some(0.0) => Touch::Up,
        (_, None | Some(Value::Null)) => Touch::Down(None),
        (_, Some(value)) => {
            let velocity = scaled(number(value)?, f64::from(MAX_VELOCITY), 0, MAX_VELOCITY.into());
            Touch::Down(Some(u16::try_from(velocity).ok()?))
        }
    };
    Some(Note { key: Arc::from(key), touch, delay_ms: u16::try_from(delay).ok()? })
}

fn flag(set: &Object, field: &str) -> Option<bool> {
    set.get(field).and_then(Value::as_bool)
}

pub(super) fn color(value: &Value) -> Option<Color> {
    value.as_str().and_then(Color::from_hex)
}

/// Something that can be taken away by `null`; of another kind it is left as it is.
#[expect(clippy::option_option, reason = "not said, taken away and set are three things")]
fn removable<T>(set: &Object, field: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    match set.get(field)? {
        Value::Null => Some(None),
        value => read(value).map(Some),
    }
}

/// What is to be different in a room. Unknown keys are ignored, as is `lobby`, which clients carry from room to room. The second
/// colour goes unless it is said again (MPP.net).
pub(super) fn settings(set: &Object) -> SettingsChange {
    SettingsChange {
        visible: flag(set, "visible"),
        chat: flag(set, "chat"),
        crownsolo: flag(set, "crownsolo"),
        noindex: flag(set, "noindex"),
        no_cussing: flag(set, "no cussing"),
        allow_bots: removable(set, "allowBots", Value::as_bool),
        color: set.get("color").and_then(color),
        color2: if set.contains_key("color2") { removable(set, "color2", color) } else { Some(None) },
        limit: removable(set, "limit", |value| u8::try_from(millis(value, MAX_LIMIT.into())?).ok()),
        min_online_ms: removable(set, "minOnlineTime", |value| millis(value, MAX_MIN_ONLINE_MS)),
    }
}
