//! Layout of outcome: what was answered.

use crate::Error;
use crate::codec::{Reader, Writer};

/// The actor must not do it.
pub const OUTCOME_DENY: u8 = 0;
/// The actor may do it.
pub const OUTCOME_PERMIT: u8 = 1;
/// A human decides.
pub const OUTCOME_ESCALATE: u8 = 2;
/// Nothing was decided.
pub const OUTCOME_NONE: u8 = 3;

/// Section 2 of events that answer a request (types 1, 2, 3 and 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One of the four constants.
    pub outcome: u8,
    /// Machine-readable reason, a number of the policy vocabulary.
    pub reason_code: u16,
    /// Dense from 0 per partition and chain epoch over types 1, 2 and 5; type 3 carries the next one to come.
    pub outcome_no: u64,
    /// Determining policies, each at most 255 bytes.
    pub policies: Vec<String>,
    /// What the caller must do along with the action, each at most 255 bytes.
    pub obligations: Vec<String>,
}

impl Outcome {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Writer::layout().closed("outcome", self.outcome, 4)?.u16(self.reason_code).u64(self.outcome_no);
        for (field, texts) in [("policies", &self.policies), ("obligations", &self.obligations)] {
            out = out.count16(field, texts.len())?;
            for text in texts {
                out = out.text(field, text)?;
            }
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
        let outcome = Outcome {
            outcome: reader.closed("outcome", 4)?,
            reason_code: reader.u16("reason_code")?,
            outcome_no: reader.u64("outcome_no")?,
            policies: texts(&mut reader, "policies")?,
            obligations: texts(&mut reader, "obligations")?,
        };
        reader.end("Outcome")?;
        Ok(outcome)
    }
}

fn texts(reader: &mut Reader<'_>, field: &'static str) -> Result<Vec<String>, Error> {
    (0..reader.u16(field)?).map(|_| reader.text(field)).collect()
}
