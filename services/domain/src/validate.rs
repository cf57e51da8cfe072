//! Checks of a request that need neither state nor time: the limits of [`limits`] and the ranges of values.
//!
//! Invariants: all faults are found, not the first; no message and no path holds a value of the request, because
//! faults travel into answers, dead letters and logs. Names of context keys are vocabulary and may be shown; names of
//! a subject's fields are not, so a field is named by its place in the order of names.
//! Deliberately not here: what a name may look like (`ids`), whether the time is plausible and whether the tenant
//! exists (`decide`), and the size of the whole (the wire, before it decodes).

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::ids::Word;
use crate::request::{Actor, ContextValue, Request, Risk, RiskDimensions, Subject, limits};

/// One field of a request that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// Where, for example `subjects[0].fields[2]` (the third in order of name).
    pub path: String,
    /// Machine-readable and stable: `empty`, `too_long`, `too_many`, `control_character`, `out_of_range`,
    /// `bad_currency`, `duplicate`.
    pub code: &'static str,
    /// What is wrong and what to do, without the value.
    pub message: String,
}

impl Request {
    /// Checks limits and ranges.
    ///
    /// # Errors
    /// Every fault, in the order of the request's fields.
    pub fn validate(&self) -> Result<(), Vec<FieldFault>> {
        let mut faults = Faults(Vec::new());
        faults.actor(&self.actor);
        if let Some(resource) = &self.resource {
            faults.line("resource.id", &resource.id, limits::RESOURCE_ID_BYTES_MAX);
        }
        if let Some(intent) = &self.intent {
            faults.text("intent", intent, limits::INTENT_BYTES_MAX);
        }
        faults.count("data_classes", self.data_classes.len(), limits::DATA_CLASSES_MAX);
        faults.risk(self.risk);
        if let Some(confidence) = self.confidence_percent {
            faults.percent("confidence_percent", confidence);
        }
        if let Some(amount) = &self.amount {
            if amount.minor_units < 0 {
                faults.add("amount.minor_units", "out_of_range", "must not be negative: state the money at stake");
            }
            if !amount.currency.iter().all(u8::is_ascii_uppercase) {
                faults.add("amount.currency", "bad_currency", "must be an ISO 4217 code of three upper-case letters");
            }
        }
        faults.count("context", self.context.len(), limits::CONTEXT_MAX);
        for (key, value) in &self.context {
            faults.context(key, value);
        }
        faults.subjects(&self.subjects);
        if faults.0.is_empty() { Ok(()) } else { Err(faults.0) }
    }
}

struct Faults(Vec<FieldFault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldFault { path: path.into(), code, message: message.into() });
    }

    fn count(&mut self, path: impl Into<String>, count: usize, max: usize) {
        if count > max {
            self.add(path, "too_many", format!("may hold at most {max} entries"));
        }
    }

    fn percent(&mut self, path: impl Into<String>, value: u8) {
        if value > 100 {
            self.add(path, "out_of_range", "must be a whole number from 0 to 100");
        }
    }

    /// A text of one line: no control characters at all.
    fn line(&mut self, path: impl Display, text: &str, max: usize) {
        self.checked(path, text, max, |c| c.is_control());
    }

    /// A text for people: line ends and tabs are allowed.
    fn text(&mut self, path: impl Display, text: &str, max: usize) {
        self.checked(path, text, max, |c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    }

    fn checked(&mut self, path: impl Display, text: &str, max: usize, refused: impl Fn(char) -> bool) {
        if text.is_empty() {
            self.add(path.to_string(), "empty", "must not be empty: leave it out instead");
        }
        if text.len() > max {
            self.add(path.to_string(), "too_long", format!("must be at most {max} bytes of UTF-8"));
        }
        if text.chars().any(refused) {
            self.add(path.to_string(), "control_character", "must hold no control characters: remove or escape them");
        }
    }

    fn actor(&mut self, actor: &Actor) {
        if let Some(model) = &actor.model {
            self.line("actor.model", model, limits::MODEL_BYTES_MAX);
        }
        self.count("actor.roles", actor.roles.len(), limits::ROLES_MAX);
        if actor.on_behalf_of.as_ref().is_some_and(|principal| principal.delegation_depth == 0) {
            self.add(
                "actor.on_behalf_of.delegation_depth",
                "out_of_range",
                "must be at least 1: who acts for another was delegated to",
            );
        }
    }

    fn risk(&mut self, risk: Option<Risk>) {
        match risk {
            None => {}
            Some(Risk::Score(score)) => self.percent("risk.score", score),
            Some(Risk::Dimensions(RiskDimensions {
                security,
                privacy,
                compliance,
                operational,
                reputational,
                financial,
            })) => {
                let dimensions = [
                    ("security", security),
                    ("privacy", privacy),
                    ("compliance", compliance),
                    ("operational", operational),
                    ("reputational", reputational),
                    ("financial", financial),
                ];
                for (name, value) in dimensions {
                    self.percent(format!("risk.{name}"), value);
                }
            }
        }
    }

    fn context(&mut self, key: &Word, value: &ContextValue) {
        match value {
            ContextValue::Long(_) | ContextValue::Bool(_) => {}
            ContextValue::Text(text) => self.text(format_args!("context.{key}"), text, limits::CONTEXT_TEXT_BYTES_MAX),
            ContextValue::Set(members) => {
                self.count(format!("context.{key}"), members.len(), limits::CONTEXT_SET_MAX);
                for (position, member) in members.iter().enumerate() {
                    self.text(format_args!("context.{key}[{position}]"), member, limits::CONTEXT_TEXT_BYTES_MAX);
                }
            }
        }
    }

    fn subjects(&mut self, subjects: &[Subject]) {
        self.count("subjects", subjects.len(), limits::SUBJECTS_MAX);
        let mut seen = BTreeSet::new();
        for (position, subject) in subjects.iter().enumerate() {
            if !seen.insert((subject.id_type, &subject.id)) {
                self.add(
                    format!("subjects[{position}]"),
                    "duplicate",
                    "names a person a second time: merge the entries",
                );
            }
            self.count(format!("subjects[{position}].fields"), subject.fields.len(), limits::SUBJECT_FIELDS_MAX);
            for (place, value) in subject.fields.values().enumerate() {
                self.text(format_args!("subjects[{position}].fields[{place}]"), value, limits::SUBJECT_FIELD_BYTES_MAX);
            }
        }
    }
}
