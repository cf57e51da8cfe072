//! Durable decisions through the engine alone, in this process, without HTTP: what the interface has to share the
//! machine with.

use std::collections::VecDeque;
use std::time::Instant;

use engine::settings::Settings;
use engine::system::{Submitted, System};
use serde_json::json;

use crate::arguments::Arguments;
use crate::bundles;
use crate::report::{Report, table};
use crate::traffic::{self, Templates};
use crate::usage::Meter;

const INFLIGHT: usize = 400;
const DEPTH_MAX: usize = 32;

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let directory = arguments.directory();
    let source = bundles::shipped("enterprise-general");
    let (system, _) =
        System::start(Settings::new(directory.path().join("data")), Some(&source), &[]).expect("the engine starts");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime for one thread");
    let templates = Templates::new();
    let (mut waiting, mut body, mut next, mut done) = (VecDeque::new(), Vec::new(), 0, 0u64);
    // The first tenth of the time makes keys and fills caches.
    let since = Instant::now();
    let mut meter = None;
    let mut began = since;
    while since.elapsed() < arguments.run() {
        if meter.is_none() && since.elapsed() * 10 >= arguments.run() {
            (meter, began, done) = (Some(Meter::start(std::process::id())), Instant::now(), 0);
        }
        while waiting.len() < INFLIGHT {
            body.clear();
            templates.push(0, next, &traffic::now(), &mut body);
            next += 1;
            let request = lexecon::http::json::request(&body, DEPTH_MAX, engine::runtime::clock::wall_us());
            let Ok(request) = request else { panic!("generated requests are valid") };
            if let Submitted::Pending(pending) = system.submit(&request).expect("the engine takes it") {
                waiting.push_back(pending);
            }
        }
        if let Some(pending) = waiting.pop_front() {
            runtime.block_on(pending.answer());
            done += 1;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let spent = meter.expect("a tenth of the time has passed").stop();
    drop(waiting);
    system.drain(std::time::Duration::from_secs(5));

    let each = |seconds: f64| seconds * 1e6 / done.max(1) as f64;
    let threads = spent
        .threads
        .iter()
        .filter(|(_, cpu)| cpu.total() > 0.0)
        .map(|(name, cpu)| format!("{name} {:.1}", each(cpu.total())));
    let row = vec![
        format!("{INFLIGHT} in flight"),
        format!("{:.0}", done as f64 / seconds),
        format!("{:.1} + {:.1}", each(spent.server.user), each(spent.server.sys)),
        format!("{:.2}", spent.others),
        threads.collect::<Vec<_>>().join(", "),
    ];
    table(
        "The engine alone, durable; CPU in µs per decision, this client's part included",
        &["engine", "decisions/s", "µs user + sys", "others' cores", "by thread"],
        &[row],
    );
    report.set(
        "engine",
        json!({
            "decisions": done, "seconds": seconds, "decisions_per_second": done as f64 / seconds,
            "user_us": each(spent.server.user), "sys_us": each(spent.server.sys), "others_cores": spent.others,
        }),
    );
}
