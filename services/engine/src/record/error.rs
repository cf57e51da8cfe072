//! What can go wrong between a decision and its event. No message holds a value of a request.

use domain::request::PersonRole;

/// An event could not be made, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fixed section could not be written or read.
    #[error("a clear section of an event: {0}")]
    Layout(#[from] ledger::Error),
    /// A sealed section could not be made.
    #[error("a sealed section of an event: {0}")]
    Seal(#[from] ledger::seal::Error),
    /// An Avro section could not be written or read.
    #[error("an avro section of an event: {0}")]
    Wire(#[from] wire::Error),
    /// A key could not be looked up.
    #[error(transparent)]
    Keys(#[from] crate::keys::Error),
    /// What was drawn does not fit the request.
    #[error("what was drawn for an event does not fit its request: {0}; this is a fault of the program, report it")]
    Material(&'static str),
    /// More persons than the record schema has sections for.
    #[error("{0:?} has no section of its own: refuse requests with more subjects before they are sealed")]
    NoSection(PersonRole),
    /// An answer was given where only events without keys belong.
    #[error("an answer to a request must be sealed: this is a fault of the program, report it")]
    NeedsKeys,
    /// An event lacks a section that its type has.
    #[error("event {seq} lacks section {tag}: the log is damaged, restore it from a backup")]
    NoClearSection {
        /// Its place.
        seq: u64,
        /// The section.
        tag: u16,
    },
    /// A clear number that no value has.
    #[error("event {seq} has the unknown {what} {found}: a newer version wrote it, use that one")]
    Unknown {
        /// Its place.
        seq: u64,
        /// Which field.
        what: &'static str,
        /// What was found.
        found: u64,
    },
    /// A name in clear that is none.
    #[error("event {seq} has a {what} that is none: the log is damaged, restore it from a backup")]
    Name {
        /// Its place.
        seq: u64,
        /// Which field.
        what: &'static str,
    },
    /// The event answers no request.
    #[error("event {seq} of type {event_type} answers no request: name one that does")]
    NoAnswer {
        /// Its place.
        seq: u64,
        /// Its type.
        event_type: u16,
    },
    /// The parts of a request were opened, and do not make one.
    #[error("the parts of the request of event {seq} do not belong together: {fault}")]
    Join {
        /// Its place.
        seq: u64,
        /// Why.
        fault: domain::request::JoinFault,
    },
}
