//! All the chance there is in a run.

use rand_pcg::{Pcg64Mcg, rand_core::Rng};

/// One generator, from one seed. Everything that could go one way or another asks it.
#[derive(Debug)]
pub struct Dice(Pcg64Mcg);

impl Dice {
    /// The same seed rolls the same numbers for ever.
    pub fn new(seed: u64) -> Self {
        // Seeds next to each other must not begin alike.
        let high = mix(seed, 0x9e37_79b9_7f4a_7c15);
        let low = mix(seed, 0xd1b5_4a32_d192_ed03);
        Self(Pcg64Mcg::new(u128::from(high) << 64 | u128::from(low)))
    }

    /// A number below `bound`, or zero if that is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: as even as a simulation needs.
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A place in something so long.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True so many times out of 10 000.
    pub fn chance(&mut self, of_10_000: u32) -> bool {
        self.below(10_000) < u64::from(of_10_000)
    }

    /// One of them; `None` of an empty slice.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        match from.is_empty() {
            true => None,
            false => Some(from[self.index(from.len())]),
        }
    }
}

/// Two words mixed into one: the finalizer of SplitMix64.
pub fn mix(a: u64, b: u64) -> u64 {
    let mut word = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
