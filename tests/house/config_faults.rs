//! Configurations under `tests/vectors/config`: every faulty line says the words of its fault, and there are no others.

use breachclock::config;
use std::path::Path;

const MARK: &str = "# <- ";

#[test]
fn each_fault_is_told_at_its_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/config");
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("cases").map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    assert!(paths.len() >= 2, "cases are missing");
    let mut wrong = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_string();
        let mut wanted: Vec<(usize, &str)> =
            text.lines().enumerate().filter_map(|(n, l)| Some((n + 1, l.split_once(MARK)?.1.trim()))).collect();
        for fault in config::load(&path).err().unwrap_or_default() {
            let found = wanted.iter().position(|(line, words)| *line == fault.line && fault.text.contains(words));
            match found {
                Some(at) => drop(wanted.remove(at)),
                None => wrong.push(format!("{name}: not expected: {fault}")),
            }
        }
        wrong.extend(wanted.iter().map(|(line, words)| format!("{name}:{line}: nobody said `{words}`")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
