//! The loop that joins session, link and user.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use adapter_tokio::{Endpoint, LinkOptions, Options, clock};
use proto_core::chat::{Client, ClientConfig, ClientSecret, RejectReason};
use proto_core::room::{self, Carriage};
use proto_core::{ConfigBuilder, Message, Reconnect, SendError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ending;
use super::front::{self, Front, Shown};
use super::input::Input;
use super::known;
use super::link::{Encrypted, Link, LinkEvent, Writer, until};
use super::member::Member;
use super::outage::Outage;
use super::session::{Goal, Note, Outcome, Output, Session};
use super::shelf::Shelf;
use super::talk::Talk;
use super::words;
use crate::cli::{ChatArgs, exit};
use crate::signals::Signals;

/// The longest delay before another attempt: somebody waits for it, and gives up after a while.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// Words about the link that wait to be shown; older ones give way.
const MAX_WORDS: usize = 16;

/// Enters the room and stays until the goal is reached.
pub(crate) fn run(args: &ChatArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(chat(args));
        // The thread that reads the input may wait for it for ever.
        runtime.shutdown_background();
        ended
    });
    ended.unwrap_or_else(|error| {
        // Nobody may read stderr, and the exit code says it too.
        let _ = writeln!(io::stderr(), "bowline: {error}");
        ExitCode::from(exit::FAILED)
    })
}

async fn chat(args: &ChatArgs) -> io::Result<ExitCode> {
    let signals = Signals::new()?;
    let name = args.name.clone().unwrap_or_else(user_name);
    let secret = ClientSecret(adapter_tokio::seed()?);
    let links = LinkOptions { tls_client: args.tls().map_err(io::Error::other)?, ..LinkOptions::default() };
    for warning in args.crypto.warnings(&args.urls) {
        // Nobody may read stderr, and the chat goes on all the same.
        let _ = writeln!(io::stderr(), "bowline: {warning}");
    }
    let (crypto, stranger) = known::crypto(&args.crypto, &args.urls).map_err(io::Error::other)?;
    let reconnect = Some(Reconnect { cap: MAX_DELAY, ..Reconnect::default() });
    let config = ConfigBuilder { crypto, reconnect, ..ConfigBuilder::chat() };
    // Who names such an address has been warned, or has not asked for more.
    let options = Options { config, links, plain_streams: true, ..Options::default() };
    let encrypted = args.crypto.may_encrypt(&args.urls).then(|| {
        let (mut options, party) = (options.clone(), args.crypto.clone());
        Box::new(move || {
            options.config.crypto = Some(known::crypto_at_home(&party).map_err(io::Error::other)?);
            Endpoint::client(options).map_err(io::Error::other)
        }) as Encrypted
    });
    let endpoint = Endpoint::client(options).map_err(io::Error::other)?;

    let shelf = Shelf::default();
    name.clone_into(&mut shelf.look().me);
    let front = front::open(&shelf, args.commands)?;
    let link = Link::new(endpoint, args.urls.clone(), front.takes_part).to(stranger).or_encrypted(encrypted);
    let give_up_after = Duration::from_secs(args.give_up_after);
    let now = clock::now();
    if front.takes_part {
        let config = room::ClientConfig { last: args.last, ..room::ClientConfig::new(secret, &*name) };
        let client = room::Client::new(config);
        let member = Member::new(client, &args.room, shelf, give_up_after, now);
        talk(args, member, link, front, signals).await
    } else {
        let config = ClientConfig { last: args.last, ..ClientConfig::new(&*args.room, &*name, secret) };
        let client = Client::new(config).map_err(io::Error::other)?;
        let goal =
            Goal { follow: args.follow, until_slot: args.until_slot, give_up_after, interactive: false };
        talk(args, Session::new(client, goal, now), link, front, signals).await
    }
}

async fn talk(
    args: &ChatArgs,
    session: impl Talk,
    link: Link,
    front: Front,
    mut signals: Signals,
) -> io::Result<ExitCode> {
    let mut chat = Chat {
        session,
        link,
        outage: Outage::new(args.server(), clock::now().mono),
        server: args.server(),
        front,
        is_hopeless: false,
        is_input_broken: false,
        words: VecDeque::new(),
        unsent: None,
        unshown: None,
    };
    let outcome = tokio::select! {
        outcome = chat.run() => outcome,
        _ = signals.recv() => Outcome::Interrupted,
    };
    let Chat { session, link, front, is_input_broken, .. } = chat;
    let undone = session.unacknowledged();
    let code = ending::finish(&undone, session.rejected(), link, front, outcome, &mut signals).await;
    Ok(if is_input_broken && code == ExitCode::SUCCESS { ExitCode::from(exit::FAILED) } else { code })
}

fn user_name() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|key| std::env::var(key).ok());
    let name = named.filter(|name| !name.is_empty()).unwrap_or_else(|| "guest".to_owned());
    let end = name.floor_char_boundary(proto_core::chat::MAX_NAME);
    name[..end].to_owned()
}

/// A chat under way.
struct Chat<T> {
    session: T,
    link: Link,
    outage: Outage,
    server: String,
    front: Front,
    is_hopeless: bool,
    /// Whether there may be lines that could not be read.
    is_input_broken: bool,
    /// What is to be said of the link.
    words: VecDeque<String>,
    /// A message that the connection had no room for.
    unsent: Option<(Carriage, Message)>,
    /// Something that the user had no eyes for.
    unshown: Option<Shown>,
}

impl<T: Talk> Chat<T> {
    async fn run(&mut self) -> Outcome {
        loop {
            self.send();
            if let Some(words) = self.outage.handle_timeout(clock::now().mono) {
                self.say(words);
            }
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
            let writer = self.unsent.as_ref().and_then(|(carriage, _)| self.link.writer(*carriage));
            let is_full = writer.is_some();
            let takes_messages = self.link.connection().is_none() || self.session.is_ready();
            let timers = [self.session.poll_timeout(), self.outage.poll_timeout()];
            let deadline = timers.into_iter().flatten().min().map(clock::instant).map(Instant::from_std);
            tokio::select! {
                event = self.link.next(), if takes_messages => self.handle_link(event),
                () = show(&self.front.output, &mut self.unshown), if self.unshown.is_some() => {}
                () = self.front.output.closed() => return Outcome::Unseen,
                input = self.front.input.recv(), if self.session.wants_line() => self.handle_input(input),
                () = until(deadline) => self.session.handle_timeout(clock::now()),
                () = writable(writer), if is_full => {}
            }
        }
    }

    /// Sends what there is to send, as far as the connection takes it.
    fn send(&mut self) {
        if self.link.connection().is_none() {
            return;
        }
        while let Some((carriage, message)) = self.unsent.take().or_else(|| self.session.poll_message()) {
            match self.link.send_now(carriage, message.clone()) {
                Ok(()) => {}
                Err(SendError::Full) => {
                    self.unsent = Some((carriage, message));
                    return;
                }
                // The link says next that it is lost, and then the session sends again.
                Err(_) => return,
            }
        }
    }

    fn next_output(&mut self) -> Option<Shown> {
        loop {
            if let Some(words) = self.words.pop_front() {
                return Some(Shown::Words(words));
            }
            match self.session.poll_output(clock::now())? {
                Output::Entry(entry) => return Some(Shown::Entry(entry)),
                Output::Note(Note::Refused(reason)) => self.handle_refused(reason),
                Output::Note(note @ Note::Rejected(_)) => return Some(Shown::Refusal(words::note(&note))),
                Output::Note(note) => {
                    if matches!(note, Note::Joined { .. } | Note::Back) {
                        self.outage.over();
                    }
                    return Some(Shown::Words(words::note(&note)));
                }
            }
        }
    }

    fn handle_refused(&mut self, reason: RejectReason) {
        let now = clock::now();
        let what = words::note(&Note::Refused(reason));
        if reason == RejectReason::Fenced {
            self.say(what);
            return;
        }
        self.unsent = None;
        self.session.handle_disconnected(now);
        let delay = self.link.pause();
        if let Some(what) = self.outage.trouble(now.mono, what) {
            self.say(format!("{what}; {}", words::reconnecting(delay)));
        }
    }

    fn handle_link(&mut self, event: LinkEvent) {
        let now = clock::now();
        let words = match event {
            LinkEvent::Message(carriage, message) => {
                self.session.handle_message(now, carriage, &message.payload);
                None
            }
            LinkEvent::Up => {
                self.outage.answering();
                self.session.handle_connected(now);
                self.link.learn()
            }
            LinkEvent::Silent(reason) => {
                self.outage.lost(now.mono);
                Some(words::silent(reason.as_ref()))
            }
            LinkEvent::Back => {
                self.outage.answering();
                self.session.is_joined().then(|| {
                    self.outage.over();
                    words::note(&Note::Back)
                })
            }
            LinkEvent::Lost(closed) => {
                self.unsent = None;
                self.session.handle_disconnected(now);
                self.outage.lost(now.mono);
                Some(words::lost(&closed))
            }
            LinkEvent::Waiting(delay, reason) => self.outage.waiting(now.mono, delay, reason),
            LinkEvent::Unresolved(error) => {
                self.outage.trouble(now.mono, words::not_found(&self.server, &error))
            }
            LinkEvent::Hopeless(why) => {
                self.is_hopeless = true;
                Some(format!("not trying again: {why}"))
            }
        };
        if let Some(words) = words {
            self.say(words);
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
            Some(Input::Line(line)) => return self.session.line(now, line),
            Some(Input::Broken) => self.is_input_broken = true,
            Some(Input::End) | None => {}
        }
        self.session.end_input(now);
        let waiting = self.session.unacknowledged().len();
        if self.front.prompt.is_some() && waiting > 0 {
            self.say(words::leaving(waiting));
        }
    }
}

async fn writable(writer: Option<Writer>) {
    match writer {
        Some(writer) => Link::writable(writer).await,
        None => pending().await,
    }
}

/// Moves what waits to the output as soon as there is room; never if nobody looks any more.
async fn show(output: &mpsc::Sender<Shown>, unshown: &mut Option<Shown>) {
    let Ok(permit) = output.reserve().await else { return pending().await };
    if let Some(shown) = unshown.take() {
        permit.send(shown);
    }
}
