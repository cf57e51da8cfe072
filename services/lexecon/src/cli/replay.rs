//! `replay` and `rebuild`: the two proofs over a directory that no process uses.

use serde_json::json;

use super::arguments::Offline;
use super::failure::Failure;
use super::offline::Directory;
use super::output::Output;
use super::progress;
use crate::exit::Exit;

/// `replay`: exit code 0 when every event that can be made again came out byte for byte the same.
///
/// # Errors
/// The directory cannot be used, or the ledger does not hold together.
pub fn replay(args: &Offline, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let directory = Directory::open(&args.data)?;
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
pub fn rebuild(args: &Offline, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let directory = Directory::open(&args.data)?;
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
    }
    Ok(if equal { Exit::Ok } else { Exit::Failure })
}
