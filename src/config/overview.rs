//! The checked configuration in words, without its secrets: what the page of settings shows.

use super::{Config, Listen, StoreKind};
use crate::notify::words::duration;
use crate::workflow::overview::{Overview, Place, Section};

/// Every table a configuration may have, with what holds when it is not there.
const TABLES: [(&str, &str, &str); 25] = [
    ("[server]", "Server", "the defaults"),
    ("[tls]", "TLS at our own door", "none: a proxy, or this machine alone"),
    ("[access]", "Second factor", "optional"),
    ("[oidc]", "Provider of identities", "none: passwords and tokens"),
    ("[data]", "Data folder", ""),
    ("[store]", "Store", "SQLite, one file in the data folder"),
    ("[log]", "Evidence log", ""),
    ("[rules]", "Rule packs", "those built into this program"),
    ("[[entity]]", "Entities", "none"),
    ("[[person]]", "People", "none: nobody is reminded"),
    ("[[rota]]", "Rotas", "none"),
    ("[[group]]", "Groups", "none"),
    ("[[policy]]", "Escalation", "the policy built into this program"),
    ("[[route]]", "Which policy serves what", "that of the entity, or the first"),
    ("[[contract]]", "Contract register", "empty"),
    ("[smtp]", "Mail", "none: nobody is reminded by mail"),
    ("[inbound]", "Mail that comes back", "not read: receipts and bounces are not seen"),
    ("[[webhook]]", "Webhooks", "none"),
    ("[[channel]]", "Chat, paging, text messages", "none"),
    ("[[ingest]]", "Other tools that report", "none named: every format is taken with a token"),
    ("[[digest]]", "Digests", "none"),
    ("[timestamp]", "Outside time stamps", "none: the times are this server’s own word"),
    ("[[witness]]", "Witnesses of the log", "none"),
    ("[watchdog]", "Watchdog", "none: nobody outside notices when this server stops"),
    ("[backup]", "Backups by the daemon", "none"),
];
const RETENTION: (&str, &str, &str) =
    ("[retention]", "Retention of personal values", "kept until somebody erases them");

/// The first place of each table in the files a configuration was read from.
pub(super) fn places(texts: &[(String, String)]) -> Vec<(String, Place)> {
    let tables = TABLES.iter().chain([&RETENTION]).map(|(table, ..)| *table);
    let find = |table: &str| {
        let name = table.trim_matches(['[', ']']);
        let opens = |line: &str| {
            let line = line.trim();
            let inside = line.trim_start_matches('[').split([']', '.']).next().unwrap_or_default().trim();
            line.starts_with('[') && inside == name
        };
        texts.iter().find_map(|(file, text)| {
            let line = text.lines().position(opens)? + 1;
            Some(Place { file: file.clone(), line })
        })
    };
    tables.filter_map(|table| Some((table.to_string(), find(table)?))).collect()
}

/// The configuration in words.
pub fn overview(config: &Config) -> Overview {
    let section = |(table, title, otherwise): &(&str, &str, &str)| {
        let place = config.places.iter().find(|(known, _)| known == table).map(|(_, place)| place.clone());
        let mut lines = lines(config, table);
        if lines.is_empty() && !otherwise.is_empty() && place.is_none() {
            lines.push((String::new(), (*otherwise).to_string()));
        }
        Section { table: (*table).to_string(), title: (*title).to_string(), place, lines }
    };
    Overview { file: config.file.clone(), sections: TABLES.iter().chain([&RETENTION]).map(section).collect() }
}

fn lines(config: &Config, table: &str) -> Vec<(String, String)> {
    let line = |name: &str, value: String| (name.to_string(), value);
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_string();
    let seconds = |n: i64| duration(n);
    match table {
        "[server]" => vec![
            line(
                "Listens at",
                match &config.listen {
                    Listen::Tcp(address) => address.to_string(),
                    Listen::Unix(path) => format!("unix:{}", path.display()),
                },
            ),
            line("Public address", config.public_url.clone()),
            line("Behind a proxy", yes(config.behind_proxy)),
            line("Largest request", format!("{} bytes", config.max_body)),
            line("Waits for a slow sender", seconds(config.patience.as_secs().cast_signed())),
        ],
        "[tls]" => config.tls.iter().map(|tls| line("Certificate", tls.certificate.display().to_string())).collect(),
        "[access]" => [
            ("Second factor", config.require_factor),
            ("Second approver of a decision not to notify", config.require_second_approver),
        ]
        .into_iter()
        .filter(|(_, required)| *required)
        .map(|(name, _)| line(name, "required".into()))
        .collect(),
        "[oidc]" => config
            .oidc
            .iter()
            .flat_map(|oidc| {
                [
                    line("Issuer", host(&oidc.provider.issuer)),
                    line("Client", oidc.provider.client_id.clone()),
                    line("Client secret", HIDDEN.into()),
                ]
            })
            .collect(),
        "[data]" => vec![line("Folder", config.data_dir.display().to_string())],
        "[store]" => match &config.store {
            StoreKind::Sqlite => Vec::new(),
            StoreKind::Postgres(_) => vec![line("Kind", "PostgreSQL, which several nodes may share".into())],
        },
        "[log]" => vec![line("Name", config.origin.clone())],
        "[rules]" => config
            .rules_dir
            .iter()
            .map(|dir| {
                let how =
                    if config.rules_whole { "in place of the built-in packs" } else { "beside the built-in packs" };
                line("Folder", format!("{}, {how}", dir.display()))
            })
            .collect(),
        "[[route]]" => config
            .routes
            .iter()
            .map(|route| {
                let facts = route.facts.iter().map(|(key, values)| format!("{key} = {}", values.join(" or ")));
                let whose: Vec<String> = route.entities.iter().chain(&route.duties).cloned().chain(facts).collect();
                line(&route.policy, if whose.is_empty() { "everything else".into() } else { whose.join(", ") })
            })
            .collect(),
        "[[group]]" => {
            let groups = config.directory.groups.iter();
            groups.map(|g| line(&g.id, named(&g.members))).collect()
        }
        "[[contract]]" => {
            config.contracts.iter().map(|one| line(&one.contract.id, one.contract.name.clone())).collect()
        }
        "[smtp]" => config
            .mail
            .iter()
            .flat_map(|mail| {
                let password = if mail.password.is_some() { HIDDEN } else { "none" };
                [
                    line("Server", host(&mail.url)),
                    line("Sender", mail.from.clone()),
                    line("Logs in as", mail.username.clone().unwrap_or_else(|| "nobody".into())),
                    line("Password", password.into()),
                    line("Asks for confirmations of delivery", yes(mail.receipts)),
                ]
            })
            .collect(),
        "[inbound]" => config.inbound.iter().map(|dir| line("Maildir", dir.display().to_string())).collect(),
        "[[webhook]]" => {
            let one = |w: &super::WebhookSettings| {
                let inside = if w.allow_private { ", may be inside" } else { "" };
                line(&w.id, format!("{}: {}{inside}; secret {HIDDEN}", host(&w.url), w.events.join(", ")))
            };
            config.webhooks.iter().map(one).collect()
        }
        "[[channel]]" => {
            config.channels.iter().map(|c| line(&c.id, format!("{}; address and keys {HIDDEN}", c.kind))).collect()
        }
        "[[ingest]]" => config
            .ingest
            .iter()
            .map(|source| {
                let whose = source.entity.as_ref().map(|e| format!(", for {e}")).unwrap_or_default();
                let opens = if source.opens { "opens incidents" } else { "adds to known incidents" };
                let severity = source.min_severity.as_str();
                line(&source.id, format!("{}{whose}: {opens} from severity {severity} on", source.tool.as_str()))
            })
            .collect(),
        "[[digest]]" => config
            .digests
            .iter()
            .map(|d| line(&d.id, format!("`{}` in {}, to {}", d.when.expression(), zone(d.when.zone()), named(&d.to))))
            .collect(),
        "[timestamp]" => {
            let authorities = config.timestamp.authorities.iter();
            let mut lines: Vec<_> = authorities.map(|a| line("Authority", host(&a.url))).collect();
            if !lines.is_empty() {
                lines.push(line("At least every", seconds(config.timestamp.interval_seconds)));
            }
            lines
        }
        "[[witness]]" => config.witnesses.iter().map(|w| line(&w.key.name, host(&w.url))).collect(),
        "[watchdog]" => {
            let watchdog = &config.watchdog;
            let mut lines: Vec<_> = watchdog.ping.iter().map(|url| line("Pings", host(url))).collect();
            if !lines.is_empty() {
                lines.push(line("At most every", seconds(watchdog.every_seconds as i64)));
            }
            if let Some(life) = &watchdog.life {
                let when = format!("`{}` in {}", life.when.expression(), zone(life.when.zone()));
                lines.push(line("Life signs", format!("{when}, to {}", named(&life.alive_to))));
                if !life.self_test_to.is_empty() {
                    lines.push(line("Self-tests", named(&life.self_test_to)));
                }
            }
            lines
        }
        "[backup]" => config
            .backup
            .iter()
            .flat_map(|b| {
                let keys = if b.keys { "in them" } else { "not in them: keep them elsewhere" };
                [
                    line("Into", b.dir.display().to_string()),
                    line("When", format!("`{}` in {}", b.when.expression(), zone(b.when.zone()))),
                    line("Newest kept", b.keep.to_string()),
                    line("Keys", keys.into()),
                ]
            })
            .collect(),
        "[retention]" => {
            let whole = config.retention.after_closing.map(|d| line("After closing", seconds(d.num_seconds())));
            let own = config.retention.entities.iter().map(|(id, d)| line(id, seconds(d.num_seconds())));
            whole.into_iter().chain(own).collect()
        }
        _ => Vec::new(),
    }
}

/// Stands where a secret is set.
const HIDDEN: &str = "set, never shown";

fn named(who: &[crate::escalation::Who]) -> String {
    who.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn zone(zone: crate::time::Zone) -> String {
    serde_json::to_value(zone).ok().and_then(|v| v.as_str().map(str::to_string)).unwrap_or_default()
}

/// Scheme and host of an address: what follows may be a secret, and so may what stands before the host.
fn host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.split(['?', '#']).next().unwrap_or_default().to_string();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", authority.rsplit('@').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_host_is_told() {
        for (url, told) in [
            ("https://hooks.example.org/T0/secret?key=1", "https://hooks.example.org"),
            ("smtp+starttls://user:secret@mail.example.org:587", "smtp+starttls://mail.example.org:587"),
            ("maildir:/var/mail", "maildir:/var/mail"),
        ] {
            assert_eq!(host(url), told);
        }
    }

    #[test]
    fn tables_are_found_where_they_begin() {
        let texts = vec![
            ("a.toml".to_string(), "# [smtp]\n[server]\nlisten = \"x\"\n".to_string()),
            ("b.toml".to_string(), "[[person]]\nid = \"a\"\n[[policy]]\n[[policy.step]]\n".to_string()),
        ];
        let found = places(&texts);
        let at = |table: &str| found.iter().find(|(t, _)| t == table).map(|(_, p)| (p.file.as_str(), p.line));
        assert_eq!(at("[server]"), Some(("a.toml", 2)));
        assert_eq!(at("[[person]]"), Some(("b.toml", 1)));
        assert_eq!(at("[[policy]]"), Some(("b.toml", 3)));
        assert_eq!(at("[smtp]"), None);
    }
}
