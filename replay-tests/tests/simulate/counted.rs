//! What the owners count, while they run: a metric that says more than happened is worse than none.

use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};

/// What one histogram was given.
#[derive(Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

struct Only {
    name: &'static str,
    values: Arc<Values>,
}

impl Recorder for Only {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if key.name() == self.name { Histogram::from_arc(self.values.clone()) } else { Histogram::noop() }
    }
}

/// The values that a histogram is given while this runs on this thread.
pub fn during(name: &'static str, run: impl FnOnce()) -> Vec<f64> {
    let values = Arc::new(Values::default());
    with_local_recorder(&Only { name, values: values.clone() }, run);
    std::mem::take(&mut values.0.lock().unwrap())
}
