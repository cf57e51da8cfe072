//! The command line: few flags, so no crate for it.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str =
    "usage: ops/bench [--quick] [--only NAME,…] [--json FILE] [--scratch DIR] [--binary FILE] [--decisions N] [--other FILE]
  --quick         short runs: a look, no figures to quote
  --only NAME,…   some measurements only
  --json FILE     write all figures, with commit and machine
  --scratch DIR   where data directories are made [default: the system's directory for temporary files]
  --binary FILE   the lexecon to measure [default: the one beside this program]
  --decisions N   how many go through for the measurement of memory [default: 5000000; quick: 200000]
  --other FILE    another lexecon, measured in turn with the first (http only): A B A B";

#[derive(Clone, Debug, Default)]
pub struct Arguments {
    pub quick: bool,
    pub json: Option<PathBuf>,
    pub binary: Option<PathBuf>,
    pub other: Option<PathBuf>,
    /// Decisions of the measurement of memory.
    pub decisions: Option<u64>,
    scratch: Option<PathBuf>,
    only: Vec<String>,
}

impl Arguments {
    pub fn parse(mut words: impl Iterator<Item = String>, names: &[&str]) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--quick" => arguments.quick = true,
                "--json" => arguments.json = Some(value()?.into()),
                "--scratch" => arguments.scratch = Some(value()?.into()),
                "--binary" => arguments.binary = Some(value()?.into()),
                "--other" => arguments.other = Some(value()?.into()),
                "--decisions" => {
                    arguments.decisions = Some(value()?.parse().map_err(|error| format!("--decisions: {error}"))?)
                }
                "--only" => arguments.only = value()?.split(',').map(str::to_owned).collect(),
                "--help" | "-h" => return Err(format!("{USAGE}\nmeasurements: {}", names.join(", "))),
                _ => return Err(format!("unknown argument {word}\n{USAGE}")),
            }
        }
        match arguments.only.iter().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(format!("no measurement is called {name}; there are {}", names.join(", "))),
            None => Ok(arguments),
        }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    pub fn scratch(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// A fresh directory, removed when dropped.
    pub fn directory(&self) -> tempfile::TempDir {
        tempfile::Builder::new()
            .prefix("lexecon-bench-")
            .tempdir_in(self.scratch())
            .expect("the scratch directory can be written")
    }

    /// How long one run takes.
    pub fn run(&self) -> Duration {
        Duration::from_secs(if self.quick { 4 } else { 15 })
    }
}
