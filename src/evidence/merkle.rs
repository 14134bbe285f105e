//! The Merkle tree of RFC 6962 section 2 (RFC 9162 section 2): roots, inclusion and consistency proofs.
//!
//! Sizes are numbers of leaves, indices count from 0, hashes are SHA-256. Proofs run from the leaf's sibling up.
//! Absent: storage. A store keeps the complete subtrees that [`completed_nodes`] names and offers them as [`Nodes`].

use super::Hash;
use sha2::{Digest, Sha256};

/// SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    hash.finalize().into()
}

/// SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(left);
    input[33..].copy_from_slice(right);
    Sha256::digest(input).into()
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Root over leaf hashes, in one pass per level.
pub fn root(leaves: &[Hash]) -> Hash {
    if leaves.is_empty() {
        return empty_root();
    }
    let up = |level: &[Hash]| -> Vec<Hash> {
        level.chunks(2).map(|pair| if let [left, right] = pair { node_hash(left, right) } else { pair[0] }).collect()
    };
    let mut level = if leaves.len() == 1 { leaves.to_vec() } else { up(leaves) };
    while level.len() > 1 {
        level = up(&level);
    }
    level[0]
}

/// The growing edge of the tree: roots of the complete subtrees that `size` leaves fall into, largest first
/// (C2SP compact range from 0). It has as many hashes as `size` has one-bits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Head {
    pub size: u64,
    pub frontier: Vec<Hash>,
}

impl Head {
    /// Adds one leaf hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.frontier.pop().expect("one frontier hash per one-bit of the size");
            hash = node_hash(&left, &hash);
        }
        self.frontier.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let mut from_right = self.frontier.iter().rev();
        let Some(last) = from_right.next() else { return empty_root() };
        from_right.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The head of the first `size` leaves from stored nodes; `None` when one is missing.
    pub fn from_nodes(size: u64, nodes: &impl Nodes) -> Option<Head> {
        let mut frontier = Vec::with_capacity(size.count_ones() as usize);
        let mut start = 0;
        for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
            frontier.push(nodes.node(level, start >> level)?);
            start += 1 << level;
        }
        Some(Head { size, frontier })
    }

    /// Size (8 bytes, big endian) and the frontier, for a store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.size.to_be_bytes().to_vec();
        self.frontier.iter().for_each(|hash| out.extend_from_slice(hash));
        out
    }

    /// Reads [`Head::to_bytes`]; `None` when the number of hashes does not fit the size.
    pub fn from_bytes(bytes: &[u8]) -> Option<Head> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let (hashes, tail) = rest.as_chunks::<32>();
        (tail.is_empty() && hashes.len() == size.count_ones() as usize)
            .then(|| Head { size, frontier: hashes.to_vec() })
    }
}

/// Complete subtrees: `node(level, index)` is the root over leaves `index << level .. (index + 1) << level`.
/// Level 0 are the leaf hashes.
pub trait Nodes {
    fn node(&self, level: u8, index: u64) -> Option<Hash>;
}

/// Leaf hashes as [`Nodes`]: computes what it is asked for.
pub struct Leaves<'a>(pub &'a [Hash]);

impl Nodes for Leaves<'_> {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        let start = usize::try_from(index.checked_shl(u32::from(level))?).ok()?;
        self.0.get(start..start.checked_add(1 << level)?).map(root)
    }
}

/// The nodes that become complete when `leaf` is appended as entry `idx` to `before` (the head of size `idx`), as
/// `(level, index, hash)` from the leaf up. Two per append on average.
pub fn completed_nodes(idx: u64, leaf: Hash, before: &Head) -> Vec<(u8, u64, Hash)> {
    debug_assert_eq!(idx, before.size);
    let mut nodes = vec![(0, idx, leaf)];
    let mut hash = leaf;
    for (level, left) in (1..=idx.trailing_ones() as u8).zip(before.frontier.iter().rev()) {
        hash = node_hash(left, &hash);
        nodes.push((level, idx >> level, hash));
    }
    nodes
}

/// Root of the first `size` leaves from stored nodes, O(log size) reads.
pub fn root_at(nodes: &impl Nodes, size: u64) -> Option<Hash> {
    if size == 0 { Some(empty_root()) } else { range(nodes, 0, size) }
}

/// PATH(index, D[size]), RFC 6962 section 2.1.1. `None` when `index >= size` or a node is missing.
pub fn inclusion(nodes: &impl Nodes, index: u64, size: u64) -> Option<Vec<Hash>> {
    if index >= size {
        return None;
    }
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Some(proof)
}

/// PROOF(old, D[new]), RFC 6962 section 2.1.2. Empty when `old` is 0 or equals `new`; `None` when `old > new` or a
/// node is missing.
pub fn consistency(nodes: &impl Nodes, old: u64, new: u64) -> Option<Vec<Hash>> {
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(Vec::new());
    }
    let mut proof = Vec::new();
    let (mut start, mut end, mut whole) = (0, new, true);
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(range(nodes, start, end)?);
    }
    proof.reverse();
    Some(proof)
}

/// Whether `proof` leads from `leaf` at `index` to `root` of `size` leaves (RFC 9162 section 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the tree of `old` leaves with `old_root` is a prefix of that of `new` leaves with `new_root`
/// (RFC 9162 section 2.1.4.2; an empty tree is a prefix of each).
pub fn verify_consistency(old: u64, new: u64, proof: &[Hash], old_root: &Hash, new_root: &Hash) -> bool {
    if old > new {
        return false;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let mut rest = proof.iter();
    // a power of two is a complete subtree: the proof leaves it out
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut from_old, mut from_new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(sibling, &from_old);
            from_new = node_hash(sibling, &from_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

/// Largest power of two smaller than `n`, for `n >= 2`.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// MTH(D[start:end]) for the ranges the RFC's recursion meets, all of which start at a multiple of their first half.
fn range(nodes: &impl Nodes, start: u64, end: u64) -> Option<Hash> {
    let n = end - start;
    if n.is_power_of_two() {
        let level = n.trailing_zeros();
        return nodes.node(level as u8, start >> level);
    }
    let middle = start + split(n);
    Some(node_hash(&range(nodes, start, middle)?, &range(nodes, middle, end)?))
}
