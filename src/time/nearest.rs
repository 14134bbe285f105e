//! Suggestions for misspelt ids.

/// At most three of `known` that look like `word`, best first; empty when nothing is close.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = fold(word);
    let limit = (wanted.len() / 3).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let folded = fold(candidate);
            let distance = distance(&wanted, &folded);
            // a place named without its continent or country is close as well
            let tail = folded.rsplit(|&b| b == b'/' || b == b'-').next().is_some_and(|t| t == wanted && t.len() > 2);
            if tail { Some((1, candidate)) } else { (distance <= limit).then_some((distance, candidate)) }
        })
        .collect();
    found.sort();
    // far candidates only confuse beside a near one
    let best = found.first().map_or(0, |f| f.0);
    found.retain(|f| f.0 <= best + 1);
    found.truncate(3);
    found.into_iter().map(|(_, candidate)| candidate.to_string()).collect()
}

fn fold(word: &str) -> Vec<u8> {
    word.bytes().map(|b| if b == b' ' { b'_' } else { b.to_ascii_lowercase() }).collect()
}

/// Levenshtein distance, in bytes.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let known = ["Europe/Paris", "Europe/Prague", "America/Paramaribo"];
        assert_eq!(nearest("Europe/Pari", known), ["Europe/Paris"]);
        assert_eq!(nearest("paris", known), ["Europe/Paris"]);
        assert!(nearest("Mars/Olympus", known).is_empty());
    }
}
