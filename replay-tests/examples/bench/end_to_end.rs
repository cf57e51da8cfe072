//! Durable decisions through HTTP, as a client sees them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::client::{self, Load, Outcome, Until};
use crate::disk;
use crate::report::{Report, table};
use crate::server::{self, Server};
use crate::traffic::Templates;
use crate::usage::{Meter, Spent};

/// Name, connections, requests in one call, target in decisions a second.
const SHAPES: [(&str, usize, u64, Option<f64>); 6] = [
    ("1 connection", 1, 0, None),
    ("16 connections", 16, 0, Some(3_000.0)),
    ("256 connections", 256, 0, None),
    ("batches of 50, 1 connection", 1, 50, None),
    ("batches of 50, 8 connections", 8, 50, Some(10_000.0)),
    ("batches of 50, 32 connections", 32, 50, Some(10_000.0)),
];

/// Times that two programs are measured in turn.
const TURNS: usize = 3;

struct Measured {
    program: &'static str,
    shape: &'static str,
    target: Option<f64>,
    outcome: Outcome,
    spent: Spent,
    fdatasync: Duration,
}

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let templates = Arc::new(Templates::new());
    let first = arguments.binary.clone().unwrap_or_else(|| server::binary("lexecon"));
    let mut programs = vec![("A", first)];
    programs.extend(arguments.other.clone().map(|other| ("B", other)));
    let turns = if programs.len() > 1 { TURNS } else { 1 };
    let mut all = Vec::new();
    for turn in 0..turns {
        for (name, program) in &programs {
            all.extend(one_server(arguments, name, program, turn as u64, &templates));
        }
    }
    print(&all, programs.len() > 1);
    report.set("http", all.iter().map(json_of).collect());
}

/// Every shape on a fresh directory.
fn one_server(
    arguments: &Arguments,
    name: &'static str,
    program: &Path,
    turn: u64,
    templates: &Arc<Templates>,
) -> Vec<Measured> {
    let directory = arguments.directory();
    let server = Server::start(program, &directory.path().join("data"));
    let done = Arc::default();
    let load =
        |connections, batch, run, until| Load { address: server.address.clone(), connections, batch, run, until };
    // Keys of most actors and persons are made now, caches are warm: what is measured is the steady state.
    client::run(&load(4, 50, turn * 100 + 99, Until::Sent(10_000)), templates, &done);
    let mut measured = Vec::new();
    for (index, (shape, connections, batch, target)) in SHAPES.into_iter().enumerate() {
        let fdatasync = disk::fdatasync_p50(directory.path(), 100);
        let meter = Meter::start(server.pid());
        let outcome = client::run(
            &load(connections, batch, turn * 100 + index as u64, Until::Elapsed(arguments.run())),
            templates,
            &done,
        );
        measured.push(Measured { program: name, shape, target, outcome, spent: meter.stop(), fdatasync });
    }
    server.stop();
    measured
}

fn per_decision_us(seconds: f64, decided: u64) -> f64 {
    seconds * 1e6 / decided.max(1) as f64
}

fn print(all: &[Measured], compared: bool) {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let n = one.outcome.decided;
            let cpu = |seconds| format!("{:.1}", per_decision_us(seconds, n));
            let prefix = if compared { format!("{} ", one.program) } else { String::new() };
            vec![
                format!("{prefix}{}", one.shape),
                format!("{:.0}", one.outcome.rate()),
                one.target.map_or(String::new(), |target| format!("{target:.0}")),
                format!("{:.2}", f64::from(one.outcome.percentile_us(50)) / 1e3),
                format!("{:.2}", f64::from(one.outcome.percentile_us(99)) / 1e3),
                one.outcome.errors.to_string(),
                format!("{} + {}", cpu(one.spent.server.user), cpu(one.spent.server.sys)),
                format!("{} + {}", cpu(one.spent.client.user), cpu(one.spent.client.sys)),
                format!("{:.2}", one.spent.others),
                format!("{}", one.fdatasync.as_micros()),
                format!("{:.1}", one.outcome.rate() * one.fdatasync.as_secs_f64()),
            ]
        })
        .collect();
    let head = [
        "http",
        "decisions/s",
        "target",
        "call p50 ms",
        "p99 ms",
        "errors",
        "server µs user + sys",
        "client µs",
        "others' cores",
        "fdatasync µs",
        "per fdatasync",
    ];
    table("Durable decisions through HTTP; CPU in µs per decision", &head, &rows);
    for one in all.iter().filter(|one| one.shape.starts_with("batches")) {
        let n = one.outcome.decided;
        let threads: Vec<String> = one
            .spent
            .threads
            .iter()
            .filter(|(_, cpu)| cpu.total() > 0.0)
            .map(|(name, cpu)| format!("{name} {:.1}", per_decision_us(cpu.total(), n)))
            .collect();
        println!("  {} {}, µs by thread: {}", one.program, one.shape, threads.join(", "));
    }
    println!(
        "  limits: alone or on few connections, the wait for fdatasync and wake-ups between threads; in batches, CPU time. All cores \
         together do cores ÷ (server + client) decisions a second at most."
    );
}

fn json_of(one: &Measured) -> Value {
    let n = one.outcome.decided;
    let threads: serde_json::Map<String, Value> =
        one.spent.threads.iter().map(|(name, cpu)| (name.clone(), json!(per_decision_us(cpu.total(), n)))).collect();
    json!({
        "program": one.program, "shape": one.shape, "decided": n, "errors": one.outcome.errors, "seconds": one.outcome.seconds,
        "decisions_per_second": one.outcome.rate(), "target": one.target,
        "call_p50_us": one.outcome.percentile_us(50), "call_p99_us": one.outcome.percentile_us(99),
        "server_user_us": per_decision_us(one.spent.server.user, n), "server_sys_us": per_decision_us(one.spent.server.sys, n),
        "client_us": per_decision_us(one.spent.client.total(), n), "others_cores": one.spent.others,
        "fdatasync_p50_us": one.fdatasync.as_micros() as u64, "threads_us": threads,
    })
}
