//! Layout of `WriterClaimed`: who writes from here on, and, in the first claim of a partition, where it all began.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Requests of one tenant and actor share a partition.
pub const ROUTING_ACTOR: u8 = 0;
/// Requests of one tenant share a partition.
pub const ROUTING_TENANT: u8 = 1;

/// Section 1 of event type 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Random, drawn by the writer.
    pub writer_id: [u8; 16],
    /// Present in the first claim of a partition (seq 0) and in no other.
    pub origin: Option<Origin>,
}

/// What a deployment fixes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Number of partitions.
    pub partitions: u32,
    /// [`ROUTING_ACTOR`] or [`ROUTING_TENANT`].
    pub routing: u8,
    /// Where reading began, for every input that runs may name.
    pub inputs: Vec<InputStart>,
}

/// Where reading of one input partition began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputStart {
    /// Logical topic name, at most 255 bytes.
    pub topic: String,
    /// Input partition.
    pub partition: u32,
    /// Id of the topic, which a topic that is deleted and made again does not keep.
    pub topic_id: [u8; 16],
    /// `from_offset` of the first range.
    pub start: u64,
}

impl Claim {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let out = Writer::layout().bytes(&self.writer_id);
        let Some(origin) = &self.origin else {
            return Ok(out.u8(0).done());
        };
        let mut out = out
            .u8(1)
            .u32(origin.partitions)
            .closed("routing", origin.routing, 2)?
            .count16("inputs", origin.inputs.len())?;
        for input in &origin.inputs {
            out = out.text("topic", &input.topic)?.u32(input.partition).bytes(&input.topic_id).u64(input.start);
        }
        Ok(out.done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let writer_id = reader.array("writer_id")?;
        let origin = match reader.closed("has_origin", 2)? {
            0 => None,
            _ => Some(Origin::read(&mut reader)?),
        };
        reader.end("Claim")?;
        Ok(Claim { writer_id, origin })
    }
}

impl Origin {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let partitions = reader.u32("partitions")?;
        let routing = reader.closed("routing", 2)?;
        let inputs = (0..reader.u16("inputs")?)
            .map(|_| {
                Ok(InputStart {
                    topic: reader.text("topic")?,
                    partition: reader.u32("partition")?,
                    topic_id: reader.array("topic_id")?,
                    start: reader.u64("start")?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Origin { partitions, routing, inputs })
    }
}
