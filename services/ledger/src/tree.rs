//! The tree of RFC 6962, section 2.1, with SHA3-256 (over the events of a run) and with SHA-256 (over all runs).
//!
//! Invariant: nothing recurses, so the size of an input never becomes a depth of the stack. Roots are computed with a
//! compact range of at most 64 hashes, paths level by level.

use sha2::Sha256;
use sha3::{Digest, Sha3_256};

use crate::Hash;

/// Which hash a tree uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA3-256: the tree of a run.
    H3,
    /// SHA-256: the global tree, so that tlog-tiles applies unchanged.
    Sha256,
}

impl Algorithm {
    fn hash(self, parts: &[&[u8]]) -> Hash {
        match self {
            Algorithm::H3 => digest::<Sha3_256>(parts),
            Algorithm::Sha256 => digest::<Sha256>(parts),
        }
    }

    /// `H(0x00 ‖ leaf)`.
    pub fn leaf(self, data: &[u8]) -> Hash {
        self.hash(&[&[0], data])
    }

    /// `H(0x01 ‖ left ‖ right)`.
    pub fn node(self, left: &Hash, right: &Hash) -> Hash {
        self.hash(&[&[1], &left.0, &right.0])
    }

    /// The root of a tree without leaves: `H()`.
    pub fn empty(self) -> Hash {
        self.hash(&[])
    }
}

fn digest<D: Digest<OutputSize = sha3::digest::consts::U32>>(parts: &[&[u8]]) -> Hash {
    let mut hasher = D::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// A tree that grows by leaves and keeps only the roots of its full subtrees.
#[derive(Clone, Debug)]
pub struct CompactRange {
    algorithm: Algorithm,
    size: u64,
    /// INVARIANT: one root per set bit of `size`, largest subtree first.
    roots: Vec<Hash>,
}

impl CompactRange {
    /// A tree without leaves.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, size: 0, roots: Vec::new() }
    }

    /// Appends the leaf that holds `data`.
    pub fn push(&mut self, data: &[u8]) {
        let mut node = self.algorithm.leaf(data);
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                node = self.algorithm.node(&left, &node);
            }
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let joined = self.roots.iter().rev().copied();
        joined.reduce(|right, left| self.algorithm.node(&left, &right)).unwrap_or_else(|| self.algorithm.empty())
    }
}

/// The root over `leaves`.
pub fn root<L: AsRef<[u8]>>(algorithm: Algorithm, leaves: impl IntoIterator<Item = L>) -> Hash {
    let mut range = CompactRange::new(algorithm);
    for leaf in leaves {
        range.push(leaf.as_ref());
    }
    range.root()
}

/// The inclusion path of a leaf, lowest sibling first (RFC 6962, section 2.1.1); `None` when there is no such leaf.
pub fn path<L: AsRef<[u8]>>(algorithm: Algorithm, index: usize, leaves: &[L]) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let mut level: Vec<Hash> = leaves.iter().map(|leaf| algorithm.leaf(leaf.as_ref())).collect();
    let (mut at, mut siblings) = (index, Vec::new());
    while level.len() > 1 {
        siblings.extend(level.get(at ^ 1));
        // A last node without a sibling is the root of its subtree one level up, which is the shape of RFC 6962.
        level = level
            .chunks(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(algorithm.node(left, right)),
                [single] => Some(*single),
                _ => None,
            })
            .collect();
        at /= 2;
    }
    Some(siblings)
}

/// The root that a leaf and its path lead to (RFC 9162, section 2.1.3.2); `None` when the path has the wrong length.
pub fn root_of_path(algorithm: Algorithm, index: u64, size: u64, data: &[u8], path: &[Hash]) -> Option<Hash> {
    let (mut at, mut last) = (index, size.checked_sub(1)?);
    if at > last {
        return None;
    }
    let mut node = algorithm.leaf(data);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            node = algorithm.node(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = algorithm.node(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}
