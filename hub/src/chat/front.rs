//! Where a chat meets its user: lines come in, entries and words go out, each on a thread of its own, so that neither a silent
//! keyboard nor a slow screen holds up the network.

use std::io::{self, Write};
use std::thread::{self, JoinHandle};

use proto_core::chat::Entry;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::sync::mpsc;

use super::escape::Escaped;
use super::input::{self, Input};

/// How many things may wait to be shown. After that the session holds them, and then the server.
const QUEUE: usize = 256;

/// Something to show.
#[derive(Debug)]
pub(super) enum Shown {
    /// An entry of the room.
    Entry(Entry),
    /// A change of state.
    Words(String),
}

/// The ways to and from the user.
pub(super) struct Front {
    pub(super) input: mpsc::Receiver<Input>,
    pub(super) output: mpsc::Sender<Shown>,
    /// Ends when `output` is dropped and everything is shown; with an error when it cannot be.
    pub(super) shown: JoinHandle<io::Result<()>>,
}

/// Lines from stdin, entries to stdout, words to the log.
pub(super) fn lines() -> io::Result<Front> {
    let (lines, input) = mpsc::channel(input::QUEUE);
    let (output, mut queue) = mpsc::channel(QUEUE);
    spawn("input", move || input::forward(io::stdin().lock(), &lines))?;
    let shown = spawn("output", move || print(&mut io::stdout().lock(), &mut queue))?;
    Ok(Front { input, output, shown })
}

/// A prompt, with everything else above it.
pub(super) fn terminal(name: &str) -> io::Result<Front> {
    let (lines, input) = mpsc::channel(input::QUEUE);
    let (output, queue) = mpsc::channel(QUEUE);
    let mut editor = Editor::<(), _>::with_history(Config::default(), MemHistory::new()).map_err(io_error)?;
    let printer = editor.create_external_printer().map_err(io_error)?;
    let prompt = format!("{}> ", Escaped(name.as_bytes()));
    spawn("input", move || edit(&mut editor, &prompt, &lines))?;
    let shown = spawn("output", move || print_above(printer, queue))?;
    Ok(Front { input, output, shown })
}

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
            }
            next = queue.try_recv().ok();
        }
        out.flush()?;
    }
    Ok(())
}

fn edit(editor: &mut Editor<(), MemHistory>, prompt: &str, lines: &mpsc::Sender<Input>) {
    loop {
        let next = match editor.readline(prompt) {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => {
                // Only a memory limit can refuse it, and then it is not worth a word.
                let _ = editor.add_history_entry(line.as_str());
                Input::Line(line)
            }
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Input::End,
            Err(error) => {
                tracing::error!(%error, "the terminal cannot be read");
                Input::End
            }
        };
        let is_end = next == Input::End;
        if lines.blocking_send(next).is_err() || is_end {
            return;
        }
    }
}

fn print_above(mut printer: impl ExternalPrinter, mut queue: mpsc::Receiver<Shown>) -> io::Result<()> {
    while let Some(shown) = queue.blocking_recv() {
        let line = match shown {
            Shown::Entry(entry) => {
                format!("[{}] {}: {}\n", entry.slot, Escaped(entry.name.as_bytes()), Escaped(&entry.body))
            }
            Shown::Words(words) => format!("-- {words}\n"),
        };
        printer.print(line).map_err(io_error)?;
    }
    Ok(())
}

fn io_error(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    }
}
