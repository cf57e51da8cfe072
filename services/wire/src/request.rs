//! Requests: canonical bytes, and reading what producers send.
//!
//! Invariants: canonical bytes are the newest schema under `schemas/request`, the same for the same request; they are
//! what request keys, commitments and conflicts are computed over. What a producer sent is first walked within
//! [`Limits`], under the schema that wrote it; if its bytes are not those of the newest schema they are carried over,
//! and only then decoded. Reading never panics, and memory is bounded by the size of the input.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use domain::request::Request;
use sha3::{Digest, Sha3_256};

use crate::error::{Error, SchemaFault, Undecodable};
use crate::fields;
use crate::framing::{self, SchemaId};
use crate::limits::{Limits, REQUEST_BYTES_MAX, RESOLVED_BYTES_MAX};
use crate::schema::codec::{Builtin, Codec, builtin, decode_walked};
use crate::schema::plan::Plan;
use crate::schema::tree::Tree;
use crate::schema::walk::{self, Bounds};

/// Every released request schema with the id that stands for it where there is no registry: version N has id N.
pub const BUILTIN_SCHEMAS: &[(SchemaId, &str)] = &[(SchemaId(1), include_str!("../../../schemas/request/v1.avsc"))];

/// The id of the schema of canonical bytes among the [`BUILTIN_SCHEMAS`].
pub const NEWEST: SchemaId = SchemaId(1);

static CODEC: Builtin = LazyLock::new(|| Codec::of(newest()));

fn newest() -> &'static str {
    BUILTIN_SCHEMAS.last().map_or("", |(_, document)| document)
}

/// The schema document of canonical bytes.
pub fn request_schema() -> &'static str {
    newest()
}

/// The canonical bytes of a request, at most as many as a request may grow to.
///
/// # Errors
/// [`Error::Field`] for a value that the schema cannot hold.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, Error> {
    builtin(&CODEC)?.encode(&fields::Request::try_from(request)?)
}

/// Decodes canonical bytes.
///
/// # Errors
/// [`Error::Undecodable`].
pub fn decode_request(canonical: &[u8]) -> Result<Request, Error> {
    let request: fields::Request<'_> = builtin(&CODEC)?.decode(canonical, RESOLVED_BYTES_MAX)?;
    Ok(request.try_into()?)
}

/// A request as a producer without a registry sends it: canonical bytes, framed with the [`NEWEST`] built-in id.
///
/// # Errors
/// As [`encode_request`], and [`Undecodable::TooLarge`] for what no reader would take.
pub fn frame_request(request: &Request) -> Result<Vec<u8>, Error> {
    let canonical = encode_request(request)?;
    if canonical.len() > REQUEST_BYTES_MAX {
        return Err(Undecodable::TooLarge { max: REQUEST_BYTES_MAX }.into());
    }
    Ok(framing::join(NEWEST, &canonical))
}

#[derive(Clone)]
struct Writer {
    digest: [u8; 32],
    plan: Arc<Plan>,
}

/// Reads framed requests of every schema that it was given. Cheap to clone.
#[derive(Clone)]
pub struct RequestReader {
    limits: Limits,
    codec: &'static Codec,
    writers: BTreeMap<SchemaId, Writer>,
}

impl fmt::Debug for RequestReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestReader")
            .field("limits", &self.limits)
            .field("schemas", &self.writers.len())
            .finish_non_exhaustive()
    }
}

impl RequestReader {
    /// Knows no schema yet: for use with a registry, whose ids are its own.
    ///
    /// # Errors
    /// [`Error::Schema`] if the built-in schemas are broken.
    pub fn new(limits: Limits) -> Result<RequestReader, Error> {
        Ok(RequestReader { limits, codec: builtin(&CODEC)?, writers: BTreeMap::new() })
    }

    /// Knows every released request schema under its built-in id.
    ///
    /// # Errors
    /// [`Error::Schema`] if the built-in schemas are broken.
    pub fn with_builtin(limits: Limits) -> Result<RequestReader, Error> {
        let mut reader = RequestReader::new(limits)?;
        for (id, document) in BUILTIN_SCHEMAS {
            reader.add(*id, document)?;
        }
        Ok(reader)
    }

    /// Whether the schema with this id is known.
    pub fn knows(&self, id: SchemaId) -> bool {
        self.writers.contains_key(&id)
    }

    /// Takes a writer schema: checks size, depth, recursion, and that the newest schema can read what it writes.
    /// The same document under the same id is taken again without effect.
    ///
    /// # Errors
    /// [`SchemaFault`]; nothing has changed then.
    pub fn add(&mut self, id: SchemaId, document: &str) -> Result<(), SchemaFault> {
        let digest = Sha3_256::digest(document.as_bytes()).into();
        match self.writers.get(&id) {
            Some(known) if known.digest == digest => return Ok(()),
            Some(_) => return Err(SchemaFault::Taken { id: id.0 }),
            None if self.writers.len() >= self.limits.schemas_max => {
                return Err(SchemaFault::TooMany { max: self.limits.schemas_max });
            }
            None => {}
        }
        let (_, tree) = Tree::parse(document)?;
        let plan = Arc::new(Plan::resolve(&tree, &self.codec.tree)?);
        self.writers.insert(id, Writer { digest, plan });
        Ok(())
    }

    /// Reads one framed request.
    ///
    /// # Errors
    /// [`Undecodable`], which never holds a byte of the payload.
    pub fn read(&self, framed: &[u8]) -> Result<Request, Undecodable> {
        let (id, datum) = framing::split(framed)?;
        let writer = self.writers.get(&id).ok_or(Undecodable::UnknownSchema { id: id.0 })?;
        let Limits { request_bytes_max, resolved_bytes_max, steps_max, .. } = self.limits;
        let bounds = Bounds { bytes_max: request_bytes_max, out_max: resolved_bytes_max, steps_max };
        let carried;
        let current = if writer.plan.identity {
            walk::check(&writer.plan, datum, bounds)?;
            datum
        } else {
            carried = walk::carry(&writer.plan, datum, bounds)?;
            &carried
        };
        decode_walked::<fields::Request<'_>>(current)?.try_into()
    }
}
