use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::chat::ClientSecret;
use crate::room::fact::{Authority, Ban, BanTarget, Checkpoint, Crown, Fact};
use crate::room::id::{Color, Position, UserId};
use crate::room::name::RoomKind;
use crate::room::quota::QuotaParams;
use crate::room::settings::{Settings, SettingsChange};

const SPEC: &str = include_str!("../../../../docs/spec/rooms.md");

const ANN: UserId = UserId([0xA1; 12]);
const BOB: UserId = UserId([0xB0; 12]);

fn participant() -> Participant {
    let position = Position { x: 5000, y: -1 };
    Participant {
        user: ANN,
        name: "ann".into(),
        color: Color([0x12, 0x34, 0x56]),
        position,
        suspended: false,
    }
}

fn crown() -> Crown {
    Crown {
        epoch: 3,
        holder: Some(ANN),
        last: None,
        since_ms: 1_700_000_000_000,
        start: Position { x: 1, y: 2 },
        end: Position { x: 5000, y: 8000 },
    }
}

fn notes() -> Notes {
    let note = |key: &str, touch, delay_ms| Note { key: key.into(), touch, delay_ms };
    let notes = vec![
        note("a1", Touch::Down(Some(5000)), 0),
        note("cs4", Touch::Down(None), 200),
        note("a1", Touch::Up, 50),
    ];
    Notes { at_ms: 1_700_000_000_000, notes }
}

fn change() -> SettingsChange {
    SettingsChange {
        chat: Some(false),
        color2: Some(None),
        limit: Some(Some(20)),
        ..SettingsChange::default()
    }
}

fn commands() -> Vec<(&'static str, Command)> {
    let secret = ClientSecret([0x5E; 32]);
    vec![
        ("Hello", Command::Hello { secret, name: "ann".into(), color: Some(Color([1, 2, 3])) }),
        ("Enter", Command::Enter { room: "a room".into(), set: None }),
        ("Enter, set", Command::Enter { room: "a room".into(), set: Some(change()) }),
        ("Leave", Command::Leave),
        ("Notes", Command::Notes(notes())),
        ("Cursor", Command::Cursor(Position { x: 5000, y: -1 })),
        ("Rename", Command::Rename("ann".into())),
        ("Recolor", Command::Recolor(Color([0x12, 0x34, 0x56]))),
        ("Settings", Command::Settings { epoch: 3, change: change() }),
        ("GiveCrown", Command::GiveCrown { epoch: 3, to: BOB }),
        ("DropCrown", Command::DropCrown { epoch: 3 }),
        ("KickBan", Command::KickBan { epoch: 3, user: BOB, ms: Some(3_600_000) }),
        ("Unban", Command::Unban { epoch: 3, target: BanTarget::User(BOB) }),
        ("ListRooms", Command::ListRooms(true)),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    let settings = Settings::new(RoomKind::Normal);
    let lobby = Settings::new(RoomKind::Lobby);
    let snapshot = Snapshot {
        room: "a room".into(),
        version: 300,
        settings,
        crown: Some(crown()),
        participants: vec![participant()],
    };
    let changes = vec![
        Change::Here(Participant { suspended: true, ..participant() }),
        Change::Gone(BOB),
        Change::Settings(settings),
        Change::Crown(crown()),
    ];
    let words = Notification {
        title: "Notice".into(),
        text: "hello".into(),
        duration_ms: 7000,
        class: NotificationClass::Short,
    };
    let listed = ListedRoom { room: "lobby".into(), count: 20, settings: lobby, crown: None };
    vec![
        ("Welcome", Event::Welcome(participant())),
        ("Snapshot", Event::Snapshot(Arc::new(snapshot))),
        ("Diff", Event::Diff(Arc::new(Diff { version: 301, changes }))),
        ("Notes of somebody", Event::Notes(Arc::new(NotesOf { user: ANN, notes: notes() }))),
        ("Cursors", Event::Cursors([CursorAt { user: ANN, at: Position { x: 1, y: 2 } }].into())),
        ("Quota", Event::Quota(QuotaParams::LOBBY)),
        ("Notification", Event::Notification(Arc::new(words))),
        ("Refused", Event::Refused(Refused { command: 0x0B, reason: Reason::NotHolder })),
        ("Rooms", Event::Rooms(Arc::new(RoomList { full: true, rooms: vec![listed] }))),
        ("Left", Event::Left(Left { room: "a room".into() })),
    ]
}

fn facts() -> Vec<(&'static str, Fact)> {
    let settings = Settings::new(RoomKind::Normal);
    let target = BanTarget::User(BOB);
    let ban = Ban {
        authority: Authority::Crown(3),
        target,
        until_ms: 1_700_000_060_000,
        length_ms: 60_000,
        by: ANN,
        by_name: "ann".into(),
        name: "bob".into(),
    };
    let bans = [(target, 1_700_000_060_000), (BanTarget::Prefix(0x7F_00_00), 1_700_000_060_000)];
    vec![
        ("fact Settings", Fact::Settings(Authority::Operator, settings)),
        ("fact Crown", Fact::Crown(crown())),
        ("fact Ban", Fact::Ban(ban)),
        ("fact Unban", Fact::Unban(Authority::Crown(3), target)),
        ("fact Reset", Fact::Reset),
        (
            "fact Checkpoint",
            Fact::Checkpoint(Checkpoint { upto: 300, settings, crown: crown(), bans: bans.into() }),
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The vectors of the specification: a line `vector NAME`, then hex until an empty line or a fence.
fn vectors() -> Vec<(&'static str, String)> {
    let mut vectors: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in SPEC.lines() {
        if let Some(name) = line.strip_prefix("vector ") {
            vectors.push((name, String::new()));
            open = true;
        } else if line.is_empty() || line.starts_with('`') {
            open = false;
        } else if open && let Some((_, digits)) = vectors.last_mut() {
            digits.extend(line.split_whitespace());
        }
    }
    vectors
}

#[test]
fn the_specification_gives_these_bytes() {
    let mut encoded: Vec<_> = commands().iter().map(|(name, one)| (*name, hex(&one.to_bytes()))).collect();
    encoded.extend(events().iter().map(|(name, one)| (*name, hex(&one.to_bytes()))));
    encoded.extend(facts().iter().map(|(name, one)| (*name, hex(&one.to_bytes()))));
    let wanted: Vec<_> =
        encoded.iter().map(|(name, bytes)| alloc::format!("vector {name}\n{bytes}\n\n")).collect();
    let wanted = wanted.concat();
    assert_eq!(vectors(), encoded, "as of now:\n{wanted}");
    for (name, command) in commands() {
        assert_eq!(Command::decode(&command.to_bytes()), Ok(command), "{name}");
    }
    for (name, event) in events() {
        assert_eq!(Event::decode(&event.to_bytes()), Ok(event), "{name}");
    }
    for (name, fact) in facts() {
        assert_eq!(Fact::decode(&fact.to_bytes()), Ok(fact), "{name}");
    }
}

/// What decodes `bytes` gives when encoded again.
fn again(bytes: &[u8]) -> Option<Vec<u8>> {
    let command = Command::decode(bytes).ok().map(|command| command.to_bytes().to_vec());
    command.or_else(|| Event::decode(bytes).ok().map(|event| event.to_bytes().to_vec()))
}

#[test]
fn there_is_one_encoding_of_anything() {
    let commands = commands().into_iter().map(|(name, one)| (name, one.to_bytes()));
    let events = events().into_iter().map(|(name, one)| (name, one.to_bytes()));
    for (name, bytes) in commands.chain(events) {
        for cut in 0..bytes.len() {
            assert_eq!(again(&bytes[..cut]), None, "{name} cut to {cut}");
        }
        assert_eq!(again(&[&bytes[..], &[0]].concat()), None, "{name} with a byte behind it");
        for at in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut changed = bytes.to_vec();
                changed[at] = value;
                if let Some(again) = again(&changed) {
                    assert_eq!(hex(&again), hex(&changed), "{name}");
                }
            }
        }
    }
}

quickcheck::quickcheck! {
    fn whatever_decodes_encodes_to_the_same_bytes(code: u8, rest: Vec<u8>) -> bool {
        let bytes = [&[code % 0x30], &rest[..]].concat();
        again(&bytes).is_none_or(|again| again == bytes)
    }
}

#[test]
fn limits_hold_in_decoding() {
    let rename = |name: &str| Command::decode(&Command::Rename(name.into()).to_bytes()).is_ok();
    assert!(rename(&"ü".repeat(40)) && !rename(&"x".repeat(41)));
    let enter = |room: &str| {
        let command = Command::Enter { room: room.into(), set: None };
        Command::decode(&command.to_bytes()).is_ok()
    };
    assert!(enter(&"✧".repeat(512)) && !enter(&"x".repeat(513)));
    let play = |count: usize, key: &str, delay_ms| {
        let note = Note { key: key.into(), touch: Touch::Up, delay_ms };
        Command::decode(&Command::Notes(Notes { at_ms: 0, notes: vec![note; count] }).to_bytes()).is_ok()
    };
    assert!(play(1800, "a1", 200) && !play(1801, "a1", 0) && !play(0, "a1", 0) && !play(1, "a1", 201));
    assert!(!play(1, "", 0) && !play(1, "123456789", 0) && !play(1, "a 1", 0) && !play(1, "é", 0));
    let kick =
        |ms| Command::decode(&Command::KickBan { epoch: 1, user: ANN, ms: Some(ms) }.to_bytes()).is_ok();
    assert!(kick(3_600_000) && !kick(3_600_001));
    assert!(Reason::ALL.is_sorted_by(|a, b| (*a as u8) < (*b as u8)));
}

#[test]
fn the_largest_snapshot_fits_into_a_message() {
    let one = Participant { name: "\u{1F3B9}".repeat(40).into(), ..participant() };
    let snapshot = Snapshot {
        room: "\u{1F3B9}".repeat(512).into(),
        version: u64::MAX,
        settings: Settings::new(RoomKind::Lobby),
        crown: Some(crown()),
        participants: vec![one; crate::room::limits::MAX_PARTICIPANTS],
    };
    let bytes = Event::Snapshot(Arc::new(snapshot)).to_bytes();
    assert!(bytes.len() <= 256 * 1024, "{} bytes", bytes.len());
}
