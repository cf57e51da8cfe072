//! The conformance suite on every adapter, well-behaved and not.

use std::{cell::RefCell, time::Duration};

use eventlog::{
    EventLog,
    conformance::{Capabilities, Report, suite},
    faults::{Faulty, Odds},
    memory::{Chances, Handle, Memory, Plan},
};

const PATIENCE: Duration = Duration::from_secs(20);
const MEMORY_RECORD_BYTES_MAX: usize = 1 << 20;

/// How the suite is run on logs in memory.
pub(crate) struct Harness<'a> {
    pub(crate) adapter: &'a str,
    pub(crate) faultless: bool,
    pub(crate) patience: Duration,
    pub(crate) plan: Plan,
    /// What the suite sees of each connection.
    pub(crate) wrap: &'a dyn Fn(Handle) -> Box<dyn EventLog>,
    /// What is left after a crash.
    pub(crate) crash: &'a dyn Fn(&Memory) -> Memory,
}

impl<'a> Harness<'a> {
    pub(crate) fn faultless(adapter: &'a str, wrap: &'a dyn Fn(Handle) -> Box<dyn EventLog>) -> Self {
        let plan = Plan::plain();
        Self { adapter, faultless: true, patience: PATIENCE, plan, wrap, crash: &crash }
    }

    pub(crate) fn run(&self) -> Report {
        let last = RefCell::new(Memory::new(3, self.plan.clone()));
        let connect = || (self.wrap)(last.borrow().connect());
        let make = || {
            last.replace(Memory::new(3, self.plan.clone()));
            connect()
        };
        let reopen = || {
            let left = (self.crash)(&last.borrow());
            last.replace(left);
            connect()
        };
        let capabilities = Capabilities {
            adapter: self.adapter,
            faultless: self.faultless,
            patience: self.patience,
            record_bytes_max: MEMORY_RECORD_BYTES_MAX,
            reopen: Some(&reopen),
            rival: Some(&connect),
        };
        let report = suite(make, &capabilities);
        println!("{report}");
        report
    }
}

pub(crate) fn crash(log: &Memory) -> Memory {
    log.crash();
    log.clone()
}

fn require(report: &Report) {
    assert!(report.conforms() && report.skipped.is_empty(), "{report}");
}

#[test]
fn memory_conforms() {
    require(&Harness::faultless("memory", &|handle| Box::new(handle)).run());
}

#[test]
fn misbehaving_memory_conforms() {
    for seed in 0..20 {
        let adapter = format!("misbehaving memory, seed {seed}");
        let plain = Harness::faultless(&adapter, &|handle| Box::new(handle));
        let plan = Plan::seeded(seed, Chances::STORMY);
        require(&Harness { faultless: false, plan, ..plain }.run());
    }
}

#[test]
fn faulty_memory_conforms() {
    for seed in 0..20 {
        let adapter = format!("faulty, misbehaving memory, seed {seed}");
        let wrap = |handle| -> Box<dyn EventLog> { Box::new(Faulty::new(handle, seed, Odds::STORMY)) };
        let faulty = Harness::faultless(&adapter, &wrap);
        let plan = Plan::seeded(seed, Chances::STORMY);
        require(&Harness { faultless: false, plan, ..faulty }.run());
    }
}
