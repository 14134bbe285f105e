//! Files handed in beside an incident, and read back.

use super::answers::str_of;
use super::client::{Called, Connection, Method, Server, explain};
use super::exit;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Hands in a file; `about` are further parameters.
pub(super) fn attach(
    server: &Server,
    incident: &str,
    file: &std::path::Path,
    kind: &str,
    about: &[(&str, Option<String>)],
) -> Called<Value> {
    let bytes = std::fs::read(file).map_err(|error| {
        eprintln!("error: `{}` cannot be read: {error}", file.display());
        exit::NO_INPUT
    })?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let escape = crate::notify::links::escape;
    let mut path = format!("/api/v1/incidents/{incident}/attachments?kind={}&name={}", escape(kind), escape(&name));
    for (key, value) in about.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
        path.push_str(&format!("&{key}={}", escape(value)));
    }
    let (status, answer) = server.post(&path, "application/octet-stream", bytes)?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    if status.is_success() { Ok(answer) } else { Err(explain(status, &answer)) }
}

/// Hands in the files of a filing and names them in its `body`.
pub(super) fn documents(
    to: &Connection,
    id: &str,
    files: [(&str, Option<PathBuf>); 4],
    body: &mut Value,
) -> Called<()> {
    let incident = id.split_once('~').map_or(id, |(incident, _)| incident);
    let mut entries = Vec::new();
    for (kind, file) in files.iter().filter_map(|(kind, file)| Some((kind, file.as_ref()?))) {
        let mut server = Server::new(to)?;
        // each request has a key of its own
        server.key = server.key.map(|key| format!("{key}/{kind}"));
        let attached = attach(&server, incident, file, kind, &[("obligation", Some(id.to_string()))])?;
        entries.push(attached["entry"].clone());
        if *kind == "proof" {
            body["proof_sha256"] = attached["sha256"].clone();
        }
    }
    if !entries.is_empty() {
        body["documents"] = json!(entries);
    }
    Ok(())
}

pub(super) fn read_attachment(id: &str, entry: u64, output: Option<&std::path::Path>, to: &Connection) -> Called<i32> {
    let Some(output) = output else {
        eprintln!("error: name the file to write with `--output`");
        return Err(exit::USAGE);
    };
    let path = format!("/api/v1/incidents/{id}/attachments/{entry}");
    let (status, bytes) = Server::new(to)?.call_bytes(Method::GET, &path, None)?;
    if !status.is_success() {
        return Err(explain(status, &serde_json::from_slice(&bytes).unwrap_or_default()));
    }
    if let Err(error) = std::fs::write(output, &bytes) {
        eprintln!("error: `{}` cannot be written: {error}", output.display());
        return Err(exit::NEGATIVE);
    }
    super::print(&format!("{}  {} bytes\n", output.display(), bytes.len()));
    Ok(exit::DONE)
}

pub(super) fn attachments_text(list: &Value) -> String {
    let line = |a: &Value| {
        let said = |key: &str, before: &str| a[key].as_str().map(|v| format!("{before}{v}")).unwrap_or_default();
        let reads = a["read"].as_array().map_or(0, Vec::len);
        format!(
            "{:>4}  {:<15} {:<24} {:>9} bytes  collected {} by {}{}{}; read {reads} times{}\n",
            a["entry"],
            str_of(a, "kind"),
            a["name"].as_str().unwrap_or("-"),
            a["bytes"],
            str_of(a, "collected_at"),
            a["collected_by"].as_str().unwrap_or("(erased)"),
            said("how", ", "),
            said("tool", ", with "),
            if a["state"] == "erased" { "; ERASED" } else { "" },
        )
    };
    list["items"].as_array().into_iter().flatten().map(line).collect()
}
