//! Carries a plan out over bytes, within bounds.
//!
//! Invariants: never reads outside the bytes, never panics, and ends: each value visited is paid for from a budget,
//! a count is compared with the bytes that are left before anything is done for it, and nothing is allocated by a
//! claimed length. What comes out, or what went in if the plan is the identity, is one datum of the reader's schema
//! to the last byte, with text in UTF-8 and no key twice: only such bytes are handed to the Avro crate.

use super::defaults::long;
use super::plan::{Op, OpId, Plan, Source, Step};
use crate::error::Undecodable;

/// Bounds of one walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub bytes_max: usize,
    pub out_max: usize,
    pub steps_max: u64,
}

/// Checks that `bytes` are one datum of the plan's writer.
pub(crate) fn check(plan: &Plan, bytes: &[u8], bounds: Bounds) -> Result<(), Undecodable> {
    run(plan, bytes, bounds, 1).map(drop)
}

/// Turns one datum of the plan's writer into one of its reader.
pub(crate) fn carry(plan: &Plan, bytes: &[u8], bounds: Bounds) -> Result<Vec<u8>, Undecodable> {
    run(plan, bytes, bounds, 0)
}

fn run(plan: &Plan, bytes: &[u8], bounds: Bounds, muted: u32) -> Result<Vec<u8>, Undecodable> {
    if bytes.len() > bounds.bytes_max {
        return Err(Undecodable::TooLarge { max: bounds.bytes_max });
    }
    let mut walk = Walk { plan, all: bytes, rest: bytes, out: Vec::new(), muted, bounds, steps_left: bounds.steps_max };
    walk.value(plan.root)?;
    match walk.rest.len() {
        0 => Ok(walk.out),
        bytes => Err(Undecodable::Trailing { bytes }),
    }
}

struct Walk<'p, 'b> {
    plan: &'p Plan,
    all: &'b [u8],
    rest: &'b [u8],
    out: Vec<u8>,
    /// Above zero nothing is written.
    muted: u32,
    bounds: Bounds,
    steps_left: u64,
}

impl<'p, 'b> Walk<'p, 'b> {
    fn value(&mut self, op: OpId) -> Result<(), Undecodable> {
        self.steps_left =
            self.steps_left.checked_sub(1).ok_or(Undecodable::TooManyValues { max: self.bounds.steps_max })?;
        match self.plan.op(op) {
            Op::Null => Ok(()),
            Op::Boolean => match self.take(1)? {
                value @ ([0] | [1]) => self.write(value),
                _ => Err(Undecodable::Boolean),
            },
            Op::Int => {
                let value = self.long()?;
                i32::try_from(value).map_err(|_| Undecodable::Number)?;
                self.write_long(value)
            }
            Op::Long => {
                let value = self.long()?;
                self.write_long(value)
            }
            Op::Fixed(size) => {
                let value = self.take(*size)?;
                self.write(value)
            }
            Op::Bytes => self.bytes().and_then(|value| self.write_bytes(value)),
            Op::Text => self.text().and_then(|value| self.write_bytes(value)),
            Op::Enum(symbols) => {
                let index = self.index(Undecodable::Symbol)?;
                let symbol = symbols.get(index).copied().flatten().ok_or(Undecodable::Symbol)?;
                self.write_index(symbol)
            }
            Op::Array { item, bytes_min } => self.blocks(*bytes_min, |walk| walk.value(*item)),
            Op::Map { value, bytes_min } => self.map(*value, *bytes_min),
            Op::Union(branches) => {
                let index = self.index(Undecodable::Branch)?;
                self.value(*branches.get(index).ok_or(Undecodable::Branch)?)
            }
            Op::Branch(index, op) => {
                self.write_index(*index)?;
                self.value(*op)
            }
            Op::Record(steps) => steps.iter().try_for_each(|step| match step {
                Step::Copy(op) => self.value(*op),
                Step::Pass(op) => self.pass(*op),
                Step::Default(bytes) => self.write(bytes),
            }),
            Op::Reordered { passes, sources } => self.reordered(passes, sources),
            Op::NoPlace => Err(Undecodable::NoPlace),
        }
    }

    fn pass(&mut self, op: OpId) -> Result<(), Undecodable> {
        self.muted += 1;
        let result = self.value(op);
        self.muted -= 1;
        result
    }

    fn reordered(&mut self, passes: &[OpId], sources: &[Source]) -> Result<(), Undecodable> {
        let mut starts = Vec::with_capacity(passes.len());
        for op in passes {
            starts.push(self.rest);
            self.pass(*op)?;
        }
        let end = self.rest;
        for source in sources {
            match source {
                Source::Default(bytes) => self.write(bytes)?,
                Source::Field(at, op) => {
                    self.rest = starts.get(*at).copied().unwrap_or_default();
                    self.value(*op)?;
                }
            }
        }
        self.rest = end;
        Ok(())
    }

    fn map(&mut self, value: OpId, bytes_min: usize) -> Result<(), Undecodable> {
        let mut keys: Vec<&'b [u8]> = Vec::new();
        self.blocks(bytes_min, |walk| {
            let key = walk.text()?;
            keys.push(key);
            walk.write_bytes(key)?;
            walk.value(value)
        })?;
        keys.sort_unstable();
        match keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            true => Err(Undecodable::DuplicateKey),
            false => Ok(()),
        }
    }

    /// Blocks of an array or map; each item takes at least `bytes_min` bytes.
    fn blocks(
        &mut self,
        bytes_min: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), Undecodable>,
    ) -> Result<(), Undecodable> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return self.write(&[0]);
            }
            let size = if count < 0 { Some(self.length()?) } else { None };
            let count = count.unsigned_abs();
            let most = match bytes_min {
                // Items without bytes are bounded by the budget of values.
                0 => self.steps_left,
                bytes => u64::try_from(self.rest.len() / bytes).unwrap_or(u64::MAX),
            };
            if count > most {
                return Err(Undecodable::Count);
            }
            let before = self.rest.len();
            self.write_long(i64::try_from(count).map_err(|_| Undecodable::Count)?)?;
            for _ in 0..count {
                item(self)?;
            }
            if size.is_some_and(|size| size != before - self.rest.len()) {
                return Err(Undecodable::Block);
            }
        }
    }

    fn text(&mut self) -> Result<&'b [u8], Undecodable> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map(|_| bytes).map_err(|_| Undecodable::Utf8)
    }

    fn bytes(&mut self) -> Result<&'b [u8], Undecodable> {
        let length = self.length()?;
        self.take(length)
    }

    fn length(&mut self) -> Result<usize, Undecodable> {
        usize::try_from(self.long()?).map_err(|_| Undecodable::Count)
    }

    fn index(&mut self, fault: Undecodable) -> Result<usize, Undecodable> {
        usize::try_from(self.long()?).map_err(|_| fault)
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Undecodable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Undecodable::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag variable-length integer of at most 64 bits.
    fn long(&mut self) -> Result<i64, Undecodable> {
        let mut bits = 0_u64;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte holds the 64th bit only.
            if place == 9 && *byte > 1 {
                return Err(Undecodable::Number);
            }
            bits |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
            }
        }
        Err(if self.rest.len() < 10 { Undecodable::Truncated } else { Undecodable::Number })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Undecodable> {
        if self.muted > 0 {
            return Ok(());
        }
        if self.out.len() + bytes.len() > self.bounds.out_max {
            return Err(Undecodable::Expands { max: self.bounds.out_max });
        }
        if self.out.is_empty() {
            self.out.reserve(self.all.len() + 64);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn write_long(&mut self, value: i64) -> Result<(), Undecodable> {
        if self.muted > 0 {
            return Ok(());
        }
        long(value, &mut self.out);
        self.write(&[])
    }

    fn write_index(&mut self, index: usize) -> Result<(), Undecodable> {
        // Positions in schemas of at most 64 KiB.
        self.write_long(i64::try_from(index).unwrap_or(i64::MAX))
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), Undecodable> {
        self.write_long(i64::try_from(bytes.len()).map_err(|_| Undecodable::Count)?)?;
        self.write(bytes)
    }
}
