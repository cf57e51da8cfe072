//! `ledger anchor rebuild`: the last resort when the head anchor is lost or damaged and the ledger was verified.
//!
//! Invariant: it is never done unasked. The anchor is what tells a lost suffix from a crash; a new one declares whatever
//! is missing as never acknowledged.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use engine::offline;
use serde_json::json;

use super::arguments::AnchorRebuild;
use super::failure::Failure;
use super::output::Output;
use crate::exit::Exit;
use crate::serve;

/// Runs the command.
///
/// # Errors
/// Nobody agreed, or the directory cannot be used.
pub fn rebuild(args: &AnchorRebuild, output: &mut Output<'_>) -> Result<Exit, Failure> {
    if !args.yes && !agreed(args)? {
        return Err(Failure::new(Exit::Failure, "not_agreed", "nothing was changed"));
    }
    let heads = offline::rebuild_anchor(&args.data)
        .map_err(|error| Failure::new(serve::exit_of(&error), "data", error.to_string()))?;
    if output.json {
        let heads: Vec<_> =
            heads.iter().map(|(partition, tail)| json!({"partition": partition, "position": tail.0})).collect();
        output.object(&json!({"rebuilt": true, "items": heads}))?;
    } else {
        let mut rows = vec![["PARTITION", "POSITION"].map(str::to_owned).to_vec()];
        rows.extend(heads.iter().map(|(partition, tail)| vec![partition.to_string(), tail.to_string()]));
        output.table(&rows)?;
        output
            .line("the head anchor says now that the ledger ends here; what lay behind counts as never acknowledged")?;
    }
    Ok(Exit::Ok)
}

fn agreed(args: &AnchorRebuild) -> Result<bool, Failure> {
    let warning = format!(
        "A new head anchor declares whatever is missing from the log in {} as never acknowledged, and nobody can find \
         it missing afterwards. Verify the ledger against an export or a signed checkpoint first, and keep a copy.",
        args.data.display()
    );
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "not_agreed", format!("{warning} To do it, add --yes")));
    }
    write!(io::stderr(), "{warning}\nType `yes` to do it: ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
