//! `demo`: everything at once, without set-up: a sample organisation, people, policy and incident, mails as files.

use super::exit;
use crate::config;
use crate::daemon::{clock, open, run};
use crate::notify::Notifiers;
use crate::store::sqlite::SqliteStore;
use crate::time::Timestamp;
use crate::workflow::{Caller, House, Role};
use chrono::Duration;
use serde_json::json;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    /// Address to listen on
    #[arg(long, default_value = config::DEFAULT_LISTEN)]
    listen: String,
    /// Folder for database, keys, mails and tokens; a temporary one when left out
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Sample people and policy. The organisation is invented; authorities and laws come from the rule packs.
const CONFIG: &str = include_str!("demo.toml");

pub fn run(args: Args) -> i32 {
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    match runtime.block_on(demo(args)) {
        Ok(()) => exit::DONE,
        Err((code, text)) => {
            eprintln!("error: {text}");
            code
        }
    }
}

async fn demo(args: Args) -> Result<(), (i32, String)> {
    let fail = |text: String| (exit::NEGATIVE, text);
    let dir = match args.dir {
        Some(dir) => dir,
        None => std::env::temp_dir().join(format!("breachclock-demo-{}", clock::now().format("%Y%m%dT%H%M%SZ"))),
    };
    std::fs::create_dir_all(&dir).map_err(|e| fail(format!("the folder `{}` cannot be made: {e}", dir.display())))?;
    let dir = dir.canonicalize().unwrap_or(dir);
    let file = dir.join("breachclock.toml");
    let text = CONFIG.replace("@LISTEN@", &args.listen).replace("@DIR@", &dir.display().to_string());
    std::fs::write(&file, text).map_err(|e| fail(format!("`{}` cannot be written: {e}", file.display())))?;
    let config = config::load(&file).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        (exit::BAD_CONFIG, lines.join("\n"))
    })?;
    let listener = run::Listener::bind(&config.listen).await.map_err(|e| {
        (exit::UNREACHABLE, format!("cannot listen on `{}`: {e}; choose another with --listen", args.listen))
    })?;
    let house = Arc::new(open::open::<SqliteStore>(&config).await.map_err(|e| (e.code, e.text))?);
    let notifiers =
        Arc::new(Notifiers::from_settings(&open::notify_settings(&config)).map_err(|e| fail(e.to_string()))?);
    open::record_start(&house).await.map_err(fail)?;
    let tokens = tokens(&house, &dir).await.map_err(fail)?;
    let incident = sample(&house).await.map_err(fail)?;

    let url = match &listener {
        run::Listener::Tcp(l) => {
            format!("http://{}", l.local_addr().map(|a| a.to_string()).unwrap_or(args.listen.clone()))
        }
        run::Listener::Unix(_) | run::Listener::Tls(_) | run::Listener::Nowhere => args.listen.clone(),
    };
    let place = dir.display();
    let me = std::env::current_exe().map_or_else(|_| "breachclock".to_string(), |path| path.display().to_string());
    super::print(&format!(
        "breachclock demo\n\n\
         board        {url}/\n\
         incident     {url}/incidents/{incident}\n\
         log in with  the text of one of the token files:\n{tokens}\
         mails        {place}/mail/new/   (each is a message as it would be sent)\n\
         data         {place}\n\n\
         Report something yourself:\n  \
         {me} incident report \"laptop stolen from the Lyon office\" --server {url} --token-file {place}/tokens/responder\n\
         Export the sample incident and verify it:\n  \
         {me} evidence export {incident} -o {place}/bundle.zip --server {url} --token-file {place}/tokens/auditor\n  \
         {me} evidence verify {place}/bundle.zip\n  \
         (cd {place} && unzip -qo bundle.zip -d bundle && cd bundle && sha256sum --strict -c SHA256SUMS)\n\n\
         Stop with Ctrl-C. Everything here is invented, except the law.\n"
    ));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        super::serve::signalled().await;
        let _ = stop.send(true);
    });
    run::run(house, notifiers, listener, run::Face::of(&config), &config.watchdog, &config.digests, stopped)
        .await
        .map_err(|error| (exit::NEGATIVE, error))?;
    Ok(())
}

/// One token file per role, made once.
async fn tokens(house: &House<SqliteStore>, dir: &Path) -> Result<String, String> {
    let folder = dir.join("tokens");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let mut list = String::new();
    for role in Role::ALL {
        let path = folder.join(role.as_str());
        list.push_str(&format!("               {:<10} {}\n", role.as_str(), path.display()));
        if path.exists() {
            continue;
        }
        let label = format!("demo-{}", role.as_str());
        let (_, text) = house
            .create_token(&Caller::system(), role, &label, Vec::new(), None, clock::now())
            .await
            .map_err(|e| e.to_string())?;
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| e.to_string())?;
        writeln!(file, "{text}").map_err(|e| e.to_string())?;
    }
    Ok(list)
}

/// The sample incident: a database on a paste site, found an hour ago. Reported once, however often the demo starts.
async fn sample(house: &House<SqliteStore>) -> Result<String, String> {
    let now = clock::now();
    let caller = Caller { name: "demo".into(), role: Role::Responder, entities: Vec::new() };
    let ago = |minutes: i64| rfc3339(now - Duration::minutes(minutes));
    let report = json!({
        "title": "Customer database on a paste site",
        "entity": "ostrel-cloud",
        "source": "demo",
        "reference": "sample-1",
        "facts": {
            "times.detected": ago(95),
            "times.aware": { "value": ago(55), "certainty": "confirmed", "by": "Tomasz Zielinski" },
            "personal_data": true,
            "kinds": ["confidentiality"],
            "risk": "risk",
            "data": ["name", "contact", "credentials"],
            "affected.FR": { "at_least": 2000 },
            "criminal": true,
        },
    });
    let reported = house.report(&caller, &report.to_string(), None, now).await.map_err(|e| e.to_string())?;
    Ok(reported.incident.id)
}

fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
