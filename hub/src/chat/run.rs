//! The loop that joins session, link and user.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use adapter_tokio::{Endpoint, clock};
use bytes::Bytes;
use proto_core::chat::{Client, ClientConfig, ClientSecret, RejectReason};
use proto_core::{ConfigBuilder, Message, SendError};
use tokio::sync::mpsc;
use tracing::level_filters::LevelFilter;

use super::front::{self, Front, Shown};
use super::input::Input;
use super::link::{Link, LinkEvent, until};
use super::session::{Goal, Note, Outcome, Output, Session};
use super::words;
use crate::cli::{ChatArgs, exit};
use crate::signals::Signals;

/// Words about the link that wait to be shown; older ones give way.
const MAX_WORDS: usize = 16;

/// An input that gives nothing for this long has nothing more to be reported.
const INPUT_PAUSE: Duration = Duration::from_millis(200);
/// An endless input is reported for this long.
const INPUT_LIMIT: Duration = Duration::from_secs(5);

/// Enters the room and stays until the goal is reached.
pub(crate) fn run(args: &ChatArgs) -> ExitCode {
    let interactive = io::stdin().is_terminal();
    if !interactive {
        crate::log_to_stderr(LevelFilter::INFO);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(chat(args, interactive));
        // The thread that reads the input may wait for it for ever.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(exit::FAILED),
        Err(error) => {
            eprintln!("bowline: {error}");
            ExitCode::from(exit::FAILED)
        }
    }
}

/// Whether everything was acknowledged.
async fn chat(args: &ChatArgs, interactive: bool) -> io::Result<bool> {
    let mut signals = Signals::new()?;
    let name = args.name.clone().unwrap_or_else(user_name);
    let front = if interactive { front::terminal(&name) } else { front::lines() }?;
    let goal = Goal {
        follow: args.follow && !interactive,
        until_slot: args.until_slot,
        give_up_after: Duration::from_secs(args.give_up_after),
        interactive,
    };
    let secret = ClientSecret(adapter_tokio::seed()?);
    let config = ClientConfig { last: args.last, ..ClientConfig::new(&*args.room, name, secret) };
    let client = Client::new(config).map_err(io::Error::other)?;
    let config = ConfigBuilder::chat();
    let endpoint = Endpoint::client(config).map_err(io::Error::other)?;

    let mut chat = Chat {
        session: Session::new(client, goal, clock::now()),
        link: Link::new(endpoint, args.url.clone()),
        server: args.url.to_string(),
        front,
        was_up: false,
        is_hopeless: false,
        words: VecDeque::new(),
        unsent: None,
        unshown: None,
    };
    let outcome = tokio::select! {
        outcome = chat.run() => outcome,
        _ = signals.recv() => Outcome::Interrupted,
    };
    let Chat { session, link, mut front, .. } = chat;
    link.close().await;
    let unread = if interactive { Vec::new() } else { read_rest(&mut front.input).await };
    drop(front.output);
    let shown = tokio::task::spawn_blocking(|| front.shown.join());
    tokio::select! {
        shown = shown => report_output(shown.map_err(io::Error::other)?)?,
        _ = signals.recv() => {}
    }
    Ok(report(&session, &unread, outcome))
}

/// The lines that were never sent: all that the input still gives without a pause, for a limited time.
async fn read_rest(input: &mut mpsc::Receiver<Input>) -> Vec<String> {
    let mut lines = Vec::new();
    let read = async {
        while let Ok(Some(Input::Line(line))) = tokio::time::timeout(INPUT_PAUSE, input.recv()).await {
            lines.push(line);
        }
    };
    if tokio::time::timeout(INPUT_LIMIT, read).await.is_err() {
        tracing::warn!("the input does not end: what follows of it is not reported");
    }
    lines
}

fn user_name() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|key| std::env::var(key).ok());
    let name = named.filter(|name| !name.is_empty()).unwrap_or_else(|| "guest".to_owned());
    let end = name.floor_char_boundary(proto_core::chat::MAX_NAME);
    name[..end].to_owned()
}

/// A chat under way.
struct Chat {
    session: Session,
    link: Link,
    server: String,
    front: Front,
    was_up: bool,
    is_hopeless: bool,
    /// What is to be said of the link.
    words: VecDeque<String>,
    /// A message that the connection had no room for.
    unsent: Option<Bytes>,
    /// Something that the user had no eyes for.
    unshown: Option<Shown>,
}

impl Chat {
    async fn run(&mut self) -> Outcome {
        loop {
            self.send();
            if self.unshown.is_none() {
                self.unshown = self.next_output();
            }
            if self.unshown.is_none() {
                if self.is_hopeless {
                    return Outcome::Hopeless;
                }
                if let Some(outcome) = self.session.outcome(clock::now()) {
                    return outcome;
                }
            }
            let connection = self.link.connection().filter(|_| self.unsent.is_some()).cloned();
            let takes_messages = self.link.connection().is_none() || self.session.is_ready();
            let deadline = self.session.poll_timeout().map(clock::instant);
            tokio::select! {
                event = self.link.next(), if takes_messages => self.handle_link(event),
                is_seen = show(&self.front.output, &mut self.unshown), if self.unshown.is_some() => {
                    if !is_seen {
                        return Outcome::Unseen;
                    }
                }
                input = self.front.input.recv(), if self.session.wants_line() => self.handle_input(input),
                () = until(deadline) => self.session.handle_timeout(clock::now()),
                // A connection that is over says so by the link.
                _ = async { connection.as_ref()?.writable().await.ok() }, if connection.is_some() => {}
            }
        }
    }

    /// Sends what there is to send, as far as the connection takes it.
    fn send(&mut self) {
        let Some(connection) = self.link.connection() else { return };
        while let Some(payload) = self.unsent.take().or_else(|| self.session.poll_message()) {
            match connection.send_now(Message::new(payload.clone())) {
                Ok(()) => {}
                Err(SendError::Full) => {
                    self.unsent = Some(payload);
                    return;
                }
                // The link says next that it is lost, and then the session sends again.
                Err(_) => return,
            }
        }
    }

    fn next_output(&mut self) -> Option<Shown> {
        if let Some(words) = self.words.pop_front() {
            return Some(Shown::Words(words));
        }
        let note = match self.session.poll_output(clock::now())? {
            Output::Entry(entry) => return Some(Shown::Entry(entry)),
            Output::Note(note) => note,
        };
        let mut text = words::note(&note);
        if let Note::Refused(reason) = note
            && reason != RejectReason::Fenced
        {
            self.unsent = None;
            self.session.handle_disconnected(clock::now());
            text = format!("{text}; {}", words::reconnecting(self.link.pause()));
        }
        Some(Shown::Words(text))
    }

    fn handle_link(&mut self, event: LinkEvent) {
        let now = clock::now();
        match event {
            LinkEvent::Message(message) => self.session.handle_message(now, &message.payload),
            LinkEvent::Up => {
                self.was_up = true;
                self.session.handle_connected(now);
            }
            LinkEvent::Lost(closed) => {
                self.unsent = None;
                self.session.handle_disconnected(now);
                self.say(words::lost(&closed));
            }
            LinkEvent::Waiting(delay) if self.was_up => self.say(words::reconnecting(delay)),
            LinkEvent::Waiting(delay) => self.say(words::no_answer(&self.server, delay)),
            LinkEvent::Unresolved(error) => self.say(format!("cannot find {}: {error}", self.server)),
            LinkEvent::Hopeless(why) => {
                self.is_hopeless = true;
                self.say(format!("not trying again: {why}"));
            }
        }
    }

    fn say(&mut self, words: String) {
        if self.words.len() >= MAX_WORDS {
            self.words.pop_front();
        }
        self.words.push_back(words);
    }

    fn handle_input(&mut self, input: Option<Input>) {
        let now = clock::now();
        match input {
            Some(Input::Line(line)) => {
                if let Some(rejected) = self.session.line(now, &line) {
                    self.say(words::note(&Note::Rejected(rejected)));
                }
            }
            Some(Input::End) | None => self.session.end_input(now),
        }
    }
}

/// Moves what waits to the output as soon as there is room; false when nobody looks any more.
async fn show(output: &mpsc::Sender<Shown>, unshown: &mut Option<Shown>) -> bool {
    let Ok(permit) = output.reserve().await else { return false };
    if let Some(shown) = unshown.take() {
        permit.send(shown);
    }
    true
}

/// Whether the output was shown as far as somebody looked.
fn report_output(shown: thread::Result<io::Result<()>>) -> io::Result<()> {
    match shown {
        Ok(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::other("the thread that prints has panicked")),
    }
}

/// Says what is left undone, and whether that is nothing.
fn report(session: &Session, unread: &[String], outcome: Outcome) -> bool {
    let failure = words::failure(outcome);
    if let Some(failure) = failure {
        eprintln!("bowline: {failure}");
    }
    let mut undone = session.rejected().len();
    for line in session.unacknowledged().chain(unread.iter().map(String::as_str)) {
        eprintln!("unacknowledged: {line}");
        undone += 1;
    }
    failure.is_none() && undone == 0 && outcome != Outcome::Unseen
}
