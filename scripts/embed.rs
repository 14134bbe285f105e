//! Build script: packs the rule packs of `jurisdictions/` into the binary, compressed, the worked cases apart because a
//! daemon does not need them. Calendars are embedded by themselves, see `src/time/calendar/store.rs`.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder")).join("jurisdictions");
    println!("cargo:rerun-if-changed={}", root.display());
    println!("cargo:rerun-if-changed=scripts/embed.rs");
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort();
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo names the output folder"));
    let (cases, packs): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name.ends_with(".cases.toml"));
    write(&out.join("packs.bin"), &packs);
    write(&out.join("cases.bin"), &cases);
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the folder of rule packs reads") {
        let path = entry.expect("the folder of rule packs reads").path();
        let name = path.strip_prefix(root).expect("inside").to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            if name != "calendars" {
                // a folder is watched by itself: what is added to it counts
                println!("cargo:rerun-if-changed={}", path.display());
                collect(root, &path, files);
            }
        } else if name.ends_with(".toml") {
            files.push((name, fs::read_to_string(&path).expect("rule packs are text")));
        }
    }
}

/// Each file as the lengths of its name and text (4 bytes each, little endian), its name and its text; all deflated.
fn write(to: &Path, files: &[(String, String)]) {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    for (name, text) in files {
        for part in [name, text] {
            packed.write_all(&(part.len() as u32).to_le_bytes()).expect("into memory");
        }
        packed.write_all(name.as_bytes()).expect("into memory");
        packed.write_all(text.as_bytes()).expect("into memory");
    }
    fs::write(to, packed.finish().expect("into memory")).expect("the output folder takes a file");
}
