//! `man`: manual pages from what the commands say of themselves.

use super::{Cli, exit};
use clap::CommandFactory;
use std::io;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Write one page per command into this folder, which is made; without it the main page is printed
    dir: Option<PathBuf>,
}

pub fn run(args: Args) -> i32 {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = args.dir else {
        let mut page = Vec::new();
        return match clap_mangen::Man::new(command).render(&mut page) {
            Ok(()) => {
                super::print(&String::from_utf8_lossy(&page));
                exit::DONE
            }
            Err(error) => failed(Path::new("-"), &error),
        };
    };
    match write(&command, "breachclock", &dir) {
        Ok(pages) => {
            super::print(&format!("{}: {pages} pages\n", dir.display()));
            exit::DONE
        }
        Err(error) => failed(&dir, &error),
    }
}

fn failed(place: &Path, error: &io::Error) -> i32 {
    eprintln!("error: `{}` cannot be written: {error}", place.display());
    exit::NEGATIVE
}

/// The page of a command and those of its verbs; answers how many.
fn write(command: &clap::Command, name: &str, dir: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut page)?;
    std::fs::write(dir.join(format!("{name}.1")), page)?;
    let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set());
    verbs
        .map(|verb| write(verb, &format!("{name}-{}", verb.get_name()), dir))
        .try_fold(1, |sum, pages| Ok(sum + pages?))
}
