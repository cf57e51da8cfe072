//! Ranges of settings, checked while a value is read, so that the parser's place in the file is the fault's place.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A whole number between `MIN` and `MAX`, both allowed.
pub(super) fn within<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(from: D) -> Result<u64, D::Error> {
    let value = u64::deserialize(from)?;
    if (MIN..=MAX).contains(&value) {
        return Ok(value);
    }
    Err(D::Error::custom(format_args!("must be between {MIN} and {MAX}")))
}

/// As [`within`], for what counts things in memory.
pub(super) fn count<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(from: D) -> Result<usize, D::Error> {
    let value = within::<D, MIN, MAX>(from)?;
    usize::try_from(value).map_err(|_| D::Error::custom("must fit this machine's address space"))
}

/// As [`within`], for what is stored in 32 bits.
pub(super) fn number<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(from: D) -> Result<u32, D::Error> {
    let value = within::<D, MIN, MAX>(from)?;
    u32::try_from(value).map_err(|_| D::Error::custom("must fit 32 bits"))
}
