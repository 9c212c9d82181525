//! The program `bowline`.

use std::process::ExitCode;

/// What was freed goes back to the system, whoever has come and gone since (docs/decisions/0004-dependencies.md).
#[cfg(all(target_os = "linux", feature = "jemalloc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hub::main()
}
