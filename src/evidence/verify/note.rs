//! Checkpoints as signed notes: three lines, the signatures of the log, and behind them the lines of others.

use super::*;

/// Key id and signature of one line of a note.
pub(super) type Signature = ([u8; 4], [u8; 64]);

/// A line of a note by somebody else than the log.
pub(super) struct Foreign<'a> {
    pub name: &'a str,
    pub id: [u8; 4],
    pub signature: Vec<u8>,
}

/// Lines of others that are read under one checkpoint.
const MOST_FOREIGN: usize = 100;

/// Reads a note of three lines and at most `most` signatures of the log's name; behind them may stand lines of others.
pub(super) fn read_cosigned(note: &str, most: usize) -> Option<(Tree, Vec<Signature>, Vec<Foreign<'_>>)> {
    let lines: Vec<&str> = note.strip_suffix('\n')?.split('\n').collect();
    let [origin, size, root, "", ref rest @ ..] = lines[..] else { return None };
    let decode = |text: &str| STANDARD.decode(text).ok();
    let prefix = format!("\u{2014} {origin} ");
    let own = rest.iter().take_while(|line| line.starts_with(&prefix)).count();
    let (signatures, foreign) = rest.split_at(own);
    let signature = |line: &&str| {
        let blob = decode(line.strip_prefix(&prefix)?)?;
        let (id, signature) = blob.split_first_chunk::<4>()?;
        Some((*id, signature.try_into().ok()?))
    };
    let mut others = Vec::new();
    for line in foreign {
        let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let blob = decode(blob)?;
        let (id, signature) = blob.split_first_chunk::<4>()?;
        if name.is_empty()
            || name == origin
            || signature.is_empty()
            || name.bytes().any(|c| c <= b' ' || c == 0x7f || c == b'+')
        {
            return None;
        }
        others.push(Foreign { name, id: *id, signature: signature.to_vec() });
    }
    let signatures = signatures.iter().map(signature).collect::<Option<Vec<Signature>>>()?;
    if signatures.is_empty() || signatures.len() > most || others.len() > MOST_FOREIGN {
        return None;
    }
    let tree = Tree {
        origin: origin.to_string(),
        size: number(size)?,
        root: decode(root)?.try_into().ok()?,
        note: note.to_string(),
    };
    Some((tree, signatures, others))
}

/// The same without the lines of others.
pub(super) fn read_note(note: &str, most: usize) -> Option<(Tree, Vec<Signature>)> {
    read_cosigned(note, most).map(|(tree, signatures, _)| (tree, signatures))
}

/// A note as the log signed it: time stamps are over that.
pub(super) fn as_signed(note: &[u8], most: usize) -> &[u8] {
    let read = std::str::from_utf8(note).ok().and_then(|text| read_cosigned(text, most));
    let Some((_, own, _)) = read else { return note };
    let lines = note.split_inclusive(|byte| *byte == b'\n').take(4 + own.len());
    &note[..lines.map(<[u8]>::len).sum()]
}

/// Whether one of at most `most` signatures of a note is this key's.
pub(super) fn signed_by(note: &str, origin: &str, key: &PublicKey, most: usize) -> bool {
    let signed = &note[..note.len() - note.split_once("\n\n").map_or(0, |(_, rest)| rest.len()) - 1];
    read_note(note, most).is_some_and(|(tree, signatures)| {
        let good = |(id, signature): &Signature| *id == key.note_id(origin) && key.verify(signed.as_bytes(), signature);
        tree.origin == origin && signatures.iter().any(good)
    })
}
