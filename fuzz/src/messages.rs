//! Decoders of the messages of chat and rooms.

use proto_core::chat::Message;
use proto_core::room::{Command, Event};

/// What is understood is written again and says the same.
pub(crate) fn decode(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else { return };
    match which % 3 {
        0 => {
            if let Ok(message) = Message::decode(bytes) {
                let again = message.to_bytes();
                assert_eq!(Message::decode(&again).as_ref(), Ok(&message));
            }
        }
        1 => {
            if let Ok(command) = Command::decode(bytes) {
                let again = command.to_bytes();
                assert_eq!(Command::decode(&again).as_ref(), Ok(&command));
            }
        }
        _ => {
            if let Ok(event) = Event::decode(bytes) {
                let again = event.to_bytes();
                assert_eq!(Event::decode(&again).as_ref(), Ok(&event));
            }
        }
    }
}
