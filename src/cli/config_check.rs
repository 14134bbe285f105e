//! `config check`: a configuration as the daemon would read it, without starting anything.

use super::exit;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Read a configuration and everything it names; print each fault with its line
    Check {
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> i32 {
    let Command::Check { file, json } = command;
    let config = match super::configuration(&file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let (book, files) = match super::rulebook_of(&config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(code) = super::forms_of(&book, &files) {
        return code;
    }
    let mut faults = crate::config::check_against(&config, &book);
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    let settings = crate::daemon::open::notify_settings(&config);
    if let Err(error) = runtime.block_on(async { crate::notify::Notifiers::from_settings(&settings).map(|_| ()) }) {
        faults.push(crate::config::ConfigFault { file: config.file.clone(), line: 0, text: error.to_string() });
    }
    if json {
        super::print_json(&serde_json::json!({
            "file": file.display().to_string(),
            "entities": config.entities.len(),
            "contracts": config.contracts.len(),
            "people": config.directory.people.len(),
            "policies": config.policies.len(),
            "webhooks": config.webhooks.len(),
            "channels": config.channels.len(),
            "duties": book.duties().len(),
            "faults": faults.iter().map(|f| serde_json::json!({"file": f.file, "line": f.line, "text": f.text})).collect::<Vec<_>>(),
        }));
    }
    if faults.is_empty() && json {
        return exit::DONE;
    }
    if faults.is_empty() {
        super::print(&format!(
            "{}: {} entities, {} contracts, {} people, {} policies, {} webhooks, {} channels, {} duties\n",
            file.display(),
            config.entities.len(),
            config.contracts.len(),
            config.directory.people.len(),
            config.policies.len(),
            config.webhooks.len(),
            config.channels.len(),
            book.duties().len()
        ));
        return exit::DONE;
    }
    faults.iter().for_each(|fault| eprintln!("error: {fault}"));
    exit::BAD_CONFIG
}
