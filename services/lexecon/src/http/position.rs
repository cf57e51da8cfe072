//! Positions of the ledger in headers and queries: `partition:seq,partition:seq`, by partition.
//!
//! A position names the last event that an answer reflects. Whoever has written can ask a read to wait for it.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// `Lexecon-Position`
pub const HEADER: HeaderName = HeaderName::from_static("lexecon-position");

/// As text.
pub fn format(positions: &[(u32, u64)]) -> String {
    let mut text = String::with_capacity(positions.len().saturating_mul(12));
    for (partition, seq) in positions {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(text, "{comma}{partition}:{seq}");
    }
    text
}

/// From text; of several positions in one partition the last in the chain counts. None when it is malformed.
pub fn parse(text: &str) -> Option<Vec<(u32, u64)>> {
    let mut found = BTreeMap::new();
    for part in text.split(',') {
        let (partition, seq) = part.trim().split_once(':')?;
        let (partition, seq): (u32, u64) = (partition.parse().ok()?, seq.parse().ok()?);
        let known = found.entry(partition).or_insert(seq);
        *known = seq.max(*known);
        if found.len() > 1024 {
            return None;
        }
    }
    Some(found.into_iter().collect())
}

/// Puts the header in place; an answer that reflects no event has none.
pub fn insert(headers: &mut HeaderMap, positions: &[(u32, u64)]) {
    if positions.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&format(positions)) {
        headers.insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_positions() {
        let check =
            |text: &str, expected: Option<&[(u32, u64)]>| assert_eq!(parse(text).as_deref(), expected, "{text}");
        check("0:17", Some(&[(0, 17)]));
        check("3:1,0:17, 3:4", Some(&[(0, 17), (3, 4)]));
        check("", None);
        check("0", None);
        check("0:-1", None);
        check("0:1,", None);
        check("4294967296:1", None);
        assert_eq!(format(&[(0, 17), (3, 4)]), "0:17,3:4");
        assert_eq!(format(&[]), "");
    }
}
