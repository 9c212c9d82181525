//! What guests are told, as JSON. A text is an array of messages.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use proto_core::room::fact::Crown;
use proto_core::room::hall::ChatLine;
use proto_core::room::{
    Color, ListedRoom, Notes, Notification, NotificationClass, Participant, Position, QuotaParams, RoomKind,
    Settings, Touch, UserId,
};
use serde_json::Number;

/// The answer that clients give to it does not matter; some wait for it before they say hi.
const HELLO: &str = r#"[{"m":"b","code":"~return true;"}]"#;
/// What clients need to know of note quotas beside their numbers.
const QUOTA_HISTORY: usize = proto_core::room::limits::QUOTA_HISTORY;

pub(super) fn hello() -> Bytes {
    Bytes::from_static(HELLO.as_bytes())
}

/// One text under construction.
#[derive(Debug)]
pub(super) struct Text(String);

macro_rules! put {
    // Writing to a String cannot fail.
    ($text:expr, $($arg:tt)*) => { let _ = write!($text.0, $($arg)*); };
}

impl Text {
    pub(super) fn new() -> Self {
        Self(String::from("["))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    pub(super) fn finish(mut self) -> Bytes {
        self.0.push(']');
        Bytes::from(self.0)
    }

    /// A text with one message.
    pub(super) fn of(put: impl FnOnce(&mut Self)) -> Bytes {
        let mut text = Self::new();
        put(&mut text);
        text.finish()
    }

    fn begin(&mut self, name: &str) {
        if !self.is_empty() {
            self.0.push(',');
        }
        put!(self, r#"{{"m":"{name}""#);
    }

    fn end(&mut self) {
        self.0.push('}');
    }

    fn quoted(&mut self, text: &str) {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    put!(self, "\\u{:04x}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }

    fn hundredths(&mut self, value: i16) {
        let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
        put!(self, "{sign}{}.{:02}", value / 100, value % 100);
    }

    pub(super) fn hi(&mut self, now_ms: u64, own: &Participant, motd: &str) {
        self.begin("hi");
        put!(self, r#","t":{now_ms},"u":{{"#);
        self.person(own.user, &own.name, own.color);
        put!(self, r#"}},"v":"{}","permissions":{{}}"#, env!("CARGO_PKG_VERSION"));
        if !motd.is_empty() {
            self.0.push_str(r#","motd":"#);
            self.quoted(motd);
        }
        self.end();
    }

    pub(super) fn time(&mut self, now_ms: u64, echo: Option<&Number>) {
        self.begin("t");
        put!(self, r#","t":{now_ms}"#);
        if let Some(echo) = echo {
            put!(self, r#","e":{echo}"#);
        }
        self.end();
    }

    fn person(&mut self, user: UserId, name: &str, color: Color) {
        put!(self, r#""_id":"{user}","id":"{user}","color":"{color}","name":"#);
        self.quoted(name);
    }

    fn participant(&mut self, participant: &Participant) {
        let Participant { user, name, color, position, suspended } = participant;
        self.person(*user, name, *color);
        self.place(*position);
        if *suspended {
            self.0.push_str(r#","afk":true"#);
        }
    }

    fn place(&mut self, Position { x, y }: Position) {
        self.0.push_str(r#","x":""#);
        self.hundredths(x);
        self.0.push_str(r#"","y":""#);
        self.hundredths(y);
        self.0.push('"');
    }

    fn point(&mut self, Position { x, y }: Position) {
        self.0.push_str(r#"{"x":"#);
        self.hundredths(x);
        self.0.push_str(r#","y":"#);
        self.hundredths(y);
        self.0.push('}');
    }

    /// Words of one for another.
    pub(super) fn direct(&mut self, now_ms: u64, from: &Participant, to: &Participant, text: &str) {
        self.begin("dm");
        put!(self, r#","t":{now_ms},"a":"#);
        self.quoted(text);
        for (role, person) in [("sender", from), ("recipient", to)] {
            put!(self, r#","{role}":{{"#);
            self.person(person.user, &person.name, person.color);
            self.0.push('}');
        }
        self.end();
    }

    /// A message of one program for others; `data` is JSON.
    pub(super) fn custom(&mut self, from: UserId, data: &str) {
        self.begin("custom");
        put!(self, r#","p":"{from}","data":{data}"#);
        self.end();
    }

    pub(super) fn here(&mut self, participant: &Participant) {
        self.begin("p");
        self.0.push(',');
        self.participant(participant);
        self.end();
    }

    pub(super) fn gone(&mut self, user: UserId) {
        self.begin("bye");
        put!(self, r#","p":"{user}""#);
        self.end();
    }

    fn settings(&mut self, kind: RoomKind, settings: &Settings) {
        let Settings { visible, chat, crownsolo, color, .. } = settings;
        put!(self, r#"{{"visible":{visible},"chat":{chat},"crownsolo":{crownsolo},"color":"{color}""#);
        if let Some(color) = settings.color2 {
            put!(self, r#","color2":"{color}""#);
        }
        if kind.is_special() {
            self.0.push_str(r#","lobby":true"#);
        }
        if settings.no_cussing {
            self.0.push_str(r#","no cussing":true"#);
        }
        if settings.noindex {
            self.0.push_str(r#","noindex":true"#);
        }
        if let Some(allowed) = settings.allow_bots {
            put!(self, r#","allowBots":{allowed}"#);
        }
        if let Some(limit) = settings.limit {
            put!(self, r#","limit":{limit}"#);
        }
        if let Some(ms) = settings.min_online_ms {
            put!(self, r#","minOnlineTime":{ms}"#);
        }
        self.0.push('}');
    }

    /// A crown; one that nobody ever had is left out.
    fn crown(&mut self, crown: &Crown, is_there: impl Fn(UserId) -> bool) {
        let Some(user) = crown.holder.or(crown.last) else { return };
        put!(self, r#","crown":{{"userId":"{user}""#);
        if let Some(holder) = crown.holder.filter(|holder| is_there(*holder)) {
            put!(self, r#","participantId":"{holder}""#);
        }
        put!(self, r#","time":{},"startPos":"#, crown.since_ms);
        self.point(crown.start);
        self.0.push_str(r#","endPos":"#);
        self.point(crown.end);
        self.0.push('}');
    }

    /// A room, with everybody in it, and who of them the receiver is.
    pub(super) fn room(
        &mut self,
        name: &str,
        settings: &Settings,
        crown: Option<&Crown>,
        people: &[Participant],
        own: Option<UserId>,
    ) {
        self.begin("ch");
        if let Some(own) = own {
            put!(self, r#","p":"{own}""#);
        }
        self.0.push_str(r#","ch":{"#);
        let is_there = |user| people.iter().any(|participant| participant.user == user);
        self.channel(name, people.len(), settings, crown, is_there);
        self.0.push_str(r#"},"ppl":["#);
        for (index, participant) in people.iter().enumerate() {
            self.0.push_str(if index == 0 { "{" } else { ",{" });
            self.participant(participant);
            self.0.push('}');
        }
        self.0.push(']');
        self.end();
    }

    fn channel(
        &mut self,
        name: &str,
        count: usize,
        settings: &Settings,
        crown: Option<&Crown>,
        is_there: impl Fn(UserId) -> bool,
    ) {
        for field in [r#""_id":"#, r#","id":"#] {
            self.0.push_str(field);
            self.quoted(name);
        }
        put!(self, r#","count":{count},"settings":"#);
        self.settings(RoomKind::of(name), settings);
        if let Some(crown) = crown {
            self.crown(crown, is_there);
        }
    }

    pub(super) fn rooms<'a>(&mut self, full: bool, rooms: impl Iterator<Item = &'a ListedRoom>) {
        self.begin("ls");
        put!(self, r#","c":{full},"u":["#);
        for (index, listed) in rooms.enumerate() {
            self.0.push_str(if index == 0 { "{" } else { ",{" });
            let ListedRoom { room, count, settings, crown } = listed;
            self.channel(room, *count as usize, settings, crown.as_ref(), |_| true);
            self.0.push('}');
        }
        self.0.push(']');
        self.end();
    }

    /// A line of chat, whose author has this colour.
    pub(super) fn line(&mut self, line: &ChatLine, color: Color) {
        self.begin("a");
        self.said(line, color);
        self.end();
    }

    /// What was said under this number is not heard; whether it would be later.
    pub(super) fn unsaid(&mut self, number: u64, why: &str, is_final: bool) {
        self.begin("unsaid");
        put!(self, r#","nr":{number},"why":"{why}","final":{is_final}"#);
        self.end();
    }

    fn said(&mut self, line: &ChatLine, color: Color) {
        self.0.push_str(r#","a":"#);
        self.quoted(&line.text);
        self.0.push_str(r#","p":{"#);
        self.person(line.user, &line.name, color);
        put!(self, r#"}},"t":{},"id":"{}""#, line.at_ms, line.slot);
    }

    /// What was said, oldest first.
    pub(super) fn history<'a>(&mut self, lines: impl Iterator<Item = (&'a Arc<ChatLine>, Color)>) {
        self.begin("c");
        self.0.push_str(r#","c":["#);
        for (index, (line, color)) in lines.enumerate() {
            self.0.push_str(if index == 0 { r#"{"m":"a""# } else { r#",{"m":"a""# });
            self.said(line, color);
            self.0.push('}');
        }
        self.0.push(']');
        self.end();
    }

    pub(super) fn notes(&mut self, user: UserId, at_ms: u64, notes: &Notes) {
        self.begin("n");
        put!(self, r#","t":{at_ms},"n":["#);
        for (index, note) in notes.notes.iter().enumerate() {
            self.0.push_str(if index == 0 { r#"{"n":"# } else { r#",{"n":"# });
            self.quoted(&note.key);
            match note.touch {
                Touch::Down(None) => {}
                Touch::Down(Some(velocity)) => {
                    self.0.push_str(r#","v":"#);
                    self.velocity(velocity);
                }
                Touch::Up => self.0.push_str(r#","s":1"#),
            }
            if note.delay_ms > 0 {
                put!(self, r#","d":{}"#, note.delay_ms);
            }
            self.0.push('}');
        }
        put!(self, r#"],"p":"{user}""#);
        self.end();
    }

    /// Ten-thousandths, without zeros at the end.
    fn velocity(&mut self, velocity: u16) {
        put!(self, "{}", velocity / 10_000);
        if !velocity.is_multiple_of(10_000) {
            put!(self, ".{:04}", velocity % 10_000);
            while self.0.ends_with('0') {
                self.0.pop();
            }
        }
    }

    pub(super) fn cursor(&mut self, user: UserId, at: Position) {
        self.begin("m");
        put!(self, r#","id":"{user}""#);
        self.place(at);
        self.end();
    }

    pub(super) fn quota(&mut self, quota: QuotaParams) {
        self.begin("nq");
        let QuotaParams { allowance, max } = quota;
        put!(self, r#","allowance":{allowance},"max":{max},"maxHistLen":{QUOTA_HISTORY}"#);
        self.end();
    }

    pub(super) fn notification(&mut self, words: &Notification) {
        self.begin("notification");
        self.0.push_str(r#","title":"#);
        self.quoted(&words.title);
        self.0.push_str(r#","text":"#);
        self.quoted(&words.text);
        let class = match words.class {
            NotificationClass::Classic => "classic",
            NotificationClass::Short => "short",
        };
        // 0 milliseconds would be for ever.
        put!(self, r##","duration":{},"class":"{class}","target":"#room""##, words.duration_ms.max(1));
        self.end();
    }
}
