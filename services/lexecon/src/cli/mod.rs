//! The command line: what each command does with a running system (`--url`) or a directory that no process uses
//! (`--data`), and what it prints.
//!
//! Invariants: every command prints text or, with `--json`, JSON with the same facts; standard output holds the answer
//! and nothing else; every failure has an exit code of [`crate::exit`], a stable code and a sentence with a remedy;
//! a command that only reads adds nothing to the ledger. With `--data` it may bring state and read models, which are a
//! fold of the ledger, up to it, and work in a directory beside them that it removes.
//! Deliberately not here: rules and formats. A command asks the interface or the engine and shows what it said.

mod anchor;
pub mod arguments;
mod backup;
mod config;
mod dead_letters;
mod decide;
mod decisions;
mod doctor;
mod export;
pub(crate) mod failure;
mod input;
mod ledger;
mod load;
mod offline;
mod outcomes;
mod output;
mod policy;
mod progress;
mod question;
mod reach;
mod replay;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write as _};

pub use arguments::Cli;
use arguments::Command;
use clap::Parser as _;
use failure::Failure;
use output::Output;

use crate::exit::Exit;
use crate::serve;

/// Reads the command line, does what it says, and says how the process ends.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    match Cli::try_parse_from(&args) {
        Ok(cli) => run(cli),
        // A script that asked for JSON gets a wrong command line told as JSON too.
        Err(error) if error.use_stderr() && args.iter().any(|arg| arg == "--json") => {
            let text = error.render().to_string();
            let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
            Output::new(true, &mut io::stdout().lock()).failure(&Failure::new(Exit::Usage, "usage", message))
        }
        Err(error) => {
            // When neither stream can be written there is nobody left to tell.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Ok }
        }
    }
}

/// Does what the command line says, and says how the process ends.
pub fn run(cli: Cli) -> Exit {
    let json = cli.json;
    if let Command::Serve(args) = cli.command {
        let options =
            serve::Options { config: args.config, data: args.data, listen: args.listen, policy: args.policy, json };
        return serve::run(&options)
            .unwrap_or_else(|failure| Output::new(json, &mut io::stdout().lock()).failure(&failure));
    }
    let mut stdout = BufWriter::new(io::stdout().lock());
    let mut output = Output::new(json, &mut stdout);
    let ended = dispatch(cli.command, &mut output).and_then(|exit| Ok((exit, output.flush()?)));
    match ended {
        Ok((exit, ())) => exit,
        Err(failure) => {
            let exit = output.failure(&failure);
            let _ = stdout.flush();
            exit
        }
    }
}

fn dispatch(command: Command, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Serve(_) => Err(Failure::new(Exit::Usage, "usage", "serve is run by the process itself")),
        Command::Decide(args) => decide::run(&args, output),
        Command::Load(args) => load::run(&args, output),
        Command::Ledger(command) => ledger::run(&command, output),
        Command::Replay(args) => replay::replay(&args, output),
        Command::Rebuild(args) => replay::rebuild(&args, output),
        Command::Policy(command) => policy::run(&command, output),
        Command::Dlq(command) => dead_letters::run(&command, output),
        Command::Config(arguments::Config::Check(args)) => config::check(&args, output),
        Command::Doctor(args) => doctor::run(&args, output),
        Command::Backup(args) => backup::run(&args, output),
        Command::Outcomes(args) => outcomes::run(&args, output),
        Command::Requests(arguments::Requests::Get(args)) => decisions::of_request(&args, output),
        Command::Decisions(arguments::Decisions::List(args)) => decisions::list(&args, output),
        Command::Decisions(arguments::Decisions::Get(args)) => decisions::get(&args, output),
    }
}
