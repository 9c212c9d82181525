//! What the user wants.

use alloc::sync::Arc;

use super::{Carriage, Client, ClientError, Phase};
use crate::chat::Kind;
use crate::room::fact::BanTarget;
use crate::room::id::{Color, Position, UserId};
use crate::room::limits::NOTE_LIFETIME;
use crate::room::message::{Command, Notes};
use crate::room::name::participant_name;
use crate::room::settings::SettingsChange;
use crate::{Class, Message, Now};

impl Client {
    /// Wants to be in this room, now and after every new connection. `set` counts if this makes the room.
    ///
    /// # Errors
    /// When too much waits to be sent.
    pub fn enter(
        &mut self,
        room: impl Into<Arc<str>>,
        set: Option<SettingsChange>,
    ) -> Result<(), ClientError> {
        let room = room.into();
        self.wanted = Some((Arc::clone(&room), set));
        self.command(&Command::Enter { room, set })
    }

    /// Wants to be in no room.
    ///
    /// # Errors
    /// When too much waits to be sent.
    pub fn leave(&mut self) -> Result<(), ClientError> {
        self.wanted = None;
        if self.phase == Phase::Offline {
            self.be_out();
            return Ok(());
        }
        self.command(&Command::Leave)
    }

    /// Says something in the room; gives the number that its answer will have. Connected or not: it is sent until it is answered.
    ///
    /// # Errors
    /// When it is in no room, the chat takes no more now, or the words cannot be said.
    pub fn say(&mut self, now: Now, text: &str) -> Result<u64, ClientError> {
        if text.trim().is_empty() {
            return Err(ClientError::Unsayable);
        }
        let chat = self.chat.as_mut().ok_or(ClientError::NotInRoom)?;
        let sequence = chat.client.append(now, Kind::TEXT, Self::body(text)).map_err(ClientError::Chat)?;
        let number = chat.base + sequence;
        self.note_said(number);
        Ok(number)
    }

    /// Plays. What has not arrived after half a second is worth nothing any more.
    ///
    /// # Errors
    /// When too much waits to be sent.
    pub fn play(&mut self, notes: Notes) -> Result<(), ClientError> {
        let payload = Command::Notes(notes).to_bytes();
        let message = Message::new(payload).class(Class::ReliableUnordered).lifetime(NOTE_LIFETIME);
        self.post(Carriage::Play, message)
    }

    /// The cursor is here.
    ///
    /// # Errors
    /// When too much waits to be sent.
    pub fn move_cursor(&mut self, at: Position) -> Result<(), ClientError> {
        self.post(Carriage::Play, Message::new(Command::Cursor(at).to_bytes()).class(Class::Sequenced))
    }

    /// Wants to be called so.
    ///
    /// # Errors
    /// When nobody can be, or too much waits to be sent.
    pub fn rename(&mut self, name: &str) -> Result<(), ClientError> {
        let name: Arc<str> = participant_name(name).ok_or(ClientError::Unsayable)?.into();
        self.config.name = Arc::clone(&name);
        self.command(&Command::Rename(name))
    }

    /// Wants to be of this colour.
    ///
    /// # Errors
    /// When too much waits to be sent.
    pub fn recolor(&mut self, color: Color) -> Result<(), ClientError> {
        self.config.color = Some(color);
        self.command(&Command::Recolor(color))
    }

    /// Changes the room, whose crown one has.
    ///
    /// # Errors
    /// When it has none, or too much waits to be sent.
    pub fn change_settings(&mut self, change: SettingsChange) -> Result<(), ClientError> {
        let epoch = self.epoch()?;
        self.command(&Command::Settings { epoch, change })
    }

    /// Gives the crown to somebody; takes it, if nobody has it and it is oneself.
    ///
    /// # Errors
    /// When the room has none, or too much waits to be sent.
    pub fn give_crown(&mut self, to: UserId) -> Result<(), ClientError> {
        let epoch = self.epoch()?;
        self.command(&Command::GiveCrown { epoch, to })
    }

    /// Lets the crown fall.
    ///
    /// # Errors
    /// When the room has none, or too much waits to be sent.
    pub fn drop_crown(&mut self) -> Result<(), ClientError> {
        let epoch = self.epoch()?;
        self.command(&Command::DropCrown { epoch })
    }

    /// Sends somebody away, for so many milliseconds: at most an hour; `None`: half of one.
    ///
    /// # Errors
    /// When the room has no crown, or too much waits to be sent.
    pub fn kick_ban(&mut self, user: UserId, ms: Option<u32>) -> Result<(), ClientError> {
        let epoch = self.epoch()?;
        self.command(&Command::KickBan { epoch, user, ms })
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// When the room has no crown, or too much waits to be sent.
    pub fn unban(&mut self, target: BanTarget) -> Result<(), ClientError> {
        let epoch = self.epoch()?;
        self.command(&Command::Unban { epoch, target })
    }

    /// Wants to hear of rooms, or does not any more.
    ///
    /// # Errors
    /// When too much waits to be sent.
    pub fn list_rooms(&mut self, on: bool) -> Result<(), ClientError> {
        self.command(&Command::ListRooms(on))
    }

    fn epoch(&self) -> Result<u64, ClientError> {
        let crown = self.view.as_ref().and_then(|view| view.crown);
        crown.map(|crown| crown.epoch).ok_or(ClientError::NotInRoom)
    }

    fn command(&mut self, command: &Command) -> Result<(), ClientError> {
        self.post(Carriage::Room, Message::new(command.to_bytes()))
    }

    /// Without a connection nothing is kept but what `handle_connected` says anyway.
    fn post(&mut self, carriage: Carriage, message: Message) -> Result<(), ClientError> {
        if self.phase == Phase::Offline {
            return Ok(());
        }
        self.has_space()?;
        self.outbox.push_back((carriage, message));
        Ok(())
    }
}
