//! What is sent: the mixed traffic of `lexecon load`, made once and given fresh ids, so that the client costs little.

use lexecon::load::{Requests, Traffic};

/// Bodies with a hole for the request's id.
pub struct Templates(Vec<(String, String)>);

const COUNT: u64 = 5_000;

impl Templates {
    pub fn new() -> Templates {
        let requests = Requests::Generated(Traffic { seed: 42, tenants: vec!["default".to_owned()] });
        let split = |number: u64| {
            let (body, id) = (requests.body(number), requests.id(number).expect("generated requests have ids"));
            let (before, after) = body.split_once(&id).expect("the id stands in the body");
            (before.to_owned(), after.to_owned())
        };
        Templates((0..COUNT).map(split).collect())
    }

    /// Appends the body of a request whose id is unique as long as `run` and `number` are, dated as a producer would.
    pub fn push(&self, run: u64, number: u64, now: &str, out: &mut Vec<u8>) {
        use std::io::Write;
        let index = usize::try_from(number % COUNT).unwrap_or(0);
        let (before, after) = &self.0[index];
        write!(out, "{{\"occurred_at\":\"{now}\",").unwrap();
        out.extend_from_slice(before.trim_start_matches('{').as_bytes());
        write!(out, "b{run:x}-{number}").unwrap();
        out.extend_from_slice(after.as_bytes());
    }
}

/// The present time as producers write it.
pub fn now() -> String {
    let us = engine::runtime::clock::wall_us();
    jiff::Timestamp::from_microsecond(us).map(|time| time.to_string()).unwrap_or_default()
}
