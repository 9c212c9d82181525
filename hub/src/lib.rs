//! `bowline`: the server and the terminal client in one binary, whose program is [`main`]. The rest of the library is for fuzzing.

mod chat;
mod cli;
pub mod fuzzing;
mod gateway;
mod http;
mod keep;
mod key;
mod private;
mod record;
mod serve;
mod signals;
mod store;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use tracing::level_filters::LevelFilter;

use cli::{Command, LogFormat, Parsed};

/// What the program does: all of it, from its command line to its exit code.
pub fn main() -> ExitCode {
    let parsed = match cli::parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            // Nobody may read stderr, and the exit code says it too.
            let _ = writeln!(io::stderr(), "bowline: {error}");
            return ExitCode::from(cli::exit::USAGE);
        }
    };
    let Parsed { command, effective } = parsed;
    match command {
        Command::Serve(args) => {
            log_to_stderr(args.log, args.log_format);
            serve::run(&args)
        }
        Command::Config(_) => {
            let printed = effective.map_or(Ok(()), |text| io::stdout().lock().write_all(text.as_bytes()));
            if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(cli::exit::UNSEEN) }
        }
        Command::Store(command) => {
            log_to_stderr(LevelFilter::WARN, LogFormat::Text);
            keep::run(&command)
        }
        Command::Key(command) => key::run(&command),
        Command::Chat(args) => chat::run(&args),
    }
}

/// Everything but results goes to stderr.
fn log_to_stderr(level: LevelFilter, format: LogFormat) {
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        // Told on stderr, by a macro that panics where stderr is gone.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
