//! `bowline`: the server and the terminal client in one binary.

mod chat;
mod cli;
mod gateway;
mod http;
mod record;
mod serve;
mod signals;
mod store;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use tracing::level_filters::LevelFilter;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().into_command() {
        Command::Serve(args) => {
            log_to_stderr(args.log);
            serve::run(&args)
        }
        Command::Chat(args) => chat::run(&args),
    }
}

/// Everything but results goes to stderr.
fn log_to_stderr(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Told on stderr, by a macro that panics where stderr is gone.
        .log_internal_errors(false)
        .init();
}
