//! Where a chat meets its user: lines come in, entries and words go out, each on a thread of its own, so that neither a silent
//! keyboard nor a slow screen holds up the network.

use std::io::{self, IsTerminal as _, Write};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use proto_core::chat::Entry;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::level_filters::LevelFilter;

use super::commands;
use super::escape::Escaped;
use super::input::{self, Input};
use super::shelf::Shelf;
use crate::cli::LogFormat;

/// How many things may wait to be shown. After that the session holds them, and then the server.
const QUEUE: usize = 256;

/// Something to show.
#[derive(Debug)]
pub(super) enum Shown {
    /// An entry of the room.
    Entry(Entry),
    /// A change of state.
    Words(String),
    /// A line that is not in the log, with the reason.
    Refusal(String),
}

/// The ways to and from the user.
pub(super) struct Front {
    pub(super) input: mpsc::Receiver<Input>,
    pub(super) output: mpsc::Sender<Shown>,
    /// Ends when `output` is dropped and everything is shown; with an error when it cannot be.
    pub(super) shown: JoinHandle<io::Result<()>>,
    /// The thread of the prompt, if somebody sits there.
    pub(super) prompt: Option<JoinHandle<()>>,
    /// Whether lines may be commands, and the user takes part in rooms.
    pub(super) takes_part: bool,
}

/// A prompt where stdin and stdout are a terminal that can show one; otherwise lines.
pub(super) fn open(shelf: &Shelf, commands: bool) -> io::Result<Front> {
    if io::stdin().is_terminal()
        && io::stdout().is_terminal()
        && let Some(front) = terminal(shelf)?
    {
        return Ok(front);
    }
    crate::log_to_stderr(LevelFilter::INFO, LogFormat::Text);
    lines(commands)
}

/// Lines from stdin, entries to stdout, words to the log; where lines may be commands, words are answers and go to stdout too.
fn lines(commands: bool) -> io::Result<Front> {
    let (lines, input) = mpsc::channel(input::QUEUE);
    let (output, mut queue) = mpsc::channel(QUEUE);
    spawn("input", move || input::forward(io::stdin().lock(), &lines))?;
    let shown = spawn("output", move || {
        let mut out = io::stdout().lock();
        if commands { print_lines(&mut out, &mut queue) } else { print(&mut out, &mut queue) }
    })?;
    Ok(Front { input, output, shown, prompt: None, takes_part: commands })
}

/// A prompt, with everything else above it; nothing if the terminal cannot do that.
fn terminal(shelf: &Shelf) -> io::Result<Option<Front>> {
    let (lines, input) = mpsc::channel(input::QUEUE);
    let (output, queue) = mpsc::channel(QUEUE);
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor = Editor::<Prompt, _>::with_history(config, MemHistory::new()).map_err(io_error)?;
    editor.set_helper(Some(Prompt(shelf.clone())));
    let Ok(printer) = editor.create_external_printer() else { return Ok(None) };
    let shelf = shelf.clone();
    let prompt = spawn("input", move || edit(&mut editor, &shelf, &lines))?;
    let shown = spawn("output", move || print_above(printer, queue))?;
    Ok(Some(Front { input, output, shown, prompt: Some(prompt), takes_part: true }))
}

/// What the editor asks while a line is typed.
struct Prompt(Shelf);

impl Completer for Prompt {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let known = self.0.look();
        let [names, gone, rooms] =
            [&known.names, &known.gone, &known.rooms].map(|all| all.iter().map(String::as_str));
        Ok(commands::complete(line.get(..at).unwrap_or_default(), names, gone, rooms))
    }
}

impl Hinter for Prompt {
    type Hint = String;
}

impl Highlighter for Prompt {}

impl Validator for Prompt {}

impl Helper for Prompt {}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn print(out: &mut impl Write, queue: &mut mpsc::Receiver<Shown>) -> io::Result<()> {
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some(shown) = next {
            match shown {
                Shown::Entry(entry) => {
                    let (name, text) = (Escaped(entry.name.as_bytes()), Escaped(&entry.body));
                    writeln!(out, "{}\t{name}\t{text}", entry.slot)?;
                }
                Shown::Words(words) => tracing::info!("{words}"),
                Shown::Refusal(words) => tracing::warn!("{words}"),
            }
            next = queue.try_recv().ok();
        }
        out.flush()?;
    }
    Ok(())
}

/// What is shown at a prompt.
fn line_of(shown: &Shown) -> String {
    match shown {
        Shown::Entry(entry) => {
            format!("[{}] {}: {}\n", entry.slot, Escaped(entry.name.as_bytes()), Escaped(&entry.body))
        }
        Shown::Words(words) | Shown::Refusal(words) => format!("-- {words}\n"),
    }
}

fn print_lines(out: &mut impl Write, queue: &mut mpsc::Receiver<Shown>) -> io::Result<()> {
    while let Some(shown) = queue.blocking_recv() {
        out.write_all(line_of(&shown).as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

fn edit(editor: &mut Editor<Prompt, MemHistory>, shelf: &Shelf, lines: &mpsc::Sender<Input>) {
    loop {
        let prompt = format!("{}> ", Escaped(shelf.look().me.as_bytes()));
        let next = match editor.readline(&prompt) {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => {
                // Only a memory limit can refuse it, and then it is not worth a word.
                let _ = editor.add_history_entry(line.as_str());
                Input::Line(line.into())
            }
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Input::End,
            Err(error) => {
                tracing::error!(%error, "the terminal cannot be read");
                Input::Broken
            }
        };
        let is_end = !matches!(next, Input::Line(_));
        if lines.blocking_send(next).is_err() || is_end {
            return;
        }
    }
}

fn print_above(mut printer: impl ExternalPrinter, mut queue: mpsc::Receiver<Shown>) -> io::Result<()> {
    while let Some(shown) = queue.blocking_recv() {
        let line = line_of(&shown);
        // The prompt may end before it takes the line, and then there is nothing to be above of.
        printer.print(line.clone()).or_else(|_| printer.print(line)).map_err(io_error)?;
    }
    Ok(())
}

/// Ends the prompt if it is still there, so that the terminal is as it was before. Only once nobody takes its lines.
pub(super) async fn end_prompt(prompt: &JoinHandle<()>) {
    const PATIENCE: u32 = 20;
    for _ in 0..PATIENCE {
        sleep(Duration::from_millis(20)).await;
        if prompt.is_finished() {
            return;
        }
        interrupt();
    }
}

/// The editor waits for a key or for SIGINT, and for nothing else.
#[cfg(unix)]
fn interrupt() {
    use rustix::process::{Signal, getpid, kill_process};
    // It cannot be refused: the process may send itself what it likes.
    let _ = kill_process(getpid(), Signal::INT);
}

#[cfg(not(unix))]
const fn interrupt() {}

fn io_error(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    }
}
