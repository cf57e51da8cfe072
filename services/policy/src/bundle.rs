//! A bundle: parsed, strictly validated, hashed.
//!
//! Invariant: a [`Bundle`] exists only if nothing is wrong with it. All faults are collected, so that an author sees
//! them at once; later checks run on what the earlier ones could make sense of.

pub(crate) mod annotations;
pub(crate) mod cases;
pub(crate) mod entities;
pub(crate) mod limits;
pub(crate) mod manifest;
pub(crate) mod policies;
pub(crate) mod schema;
pub(crate) mod source;
pub(crate) mod statements;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::evaluate::PolicySet;
use crate::fault::{Fault, FaultCode, Text, whole_file};
use crate::verdict::Mode;
use cases::Case;
use entities::Hierarchy;
use limits::Limits;
use manifest::{MANIFEST, Manifest};
use policies::{Collector, Rule};
pub use schema::VOCABULARY;
use schema::Vocabulary;
use source::{BundleHash, BundleSource, Error, hash_encoded};

/// Files that may lie in a bundle without being named by its manifest.
const COMPANIONS: [&str; 2] = [MANIFEST, "README.md"];

/// A policy bundle that has passed every check. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bundle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    encoded: Vec<u8>,
    hash: BundleHash,
    schema_text: String,
    entities_text: String,
    manifest: Manifest,
    vocabulary: Vocabulary,
    hierarchy: Hierarchy,
    rules: Vec<Rule>,
    cases: Vec<Case>,
}

impl Bundle {
    /// Parses and validates with the default [`Limits`]. On refusal: every fault, sorted by place.
    pub fn parse(source: &BundleSource) -> Result<Bundle, Vec<Fault>> {
        Bundle::parse_within(source, &Limits::default())
    }

    /// Parses and validates within limits.
    pub fn parse_within(source: &BundleSource, limits: &Limits) -> Result<Bundle, Vec<Fault>> {
        let mut faults = Vec::new();
        check_sizes(source, limits, &mut faults);
        let parsed = if faults.is_empty() { read(source, limits, &mut faults) } else { None };
        faults.sort();
        // Cedar validates a policy once per action and kind of actor and repeats what is wrong for each of them.
        faults.dedup_by(|later, kept| {
            let same_place =
                (&later.file, later.line, later.column, later.code) == (&kept.file, kept.line, kept.column, kept.code);
            later == kept || (same_place && later.code == FaultCode::Validation)
        });
        match parsed {
            Some(inner) if faults.is_empty() => Ok(Bundle { inner: Arc::new(inner) }),
            _ => Err(faults),
        }
    }

    /// Content hash: SHA3-256 over the tag `policy` and [`Bundle::encode`].
    pub fn hash(&self) -> BundleHash {
        self.inner.hash
    }

    /// The text as it goes through the log: exactly the hashed bytes without the tag.
    pub fn encode(&self) -> Vec<u8> {
        self.inner.encoded.clone()
    }

    /// Reads the text from the log back into files; [`Bundle::parse`] them next.
    pub fn decode(bytes: &[u8]) -> Result<BundleSource, Error> {
        BundleSource::decode(bytes)
    }

    /// Name, kebab-case.
    pub fn name(&self) -> &str {
        &self.inner.manifest.name
    }

    /// Version, three numbers with dots. Informative: the hash is the identity.
    pub fn version(&self) -> &str {
        &self.inner.manifest.version
    }

    /// What the bundle governs, in a sentence.
    pub fn description(&self) -> &str {
        &self.inner.manifest.description
    }

    /// How the bundle treats what no policy speaks about.
    pub fn mode(&self) -> Mode {
        self.inner.manifest.mode
    }

    /// The policies, sorted by id.
    pub fn policies(&self) -> &[Rule] {
        &self.inner.rules
    }

    /// The tests that the bundle carries.
    pub fn tests(&self) -> &[Case] {
        &self.inner.cases
    }

    /// Names of the actions that requests can name.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.inner.vocabulary.actions.keys().map(String::as_str)
    }

    /// Declared roles.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.inner.manifest.roles
    }

    /// Declared data classes.
    pub fn data_classes(&self) -> &BTreeSet<String> {
        &self.inner.manifest.data_classes
    }

    /// Builds the index that decisions are made with.
    pub fn compile(&self) -> PolicySet {
        PolicySet::build(self)
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.inner.vocabulary
    }

    pub(crate) fn hierarchy(&self) -> &Hierarchy {
        &self.inner.hierarchy
    }

    pub(crate) fn schema_text(&self) -> &str {
        &self.inner.schema_text
    }

    pub(crate) fn entities_text(&self) -> &str {
        &self.inner.entities_text
    }
}

fn check_sizes(source: &BundleSource, limits: &Limits, faults: &mut Vec<Fault>) {
    let mut limit = |file: &str, what: String| {
        faults.push(whole_file(file, FaultCode::Limit, what, "make it smaller"));
    };
    if source.files.len() > limits.files_max {
        limit(MANIFEST, format!("the bundle has {} files, the limit is {}", source.files.len(), limits.files_max));
    }
    let total: usize = source.files.values().map(Vec::len).sum();
    if total > limits.bundle_bytes_max {
        limit(MANIFEST, format!("the bundle has {total} bytes, the limit is {}", limits.bundle_bytes_max));
    }
    for (path, bytes) in &source.files {
        if bytes.len() > limits.file_bytes_max {
            limit(path, format!("the file has {} bytes, the limit is {}", bytes.len(), limits.file_bytes_max));
        }
        if path.len() > limits.path_bytes_max {
            limit(path, format!("the path has {} bytes, the limit is {}", path.len(), limits.path_bytes_max));
        }
    }
    for path in source.files.keys().filter(|path| !is_portable(path)) {
        faults.push(whole_file(
            path,
            FaultCode::Path,
            "the path is not relative, or has parts that are not portable",
            "use letters, digits, dots, hyphens and underscores in parts joined by /",
        ));
    }
}

fn is_portable(path: &str) -> bool {
    path.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    })
}

fn read(source: &BundleSource, limits: &Limits, faults: &mut Vec<Fault>) -> Option<Inner> {
    let manifest = manifest::parse(text(source, MANIFEST, faults)?, faults)?;
    let mut used: BTreeSet<&str> = COMPANIONS.into_iter().collect();

    used.insert(&manifest.schema);
    let schema_text = text(source, &manifest.schema, faults);
    let vocabulary = schema_text.and_then(|text| schema::parse(text, limits.actions_max, faults));

    let mut collector = Collector::new(*limits);
    for path in listed(source, &manifest.policies, faults) {
        used.insert(path);
        if let Some(text) = text(source, path, faults) {
            collector.read(text, faults);
        }
    }
    let rules = collector.finish(vocabulary.as_ref(), &manifest, faults);

    let mut hierarchy = Hierarchy::default();
    let mut entities_text = String::new();
    if let Some((path, _)) = &manifest.entities {
        used.insert(path);
        if let (Some(text), Some(vocabulary)) = (text(source, path, faults), vocabulary.as_ref()) {
            entities_text = text.text.to_owned();
            hierarchy = entities::parse(text, vocabulary, &manifest, faults);
        }
    }

    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    let mut found = Vec::new();
    for path in listed(source, &manifest.tests, faults) {
        used.insert(path);
        if let Some(text) = text(source, path, faults) {
            found.extend(cases::parse(text, &ids, faults));
        }
    }
    if found.len() > limits.tests_max {
        let message = format!("{} tests, the limit is {}", found.len(), limits.tests_max);
        faults.push(whole_file(MANIFEST, FaultCode::Limit, message, "remove some"));
    }
    for path in source.files.keys().filter(|path| !used.contains(path.as_str())) {
        faults.push(whole_file(
            path,
            FaultCode::Unlisted,
            "the file is in the bundle, and the manifest does not name it",
            "name it in the manifest, or take it out of the bundle",
        ));
    }
    let encoded = source.encode().ok()?;
    Some(Inner {
        hash: hash_encoded(&encoded),
        encoded,
        schema_text: schema_text?.text.to_owned(),
        entities_text,
        vocabulary: vocabulary?,
        manifest,
        hierarchy,
        rules,
        cases: found,
    })
}

fn text<'a>(source: &'a BundleSource, path: &'a str, faults: &mut Vec<Fault>) -> Option<Text<'a>> {
    let Some(bytes) = source.files.get(path) else {
        faults.push(whole_file(path, FaultCode::Missing, "the file is not there", "add it, or correct the manifest"));
        return None;
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(Text { file: path, text }),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("");
            faults.push(Text { file: path, text: valid }.fault(
                valid.len(),
                FaultCode::Text,
                "the file is not UTF-8",
                "save it as UTF-8",
            ));
            None
        }
    }
}

/// Files of the bundle that a list of paths and patterns names. A pattern has one `*`, in the last part of the path.
fn listed<'a>(source: &'a BundleSource, list: &[(String, usize)], faults: &mut Vec<Fault>) -> BTreeSet<&'a str> {
    let mut out = BTreeSet::new();
    let manifest = source.files.get(MANIFEST).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("");
    for (pattern, offset) in list {
        let before = out.len();
        match pattern.split_once('*') {
            None => out.extend(source.files.get_key_value(pattern.as_str()).map(|(path, _)| path.as_str())),
            Some((prefix, suffix)) => {
                let matches = |path: &&String| {
                    path.strip_prefix(prefix)
                        .and_then(|rest| rest.strip_suffix(suffix))
                        .is_some_and(|middle| !middle.contains('/'))
                };
                out.extend(source.files.keys().filter(matches).map(String::as_str));
            }
        }
        if out.len() == before {
            faults.push(Text { file: MANIFEST, text: manifest }.fault(
                *offset,
                FaultCode::Missing,
                format!("{pattern:?} names no further file of the bundle"),
                "add the file, or take the entry out",
            ));
        }
    }
    out
}
