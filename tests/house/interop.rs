//! Our checkpoints and proofs under two implementations that share no code with ours or with each other: `ct-merkle`
//! (RFC 6962) and `tlog_tiles` with `signed_note` (C2SP, ported from Go's sumdb), over random trees, and theirs under ours.

use breachclock::evidence::merkle::{self, Leaves};
use breachclock::evidence::{Checkpoint, Hash, SigningKey, export, leaf_hash};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Note, StandardVerifier, VerifierList};

type Tree = MemoryBackedTree<Sha256, Vec<u8>>;

/// The hashes that `tlog_tiles` keeps of a log.
#[derive(Default)]
struct Kept(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Kept {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|at| self.0[*at as usize]).collect())
    }
}

/// One log, kept by all three.
struct Log {
    leaves: Vec<Hash>,
    tree: Tree,
    kept: Kept,
}

impl Log {
    fn new(entries: &[Vec<u8>]) -> Log {
        let mut log = Log { leaves: Vec::new(), tree: Tree::new(), kept: Kept::default() };
        for (entry, n) in entries.iter().zip(0..) {
            log.leaves.push(leaf_hash(entry));
            log.tree.push(entry.clone());
            let hashes = tlog_tiles::stored_hashes(n, entry, &log.kept).expect("the ones before are kept");
            log.kept.0.extend(hashes);
        }
        log
    }

    fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn root(&self, size: u64) -> Hash {
        merkle::root(&self.leaves[..size as usize])
    }
}

fn theirs(hash: Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash)
}

fn root_of(log: &Log, size: u64) -> RootHash<Sha256> {
    RootHash::new(log.root(size).into(), size)
}

fn ours(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.to_vec()
}

fn entries() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn roots_and_inclusion_proofs_are_those_of_others(entries in entries(), at in any::<prop::sample::Index>(), flip in 0..256usize) {
        let log = Log::new(&entries);
        let (size, root) = (log.size(), log.root(log.size()));
        prop_assert_eq!(root.to_vec(), log.tree.root().as_bytes().to_vec());
        prop_assert_eq!(theirs(root), tlog_tiles::tree_hash(size, &log.kept).expect("kept"));
        let index = at.index(entries.len()) as u64;
        let proof = merkle::inclusion(&Leaves(&log.leaves), index, size).expect("a leaf of the tree");
        let (entry, leaf) = (&entries[index as usize], log.leaves[index as usize]);

        // the proofs are the same, and each accepts the other's
        let their_proof = log.tree.prove_inclusion(index as usize);
        prop_assert_eq!(&proof, &ours(their_proof.as_bytes()));
        let records: Vec<tlog_tiles::Hash> = proof.iter().copied().map(theirs).collect();
        prop_assert_eq!(&records, &tlog_tiles::prove_record(size, index, &log.kept).expect("kept"));
        let as_theirs = InclusionProof::<Sha256>::try_from_bytes(proof.concat()).expect("whole hashes");
        prop_assert!(root_of(&log, size).verify_inclusion(entry, index, &as_theirs).is_ok());
        prop_assert!(tlog_tiles::check_record(&records, size, theirs(root), index, theirs(leaf)).is_ok());
        prop_assert!(merkle::verify_inclusion(&leaf, index, size, &proof, &root));

        // and all refuse what one refuses
        let mut wrong = proof.clone();
        if let Some(hash) = wrong.get_mut(flip % proof.len().max(1)) {
            hash[flip % 32] ^= 1;
            let records: Vec<tlog_tiles::Hash> = wrong.iter().copied().map(theirs).collect();
            let as_theirs = InclusionProof::<Sha256>::try_from_bytes(wrong.concat()).expect("whole hashes");
            prop_assert!(root_of(&log, size).verify_inclusion(entry, index, &as_theirs).is_err());
            prop_assert!(tlog_tiles::check_record(&records, size, theirs(root), index, theirs(leaf)).is_err());
            prop_assert!(!merkle::verify_inclusion(&leaf, index, size, &wrong, &root));
        }
    }

    #[test]
    fn consistency_proofs_are_those_of_others(entries in entries(), at in any::<prop::sample::Index>()) {
        let log = Log::new(&entries);
        let (new, old) = (log.size(), 1 + at.index(entries.len()) as u64);
        let (from, to) = (log.root(old), log.root(new));
        let proof = merkle::consistency(&Leaves(&log.leaves), old, new).expect("an older tree");
        let their_proof = log.tree.prove_consistency((new - old) as usize);
        prop_assert_eq!(&proof, &ours(their_proof.as_bytes()));
        let tree: Vec<tlog_tiles::Hash> = proof.iter().copied().map(theirs).collect();
        prop_assert_eq!(&tree, &tlog_tiles::prove_tree(new, old, &log.kept).expect("kept"));
        prop_assert!(tlog_tiles::check_tree(&tree, new, theirs(to), old, theirs(from)).is_ok());
        let as_theirs = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat()).expect("whole hashes");
        prop_assert!(root_of(&log, new).verify_consistency(&root_of(&log, old), &as_theirs).is_ok());
        prop_assert!(merkle::verify_consistency(old, new, &proof, &from, &to));

        // a log that was forked before: no proof leads from one branch to the other
        let mut forked = entries.clone();
        forked[old as usize - 1].push(b'!');
        let fork = Log::new(&forked).root(old);
        prop_assert!(!merkle::verify_consistency(old, new, &proof, &fork, &to));
        prop_assert!(tlog_tiles::check_tree(&tree, new, theirs(to), old, theirs(fork)).is_err());
        prop_assert!(root_of(&log, new).verify_consistency(&RootHash::new(fork.into(), old), &as_theirs).is_err());
    }

    #[test]
    fn checkpoints_are_read_and_their_signatures_checked_by_others(
        entries in entries(), seed in any::<[u8; 32]>(), stranger in any::<[u8; 32]>(), flip in any::<prop::sample::Index>(),
    ) {
        let log = Log::new(&entries);
        let origin = "breachclock.example.org/acme/01";
        let key = SigningKey::from_seed(&seed);
        let checkpoint = Checkpoint::sign(origin, log.size(), log.root(log.size()), &key).expect("the origin names a log");
        let verifiers = |key: &SigningKey| {
            let vkey = key.public().to_vkey(origin);
            VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).expect("a verifier key"))])
        };
        let note = Note::from_bytes(checkpoint.note.as_bytes()).expect("a signed note");
        let (good, unknown) = note.verify(&verifiers(&key)).expect("is signed");
        prop_assert_eq!((good.len(), unknown.len()), (1, 0));
        prop_assert!(stranger == seed || note.verify(&verifiers(&SigningKey::from_seed(&stranger))).is_err());
        let read = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
        prop_assert_eq!((read.origin(), read.size(), read.extension()), (origin, log.size(), ""));
        prop_assert_eq!(*read.hash(), theirs(checkpoint.root));
        let written = tlog_tiles::Checkpoint::new(origin, log.size(), theirs(checkpoint.root), "").expect("a checkpoint");
        prop_assert_eq!(written.to_bytes(), checkpoint.text().into_bytes());

        // what we take, they take
        let mut bytes = checkpoint.note.clone().into_bytes();
        let at = flip.index(bytes.len());
        bytes[at] ^= 1;
        if let Ok(text) = std::str::from_utf8(&bytes)
            && Checkpoint::parse(text).and_then(|read| read.verify(origin, &key.public())).is_ok()
        {
            let theirs = Note::from_bytes(&bytes).ok().map(|note| note.verify(&verifiers(&key)).is_ok());
            prop_assert_eq!(theirs, Some(true), "byte {}", at);
        }
    }
}

/// A proof file of a bundle, read by the rules of C2SP tlog-proof alone.
#[test]
fn a_proof_file_holds_what_others_prove() {
    let log = Log::new(&(0..21u8).map(|n| vec![n; 9]).collect::<Vec<_>>());
    let key = SigningKey::from_seed(&[3; 32]);
    let checkpoint = Checkpoint::sign("a.example/log", 21, log.root(21), &key).expect("a log");
    for index in 0..21 {
        let proof = merkle::inclusion(&Leaves(&log.leaves), index, 21).expect("a leaf of the tree");
        let file = export::tlog_proof(index, &proof, &checkpoint);
        let (head, note) = file.split_once("\n\n").expect("a blank line");
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        assert_eq!(lines.next(), Some(format!("index {index}").as_str()));
        let path = lines.map(|line| tlog_tiles::Hash::parse_hash(line).expect("a hash")).collect();
        let note = Note::from_bytes(note.as_bytes()).expect("a note");
        let tree = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
        let leaf = tlog_tiles::record_hash(&[index as u8; 9]);
        assert!(tlog_tiles::check_record(&path, tree.size(), *tree.hash(), index, leaf).is_ok(), "{index}");
    }
}
