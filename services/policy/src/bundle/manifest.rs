//! `manifest.toml`: what a bundle is called, how it treats silence, and which names exist in it.
//!
//! Invariant: unknown keys are faults. Roles and data classes are closed lists, because a misspelt role in a forbid
//! would be a forbid that never matches.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use crate::fault::{Fault, FaultCode, Text};
use crate::verdict::Mode;

/// Path of the manifest within a bundle.
pub(crate) const MANIFEST: &str = "manifest.toml";

/// The only manifest format there is so far.
const FORMAT: i64 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: Spanned<i64>,
    name: Spanned<String>,
    version: Spanned<String>,
    description: Spanned<String>,
    mode: Spanned<String>,
    schema: Spanned<String>,
    policies: Vec<Spanned<String>>,
    entities: Option<Spanned<String>>,
    #[serde(default)]
    tests: Vec<Spanned<String>>,
    roles: Vec<Spanned<String>>,
    data_classes: Vec<Spanned<String>>,
    #[serde(default)]
    windows: Vec<Spanned<RawWindow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    name: String,
    measure: String,
    of: Option<String>,
    per: String,
    by: Vec<String>,
}

/// The manifest, checked.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub name: String,
    pub version: String,
    pub description: String,
    pub mode: Mode,
    pub schema: String,
    pub policies: Vec<(String, usize)>,
    pub entities: Option<(String, usize)>,
    pub tests: Vec<(String, usize)>,
    pub roles: BTreeSet<String>,
    pub data_classes: BTreeSet<String>,
}

/// Reads the manifest. Faults are appended; `None` when nothing can be made of it.
pub(crate) fn parse(text: Text<'_>, faults: &mut Vec<Fault>) -> Option<Manifest> {
    let raw: Raw = match toml::from_str(text.text) {
        Ok(raw) => raw,
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            faults.push(text.fault(
                offset,
                FaultCode::Manifest,
                error.message(),
                "correct the manifest; its keys are format, name, version, description, mode, schema, policies, \
                 entities, tests, roles, data_classes, windows",
            ));
            return None;
        }
    };
    check_scalars(&raw, text, faults);
    check_windows(&raw.windows, text, faults);
    let mode = mode(&raw.mode, text, faults);
    let roles = names("role", &raw.roles, text, faults);
    let data_classes = names("data class", &raw.data_classes, text, faults);
    if raw.policies.is_empty() {
        faults.push(text.fault(0, FaultCode::Manifest, "no policies are listed", "list policy files or a pattern"));
    }
    let located = |s: &Spanned<String>| (s.get_ref().clone(), s.span().start);
    Some(Manifest {
        name: raw.name.into_inner(),
        version: raw.version.into_inner(),
        description: raw.description.into_inner(),
        mode,
        schema: raw.schema.into_inner(),
        policies: raw.policies.iter().map(located).collect(),
        entities: raw.entities.as_ref().map(located),
        tests: raw.tests.iter().map(located).collect(),
        roles,
        data_classes,
    })
}

fn check_scalars(raw: &Raw, text: Text<'_>, faults: &mut Vec<Fault>) {
    if *raw.format.get_ref() != FORMAT {
        faults.push(text.fault(
            raw.format.span().start,
            FaultCode::Manifest,
            format!("manifest format {} is not known", raw.format.get_ref()),
            format!("use format = {FORMAT}, or a newer release"),
        ));
    }
    if !is_kebab(raw.name.get_ref()) {
        faults.push(text.fault(
            raw.name.span().start,
            FaultCode::Manifest,
            format!("the name {:?} is not kebab-case", raw.name.get_ref()),
            "use lower-case letters, digits and single hyphens",
        ));
    }
    let dotted: Vec<&str> = raw.version.get_ref().split('.').collect();
    let numbers =
        dotted.iter().all(|part| !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit()));
    if dotted.len() != 3 || !numbers {
        faults.push(text.fault(
            raw.version.span().start,
            FaultCode::Manifest,
            format!("the version {:?} is not of the form 1.2.3", raw.version.get_ref()),
            "use three numbers with dots",
        ));
    }
    if raw.description.get_ref().trim().is_empty() {
        faults.push(text.fault(
            raw.description.span().start,
            FaultCode::Manifest,
            "the description is empty",
            "say in a sentence what the bundle governs",
        ));
    }
}

fn mode(raw: &Spanned<String>, text: Text<'_>, faults: &mut Vec<Fault>) -> Mode {
    match raw.get_ref().as_str() {
        "strict" => Mode::Strict,
        "permissive" => Mode::Permissive,
        "paranoid" => Mode::Paranoid,
        other => {
            faults.push(text.fault(
                raw.span().start,
                FaultCode::Manifest,
                format!("the mode {other:?} is not known"),
                "use strict, permissive or paranoid",
            ));
            Mode::Strict
        }
    }
}

fn names(what: &str, raw: &[Spanned<String>], text: Text<'_>, faults: &mut Vec<Fault>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for name in raw {
        let value = name.get_ref();
        let portable = !value.is_empty()
            && value.len() <= 100
            && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if !portable {
            faults.push(text.fault(
                name.span().start,
                FaultCode::Manifest,
                format!("the {what} {value:?} is not a name of 1 to 100 visible ASCII characters"),
                "use letters, digits, hyphens and underscores",
            ));
        } else if !seen.insert(value.clone()) {
            faults.push(text.fault(
                name.span().start,
                FaultCode::Manifest,
                format!("the {what} {value:?} is listed twice"),
                "list it once",
            ));
        }
    }
    seen
}

/// Windows are parsed so that their syntax is settled, and refused because nothing maintains them yet: a policy that
/// read a window that nobody counts would permit for ever.
fn check_windows(windows: &[Spanned<RawWindow>], text: Text<'_>, faults: &mut Vec<Fault>) {
    for window in windows {
        let raw = window.get_ref();
        let at = window.span().start;
        let mut wrong = |message: String, remedy: &str| {
            faults.push(text.fault(at, FaultCode::Windows, message, remedy));
        };
        let mut well_formed = true;
        if !is_kebab(&raw.name.replace('_', "-")) {
            well_formed = false;
            wrong(format!("the window name {:?} is not a lower-case name", raw.name), "rename it");
        }
        match (raw.measure.as_str(), raw.of.as_deref()) {
            ("count", None) | ("sum", Some("amount")) => {}
            ("count", Some(_)) | ("sum", _) => {
                well_formed = false;
                wrong(
                    format!("window {:?}: the measure and its object do not fit", raw.name),
                    "use measure = \"count\" alone, or measure = \"sum\" with of = \"amount\"",
                );
            }
            (other, _) => {
                well_formed = false;
                wrong(format!("window {:?}: the measure {other:?} is not known", raw.name), "use count or sum");
            }
        }
        if !["1m", "1h", "24h"].contains(&raw.per.as_str()) {
            well_formed = false;
            wrong(format!("window {:?}: the period {:?} is not known", raw.name, raw.per), "use 1m, 1h or 24h");
        }
        let known = ["tenant", "actor", "action", "resource"];
        if raw.by.is_empty() || raw.by.iter().any(|by| !known.contains(&by.as_str())) {
            well_formed = false;
            wrong(
                format!("window {:?}: \"by\" is empty or names what is not known", raw.name),
                "use tenant, actor, action, resource",
            );
        }
        if well_formed {
            wrong(format!("window {:?}: declared windows are not supported yet", raw.name), "remove the window");
        }
    }
}

/// Lower-case letters and digits in words joined by single hyphens.
pub(crate) fn is_kebab(name: &str) -> bool {
    name.len() <= 100
        && name
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}
