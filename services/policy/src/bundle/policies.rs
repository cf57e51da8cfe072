//! Policies: parse each statement, check its annotations, validate all of them strictly.
//!
//! Invariants: ids are given by `@id`, unique and kebab-case; templates are refused; Cedar's warnings are faults,
//! because a policy that can never apply is a mistake that its author wants to hear of.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet, Template, ValidationMode, Validator};
use miette::Diagnostic;

use crate::bundle::annotations::{self, Annotations, Raw, Sink};
use crate::bundle::limits::Limits;
use crate::bundle::manifest::{Manifest, is_kebab};
use crate::bundle::schema::Vocabulary;
use crate::bundle::statements::{Statement, split};
use crate::fault::{Fault, FaultCode, Text};

/// Which part a policy plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A `forbid`: denies whatever else permits.
    Forbid,
    /// A plain `permit`.
    Permit,
    /// A `permit` with `@outcome("escalate")`: of what is allowed, it names what a human decides.
    Oversight,
}

impl Part {
    /// The word used in every interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Forbid => "forbid",
            Part::Permit => "permit",
            Part::Oversight => "oversight",
        }
    }
}

/// One policy of a bundle.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `@id`.
    pub id: String,
    /// Forbid, permit or oversight.
    pub part: Part,
    /// Everything else that it is annotated with.
    pub annotations: Annotations,
    /// File within the bundle.
    pub file: String,
    /// Line of its first token.
    pub line: u32,
    /// Its text, annotations included.
    pub text: String,
    pub(crate) cedar: Policy,
}

/// A rule with what is needed to place faults about it.
struct Placed {
    rule: Rule,
    start: usize,
    source: usize,
}

/// Collects the policies of all files.
pub(crate) struct Collector<'a> {
    texts: Vec<Text<'a>>,
    placed: Vec<Placed>,
    ids: BTreeMap<String, (String, u32)>,
    limits: Limits,
}

impl<'a> Collector<'a> {
    pub fn new(limits: Limits) -> Self {
        Collector { texts: Vec::new(), placed: Vec::new(), ids: BTreeMap::new(), limits }
    }

    /// Reads one file.
    pub fn read(&mut self, text: Text<'a>, faults: &mut Vec<Fault>) {
        let source = self.texts.len();
        self.texts.push(text);
        for statement in split(text.text) {
            if let Some(rule) = self.statement(text, &statement, faults) {
                self.placed.push(Placed { rule, start: statement.start, source });
            }
        }
    }

    fn statement(&mut self, text: Text<'a>, statement: &Statement, faults: &mut Vec<Fault>) -> Option<Rule> {
        let start = statement.start;
        let source = text.text.get(start..statement.end).unwrap_or("");
        if source.len() > self.limits.policy_bytes_max {
            faults.push(text.fault(
                start,
                FaultCode::Limit,
                format!("the policy has {} bytes, the limit is {}", source.len(), self.limits.policy_bytes_max),
                "split it",
            ));
            return None;
        }
        let policy = parse_statement(text, start, source, faults)?;
        let id = self.id(text, statement, &policy, faults)?;
        let raw: Vec<Raw<'_>> =
            policy.annotations().map(|(name, value)| Raw { name, value, offset: offset_of(statement, name) }).collect();
        let mut kept = Vec::with_capacity(raw.len());
        for annotation in raw {
            if annotation.value.len() > self.limits.annotation_bytes_max {
                faults.push(text.fault(
                    annotation.offset,
                    FaultCode::Limit,
                    format!("@{} is longer than {} bytes", annotation.name, self.limits.annotation_bytes_max),
                    "shorten it",
                ));
            } else {
                kept.push(annotation);
            }
        }
        kept.sort_by_key(|annotation| annotation.offset);
        let permit = policy.effect() == Effect::Permit;
        let place =
            |offset: usize, message: String, remedy: String| text.fault(offset, FaultCode::Annotation, message, remedy);
        let annotations = annotations::check(&kept, permit, &mut Sink { at: &place, faults });
        let part = match (permit, annotations.escalate) {
            (false, _) => Part::Forbid,
            (true, true) => Part::Oversight,
            (true, false) => Part::Permit,
        };
        let (line, _) = text.place(start);
        let cedar = policy.new_id(PolicyId::new(&id));
        Some(Rule { id, part, annotations, file: text.file.to_owned(), line, text: source.to_owned(), cedar })
    }

    fn id(
        &mut self,
        text: Text<'_>,
        statement: &Statement,
        policy: &Policy,
        faults: &mut Vec<Fault>,
    ) -> Option<String> {
        let Some(id) = policy.annotation("id") else {
            faults.push(text.fault(
                statement.start,
                FaultCode::Annotation,
                "the policy has no @id",
                "add @id(\"what-it-does\")",
            ));
            return None;
        };
        let offset = offset_of(statement, "id");
        if !is_kebab(id) {
            faults.push(text.fault(
                offset,
                FaultCode::Annotation,
                format!("the id {id:?} is not kebab-case"),
                "use lower-case letters, digits and single hyphens, at most 100 characters",
            ));
            return None;
        }
        let place = (text.file.to_owned(), text.place(offset).0);
        if let Some((file, line)) = self.ids.get(id) {
            faults.push(text.fault(
                offset,
                FaultCode::DuplicateId,
                format!("the id {id:?} is used at {file}:{line} already"),
                "give every policy an id of its own",
            ));
            return None;
        }
        self.ids.insert(id.to_owned(), place);
        Some(id.to_owned())
    }

    /// Validates everything that was read, and hands it out sorted by id.
    pub fn finish(self, vocabulary: Option<&Vocabulary>, manifest: &Manifest, faults: &mut Vec<Fault>) -> Vec<Rule> {
        let first = self.texts.first().copied();
        if let (true, Some(text)) = (self.placed.len() > self.limits.policies_max, first) {
            faults.push(text.fault(
                0,
                FaultCode::Limit,
                format!("{} policies, the limit is {}", self.placed.len(), self.limits.policies_max),
                "split the bundle by tenant",
            ));
            return Vec::new();
        }
        for placed in &self.placed {
            self.check_names(placed, manifest, faults);
        }
        if let Some(vocabulary) = vocabulary {
            self.validate(vocabulary, faults);
        }
        let mut rules: Vec<Rule> = self.placed.into_iter().map(|placed| placed.rule).collect();
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        rules
    }

    fn check_names(&self, placed: &Placed, manifest: &Manifest, faults: &mut Vec<Fault>) {
        let Some(text) = self.texts.get(placed.source) else {
            return;
        };
        let literals: BTreeSet<EntityUid> = placed.rule.cedar.entity_literals().into_iter().collect();
        for literal in literals {
            let (what, key, known) = match literal.type_name().basename() {
                "Role" => ("role", "roles", &manifest.roles),
                "DataClass" => ("data class", "data_classes", &manifest.data_classes),
                _ => continue,
            };
            let name = literal.id().unescaped();
            if !known.contains(name) {
                let within = placed.rule.text.find(&literal.to_string()).unwrap_or(0);
                faults.push(text.fault(
                    placed.start + within,
                    FaultCode::UnknownName,
                    format!("the {what} {name:?} is not declared"),
                    format!("correct it, or add it to {key} in the manifest"),
                ));
            }
        }
        if let Some(approver) = &placed.rule.annotations.approver
            && !manifest.roles.contains(approver)
        {
            let within = placed.rule.text.find("@approver").unwrap_or(0);
            faults.push(text.fault(
                placed.start + within,
                FaultCode::UnknownName,
                format!("the role {approver:?} is not declared"),
                "correct it, or add it to roles in the manifest",
            ));
        }
    }

    fn validate(&self, vocabulary: &Vocabulary, faults: &mut Vec<Fault>) {
        let by_id: BTreeMap<&str, &Placed> =
            self.placed.iter().map(|placed| (placed.rule.id.as_str(), placed)).collect();
        let Ok(set) = PolicySet::from_policies(self.placed.iter().map(|placed| placed.rule.cedar.clone())) else {
            // Ids are unique by now, which is all that from_policies asks for.
            return;
        };
        let result = Validator::new(vocabulary.schema.clone()).validate(&set, ValidationMode::Strict);
        let mut add = |id: &PolicyId, error: &dyn Diagnostic| {
            let id: &str = id.as_ref();
            let Some(placed) = by_id.get(id) else { return };
            let Some(text) = self.texts.get(placed.source) else {
                return;
            };
            faults.push(diagnose(*text, placed.start, FaultCode::Validation, error));
        };
        for error in result.validation_errors() {
            add(error.policy_id(), error);
        }
        for warning in result.validation_warnings() {
            add(warning.policy_id(), warning);
        }
    }
}

fn parse_statement(text: Text<'_>, start: usize, source: &str, faults: &mut Vec<Fault>) -> Option<Policy> {
    match Policy::parse(Some(PolicyId::new("unnamed")), source) {
        Ok(policy) => Some(policy),
        Err(errors) => {
            let slots = Template::parse(None, source).is_ok();
            if slots {
                faults.push(text.fault(
                    start,
                    FaultCode::Template,
                    "templates are not supported",
                    "write a policy without ?principal and ?resource",
                ));
            } else {
                for error in errors.iter() {
                    faults.push(diagnose(text, start, FaultCode::Syntax, error));
                }
            }
            None
        }
    }
}

/// Cedar's message, placed in the file: its spans count from the start of the statement.
fn diagnose(text: Text<'_>, start: usize, code: FaultCode, error: &dyn Diagnostic) -> Fault {
    let within = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    let remedy = match error.help() {
        Some(help) => help.to_string(),
        None if code == FaultCode::Syntax => "correct the syntax".to_owned(),
        None => "make the policy fit the schema".to_owned(),
    };
    text.fault(start + within, code, error.to_string(), remedy)
}

fn offset_of(statement: &Statement, annotation: &str) -> usize {
    statement.annotations.iter().find(|(name, _)| name == annotation).map_or(statement.start, |(_, offset)| *offset)
}
