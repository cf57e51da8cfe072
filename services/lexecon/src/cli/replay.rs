//! `replay` and `rebuild`: the two proofs over a directory that no process uses, and the repair of what is derived.
//!
//! Deliberately not here: a running system. Both read the whole ledger and need state at rest; a backup, which is taken
//! while it runs, proves the same.

use serde_json::json;

use super::arguments::{Offline, Rebuild, Replay};
use super::failure::Failure;
use super::offline::Directory;
use super::output::Output;
use super::progress;
use crate::exit::Exit;

/// `replay`: exit code 0 when every event that can be made again came out byte for byte the same.
///
/// # Errors
/// The directory cannot be used, or the ledger does not hold together.
pub fn replay(args: &Replay, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let directory = directory(&args.source, "replay")?;
    let bar = progress::bar(0, "frames", output.json);
    let report = directory.replay(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let difference = report.first_difference.as_ref();
    if output.json {
        output.object(&json!({
            "same": report.is_same(), "events": report.events, "reproduced": report.reproduced, "frames": report.frames,
            "recorded_inputs": report.recorded_inputs, "not_replayable": report.not_replayable,
            "evaluator_changed": report.evaluator_changed,
            "first_difference": difference.map(|d| json!({"partition": d.partition, "seq": d.seq, "what": d.what}))
        }))?;
    } else {
        output.line(format!("{} events read", report.events))?;
        output
            .line(format!("{} made again, byte for byte the same, in {} frames", report.reproduced, report.frames))?;
        output
            .line(format!("{} taken as recorded inputs (claims, keys, losses, quarantines)", report.recorded_inputs))?;
        for (reason, count) in &report.not_replayable {
            output.line(format!("{count} cannot be made again: {reason}"))?;
        }
        if report.evaluator_changed > 0 {
            output.line(format!(
                "{} decided differently by another version of the evaluator",
                report.evaluator_changed
            ))?;
        }
        match difference {
            Some(d) => output.line(format!("DIFFERENT: partition {}, seq {}: {}", d.partition, d.seq, d.what))?,
            None => output.line("the same")?,
        }
    }
    Ok(if report.is_same() { Exit::Ok } else { Exit::Failure })
}

/// `rebuild`: exit code 0 when every part has the same digest as before.
///
/// # Errors
/// The directory cannot be used, or the ledger does not hold together.
pub fn rebuild(args: &Rebuild, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let directory = directory(&args.source, "rebuild")?;
    if args.replace {
        return replace(directory, output);
    }
    let bar = progress::bar(0, "events", output.json);
    let report = directory.rebuild(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let equal = report.parts.iter().all(|part| part.equal);
    if output.json {
        let parts: Vec<_> = report
            .parts
            .iter()
            .map(|part| {
                json!({
                    "name": part.name, "partitions": part.partitions, "events": part.events, "seconds": part.seconds,
                    "digest_before": hex::encode(part.digest_before), "digest_after": hex::encode(part.digest_after),
                    "equal": part.equal
                })
            })
            .collect();
        output.object(&json!({"equal": equal, "parts": parts}))?;
    } else {
        let mut rows = vec![["PART", "EVENTS", "SECONDS", "DIGEST", ""].map(str::to_owned).to_vec()];
        rows.extend(report.parts.iter().map(|part| {
            let verdict = if part.equal { "equal" } else { "DIFFERENT" };
            let digest = hex::encode(part.digest_after).chars().take(16).collect();
            vec![part.name.to_string(), part.events.to_string(), format!("{:.2}", part.seconds), digest, verdict.into()]
        }));
        output.table(&rows)?;
        if !equal {
            output.line("`lexecon rebuild --replace` puts what was made in the place of what is there")?;
        }
    }
    Ok(if equal { Exit::Ok } else { Exit::Failure })
}

/// `rebuild --replace`: exit code 0 when state and read models are those of the ledger.
fn replace(directory: Directory, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let bar = progress::bar(0, "events", output.json);
    let report = directory.replace(&mut |events| bar.inc(events))?;
    bar.finish_and_clear();
    if output.json {
        let part = |part: &engine::offline::MadePart| json!({"name": part.name, "digest": hex::encode(part.digest)});
        output.object(&json!({"replaced": true, "parts": report.parts.iter().map(part).collect::<Vec<_>>()}))?;
    } else {
        let mut rows = vec![["PART", "DIGEST", ""].map(str::to_owned).to_vec()];
        rows.extend(report.parts.iter().map(|part| {
            let digest = hex::encode(part.digest).chars().take(16).collect();
            vec![part.name.to_string(), digest, "replaced".to_owned()]
        }));
        output.table(&rows)?;
    }
    Ok(Exit::Ok)
}

fn directory(args: &Offline, command: &str) -> Result<Directory, Failure> {
    let on_a_backup = format!(
        "take a backup with `lexecon backup DIR`, which works while the system runs, and then `lexecon {command} --data DIR`"
    );
    if args.url.is_some() {
        let message = format!("a running system cannot {command}: it needs a ledger at rest; {on_a_backup}");
        return Err(Failure::new(Exit::Usage, "usage", message));
    }
    Directory::open(&args.data, args.config.as_deref()).map_err(|failure| {
        if failure.code == "in_use" {
            let message = format!("{} is in use by another process; stop it, or {on_a_backup}", args.data.display());
            return Failure { message, ..failure };
        }
        failure
    })
}
