//! What a reading command asks: one value, asked of a running system over its interface or of a directory through the
//! engine's reader. Both answer with the same JSON.

use serde_json::Value;

use super::arguments::Source;
use super::failure::Failure;
use super::offline;
use super::reach::{Reach, escaped};

/// A question that changes nothing.
#[derive(Clone, Debug)]
pub enum Question {
    /// Heads, positions and strays.
    Partitions,
    /// A page of decisions.
    Decisions(Filter),
    /// One decision.
    Decision {
        /// Its id, as it was typed.
        id: String,
    },
    /// What became of a request.
    Request {
        /// Tenant.
        tenant: String,
        /// Actor.
        actor: String,
        /// Id.
        request_id: String,
    },
    /// A page of outcomes of a partition.
    Outcomes {
        /// Partition.
        partition: u32,
        /// Only numbers above.
        after: Option<u64>,
    },
    /// A page of dead letters.
    DeadLetters {
        /// Where the last page ended.
        cursor: Option<String>,
    },
    /// One dead letter.
    DeadLetter {
        /// Partition.
        partition: u32,
        /// Position.
        position: u64,
    },
}

/// Which decisions.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Tenant.
    pub tenant: Option<String>,
    /// Actor.
    pub actor: Option<String>,
    /// Action.
    pub action: Option<String>,
    /// Outcome.
    pub outcome: Option<String>,
    /// Recorded at or after, RFC 3339.
    pub from: Option<String>,
    /// Recorded before, RFC 3339.
    pub to: Option<String>,
    /// Items of the page.
    pub limit: u32,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

impl Question {
    /// Path and query of the interface.
    pub fn address(&self) -> (String, Vec<(&'static str, String)>) {
        let some = |pairs: &[(&'static str, &Option<String>)]| {
            pairs.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?))).collect::<Vec<_>>()
        };
        match self {
            Question::Partitions => ("/v1/ledger/partitions".into(), Vec::new()),
            Question::Decisions(filter) => {
                let mut query = some(&[
                    ("tenant", &filter.tenant),
                    ("actor", &filter.actor),
                    ("action", &filter.action),
                    ("outcome", &filter.outcome),
                    ("from", &filter.from),
                    ("to", &filter.to),
                    ("cursor", &filter.cursor),
                ]);
                query.push(("limit", filter.limit.to_string()));
                ("/v1/decisions".into(), query)
            }
            Question::Decision { id } => (format!("/v1/decisions/{}", escaped(id)), Vec::new()),
            Question::Request { tenant, actor, request_id } => {
                let query = [("tenant", tenant), ("actor", actor), ("request_id", request_id)];
                ("/v1/requests".into(), query.map(|(name, value)| (name, value.clone())).to_vec())
            }
            Question::Outcomes { partition, after } => {
                let mut query = vec![("partition", partition.to_string())];
                query.extend(after.map(|after| ("after", after.to_string())));
                ("/v1/outcomes".into(), query)
            }
            Question::DeadLetters { cursor } => ("/v1/dead-letters".into(), some(&[("cursor", cursor)])),
            Question::DeadLetter { partition, position } => {
                (format!("/v1/dead-letters/{partition}/{position}"), Vec::new())
            }
        }
    }
}

/// Who is asked.
#[expect(clippy::large_enum_variant, reason = "one for each command")]
pub enum Asked {
    /// A running system.
    Running(Reach),
    /// A directory.
    Directory(offline::Directory),
}

impl Asked {
    /// By what the command line says.
    ///
    /// # Errors
    /// The address or the directory cannot be used.
    pub fn new(source: &Source) -> Result<Asked, Failure> {
        match &source.data {
            Some(data) => Ok(Asked::Directory(offline::Directory::open(data, source.config.as_deref())?)),
            None => Ok(Asked::Running(Reach::remote(&source.remote)?)),
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// There is no such thing, or no answer.
    pub fn ask(&self, question: &Question) -> Result<Value, Failure> {
        match self {
            Asked::Running(reach) => {
                let (path, query) = question.address();
                Ok(reach.get(&path, &query)?.body)
            }
            Asked::Directory(directory) => directory.answer(question),
        }
    }
}
