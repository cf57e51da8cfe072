//! Field defaults as Avro binary.
//!
//! Source: Avro specification 1.12, "Complex types: records", table of field default values; the default of a union
//! is one of its first branch. Floating point has no defaults here, because no schema of ours holds any.

use serde_json::Value as Json;

use super::tree::{Field, Node, NodeId, Tree};

/// Appends the binary of `default` as a value of `node`; `None` if it is no such value.
pub(crate) fn encode(tree: &Tree, node: NodeId, default: &Json, out: &mut Vec<u8>) -> Option<()> {
    match (tree.node(node), default) {
        (Node::Null, Json::Null) => {}
        (Node::Boolean, Json::Bool(value)) => out.push(u8::from(*value)),
        (Node::Int(_), Json::Number(value)) => long(i64::from(i32::try_from(value.as_i64()?).ok()?), out),
        (Node::Long(_), Json::Number(value)) => long(value.as_i64()?, out),
        (Node::Text, Json::String(text)) => bytes(text.as_bytes(), out),
        (Node::Bytes, Json::String(text)) => bytes(&code_points(text)?, out),
        (Node::Fixed { size, .. }, Json::String(text)) => {
            let value = code_points(text)?;
            (value.len() == *size).then(|| out.extend_from_slice(&value))?;
        }
        (Node::Enum { symbols, .. }, Json::String(symbol)) => {
            let index = symbols.iter().position(|known| known == symbol)?;
            long(i64::try_from(index).ok()?, out);
        }
        (Node::Union(branches), value) => {
            long(0, out);
            encode(tree, *branches.first()?, value, out)?;
        }
        (Node::Array(items), Json::Array(values)) => {
            count(values.len(), out)?;
            for value in values {
                encode(tree, *items, value, out)?;
            }
            count_end(values.len(), out);
        }
        (Node::Map(items), Json::Object(values)) => {
            count(values.len(), out)?;
            for (key, value) in values {
                bytes(key.as_bytes(), out);
                encode(tree, *items, value, out)?;
            }
            count_end(values.len(), out);
        }
        (Node::Record { fields, .. }, Json::Object(values)) => {
            for Field { name, default, node, .. } in fields {
                encode(tree, *node, values.get(name).or(default.as_ref())?, out)?;
            }
        }
        _ => return None,
    }
    Some(())
}

/// A count of zero is at the same time the end of the blocks.
fn count(count: usize, out: &mut Vec<u8>) -> Option<()> {
    long(i64::try_from(count).ok()?, out);
    Some(())
}

fn count_end(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        out.push(0);
    }
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    // A default is a part of a schema document, far below any integer's limit.
    long(i64::try_from(value.len()).unwrap_or(i64::MAX), out);
    out.extend_from_slice(value);
}

/// Code points 0 to 255 stand for bytes.
fn code_points(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// Appends a zigzag variable-length integer.
pub(crate) fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}
