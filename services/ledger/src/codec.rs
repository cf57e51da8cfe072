//! Reading and writing of fixed layouts: big-endian integers, length-prefixed bytes, exact ends.
//!
//! Invariant: a `Reader` never reads past its input and never allocates more than the input holds. It is not public:
//! the layouts are the contract, not the means.

use crate::{Error, Hash};

/// Reads fields from the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn bytes(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Error::Short { field })?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Error::Short { field })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn hash(&mut self, field: &'static str) -> Result<Hash, Error> {
        self.array(field).map(Hash)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Error> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Error> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Error> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Error> {
        self.array(field).map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, Error> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// A byte that must be below `limit`.
    pub(crate) fn closed(&mut self, field: &'static str, limit: u8) -> Result<u8, Error> {
        match self.u8(field)? {
            value if value < limit => Ok(value),
            found => Err(Error::Unknown { field, found: found.into() }),
        }
    }

    /// `u8 length ‖ UTF-8`.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<String, Error> {
        let length = self.u8(field)?;
        self.utf8(field, length.into())
    }

    /// `u16 length ‖ UTF-8`.
    pub(crate) fn long_text(&mut self, field: &'static str) -> Result<String, Error> {
        let length = self.u16(field)?;
        self.utf8(field, length.into())
    }

    /// `u32 length ‖ bytes`.
    pub(crate) fn blob(&mut self, field: &'static str, limit: usize) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(self.u32(field)?).map_err(|_| Error::Short { field })?;
        within(field, length, limit)?;
        self.bytes(field, length).map(<[u8]>::to_vec)
    }

    fn utf8(&mut self, field: &'static str, length: usize) -> Result<String, Error> {
        let bytes = self.bytes(field, length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Text { field })?;
        Ok(text.to_owned())
    }

    /// The layout byte that opens every fixed layout.
    pub(crate) fn layout(&mut self) -> Result<(), Error> {
        match self.u8("layout")? {
            1 => Ok(()),
            found => Err(Error::Unknown { field: "layout", found: found.into() }),
        }
    }

    pub(crate) fn end(self, record: &'static str) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(Error::Trailing { record, count }),
        }
    }
}

/// Appends fields to a buffer.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A buffer that opens with layout byte 1.
    pub(crate) fn layout() -> Self {
        Self(vec![1])
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn i64(self, value: i64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A byte that must be below `limit`.
    pub(crate) fn closed(self, field: &'static str, value: u8, limit: u8) -> Result<Self, Error> {
        if value < limit { Ok(self.u8(value)) } else { Err(Error::Unknown { field, found: value.into() }) }
    }

    /// A count or length of one byte.
    pub(crate) fn count8(self, field: &'static str, length: usize) -> Result<Self, Error> {
        let value = u8::try_from(length).map_err(|_| too_long(field, length, u8::MAX.into()))?;
        Ok(self.u8(value))
    }

    /// A count or length of two bytes.
    pub(crate) fn count16(self, field: &'static str, length: usize) -> Result<Self, Error> {
        let value = u16::try_from(length).map_err(|_| too_long(field, length, u16::MAX.into()))?;
        Ok(self.u16(value))
    }

    /// `u8 length ‖ UTF-8`.
    pub(crate) fn text(self, field: &'static str, text: &str) -> Result<Self, Error> {
        Ok(self.count8(field, text.len())?.bytes(text.as_bytes()))
    }

    /// `u16 length ‖ UTF-8`.
    pub(crate) fn long_text(self, field: &'static str, text: &str) -> Result<Self, Error> {
        Ok(self.count16(field, text.len())?.bytes(text.as_bytes()))
    }

    /// `u32 length ‖ bytes`.
    pub(crate) fn blob(self, field: &'static str, bytes: &[u8], limit: usize) -> Result<Self, Error> {
        within(field, bytes.len(), limit)?;
        let length = u32::try_from(bytes.len()).map_err(|_| too_long(field, bytes.len(), limit))?;
        Ok(self.u32(length).bytes(bytes))
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

fn within(field: &'static str, length: usize, limit: usize) -> Result<(), Error> {
    if length > limit {
        return Err(too_long(field, length, limit));
    }
    Ok(())
}

fn too_long(field: &'static str, length: usize, limit: usize) -> Error {
    Error::TooLong { field, length, limit }
}
