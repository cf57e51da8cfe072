//! The framing that logs and exports share: `u8 kind ‖ u32 length ‖ bytes`.

/// Kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A schema document; exports only.
    Schema = 0,
    /// A stored event.
    Event = 1,
    /// A run, which closes a batch.
    Run = 2,
    /// The heads, which close an export.
    Heads = 3,
}

/// Bytes before a record's content.
pub(crate) const PREFIX_BYTES: usize = 5;

impl RecordKind {
    /// The kind with this persisted number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(RecordKind::Schema),
            1 => Some(RecordKind::Event),
            2 => Some(RecordKind::Run),
            3 => Some(RecordKind::Heads),
            _ => None,
        }
    }
}

/// Appends one record.
///
/// INVARIANT: callers have checked that `bytes` is at most `FRAME_BYTES_MAX`, so the length fits; `None` otherwise.
pub(crate) fn put(out: &mut Vec<u8>, kind: RecordKind, bytes: &[u8]) -> Option<()> {
    let length = u32::try_from(bytes.len()).ok()?;
    out.push(kind as u8);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

/// The first record's kind byte and content, and what follows it; `None` when the bytes end inside it.
pub(crate) fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}
