//! `[rules]`: a folder adds to the built-in packs, whatever it holds, unless the configuration says that it is a whole set.

use crate::support::daemon::write_config;
use breachclock::config;
use breachclock::daemon::packs::{Folder, load_dir, of_config};
use breachclock::rules::builtin_files;
use std::fs;
use std::path::Path;

const SHARED: [&str; 4] = ["conventions.toml", "facts.toml", "places.toml", "roles.toml"];
const PACK: &str = include_str!("packs/depend.toml");

/// A folder with the shared files and one pack.
fn folder(dir: &Path) {
    fs::create_dir_all(dir.join("xx")).expect("made");
    for file in builtin_files().iter().filter(|f| SHARED.contains(&f.path.as_str())) {
        fs::write(dir.join(&file.path), &file.text).expect("written");
    }
    fs::write(dir.join("xx/depend.toml"), PACK).expect("written");
}

#[test]
fn a_folder_is_a_whole_set_only_when_the_configuration_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let packs = dir.path().join("packs");
    folder(&packs);
    let duties = |extra: &str| -> Result<(bool, bool), String> {
        let config = config::load(&write_config(dir.path(), 7272, extra)).map_err(|faults| format!("{faults:?}"))?;
        let (book, _) = of_config(&config).map_err(|faults| format!("{faults:?}"))?;
        Ok((book.duty("xx-report").is_some(), book.duty("eu-gdpr-33-authority").is_some()))
    };
    assert_eq!(duties("[rules]\ndir = \"packs\"\n"), Ok((true, true)), "an overlay with the shared files in it");
    assert_eq!(duties("[rules]\ndir = \"packs\"\nwhole = false\n"), Ok((true, true)));
    assert_eq!(duties("[rules]\ndir = \"packs\"\nwhole = true\n"), Ok((true, false)));
    let refused = duties("[rules]\nwhole = true\n").expect_err("whole without a folder");
    assert!(refused.contains("no `dir` is named"), "{refused}");

    // a tool that is given a tree still tells by what is in it
    let either =
        |packs: &Path| load_dir(packs, Folder::Either).map(|(book, _)| book.duty("eu-gdpr-33-authority").is_some());
    assert_eq!(either(&packs), Ok(false));
    fs::remove_file(packs.join("places.toml")).expect("removed");
    assert_eq!(either(&packs), Ok(true));
    let refused = duties("[rules]\ndir = \"packs\"\nwhole = true\n").expect_err("not a whole set");
    assert!(refused.contains("has no `places.toml`"), "{refused}");
}
