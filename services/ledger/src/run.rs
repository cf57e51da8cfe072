//! The run record that closes a batch, and the accounting of its inputs (FORMAT.md, "Run").

use crate::Error;
use crate::chain::{ChainId, LedgerId};
use crate::codec::{Reader, Writer};
use crate::event::version;
use crate::hash::{self, Hash, Tag, tag};

/// What a batch consumed of one input partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRange {
    /// Logical topic name, without a deployment's prefix.
    pub topic: String,
    /// Partition of that topic.
    pub partition: u32,
    /// First offset; the previous range's `to_offset`.
    pub from_offset: u64,
    /// One past the last offset.
    pub to_offset: u64,
    /// Offsets that carried a decision request, or were lost.
    pub requests: u64,
    /// Events of type 1.
    pub decisions: u64,
    /// Events of types 2, 3 and 5, and offsets that were lost.
    pub rejected: u64,
    /// Offsets that carried no decision request.
    pub non_request: u64,
}

impl InputRange {
    /// Whether `requests + non_request = to_offset − from_offset` and no more was answered than asked.
    pub fn adds_up(&self) -> bool {
        let range = self.to_offset.checked_sub(self.from_offset);
        let counted = self.requests.checked_add(self.non_request);
        let answered = self.decisions.checked_add(self.rejected);
        range.is_some() && range == counted && answered.is_some_and(|sum| sum <= self.requests)
    }

    fn encoded_size(&self) -> usize {
        1 + self.topic.len() + 4 + 6 * 8
    }
}

/// Whether pairs of topic and partition are sorted and unique.
pub(crate) fn pairs_ascend(inputs: &[InputRange]) -> bool {
    inputs.is_sorted_by(|a, b| (&a.topic, a.partition) < (&b.topic, b.partition))
}

/// The record that closes a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Ledger, partition and chain epoch, as in its events.
    pub chain: ChainId,
    /// Seq of the first event.
    pub first_seq: u64,
    /// Seq of the last event.
    pub last_seq: u64,
    /// The head before the batch.
    pub prev_head: Hash,
    /// Hash of the last event.
    pub events_head: Hash,
    /// Root of the tree over the event hashes.
    pub run_root: Hash,
    /// What was consumed, sorted by topic and partition.
    pub inputs: Vec<InputRange>,
}

const FORMAT: u8 = 1;
const RUN_BYTES_FIXED: usize = 154;
const INPUT_BYTES_MIN: usize = 53;

impl Run {
    /// The bytes that are hashed.
    ///
    /// # Errors
    /// When a topic is longer than 255 bytes or there are more than 65,535 inputs.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Writer::with_capacity(encoded_size(&self.inputs))
            .bytes(tag(Tag::Run))
            .u8(FORMAT)
            .bytes(&self.chain.ledger_id.0)
            .u32(self.chain.partition)
            .u32(self.chain.chain_epoch)
            .u64(self.first_seq)
            .u64(self.last_seq)
            .bytes(&self.prev_head.0)
            .bytes(&self.events_head.0)
            .bytes(&self.run_root.0)
            .count16("n_inputs", self.inputs.len())?;
        for input in &self.inputs {
            out = out
                .text("topic", &input.topic)?
                .u32(input.partition)
                .u64(input.from_offset)
                .u64(input.to_offset)
                .u64(input.requests)
                .u64(input.decisions)
                .u64(input.rejected)
                .u64(input.non_request);
        }
        Ok(out.done())
    }

    /// Reads a run that fills `bytes` to the end. Whether its accounting holds is the verifier's business.
    ///
    /// # Errors
    /// [`Error::Version`] for a format that is not 1; others for what is no run at all.
    pub fn decode(bytes: &[u8]) -> Result<Run, Error> {
        let mut reader = Reader::new(bytes);
        let run_tag = tag(Tag::Run);
        if reader.bytes("tag", run_tag.len())? != run_tag {
            return Err(Error::Tag { record: "run" });
        }
        version("format", reader.u8("format")?, FORMAT)?;
        let mut run = Run {
            chain: ChainId {
                ledger_id: LedgerId(reader.array("ledger_id")?),
                partition: reader.u32("partition")?,
                chain_epoch: reader.u32("chain_epoch")?,
            },
            first_seq: reader.u64("first_seq")?,
            last_seq: reader.u64("last_seq")?,
            prev_head: reader.hash("prev_head")?,
            events_head: reader.hash("events_head")?,
            run_root: reader.hash("run_root")?,
            inputs: Vec::new(),
        };
        let count = usize::from(reader.u16("n_inputs")?);
        run.inputs.reserve(count.min(reader.rest().len() / INPUT_BYTES_MIN));
        for _ in 0..count {
            run.inputs.push(InputRange {
                topic: reader.text("topic")?,
                partition: reader.u32("input_partition")?,
                from_offset: reader.u64("from_offset")?,
                to_offset: reader.u64("to_offset")?,
                requests: reader.u64("requests")?,
                decisions: reader.u64("decisions")?,
                rejected: reader.u64("rejected")?,
                non_request: reader.u64("non_request")?,
            });
        }
        reader.end("run")?;
        Ok(run)
    }

    /// The head of the chain after this run.
    ///
    /// # Errors
    /// As [`Run::encode`].
    pub fn run_head(&self) -> Result<Hash, Error> {
        Ok(hash::run_head(&self.events_head, &self.encode()?))
    }
}

/// Bytes of a run with these inputs.
pub(crate) fn encoded_size(inputs: &[InputRange]) -> usize {
    RUN_BYTES_FIXED + inputs.iter().map(InputRange::encoded_size).sum::<usize>()
}
