//! `ledger-verify`: tells whether an exported ledger is intact, offline, with nothing but the file.
//!
//! Small on purpose: no storage engine, no Avro, no async runtime. It streams, so a file may be larger than memory.
//! Exit codes: 0 valid, 1 not valid, 2 could not be read.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ledger::verify::{Anchor, Fault, Options, Report, Verifier};
use serde_json::{Value, json};

const CHUNK_BYTES: usize = 1 << 20;
const CAVEAT: &str = "no signed checkpoint was given: the heads exclude corruption, not forgery. Compare them with heads that you know from elsewhere (--expect-head)";

/// Verify an exported ledger.
///
/// Recomputes every hash, link and tree, and counts requests, decisions and rejections again.
/// Exits with 0 when the ledger is VALID, 1 when it is not, 2 when the file could not be read.
#[derive(Parser)]
#[command(name = "ledger-verify", version)]
struct Arguments {
    /// The export, as `lexecon ledger export` writes it.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// A hash known from elsewhere: that of an event, or the head after the run that ends at SEQ. May be repeated.
    #[arg(long, value_name = "PARTITION:SEQ:HASH")]
    expect_head: Vec<Anchor>,
    /// The export starts after seq 0 in some partitions.
    #[arg(long)]
    partial: bool,
    /// Print how long it took, to standard error.
    #[arg(long)]
    time: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a binary may look at the clock")]
    let start = std::time::Instant::now();
    let verdict = verify(&arguments);
    let elapsed = start.elapsed();
    if arguments.time
        && let Ok(Ok(report)) = &verdict
    {
        let per_second = report.events as f64 / elapsed.as_secs_f64();
        complain(&format!("{:.3} s, {per_second:.0} events/s", elapsed.as_secs_f64()));
    }
    let (text, json, code) = match &verdict {
        Ok(Ok(report)) => (valid(report), valid_json(report), 0),
        Ok(Err(fault)) => (invalid(fault), invalid_json(fault), 1),
        Err(error) => {
            let what = unreadable(&arguments.file, error);
            let json = json!({ "verdict": null, "fault": null, "partition": null, "seq": null, "error": what });
            complain(&what);
            (String::new(), json, 2)
        }
    };
    if arguments.json {
        say(&format!("{json}\n"));
    } else {
        say(&text);
    }
    ExitCode::from(code)
}

/// The outer error is about reading the file, the inner one about what stands in it.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a binary may read files")]
fn verify(arguments: &Arguments) -> std::io::Result<Result<Report, Fault>> {
    let mut file = std::fs::File::open(&arguments.file)?;
    let mut verifier = Verifier::new(Options { partial: arguments.partial, anchors: arguments.expect_head.clone() });
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => return Ok(verifier.finish()),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Err(fault) = verifier.feed(chunk.get(..read).unwrap_or_default()) {
            return Ok(Err(fault));
        }
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> String {
    format!("{} could not be read: {error}", file.display())
}

fn valid(report: &Report) -> String {
    let mut text = format!(
        "VALID\nevents      {}\nruns        {}\npartitions  {}{}\nrequests    {}\ndecisions   {}\nrejected    {}\nduplicates  {}\npruned      {} sections\n",
        report.events,
        report.runs,
        report.partitions,
        report.partitions_declared.map_or(String::new(), |n| format!(" of {n}")),
        report.requests,
        report.decisions,
        report.rejected,
        report.duplicates(),
        report.pruned,
    );
    for (partition, seq) in &report.partial {
        text += &format!("partial     partition {partition} starts at seq {seq}\n");
    }
    if report.unknown_types > 0 {
        text += &format!("unread      {} events of types that this version has no layout for\n", report.unknown_types);
    }
    for head in &report.heads {
        let last_seq = head.next_seq.saturating_sub(1);
        text += &format!("head        {}:{last_seq}:{}\n", head.chain.partition, head.run_head);
    }
    text + "note        " + CAVEAT + "\n"
}

fn valid_json(report: &Report) -> Value {
    let heads: Vec<Value> = report.heads.iter().map(head_json).collect();
    let partial: Vec<Value> = report
        .partial
        .iter()
        .map(|(partition, first_seq)| json!({ "partition": partition, "first_seq": first_seq }))
        .collect();
    json!({
        "verdict": "VALID",
        "fault": null,
        "partition": null,
        "seq": null,
        "events": report.events,
        "runs": report.runs,
        "partitions": report.partitions,
        "partitions_declared": report.partitions_declared,
        "requests": report.requests,
        "decisions": report.decisions,
        "rejected": report.rejected,
        "duplicates": report.duplicates(),
        "pruned": report.pruned,
        "unknown_types": report.unknown_types,
        "partial": partial,
        "heads": heads,
        "signed": false,
        "note": CAVEAT,
    })
}

fn head_json(head: &ledger::Head) -> Value {
    json!({
        "partition": head.chain.partition,
        "chain_epoch": head.chain.chain_epoch,
        "last_seq": head.next_seq.saturating_sub(1),
        "run_head": head.run_head.to_string(),
        "closed": head.closed,
    })
}

fn invalid(fault: &Fault) -> String {
    let known = |number: Option<u64>| number.map_or("unknown".to_owned(), |n| n.to_string());
    format!(
        "NOT VALID\nfault       {}\npartition   {}\nseq         {}\nbyte        {}\nfound       {}\nmeaning     {}\n",
        fault.kind,
        known(fault.partition.map(u64::from)),
        known(fault.seq),
        known(fault.at_byte),
        fault.detail,
        fault.kind.meaning(),
    )
}

fn invalid_json(fault: &Fault) -> Value {
    json!({
        "verdict": "INVALID",
        "fault": fault.kind.as_str(),
        "partition": fault.partition,
        "seq": fault.seq,
        "at_byte": fault.at_byte,
        "detail": fault.detail,
        "meaning": fault.kind.meaning(),
        "events": null,
        "heads": [],
    })
}

#[expect(clippy::print_stdout, reason = "this is the program's output")]
fn say(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is the program's output")]
fn complain(text: &str) {
    eprintln!("{text}");
}
