//! `entities.json`: which roles, data classes and tools are part of which.
//!
//! Cedar's JSON entity format, restricted to `Role`, `DataClass` and `Tool` without attributes. Users and resources
//! come with requests; a bundle that named them would be a second source of truth about who holds which role.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Entities;

use crate::bundle::manifest::Manifest;
use crate::bundle::schema::Vocabulary;
use crate::fault::{Fault, FaultCode, Text};

/// Every ancestor of each name, itself not included.
pub(crate) type Closure = BTreeMap<String, BTreeSet<String>>;

/// The hierarchies of a bundle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hierarchy {
    pub roles: Closure,
    pub data_classes: Closure,
    pub tools: Closure,
    pub entities: Option<Entities>,
}

/// Reads and checks the hierarchy.
pub(crate) fn parse(
    text: Text<'_>,
    vocabulary: &Vocabulary,
    manifest: &Manifest,
    faults: &mut Vec<Fault>,
) -> Hierarchy {
    let mut out = Hierarchy::default();
    let Some(entities) = read(text, vocabulary, faults) else {
        return out;
    };
    for entity in entities.iter() {
        let uid = entity.uid();
        let name = uid.id().unescaped().to_owned();
        let ancestors: BTreeSet<String> = entities
            .ancestors(&uid)
            .map(|all| all.map(|ancestor| ancestor.id().unescaped().to_owned()).collect())
            .unwrap_or_default();
        let (closure, known) = match uid.type_name().basename() {
            "Role" => (&mut out.roles, Some(&manifest.roles)),
            "DataClass" => (&mut out.data_classes, Some(&manifest.data_classes)),
            "Tool" => (&mut out.tools, None),
            "Action" => continue,
            other => {
                faults.push(text.fault(
                    text.text.find(other).unwrap_or(0),
                    FaultCode::Entities,
                    format!("entities of type {other} do not belong into a bundle"),
                    "declare roles, data classes and tools only",
                ));
                continue;
            }
        };
        for undeclared in
            std::iter::once(&name).chain(&ancestors).filter(|name| known.is_some_and(|known| !known.contains(*name)))
        {
            faults.push(text.fault(
                text.text.find(&format!("\"{undeclared}\"")).unwrap_or(0),
                FaultCode::UnknownName,
                format!("{uid} names {undeclared:?}, which the manifest does not declare"),
                "correct it, or add it to the manifest",
            ));
        }
        closure.insert(name, ancestors);
    }
    out.entities = Some(entities);
    out
}

fn read(text: Text<'_>, vocabulary: &Vocabulary, faults: &mut Vec<Fault>) -> Option<Entities> {
    // serde_json is asked first, because it alone says at which line the text stops being JSON.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text.text) {
        let mut fault = text.fault(0, FaultCode::Entities, error.to_string(), "correct the JSON");
        fault.line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        fault.column = u32::try_from(error.column().max(1)).unwrap_or(u32::MAX);
        faults.push(fault);
        return None;
    }
    match Entities::from_json_str(text.text, Some(&vocabulary.schema)) {
        Ok(entities) => Some(entities),
        Err(error) => {
            let mut message = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                message = format!("{message}: {inner}");
                cause = inner.source();
            }
            faults.push(text.fault(0, FaultCode::Entities, message, "make the entities fit the schema"));
            None
        }
    }
}
