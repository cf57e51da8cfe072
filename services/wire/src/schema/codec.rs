//! One type of one frozen schema: the Avro crate writes it, [`walk`] and [`datum`] read it.
//!
//! Invariant: [`datum`] sees only bytes that [`walk::check`] went through or [`walk::carry`] made.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::schema::ResolvedSchema;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::{Deserialize, Serialize};

use super::datum;
use super::plan::Plan;
use super::tree::Tree;
use super::walk::{self, Bounds};
use crate::error::{Error, SchemaFault, Undecodable};
use crate::limits::{ALLOCATION_BYTES_MAX, STEPS_MAX};

/// The crate decodes nothing here; should anything ever make it, this bounds it. Later calls change nothing.
static ALLOCATION: LazyLock<usize> = LazyLock::new(|| apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX));

pub(crate) struct Codec {
    pub tree: Tree,
    own: Plan,
    writer: GenericDatumWriter<'static>,
}

impl Codec {
    /// For the root type of a document.
    pub fn of(document: &str) -> Result<Codec, SchemaFault> {
        let (schema, tree) = Tree::parse(document)?;
        let schema: &'static Schema = Box::leak(Box::new(schema));
        Codec::build(schema, schema, tree)
    }

    /// For a named type inside a document.
    pub fn of_named(document: &str, name: &str) -> Result<Codec, SchemaFault> {
        let (schema, tree) = Tree::parse(document)?;
        // A compiled-in document is parsed once per process and type and lives as long; there is no end to free it at.
        let schema: &'static Schema = Box::leak(Box::new(schema));
        let missing = || SchemaFault::Undefined { name: name.to_owned() };
        let root = tree.named(name).ok_or_else(missing)?;
        let resolved = ResolvedSchema::new(schema).map_err(|_| missing())?;
        let inner =
            resolved.get_names().iter().find(|(known, _)| known.fullname(None) == name).map(|(_, inner)| *inner);
        Codec::build(schema, inner.ok_or_else(missing)?, tree.rooted(root))
    }

    fn build(whole: &'static Schema, part: &'static Schema, tree: Tree) -> Result<Codec, SchemaFault> {
        LazyLock::force(&ALLOCATION);
        let fault = |error: apache_avro::Error| SchemaFault::NotASchema { detail: error.to_string() };
        let names = ResolvedSchema::new(whole).map_err(fault)?;
        let writer =
            GenericDatumWriter::builder(part).resolved_schemata(names).human_readable(false).build().map_err(fault)?;
        Ok(Codec { own: Plan::own(&tree)?, tree, writer })
    }

    pub fn encode<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(512);
        self.writer.write_ser(&mut bytes, value).map_err(|_| Error::Unencodable)?;
        Ok(bytes)
    }

    /// Decodes bytes of this schema.
    pub fn decode<'b, T: Deserialize<'b>>(&self, bytes: &'b [u8], bytes_max: usize) -> Result<T, Undecodable> {
        walk::check(&self.own, bytes, Bounds { bytes_max, out_max: 0, steps_max: STEPS_MAX })?;
        decode_walked(bytes)
    }
}

/// Decodes bytes of the newest schema that were walked.
pub(crate) fn decode_walked<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Undecodable> {
    datum::decode(bytes).map_err(|_| Undecodable::Shape)
}

/// A codec of a compiled-in document, parsed at first use.
pub(crate) type Builtin = LazyLock<Result<Codec, SchemaFault>>;

/// The codec, or why it is broken.
pub(crate) fn builtin(codec: &'static Builtin) -> Result<&'static Codec, Error> {
    codec.as_ref().map_err(|fault| Error::Schema(fault.clone()))
}
