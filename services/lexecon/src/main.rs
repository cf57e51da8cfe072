//! The process: reads the command line and ends with the exit code of what it did.

use std::process::ExitCode;

use clap::Parser as _;
use lexecon::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse()).into()
}
