//! The server that commands talk to: its address, the token, one place for all calls, and its refusals in words.

use super::exit;
pub use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::path::PathBuf;

#[derive(clap::Args, Clone)]
pub struct Connection {
    /// Address of the server, or `unix:PATH`; default $BREACHCLOCK_SERVER, else the socket /run/breachclock/api.sock where
    /// there is one, else http://127.0.0.1:7272
    #[arg(long, global = true)]
    server: Option<String>,
    /// File that holds the token; default $BREACHCLOCK_TOKEN_FILE
    #[arg(long, global = true)]
    token_file: Option<PathBuf>,
    /// Makes a repeated command answer with the first result
    #[arg(long, global = true)]
    idempotency_key: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Connection {
    /// Is a server named on the command line?
    pub fn names_a_server(&self) -> bool {
        self.server.is_some()
    }

    pub fn wants_json(&self) -> bool {
        self.json
    }
}

/// Where the unit of `systemd/` puts the socket when `listen` names one.
const LOCAL_SOCKET: &str = "/run/breachclock/api.sock";

/// Base address and token of a server, and one place for all calls.
pub struct Server {
    /// As the user named it.
    base: String,
    /// `base` is the socket at this path.
    socket: Option<PathBuf>,
    token: Option<String>,
    /// Makes a repeated request answer with the first result.
    pub(super) key: Option<String>,
}

/// What went wrong, as the contract's exit code; the sentence is printed already.
pub type Called<T> = Result<T, i32>;

impl Server {
    pub fn new(to: &Connection) -> Called<Server> {
        let base = to.server.clone().or_else(|| std::env::var("BREACHCLOCK_SERVER").ok()).unwrap_or_else(|| {
            match std::path::Path::new(LOCAL_SOCKET).exists() {
                true => format!("unix:{LOCAL_SOCKET}"),
                false => format!("http://{}", crate::config::DEFAULT_LISTEN),
            }
        });
        let socket = base.strip_prefix("unix:").map(PathBuf::from);
        let file = to.token_file.clone().or_else(|| std::env::var_os("BREACHCLOCK_TOKEN_FILE").map(PathBuf::from));
        let token = match file {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some(text.trim().to_string()),
                Err(error) => {
                    eprintln!("error: the token file `{}` cannot be read: {error}", path.display());
                    return Err(exit::NO_INPUT);
                }
            },
        };
        Ok(Server { base: base.trim_end_matches('/').to_string(), socket, token, key: to.idempotency_key.clone() })
    }

    /// One request; answers status and body bytes with the file name the server proposed.
    pub fn call_bytes(&self, method: Method, path: &str, body: Option<String>) -> Called<(StatusCode, Vec<u8>)> {
        self.request(method, path, "application/json", body.map(|body| ("application/json", body.into_bytes())))
    }

    /// As [`Server::call_bytes`], with a body of another type.
    pub fn post(&self, path: &str, kind: &str, body: Vec<u8>) -> Called<(StatusCode, Vec<u8>)> {
        self.request(Method::POST, path, "application/json", Some((kind, body)))
    }

    /// A page, as [`Server::call_bytes`]. It is not followed to a login: a person is not there to fill it in.
    pub fn page(&self, path: &str, accept: &str) -> Called<(StatusCode, Vec<u8>)> {
        self.request(Method::GET, path, accept, None)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Called<(StatusCode, Vec<u8>)> {
        let runtime = super::serve::runtime().map_err(|_| exit::NEGATIVE)?;
        runtime.block_on(async {
            let url = match self.socket {
                Some(_) => format!("http://localhost{path}"),
                None => format!("{}{path}", self.base),
            };
            let redirect = match path.starts_with("/api/") {
                true => reqwest::redirect::Policy::default(),
                false => reqwest::redirect::Policy::none(),
            };
            let mut builder = reqwest::Client::builder().redirect(redirect);
            if let Some(path) = &self.socket {
                builder = builder.unix_socket(path.as_path());
            }
            let client = builder.build().map_err(|error| {
                eprintln!("error: TLS cannot be set up: {error}");
                exit::NEGATIVE
            })?;
            let mut request = client.request(method, &url).header("accept", accept);
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            if let Some(key) = &self.key {
                request = request.header("idempotency-key", key);
            }
            if let Some((kind, body)) = body {
                request = request.header("content-type", kind).body(body);
            }
            let unreachable = |error: reqwest::Error| {
                eprintln!("error: `{}` cannot be reached: {error}; start it with `breachclock serve`, or name it with --server", self.base);
                exit::UNREACHABLE
            };
            let response = request.send().await.map_err(unreachable)?;
            let status = response.status();
            let bytes = response.bytes().await.map_err(unreachable)?.to_vec();
            Ok((status, bytes))
        })
    }

    pub fn get(&self, path: &str) -> Called<Value> {
        self.call(Method::GET, path, None)
    }

    /// A list with all its pages, as one answer.
    pub fn whole(&self, path: &str) -> Called<Value> {
        let mut whole = self.get(path)?;
        while let Some(next) = whole["next"].as_str() {
            let mut page = self.get(&format!("{path}?after={}", crate::notify::links::escape(next)))?;
            if let (Some(items), Some(more)) = (whole["items"].as_array_mut(), page["items"].as_array_mut()) {
                items.append(more);
            }
            whole["next"] = page["next"].take();
        }
        Ok(whole)
    }

    pub fn call(&self, method: Method, path: &str, body: Option<Value>) -> Called<Value> {
        self.call_text(method, path, body.map(|b| b.to_string()))
    }

    pub fn call_text(&self, method: Method, path: &str, body: Option<String>) -> Called<Value> {
        let (status, bytes) = self.call_bytes(method, path, body)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        Err(explain(status, &value))
    }
}

/// Prints a problem document and answers the exit code for it.
pub fn explain(status: StatusCode, problem: &Value) -> i32 {
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_string();
    let faults = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    // the detail of several faults is the faults in one line
    let detail = if text("detail").is_empty() || !faults.is_empty() { text("title") } else { text("detail") };
    eprintln!("error: {}", if detail.is_empty() { status.to_string() } else { detail });
    for fault in faults {
        let line = fault["line"].as_u64().map(|line| format!("line {line}: ")).unwrap_or_default();
        eprintln!("  {line}{}: {}", fault["pointer"].as_str().unwrap_or(""), fault["detail"].as_str().unwrap_or(""));
    }
    match status.as_u16() {
        401 | 403 => exit::NOT_PERMITTED,
        400 | 413 | 422 => exit::REJECTED,
        502..=504 => exit::UNREACHABLE,
        _ => exit::NEGATIVE,
    }
}

pub fn finish(result: Called<Value>, json: bool, text: impl Fn(&Value) -> String) -> i32 {
    match result {
        Ok(value) => {
            if json {
                super::print_json(&value);
            } else {
                super::print(&text(&value));
            }
            exit::DONE
        }
        Err(code) => code,
    }
}
