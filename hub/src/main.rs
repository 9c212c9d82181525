//! The program `bowline`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hub::main()
}
