//! Answers to commands, in words.

use proto_core::room::{AWKWARD, ClientError, Reason, RoomKind, UserId};

use super::escape::Escaped;

pub(super) fn no_crown(error: ClientError) -> String {
    match error {
        ClientError::NotInRoom => "this room has no crown".to_owned(),
        error => error.to_string(),
    }
}

/// Who of `people` is meant: by name, whole and then without regard to case, or by `#` and the beginning of his id.
pub(super) fn pick(name: &str, people: &[(UserId, &str)]) -> Result<UserId, String> {
    let of = |is: &dyn Fn(&(UserId, &str)) -> bool| people.iter().filter(|one| is(one)).collect::<Vec<_>>();
    let mut found = of(&|(_, known)| *known == name);
    if found.is_empty() {
        found = of(&|(_, known)| known.to_lowercase() == name.to_lowercase());
    }
    if let Some(id) = name.strip_prefix('#').filter(|id| !id.is_empty() && found.is_empty()) {
        found = of(&|(user, _)| user.to_hex().starts_with(id));
    }
    match &found[..] {
        [(user, _)] => Ok(*user),
        [] => Err(format!("nobody here is called {}", Escaped(name.as_bytes()))),
        several => {
            let ids: Vec<String> =
                several.iter().map(|(user, _)| format!("#{}", &user.to_hex()[..6])).collect();
            Err(format!("several are called {}: {}", Escaped(name.as_bytes()), ids.join(", ")))
        }
    }
}

pub(super) fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

pub(super) const fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed => "the server did not understand",
        Reason::NotNow => "not now",
        Reason::NotInRoom => "you are in no room",
        Reason::AlreadyThere => "you are there already",
        Reason::NotHolder => "only who has the crown may",
        Reason::StaleEpoch => "the crown has just changed hands",
        Reason::NoSuchUser => "nobody of that name is there",
        Reason::Special => "this room has no crown",
        Reason::Rate => "that was too often",
        Reason::Busy => "the server has too much to remember just now",
        Reason::RoomFull => "the room is full",
        Reason::BadName => "nothing can be called so",
        Reason::TooManyRooms => "there are too many rooms",
        Reason::TooManyNew => "you have made too many new rooms; wait a little",
        Reason::Banned => "you are banned there",
        Reason::ChatOff => "there is no chat in this room",
        Reason::CrownSolo => "only who has the crown plays",
        Reason::TooEarly => "it is too early for that",
        Reason::TooManyTabs => "you are there too often",
        Reason::Stopped => "the server's disk is broken",
        Reason::Unsayable => "that cannot be said",
    }
}

/// Whether who asks for `asked` may find himself in `room` again: in a lobby, as others are full, or banned from what he asked for.
/// Any other room is told again only to who has missed something.
pub(super) fn stands_for(room: &str, asked: &str) -> bool {
    let is_lobby = |room: &str| RoomKind::of(room) == RoomKind::Lobby;
    room == asked || room == AWKWARD || is_lobby(room) && is_lobby(asked)
}

#[cfg(test)]
mod tests {
    use super::{UserId, pick};

    #[test]
    fn who_is_meant_is_found_by_name_or_by_id() {
        let ids: Vec<UserId> = (1..=4).map(|id| UserId([id * 0x11; 12])).collect();
        let people = [(ids[0], "ann"), (ids[1], "Bob"), (ids[2], "bob"), (ids[3], "ann")];
        assert_eq!(pick("Bob", &people), Ok(ids[1]));
        assert_eq!(pick("bob", &people), Ok(ids[2]));
        assert_eq!(pick("BOB", &people).unwrap_err(), "several are called BOB: #222222, #333333");
        assert_eq!(pick("#44", &people), Ok(ids[3]));
        assert!(pick("carl", &people).unwrap_err().contains("nobody here is called carl"));
        assert!(pick("#", &people).is_err());
    }
}
