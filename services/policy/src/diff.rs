//! What differs between two bundles, and whether the difference could let through what was denied before.
//!
//! This is about text, not about traffic: `may_widen` errs on the side of yes. Which past decisions would change is
//! for a replay over the ledger to say.

use std::collections::BTreeMap;

use crate::bundle::Bundle;
use crate::bundle::policies::{Part, Rule};
use crate::bundle::source::BundleHash;
use crate::evaluate::lift::can_fail;
use crate::verdict::Mode;

/// One policy that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the second bundle has it.
    Added {
        /// Policy id.
        id: String,
        /// Part that it plays.
        part: Part,
    },
    /// Only the first bundle has it.
    Removed {
        /// Policy id.
        id: String,
        /// Part that it played.
        part: Part,
    },
    /// Both have it, with another text.
    Changed {
        /// Policy id.
        id: String,
        /// Text in the first bundle.
        before: String,
        /// Text in the second bundle.
        after: String,
    },
}

/// The difference from one bundle to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Hash of the first bundle.
    pub from: BundleHash,
    /// Hash of the second bundle.
    pub to: BundleHash,
    /// Policies that differ, sorted by id. Moving a policy to another file or line is no difference.
    pub policies: Vec<Change>,
    /// Modes, when they differ.
    pub mode: Option<(Mode, Mode)>,
    /// The schema's text differs.
    pub schema: bool,
    /// The entities' text, the roles or the data classes differ.
    pub entities: bool,
    /// Why the second bundle could permit what the first denied or escalated; empty when it cannot.
    pub may_widen: Vec<String>,
}

/// Compares two bundles.
pub fn diff(a: &Bundle, b: &Bundle) -> Diff {
    let rules = |bundle: &Bundle| -> BTreeMap<String, Rule> {
        bundle.policies().iter().map(|rule| (rule.id.clone(), rule.clone())).collect()
    };
    let (before, after) = (rules(a), rules(b));
    let mut policies = Vec::new();
    let mut may_widen = Vec::new();
    let ids: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for id in ids {
        match (before.get(id), after.get(id)) {
            (Some(old), None) => {
                // A permit that fails denies everything that it is asked about; without it, others may permit.
                if old.part != Part::Permit || can_fail(&old.cedar) {
                    may_widen.push(format!("the {} {id} is gone", old.part.as_str()));
                }
                policies.push(Change::Removed { id: id.clone(), part: old.part });
            }
            (None, Some(new)) => {
                if new.part == Part::Permit {
                    may_widen.push(format!("the permit {id} is new"));
                }
                policies.push(Change::Added { id: id.clone(), part: new.part });
            }
            (Some(old), Some(new)) if old.text != new.text => {
                may_widen.push(format!("the {} {id} has another text", new.part.as_str()));
                policies.push(Change::Changed { id: id.clone(), before: old.text.clone(), after: new.text.clone() });
            }
            _ => {}
        }
    }
    let mode = (a.mode() != b.mode()).then(|| (a.mode(), b.mode()));
    if let Some((from, to)) = mode
        && looseness(to) > looseness(from)
    {
        may_widen.push("the mode is looser".to_owned());
    }
    let schema = a.schema_text() != b.schema_text();
    if schema {
        may_widen.push("the schema differs".to_owned());
    }
    let entities =
        a.entities_text() != b.entities_text() || a.roles() != b.roles() || a.data_classes() != b.data_classes();
    if entities {
        may_widen.push("roles, data classes or their hierarchy differ".to_owned());
    }
    Diff { from: a.hash(), to: b.hash(), policies, mode, schema, entities, may_widen }
}

fn looseness(mode: Mode) -> u8 {
    match mode {
        Mode::Paranoid => 0,
        Mode::Strict => 1,
        Mode::Permissive => 2,
    }
}
