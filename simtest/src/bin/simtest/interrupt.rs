//! Ctrl-C while a smaller story is looked for: what was found is told.

use std::process::{ChildStdin, Command, Stdio};

/// The process is to outlive the first Ctrl-C, and learns of it by the end of its standard input.
pub(crate) fn spare(command: &mut Command) {
    if !cfg!(feature = "cli") {
        return;
    }
    command.stdin(Stdio::piped()).env("SIMTEST_STOP", "stdin");
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
    }
}

/// The first Ctrl-C closes this; the second ends this program, and with it all that would read the other's output.
#[cfg(feature = "cli")]
pub(crate) fn ends(stdin: ChildStdin) {
    use std::sync::{Mutex, PoisonError};

    static STDIN: Mutex<Option<ChildStdin>> = Mutex::new(None);
    *STDIN.lock().unwrap_or_else(PoisonError::into_inner) = Some(stdin);
    // It is an error if there is a handler already, and that is this one.
    let _ = ctrlc::set_handler(|| {
        if STDIN.lock().unwrap_or_else(PoisonError::into_inner).take().is_none() {
            std::process::exit(130);
        }
        super::error::complain("ends with the smallest story so far; once more, and at once");
    });
}

#[cfg(not(feature = "cli"))]
pub(crate) fn ends(stdin: ChildStdin) {
    drop(stdin);
}
