//! The process: reads the command line and ends with the exit code of what it did.

use std::process::ExitCode;

use lexecon::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(std::env::args_os()).into()
}
