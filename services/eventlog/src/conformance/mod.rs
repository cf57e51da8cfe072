//! The suite that every adapter runs: one named check for each MUST and MUST NOT of the [contract](crate::port).
//!
//! Part of the library, so that an adapter in another crate can run it too. The checks hold for logs that misbehave as
//! permitted: they look at what was answered and what can be read, never at whether a write succeeded, unless the log is
//! said to be [faultless](Capabilities::faultless). The suite neither prints nor panics: it returns a [`Report`], which
//! displays the adapter and the number of checks.

mod appends;
mod crashes;
mod driver;
mod records;
mod waiting;

use std::{fmt, time::Duration};

use crate::EventLog;
use driver::Driver;

/// What the log under test can be asked to do. Both functions are about the log that `make` made last.
pub struct Capabilities<'a> {
    /// Its name, for the report.
    pub adapter: &'a str,
    /// Every write is stored, every frame at the tail commits.
    pub faultless: bool,
    /// How long an operation may take, faults included.
    pub patience: Duration,
    /// A log that takes records up to this size, and none larger.
    pub record_bytes_max: usize,
    /// Opens it again; its handles were dropped, as if their process had been killed and the machine had lost power.
    pub reopen: Option<&'a dyn Fn() -> Box<dyn EventLog>>,
    /// Another writer of it.
    pub rival: Option<&'a dyn Fn() -> Box<dyn EventLog>>,
}

/// Why a check failed, in words.
pub(crate) type Finding = String;

type Check = fn(&dyn Fn() -> Driver, &Capabilities<'_>) -> Result<Verdict, Finding>;

/// A check that holds, or does not apply.
pub(crate) enum Verdict {
    Holds,
    /// Without the capability of this name.
    Skipped(&'static str),
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The log's name.
    pub adapter: String,
    /// Checks that hold.
    pub passed: Vec<&'static str>,
    /// Checks that could not be made, and the capability that was missing.
    pub skipped: Vec<(&'static str, &'static str)>,
    /// Checks that failed, and what was found.
    pub failed: Vec<(&'static str, String)>,
}

impl Report {
    /// Whether no check failed.
    pub fn conforms(&self) -> bool {
        self.failed.is_empty() && !self.passed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, skipped) = (self.passed.len(), self.skipped.len());
        let checks = passed + skipped + self.failed.len();
        write!(f, "conformance of {}: {checks} checks, {passed} passed", self.adapter)?;
        write!(f, ", {skipped} skipped, {} failed", self.failed.len())?;
        for (check, missing) in &self.skipped {
            write!(f, "\n  skipped {check}: the adapter offers no {missing}")?;
        }
        for (check, finding) in &self.failed {
            write!(f, "\n  FAILED {check}: {finding}")?;
        }
        Ok(())
    }
}

const CHECKS: &[(&str, Check)] = &[
    ("every_partition_is_assigned", waiting::every_partition_is_assigned),
    ("each_operation_completes_once", waiting::each_operation_completes_once),
    ("poll_of_zero_does_not_wait", waiting::poll_of_zero_does_not_wait),
    ("a_waker_ends_the_wait", waiting::a_waker_ends_the_wait),
    ("positions_are_dense", records::positions_are_dense),
    ("a_completed_record_is_readable", records::a_completed_record_is_readable),
    ("a_readable_record_stays", records::a_readable_record_stays),
    ("reads_keep_their_limits", records::reads_keep_their_limits),
    ("removed_records_are_never_read", records::removed_records_are_never_read),
    ("the_ledger_is_never_removed_from", records::the_ledger_is_never_removed_from),
    ("what_is_refused_is_not_written", records::what_is_refused_is_not_written),
    ("topic_ids_differ_and_stay", records::topic_ids_differ_and_stay),
    ("committed_lies_at_its_position", appends::committed_lies_at_its_position),
    ("only_the_tail_commits", appends::only_the_tail_commits),
    ("no_position_is_committed_twice", appends::no_position_is_committed_twice),
    ("partitions_are_apart", appends::partitions_are_apart),
    ("rivals_never_share_a_position", appends::rivals_never_share_a_position),
    ("committed_survives_a_crash", crashes::committed_survives_a_crash),
    ("a_readable_frame_survives_a_crash", crashes::a_readable_frame_survives_a_crash),
    ("staged_is_durable_before_its_frame", crashes::staged_is_durable_before_its_frame),
    ("flushed_survives_a_crash", crashes::flushed_survives_a_crash),
    ("a_removed_key_stays_removed", crashes::a_removed_key_stays_removed),
];

/// Runs every check, each on a log of its own with at least two partitions, which `make` makes empty.
pub fn suite(make: impl Fn() -> Box<dyn EventLog>, capabilities: &Capabilities<'_>) -> Report {
    let mut report = Report { adapter: capabilities.adapter.to_owned(), ..Report::default() };
    let make = || Driver::new(make(), capabilities.patience);
    for (name, check) in CHECKS {
        match check(&make, capabilities) {
            Ok(Verdict::Holds) => report.passed.push(name),
            Ok(Verdict::Skipped(missing)) => report.skipped.push((name, missing)),
            Err(finding) => report.failed.push((name, finding)),
        }
    }
    report
}
