//! What auditors and operators do with a whole ledger: export, verify, decide again, fold again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::client::{self, Load, Until};
use crate::report::{Report, table};
use crate::server::{self, Server};
use crate::traffic::Templates;
use crate::usage::{self, Cpu};

struct Ran {
    what: &'static str,
    target: Option<f64>,
    seconds: f64,
    cpu: Cpu,
    said: Value,
}

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let program = arguments.binary.clone().unwrap_or_else(|| server::binary("lexecon"));
    let verifier = server::binary("ledger-verify");
    let directory = arguments.directory();
    let data = directory.path().join("data");
    let decisions = if arguments.quick { 20_000 } else { 100_000 };
    let server = Server::start(&program, &data);
    let load =
        Load { address: server.address.clone(), connections: 4, batch: 50, run: 0, until: Until::Sent(decisions) };
    client::run(&load, &Arc::new(Templates::new()), &Arc::default());
    server.stop();

    let file = directory.path().join("export.ledger");
    let (data, file) = (data.display().to_string(), file.display().to_string());
    let all = [
        ran("export", None, &program, &["--json", "ledger", "export", "--data", &data, "--out", &file]),
        ran("ledger-verify", Some(100_000.0), &verifier, &["--json", &file]),
        ran("replay", None, &program, &["--json", "replay", "--data", &data]),
        ran("rebuild", None, &program, &["--json", "rebuild", "--data", &data]),
    ];
    let events = all[1].said["events"].as_u64().unwrap_or(0);
    print(&all, events, std::fs::metadata(&file).map_or(0, |file| file.len()));
    let figures = all.iter().map(|one| {
        let figures = json!({
            "events": events, "seconds": one.seconds, "cpu_seconds": one.cpu.total(), "target_events_per_core_second": one.target,
            "events_per_core_second": events as f64 / one.cpu.total().max(1e-9),
        });
        (one.what.to_owned(), figures)
    });
    report.set("ledger", Value::Object(figures.collect()));
}

/// Runs a command to its end.
fn ran(what: &'static str, target: Option<f64>, program: &Path, words: &[&str]) -> Ran {
    let (before, since) = (usage::of_children(), Instant::now());
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().expect("the command runs");
    let (seconds, cpu) = (since.elapsed().as_secs_f64(), usage::of_children().since(before));
    assert!(
        output.status.success(),
        "{what}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ran { what, target, seconds, cpu, said: serde_json::from_slice(&output.stdout).unwrap_or_default() }
}

fn print(all: &[Ran], events: u64, bytes: u64) {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            vec![
                one.what.to_owned(),
                format!("{:.0}", events as f64 / one.seconds),
                format!("{:.0}", events as f64 / one.cpu.total().max(1e-9)),
                one.target.map_or(String::new(), |target| format!("{target:.0}")),
                format!("{:.2}", one.seconds),
                format!("{:.2} + {:.2}", one.cpu.user, one.cpu.sys),
            ]
        })
        .collect();
    let title = format!("A ledger of {events} events, {:.1} MB exported", bytes as f64 / 1e6);
    table(
        &title,
        &["whole ledger", "events/s", "events per core second", "target", "seconds", "CPU s user + sys"],
        &rows,
    );
    println!(
        "  limits: verifying, SHA3-256 of every byte, one core a run; replay, evaluation and sealing; rebuild, writes of the store."
    );
}
