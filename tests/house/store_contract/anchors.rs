//! Anchors: belong to a checkpoint, are kept as they came, and are found by the size they cover.

use super::{at, draft};
use breachclock::store::{Change, Changeset, Store, StoreError, StoredAnchor, StoredCheckpoint};

const KIND: &str = StoredAnchor::RFC3161;

/// One more entry and its checkpoint.
async fn grow<S: Store>(store: &S, old: Option<u64>) -> StoredCheckpoint {
    let first = draft("_system", "note", old.unwrap_or(0));
    store.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await.expect("commits");
    let head = store.head().await.expect("head");
    let new = StoredCheckpoint { size: head.size, root: head.root(), note: format!("note {}\n", head.size) };
    store.replace_checkpoint(old, new.clone()).await.expect("grows");
    new
}

fn anchor(size: u64, kind: &str, token: &[u8], second: i64) -> StoredAnchor {
    StoredAnchor {
        size,
        kind: kind.into(),
        url: "https://tsa.example.org/tsr".into(),
        token: token.to_vec(),
        requested_at: whole(second),
        received_at: whole(second + 1),
    }
}

/// Instants of anchors are kept to the microsecond.
fn whole(second: i64) -> breachclock::time::Timestamp {
    breachclock::time::Timestamp::from_timestamp(at(second).timestamp(), 5_000).expect("an instant")
}

pub async fn anchors_are_found_by_what_they_cover<S: Store>(store: &S) {
    assert_eq!(store.last_anchor(KIND).await, Ok(None));
    assert_eq!(store.anchor_over(KIND, 0).await, Ok(None));
    assert_eq!(store.checkpoint_over(0).await, Ok(None));
    assert_eq!(store.add_anchor(anchor(1, KIND, b"early", 0)).await, Err(StoreError::NotFound));
    let mut checkpoints = Vec::new();
    for old in [None, Some(1), Some(2), Some(3)] {
        checkpoints.push(grow(store, old).await);
    }
    let (second, again, last) =
        (anchor(2, KIND, &[0, 255, 1], 10), anchor(2, KIND, b"again", 20), anchor(4, KIND, b"last", 30));
    let foreign = anchor(3, "witness", b"cosigned", 40);
    for anchor in [&second, &again, &last, &foreign] {
        assert_eq!(store.add_anchor(anchor.clone()).await, Ok(()));
    }
    assert_eq!(store.add_anchor(anchor(9, KIND, b"beyond", 50)).await, Err(StoreError::NotFound));
    for (size, wanted) in [(0, Some((1, &second))), (2, Some((1, &second))), (3, Some((3, &last))), (5, None)] {
        let wanted = wanted.map(|(at, anchor)| (checkpoints[at].clone(), anchor.clone()));
        assert_eq!(store.anchor_over(KIND, size).await, Ok(wanted), "over {size}");
    }
    assert_eq!(store.anchor_over("witness", 0).await, Ok(Some((checkpoints[2].clone(), foreign.clone()))));
    let elsewhere = StoredAnchor { url: "https://other.example/tsr".into(), ..anchor(4, KIND, b"elsewhere", 60) };
    assert_eq!(store.add_anchor(elsewhere.clone()).await, Ok(()));
    assert_eq!(store.last_anchor_of(KIND, &last.url).await, Ok(Some(last.clone())));
    assert_eq!(store.last_anchor_of(KIND, &elsewhere.url).await, Ok(Some(elsewhere.clone())));
    assert_eq!(store.last_anchor_of("witness", &elsewhere.url).await, Ok(None));
    assert_eq!(store.anchors_at(KIND, 2).await, Ok(vec![second.clone(), again.clone()]));
    assert_eq!(store.anchors_at(KIND, 3).await, Ok(Vec::new()));
    assert_eq!(store.anchors_at("witness", 3).await, Ok(vec![foreign.clone()]));
    assert_eq!(store.anchors_at(KIND, u64::MAX).await, Ok(Vec::new()));
    assert_eq!(store.last_anchor(KIND).await, Ok(Some(elsewhere)));
    assert_eq!(store.last_anchor("witness").await, Ok(Some(foreign)));
    assert_eq!(store.checkpoint_over(3).await, Ok(Some(checkpoints[2].clone())));
    assert_eq!(store.checkpoint_over(5).await, Ok(None));
}
