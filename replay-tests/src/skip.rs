//! Tests that find at run time that they cannot run.

use std::fs::File;
use std::io::Write;

/// Says why a test did not run, and has it counted: `ops/test` names the file in `LEXECON_TEST_SKIPS`.
#[expect(clippy::print_stdout, reason = "the runner's output is where people look for it")]
pub fn skip(name: &str, why: &str) {
    println!("skipped: {name}: {why}");
    if let Some(skips) = std::env::var_os("LEXECON_TEST_SKIPS") {
        let mut skips =
            File::options().create(true).append(true).open(skips).expect("the list of skips can be written");
        writeln!(skips, "{name}: {why}").expect("the list of skips can be written");
    }
}
