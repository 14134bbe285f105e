//! Is the machine's zone data newer than the one built in? Only read: zones are always those of the binary.

use std::path::Path;

/// Where systems keep theirs, and the file that names its version.
const PLACES: [&str; 3] =
    ["/usr/share/zoneinfo/tzdata.zi", "/usr/share/zoneinfo/+VERSION", "/usr/share/zoneinfo/version"];

/// A sentence when the machine knows a newer release of the zone data than this binary.
pub fn behind_machine() -> Option<String> {
    let theirs = PLACES.iter().find_map(|place| version_in(Path::new(place)))?;
    behind(crate::time::tzdb_version(), &theirs)
}

fn behind(ours: &str, theirs: &str) -> Option<String> {
    is_newer(theirs, ours).then(|| {
        format!(
            "the machine has zone data {theirs}, breachclock was built with {ours}: a place may have changed its clocks \
             since; update breachclock"
        )
    })
}

fn version_in(file: &Path) -> Option<String> {
    use std::io::Read;
    // the version stands in the first line; the rest is large
    let mut head = Vec::new();
    std::fs::File::open(file).ok()?.take(200).read_to_end(&mut head).ok()?;
    version_of(String::from_utf8_lossy(&head).lines().next()?)
}

/// `# version 2025b` or `2025b`; what carries no release of the database is no version.
fn version_of(line: &str) -> Option<String> {
    let word = line.trim().trim_start_matches("# version").trim();
    let word = word.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    release(word).map(|_| word.to_string())
}

/// Year and letters: `2025b` is (2025, "b"), `2026za` comes after `2026z`.
fn release(version: &str) -> Option<(u32, usize, &str)> {
    let at = version.find(|c: char| !c.is_ascii_digit())?;
    let (year, letters) = version.split_at(at);
    let fits = year.len() == 4 && letters.chars().all(|c| c.is_ascii_lowercase());
    fits.then_some((year.parse().ok()?, letters.len(), letters))
}

fn is_newer(theirs: &str, ours: &str) -> bool {
    match (release(theirs), release(ours)) {
        (Some(theirs), Some(ours)) => theirs > ours,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_in_their_order() {
        let cases = [
            ("2025b", "2025a", true),
            ("2026a", "2025z", true),
            ("2025a", "2025a", false),
            ("2024b", "2025a", false),
            ("2026za", "2026z", true),
            ("unknown", "2025a", false),
        ];
        for (theirs, ours, wanted) in cases {
            assert_eq!(behind(ours, theirs).is_some(), wanted, "{theirs} against {ours}");
        }
    }

    #[test]
    fn versions_as_files_name_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tzdata.zi");
        for (text, wanted) in [
            ("# version 2025b\n# ddeps backzone\n", Some("2025b")),
            ("2026a\n", Some("2026a")),
            ("# version 2025b-dirty\n", Some("2025b")),
            ("# This file is in the public domain\n", None),
            ("", None),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(version_in(&file).as_deref(), wanted, "{text:?}");
        }
        assert_eq!(version_in(&dir.path().join("missing")), None);
        assert!(release(crate::time::tzdb_version()).is_some(), "the built-in version is comparable");
    }
}
