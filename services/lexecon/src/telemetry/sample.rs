//! What is asked of the running engine at each scrape instead of being counted along the way.

use engine::system::{ComponentState, Readiness, System};
use metrics::gauge;

use super::metrics as table;
use super::recorder::precise;

/// Sets the gauges that say how the engine is now.
pub fn sample(system: &System) {
    gauge!(table::READY).set(if system.readiness() == Readiness::Ready { 1.0 } else { 0.0 });
    for part in system.components() {
        gauge!(table::COMPONENT_UP, "component" => part.name).set(if part.state == ComponentState::Down {
            0.0
        } else {
            1.0
        });
        gauge!(table::COMPONENT_SECONDS, "component" => part.name).set(part.latency.as_secs_f64());
    }
    let (waiting, _) = system.queued();
    gauge!(table::QUEUE).set(precise(u64::try_from(waiting).unwrap_or(u64::MAX)));
    // What cannot be read now keeps the value of the last scrape; the components above say that it cannot.
    if let Ok(count) = system.letters().count() {
        gauge!(table::DEAD_LETTERS).set(precise(count));
    }
    for view in system.reader().partitions().unwrap_or_default() {
        let partition = view.partition.to_string();
        let events = view.followers.iter().map(|one| one.lag_events).max().unwrap_or(0);
        let micros = view.followers.iter().map(|one| one.lag_us).max().unwrap_or(0);
        gauge!(table::LEDGER_EVENTS, "partition" => partition.clone()).set(precise(view.head.next_seq));
        gauge!(table::LAG_EVENTS, "partition" => partition.clone()).set(precise(events));
        gauge!(table::LAG_SECONDS, "partition" => partition).set(precise(micros) / 1e6);
    }
}
