//! Seeded chance for choosing faults: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
//! 2014).
//!
//! Eight bytes of state, so that whatever holds one can be cloned, compared and hashed by a model, and the same numbers
//! on every machine and in every version. Its quality is ample for this and for nothing else: no secret is drawn here.

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly below `bound`, but for a bias of 2⁻⁴⁸.
    pub(crate) fn below(&mut self, bound: u16) -> u16 {
        let drawn = self.next() % u64::from(bound.max(1));
        u16::try_from(drawn).unwrap_or(0)
    }
}
