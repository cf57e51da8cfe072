//! The Confluent wire format: magic byte 0x00, schema id as 4 bytes big-endian, datum.
//!
//! Source: docs.confluent.io, "Schema Registry: wire format".

use crate::error::Undecodable;

/// The first byte.
pub const MAGIC: u8 = 0x00;

/// Bytes before the datum.
pub const HEADER_BYTES: usize = 5;

/// Identifier of a schema in one registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

/// Takes the framing off.
///
/// # Errors
/// [`Undecodable::NotFramed`].
pub fn split(framed: &[u8]) -> Result<(SchemaId, &[u8]), Undecodable> {
    match framed {
        [MAGIC, a, b, c, d, datum @ ..] => Ok((SchemaId(u32::from_be_bytes([*a, *b, *c, *d])), datum)),
        _ => Err(Undecodable::NotFramed),
    }
}

/// Puts the framing on.
pub fn join(id: SchemaId, datum: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(HEADER_BYTES + datum.len());
    framed.push(MAGIC);
    framed.extend_from_slice(&id.0.to_be_bytes());
    framed.extend_from_slice(datum);
    framed
}
