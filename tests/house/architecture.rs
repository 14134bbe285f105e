//! The layer table as data: a module imports only from layers below its own, and some crates have one home.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from below. Modules on one line never import each other.
const LAYERS: &[&[&str]] = &[
    &["time"],
    &["law"],
    &["rules", "escalation", "evidence", "ingest", "draft"],
    &["store", "notify"],
    &["workflow"],
    &["web"],
    &["config", "daemon"],
    &["cli"],
];

/// Modules of one line that may know each other, each with its reason.
const NEIGHBOURS: &[(&str, &str, &str)] = &[("daemon", "config", "the daemon is composed from the configuration")];

/// A crate and the only places that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store/sqlite"]),
    ("tokio_postgres", &["store/postgres"]),
    ("deadpool_postgres", &["store/postgres"]),
    ("lettre", &["notify/email"]),
    ("mail_parser", &["ingest/mail_in"]),
    ("axum", &["web", "daemon/run.rs"]),
    ("tokio_rustls", &["web/tls.rs", "daemon/doctor/own_tls.rs"]),
    ("jsonwebtoken", &["notify/identity.rs"]),
    ("argon2", &["workflow/accounts/password.rs"]),
    ("qrcode", &["web/dashboard/account.rs"]),
    ("cron", &["time/recurrence.rs"]),
    ("csv", &["config"]),
    ("flate2", &["rules/builtin.rs", "evidence/unzip.rs"]),
    ("chacha20poly1305", &["evidence/attachment.rs", "store/keys.rs", "workflow/accounts/factor.rs"]),
    ("rust_xlsxwriter", &["evidence/register"]),
    ("jiff", &["time"]),
    ("reqwest", &["notify/http", "cli/check.rs", "cli/client.rs", "cli/evidence.rs", "daemon/heartbeat.rs"]),
    ("tokio", &["store", "notify", "workflow", "web", "daemon", "cli"]),
    ("tracing", &["store", "notify", "workflow", "web", "daemon", "cli"]),
    ("rustix", &["daemon"]),
    ("getrandom", &["daemon/ids.rs"]),
    ("clap", &["cli"]),
];

fn sources() -> Vec<(String, String)> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).expect("src is readable") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).expect("inside src").to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).expect("UTF-8 source")));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    found
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|line| line.contains(&module))
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Lines of code with their number: comments and what stands after `#[cfg(test)]` left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let until = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..until]
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_import_only_from_below() {
    let mut faults = Vec::new();
    for (file, text) in sources() {
        let module = module_of(&file);
        let Some(layer) = layer_of(module) else { continue };
        for (number, line) in code(&text) {
            for at in line.match_indices("crate::").map(|(at, _)| at) {
                let rest = &line[at + "crate::".len()..];
                let other: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(other_layer) = layer_of(&other) else { continue };
                let neighbours = NEIGHBOURS.iter().any(|(a, b, _)| *a == module && *b == other);
                if other != module && other_layer >= layer && !neighbours {
                    faults.push(format!(
                        "src/{file}:{number}: `{module}` (layer {layer}) names `{other}` (layer {other_layer})"
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn crates_stay_in_their_homes() {
    let mut faults = Vec::new();
    for (file, text) in sources() {
        for (number, line) in code(&text) {
            for (name, homes) in HOMES {
                let named = line.contains(&format!("{name}::")) || line.contains(&format!("use {name};"));
                let at_word_start = line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    at == 0 || !line.as_bytes()[at - 1].is_ascii_alphanumeric() && line.as_bytes()[at - 1] != b'_'
                });
                if named
                    && (at_word_start || line.contains(&format!("use {name};")))
                    && !homes.iter().any(|home| file.starts_with(home))
                {
                    faults.push(format!("src/{file}:{number}: `{name}` belongs into {}", homes.join(", ")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Doors for tests alone: the first lets a text into an entry that nobody called public, the others keep data under a key
/// that everybody knows.
#[test]
fn doors_for_tests_are_closed() {
    const DOORS: [(&str, &[&str]); 3] = [
        ("Draft::unchecked(", &["evidence/entry.rs"]),
        ("Keeper::of_tests()", &["store/keys.rs", "store/sqlite/mod.rs"]),
        ("SqliteStore::open(", &["store/sqlite/mod.rs"]),
    ];
    let mut faults = Vec::new();
    for (file, text) in sources() {
        for (number, line) in code(&text) {
            for (door, homes) in
                DOORS.iter().filter(|(door, homes)| line.contains(door) && !homes.contains(&file.as_str()))
            {
                faults.push(format!("src/{file}:{number}: `{door}` is for tests, and for {}", homes.join(", ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_map_names_paths_that_exist() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("src/lib.rs");
    let mut faults = Vec::new();
    for line in lib.lines().filter(|l| l.starts_with("//! |")) {
        for path in line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|p| p.starts_with("src/") || p.starts_with("tests/") || p.starts_with("jurisdictions"))
        {
            if !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists() {
                faults.push(format!("src/lib.rs names `{path}`, which does not exist"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_code_names_a_law() {
    // the law is data; what these words need to do in Rust, a pack can say
    const WORDS: &[&str] = &["\"eu-gdpr", "\"GDPR", "\"HIPAA", "\"NIS2", "\"DORA", "\"CNIL"];
    let mut faults = Vec::new();
    for (file, text) in sources() {
        for (number, line) in code(&text) {
            for word in WORDS.iter().filter(|w| line.contains(**w)) {
                faults.push(format!("src/{file}:{number}: names {word}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
