//! Kinds of faults, and where one is.

use std::fmt;

/// What is wrong with a ledger. The names are fixed; scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A record does not follow the one before it.
    LinkBroken,
    /// A record is not what its hashes say.
    BodyMismatch,
    /// A record cannot be read.
    Undecodable,
    /// Two histories.
    Forked,
    /// The end is missing.
    Truncated,
    /// The counts do not hold.
    Accounting,
    /// Reserved: no checkpoint with the required signatures.
    Unsigned,
}

impl FaultKind {
    /// The name in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            FaultKind::LinkBroken => "LINK_BROKEN",
            FaultKind::BodyMismatch => "BODY_MISMATCH",
            FaultKind::Undecodable => "UNDECODABLE",
            FaultKind::Forked => "FORKED",
            FaultKind::Truncated => "TRUNCATED",
            FaultKind::Accounting => "ACCOUNTING",
            FaultKind::Unsigned => "UNSIGNED",
        }
    }

    /// What that means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            FaultKind::LinkBroken => {
                "records were removed, added, moved or taken from elsewhere: a record does not follow the one before it"
            }
            FaultKind::BodyMismatch => {
                "content was changed after it was written: it no longer has the hash that the chain committed to"
            }
            FaultKind::Undecodable => {
                "bytes cannot be read as version 1 of the format: they were damaged, or a newer version wrote them"
            }
            FaultKind::Forked => "there are two histories: one of them was not in the ledger",
            FaultKind::Truncated => "the end of the ledger is missing",
            FaultKind::Accounting => {
                "the chain is intact but its counts are not: requests are unaccounted for or counted twice"
            }
            FaultKind::Unsigned => "no checkpoint carries the signatures that are required",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first fault that was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// In which partition, when that can be told.
    pub partition: Option<u32>,
    /// At which seq, when that can be told: the first that is wrong or missing.
    pub seq: Option<u64>,
    /// Offset in the file of the record at which it showed; a batch shows at its run.
    pub at_byte: Option<u64>,
    /// What was found.
    pub detail: String,
}

impl Fault {
    pub(super) fn at(self, at_byte: u64) -> Self {
        Self { at_byte: Some(at_byte), ..self }
    }
}

/// A place in a ledger, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place(Option<(u32, u64)>);

impl Place {
    pub(super) fn new(partition: u32, seq: u64) -> Self {
        Place(Some((partition, seq)))
    }

    pub(super) fn fault(self, kind: FaultKind, detail: impl ToString) -> Fault {
        Fault {
            kind,
            partition: self.0.map(|(partition, _)| partition),
            seq: self.0.map(|(_, seq)| seq),
            at_byte: None,
            detail: detail.to_string(),
        }
    }
}
