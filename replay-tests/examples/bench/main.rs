//! Measures the whole system on this machine and says what limits each figure. Run through `ops/bench`.
//!
//! Rules: the program under test is the shipped binary in a process of its own, driven over real sockets; a rate alone
//! is never printed, because machines are shared: beside it stand the CPU time that server and client spent for one
//! decision, what other processes took meanwhile, and how long this disk takes for one `fdatasync`. Deliberately not
//! here: pass or fail. Targets are printed beside the figures, tests are elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::print_stderr, clippy::cast_possible_truncation, clippy::cast_precision_loss, missing_docs)]

mod arguments;
mod bundles;
mod client;
mod disk;
mod end_to_end;
mod engine_alone;
mod ledger;
mod machine;
mod memory;
mod report;
mod server;
mod stages;
mod traffic;
mod usage;

use arguments::Arguments;
use report::Report;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Measure = fn(&Arguments, &mut Report);

/// Every measurement, by the name that `--only` takes, in the order in which they run.
const ALL: &[(&str, Measure)] = &[
    ("stages", stages::measure),
    ("engine", engine_alone::measure),
    ("http", end_to_end::measure),
    ("ledger", ledger::measure),
    ("memory", memory::measure),
];

fn main() {
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    let arguments = match Arguments::parse(std::env::args().skip(1), &names) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    let mut report = Report::new(machine::describe(&arguments.scratch()));
    report.head();
    for (name, measure) in ALL {
        if arguments.wants(name) {
            measure(&arguments, &mut report);
        }
    }
    if let Some(path) = &arguments.json
        && let Err(error) = report.write(path)
    {
        eprintln!("{}: {error}", path.display());
        std::process::exit(1);
    }
}
