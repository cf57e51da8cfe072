//! Why a body could not be parsed: found out by parsing again with the path, told without any value of the body.
//!
//! Invariant: of the parser's own messages only the part that comes from our types is shown (`expected …`), never what
//! was found instead. Names of fields are shown when they look like names and do not lie within a person's data.

use serde::Deserialize;

use crate::http::problem::{Code, FieldError, Problem};

/// The problem with a body that is no `T`.
pub fn explain<'de, T: Deserialize<'de>>(bytes: &'de [u8], depth_max: usize) -> Problem {
    if let Err(fault) = std::str::from_utf8(bytes) {
        let place = fault.valid_up_to();
        return Problem::new(
            Code::InvalidUtf8,
            format!("the body is no UTF-8 from byte {place} on; encode it as UTF-8"),
        );
    }
    if depth(bytes) > depth_max {
        return Problem::new(
            Code::TooDeep,
            format!("the body is nested deeper than {depth_max}; a request needs no more than 5 levels"),
        );
    }
    let mut reading = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut reading) {
        Ok(_) => match reading.end() {
            Ok(()) => Problem::new(Code::InvalidJson, "the body could not be read; send one JSON object"),
            Err(error) => syntax(&error),
        },
        Err(error) => {
            let path = shown(&error.path().to_string());
            let inner = error.inner();
            match inner.classify() {
                serde_json::error::Category::Data => {
                    Problem::fields(Code::InvalidFields, vec![data(path, &inner.to_string())])
                }
                _ => syntax(inner),
            }
        }
    }
}

fn syntax(error: &serde_json::Error) -> Problem {
    let what = error.to_string();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
    let place = format!("line {}, column {}", error.line(), error.column());
    Problem::new(Code::InvalidJson, format!("the body is not valid JSON at {place}: {what}"))
}

/// Deepest nesting, strings left out.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in bytes {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Members of a subject: the only names that are shown of one.
const SUBJECT_MEMBERS: [&str; 4] = ["id_type", "id", "role", "fields"];

/// A path without what may be personal: of a subject nothing but our own names.
fn shown(path: &str) -> String {
    let path = path.trim_end_matches('?').trim_end_matches('.');
    if let Some((before, rest)) =
        path.split_once("].").filter(|(before, _)| before.ends_with(|last: char| last.is_ascii_digit()))
        && let Some(at) = before.find("subjects[")
    {
        let member = rest.split(['.', '[']).next().unwrap_or_default();
        let subject = format!("{}]", before.get(at..).unwrap_or_default());
        return if SUBJECT_MEMBERS.contains(&member) { format!("{subject}.{member}") } else { subject };
    }
    if path
        .split(['.', '['])
        .all(|segment| segment.trim_end_matches(']').is_empty() || is_name(segment.trim_end_matches(']')))
    {
        path.to_owned()
    } else {
        // The last part that is a name for sure is where it begins.
        path.split('.').next().filter(|first| is_name(first)).unwrap_or_default().to_owned()
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'/'))
}

fn data(path: String, message: &str) -> FieldError {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let (found, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let named =
        |prefix: &str| found.strip_prefix(prefix).map(|name| name.trim_start_matches('`').trim_end_matches('`'));
    let at = |path: &str, name: &str| -> String {
        let personal = path.starts_with("subjects");
        match (is_name(name) && !personal, path.is_empty()) {
            (true, true) => name.to_owned(),
            (true, false) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
            (true, false) => format!("{path}.{name}"),
            (false, _) => path.to_owned(),
        }
    };
    if let Some(name) = named("unknown field ") {
        let message = format!("is no field here; known are {}", list(expected));
        return FieldError { path: at(&path, name), code: "unknown_field", message };
    }
    if let Some(name) = named("missing field ") {
        // Names of missing fields are ours.
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        return FieldError { path, code: "missing_field", message: "is missing; add it".to_owned() };
    }
    if let Some(name) = named("duplicate field ") {
        return FieldError {
            path: at(&path, name),
            code: "duplicate_field",
            message: "stands twice; keep one".to_owned(),
        };
    }
    let code = match found {
        _ if found.starts_with("unknown variant") => "unknown_value",
        _ if found.starts_with("invalid type") => "wrong_type",
        _ if found.starts_with("invalid value") || found.starts_with("invalid length") => "out_of_range",
        _ => "invalid",
    };
    let message =
        if expected.is_empty() { "is not as it must be".to_owned() } else { format!("must be {}", words(expected)) };
    FieldError { path, code, message }
}

fn list(expected: &str) -> String {
    expected.trim_start_matches("one of ").replace('`', "")
}

/// What the parser expected, in words of JSON instead of Rust.
fn words(expected: &str) -> String {
    let known = match expected {
        "u8" => "a whole number from 0 to 255",
        "i64" => "a whole number of 64 bits",
        "u64" | "u32" | "usize" => "a whole number, not negative",
        "a string" | "string" => "a text",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        "" => "something else",
        other if other.starts_with("one of `") || other.starts_with('`') => return format!("one of {}", list(other)),
        other => other,
    };
    known.to_owned()
}
