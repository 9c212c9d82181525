//! The end of a chat: what still can be shown is shown, and what is left undone is reported.

use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::escape::Escaped;
use super::front::{self, Front};
use super::input::Input;
use super::link::Link;
use super::session::Outcome;
use super::words;
use crate::cli::exit;
use crate::signals::Signals;

/// An input that gives nothing for this long has nothing more to be reported.
const INPUT_PAUSE: Duration = Duration::from_millis(200);
/// An endless input is reported for this long.
const INPUT_LIMIT: Duration = Duration::from_secs(5);

/// Ends a chat. A signal cuts short whatever it waits for.
pub(super) async fn finish(
    undone: &[Bytes],
    rejected: u64,
    link: Link,
    front: Front,
    mut outcome: Outcome,
    signals: &mut Signals,
) -> ExitCode {
    link.close().await;
    let Front { mut input, output, shown, prompt, .. } = front;
    drop(output);
    let shown = tokio::task::spawn_blocking(|| shown.join());
    let shown = tokio::select! {
        shown = shown => shown.map_err(io::Error::other).and_then(|shown| {
            shown.unwrap_or_else(|_| Err(io::Error::other("the thread that prints has panicked")))
        }),
        _ = signals.recv() => Ok(()),
    };
    let error = match shown {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            if matches!(outcome, Outcome::Done | Outcome::Interrupted) {
                outcome = Outcome::Unseen;
            }
            None
        }
        shown => shown.err(),
    };
    let mut unread = Vec::new();
    if outcome != Outcome::Unseen || error.is_some() {
        tokio::select! {
            () = read_rest(&mut input, &mut unread) => {}
            _ = signals.recv() => {}
        }
    }
    drop(input);
    if let Some(prompt) = prompt {
        front::end_prompt(&prompt).await;
    }
    let undone: Vec<&Bytes> = undone.iter().chain(&unread).collect();
    let ended = words::ended(outcome, error.as_ref(), undone.len());
    if let Some(ended) = &ended {
        report(ended, &undone);
    }
    if outcome == Outcome::Unseen && error.is_none() {
        ExitCode::from(exit::UNSEEN)
    } else if ended.is_some() || rejected > 0 {
        ExitCode::from(exit::FAILED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Adds the lines that were never taken: all that the input still gives without a pause, for a limited time.
async fn read_rest(input: &mut mpsc::Receiver<Input>, lines: &mut Vec<Bytes>) {
    let read = async {
        while let Ok(Some(Input::Line(line))) = tokio::time::timeout(INPUT_PAUSE, input.recv()).await {
            lines.push(line);
        }
    };
    if tokio::time::timeout(INPUT_LIMIT, read).await.is_err() {
        tracing::warn!("the input does not end: what follows of it is not reported");
    }
}

fn report(ended: &str, undone: &[&Bytes]) {
    let mut stderr = BufWriter::new(io::stderr().lock());
    // Nobody may read stderr, and the exit code says it too.
    let _ = writeln!(stderr, "bowline: {ended}")
        .and_then(|()| undone.iter().try_for_each(|line| writeln!(stderr, "{}", Escaped(line))))
        .and_then(|()| stderr.flush());
}
