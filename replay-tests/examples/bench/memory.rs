//! Memory of the server while millions of decisions go through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::arguments::Arguments;
use crate::client::{self, Load, Until};
use crate::report::{Report, table};
use crate::server::{self, Server};
use crate::traffic::Templates;
use crate::usage;

/// Growth over the last four fifths that is still none.
const GROWTH_PERCENT_MAX: f64 = 5.0;
const SAMPLE: Duration = Duration::from_millis(250);

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let program = arguments.binary.clone().unwrap_or_else(|| server::binary("lexecon"));
    let directory = arguments.directory();
    let server = Server::start(&program, &directory.path().join("data"));
    let decisions: u64 = arguments.decisions.unwrap_or(if arguments.quick { 200_000 } else { 5_000_000 });
    let done = Arc::new(AtomicU64::new(0));
    let load =
        Load { address: server.address.clone(), connections: 8, batch: 50, run: 0, until: Until::Sent(decisions) };
    let (counted, templates) = (done.clone(), Arc::new(Templates::new()));
    let since = Instant::now();
    let client = std::thread::spawn(move || client::run(&load, &templates, &counted));
    let mut samples = vec![(0, usage::resident_bytes(server.pid()))];
    while !client.is_finished() {
        std::thread::sleep(SAMPLE);
        samples.push((done.load(Ordering::Relaxed), usage::resident_bytes(server.pid())));
    }
    let outcome = client.join().expect("the client ends");
    let seconds = since.elapsed().as_secs_f64();
    server.stop();

    let fifths: Vec<u64> = (0..5).map(|fifth| highest(&samples, decisions, fifth)).collect();
    let growth = 100.0 * (fifths[4] as f64 / fifths[0].max(1) as f64 - 1.0);
    let mib = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
    let mut row =
        vec![format!("{} decisions in {seconds:.0} s, {} errors", outcome.decided, outcome.errors), mib(samples[0].1)];
    row.extend(fifths.iter().map(|bytes| mib(*bytes)));
    row.extend([format!("{growth:+.1} %"), format!("{GROWTH_PERCENT_MAX} %")]);
    let head = ["memory", "at start", "1st fifth", "2nd", "3rd", "4th", "5th", "growth", "at most"];
    table("Resident memory of the server, highest in each fifth, MiB", &head, &[row]);
    println!(
        "  limits: block caches, write buffers, queues and caches of keys, each with a setting; growth is from the 1st fifth to the 5th."
    );
    report.set(
        "memory",
        json!({
            "decisions": outcome.decided, "errors": outcome.errors, "seconds": seconds, "highest_bytes_by_fifth": fifths,
            "at_start_bytes": samples[0].1, "growth_percent": growth, "growth_percent_max": GROWTH_PERCENT_MAX,
        }),
    );
}

fn highest(samples: &[(u64, u64)], decisions: u64, fifth: u64) -> u64 {
    let within =
        samples.iter().filter(|(done, _)| done * 5 / decisions.max(1) == fifth || (fifth == 4 && *done >= decisions));
    within.map(|(_, bytes)| *bytes).max().unwrap_or(0)
}
