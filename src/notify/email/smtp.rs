//! A small SMTP sender on lettre's connection and commands (RFC 5321, pipelining after RFC 2920).
//!
//! lettre's own `send` writes the body and its final dot separately, and waits for each command: 23 mails a second
//! against a server that delays acknowledgements. Here every turn is one write, connections stay open between mails, and
//! `RSET` is sent only after a failure.

use super::{Server, Settings};
use crate::escalation::Outcome;
use crate::notify::SettingsError;
use crate::notify::words::one_line;
use crate::time::Timestamp;
use lettre::Message as Mail;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter, RcptParameter};
use lettre::transport::smtp::response::Response;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How the way to the server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// Not at all: for a server on the same machine.
    None,
    /// STARTTLS, required: a server that does not offer it gets nothing.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// How long one step may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the look-up of the host until the server can take mail.
    pub connect: Duration,
    /// Any command.
    pub command: Duration,
    /// The answer to the whole mail; scanners work here.
    pub accept: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts { connect: seconds(20), command: seconds(30), accept: seconds(120) }
    }
}

/// A connection unused for longer is replaced: servers and address translators forget quietly.
const IDLE_SECONDS: i64 = 30;
/// Answers that concern our access (log-in, encryption), not the mail; somebody can repair it while we retry.
const ACCESS_CODES: [u16; 5] = [454, 530, 534, 535, 538];
/// Answers to a parameter that the server announced and does not take after all.
const PARAMETER_CODES: [u16; 3] = [501, 504, 555];

/// A mail server and the open connections to it.
pub(super) struct Smtp {
    server: Server,
    hello: ClientId,
    credentials: Option<Credentials>,
    tls: Option<TlsParameters>,
    timeouts: Timeouts,
    /// Delivery is to be confirmed, not only failure and delay.
    receipts: bool,
    slots: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    smtp: AsyncSmtpConnection,
    /// The server reads several commands at once.
    pipelining: bool,
    /// The server passes requests for delivery notices on (RFC 3461).
    dsn: bool,
    used_at: Timestamp,
}

/// Why a mail did not get through, and whether the connection can be used further.
enum Failure {
    /// The server said no to this mail, in a conversation that goes on.
    Answered(Error),
    /// The server cannot take such a mail; nothing was said to it.
    Unfit(&'static str),
    /// The conversation ended. Before `body_sent` the mail cannot have been taken.
    Broken { error: String, body_sent: bool },
}

impl Smtp {
    pub(super) fn new(server: Server, settings: &Settings, timeouts: Timeouts) -> Result<Smtp, SettingsError> {
        let fault = |key: &str, problem: String| SettingsError { at: format!("smtp.{key}"), problem };
        let credentials = match (&settings.username, &settings.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.expose().to_string())),
            (None, None) => None,
            (Some(_), None) => return Err(fault("password", "is missing beside `username`".into())),
            (None, Some(_)) => return Err(fault("username", "is missing beside `password`".into())),
        };
        if credentials.is_some() && server.security == Security::None && !is_loopback(&server.host) {
            let problem = "would send the password unencrypted; use `smtp+starttls://` or `smtps://`";
            return Err(fault("url", problem.into()));
        }
        if !(1..=32).contains(&settings.connections) {
            return Err(fault("connections", format!("`{}` is not between 1 and 32", settings.connections)));
        }
        let tls = match server.security {
            Security::None => None,
            Security::StartTls | Security::Tls => Some(tls_parameters(&server, settings)?),
        };
        let hello = settings.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        let (slots, idle) = (Semaphore::new(settings.connections), Mutex::new(Vec::new()));
        let receipts = settings.receipts;
        Ok(Smtp { server, hello, credentials, tls, timeouts, receipts, slots, idle })
    }

    /// One attempt for the mail's one recipient. `id` comes back in notices about the delivery, if there are any.
    pub(super) async fn send(&self, mail: &Mail, id: &str, now: Timestamp) -> Outcome {
        let data = with_final_dot(&mail.formatted());
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        if let Some(mut open) = self.take_idle(now) {
            match self.converse(&mut open, mail.envelope(), id, &data).await {
                // an open connection that the server has closed meanwhile: nothing was taken, so begin anew
                Err(Failure::Broken { body_sent: false, .. }) => {}
                result => return self.settle(open, result, now).await,
            }
        }
        match timeout(self.timeouts.connect, self.connect(now)).await {
            Err(_) => self.retry(format!("no conversation within {} s", self.timeouts.connect.as_secs())),
            Ok(Err(error)) => self.retry(error),
            Ok(Ok(mut fresh)) => {
                let result = self.converse(&mut fresh, mail.envelope(), id, &data).await;
                self.settle(fresh, result, now).await
            }
        }
    }

    async fn settle(&self, mut connection: Connection, result: Result<Response, Failure>, now: Timestamp) -> Outcome {
        let (outcome, reusable) = match result {
            Ok(response) => (Outcome::HandedOver { answer: answer(&response) }, true),
            Err(Failure::Broken { error, .. }) => (self.retry(error), false),
            Err(Failure::Unfit(why)) => (Outcome::Refused { error: format!("{}: {why}", self.name()) }, true),
            Err(Failure::Answered(error)) => {
                let reset = timeout(self.timeouts.command, connection.smtp.command("RSET\r\n")).await;
                let code = error.status().map_or(0, u16::from);
                let outcome = match error.is_permanent() && !ACCESS_CODES.contains(&code) {
                    true => Outcome::Refused { error: format!("{} answered {}", self.name(), describe(&error)) },
                    false => self.retry(describe(&error)),
                };
                (outcome, code != 421 && matches!(reset, Ok(Ok(_))))
            }
        };
        if reusable {
            connection.used_at = now;
            self.idle.lock().expect("no panic while held").push(connection);
        }
        outcome
    }

    fn retry(&self, error: String) -> Outcome {
        Outcome::Retry { error: format!("{}: {error}", self.name()), after_seconds: None }
    }

    fn name(&self) -> String {
        format!("mail server `{}:{}`", self.server.host, self.server.port)
    }

    /// An open connection used within the last half minute; older ones are said goodbye to, aside.
    fn take_idle(&self, now: Timestamp) -> Option<Connection> {
        let mut idle = self.idle.lock().expect("no panic while held");
        while let Some(mut connection) = idle.pop() {
            // a clock set back makes the age negative: as good as unknown
            if (0..=IDLE_SECONDS).contains(&(now - connection.used_at).num_seconds()) {
                return Some(connection);
            }
            tokio::spawn(async move { timeout(Duration::from_secs(5), connection.smtp.abort()).await });
        }
        None
    }

    async fn connect(&self, now: Timestamp) -> Result<Connection, String> {
        let told = |step: &'static str| move |error: Error| format!("{step}: {}", describe(&error));
        let Server { security, host, port } = &self.server;
        let mut smtp = match (security, &self.tls) {
            // lettre takes no stream of ours under implicit TLS; as each turn is one write, Nagle's rule finds nothing
            // unacknowledged to wait for
            (Security::Tls, Some(tls)) => {
                AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), None, &self.hello, Some(tls.clone()), None)
                    .await
            }
            _ => {
                let stream = tcp(host, *port).await.map_err(|error| format!("cannot connect: {error}"))?;
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await
            }
        }
        .map_err(told("greeting"))?;
        if let (Security::StartTls, Some(tls)) = (security, &self.tls) {
            smtp.starttls(tls.clone(), &self.hello).await.map_err(told("STARTTLS"))?;
        }
        if let Some(credentials) = &self.credentials {
            smtp.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await.map_err(told("log-in"))?;
        }
        // lettre keeps only the extensions it knows: ask once more and look for the others ourselves
        let extensions = smtp.command(Ehlo::new(self.hello.clone())).await.map_err(told("EHLO"))?;
        let offers = |word: &str| extensions.message().any(|line| line.eq_ignore_ascii_case(word));
        let (pipelining, dsn) = (offers("PIPELINING"), offers("DSN"));
        Ok(Connection { smtp, pipelining, dsn, used_at: now })
    }

    async fn converse(
        &self,
        connection: &mut Connection,
        envelope: &Envelope,
        id: &str,
        data: &str,
    ) -> Result<Response, Failure> {
        let slow = |_| Failure::too_slow("a command", false);
        let head = timeout(self.timeouts.command, self.announce(connection, envelope, id)).await.map_err(slow)?;
        match head {
            // notices are welcome, the mail must go out: once more without asking for any
            Err(Failure::Answered(error)) if connection.dsn && is_about_a_parameter(&error) => {
                connection.dsn = false;
                let again = async {
                    connection.smtp.command("RSET\r\n").await.map_err(|error| Failure::from(error, false))?;
                    self.announce(connection, envelope, id).await
                };
                let again = timeout(self.timeouts.command, again).await.map_err(slow)?;
                // refused all the same: it was about something else
                connection.dsn = again.is_err();
                again?;
            }
            head => head?,
        }
        let whole = connection.smtp.command(data);
        let result = timeout(self.timeouts.accept, whole).await.map_err(|_| Failure::too_slow("the mail", true))?;
        result.map_err(|error| Failure::from(error, true))
    }

    /// MAIL, RCPT and DATA: in one write where the server allows it.
    async fn announce(&self, connection: &mut Connection, envelope: &Envelope, id: &str) -> Result<(), Failure> {
        let failed = |error| Failure::from(error, false);
        let smtp = &mut connection.smtp;
        let mut parameters = Vec::new();
        if envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
            if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Failure::Unfit("it takes no addresses outside ASCII (SMTPUTF8)"));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let mut wishes = Vec::new();
        if connection.dsn {
            let parameter = |keyword: &str, value: &str| (keyword.to_string(), Some(value.to_string()));
            for (keyword, value) in [parameter("RET", "HDRS"), parameter("ENVID", id)] {
                parameters.push(MailParameter::Other { keyword, value });
            }
            let events = if self.receipts { "SUCCESS,FAILURE,DELAY" } else { "FAILURE,DELAY" };
            let (keyword, value) = parameter("NOTIFY", events);
            wishes.push(RcptParameter::Other { keyword, value });
        }
        let mail = MailFrom::new(envelope.from().cloned(), parameters);
        let to = envelope.to().first().cloned().expect("lettre builds no envelope without a recipient");
        let rcpt = Rcpt::new(to, wishes);
        if !connection.pipelining {
            smtp.command(mail).await.map_err(failed)?;
            smtp.command(rcpt).await.map_err(failed)?;
            smtp.command(Data).await.map_err(failed)?;
            return Ok(());
        }
        let first = smtp.command(format!("{mail}{rcpt}{Data}")).await;
        if is_broken(&first) {
            return first.map(drop).map_err(failed);
        }
        let second = smtp.read_response().await;
        if is_broken(&second) {
            return second.map(drop).map_err(failed);
        }
        let third = smtp.read_response().await;
        let refused = first.and(second);
        if refused.is_err() && third.is_ok() {
            // the server waits for a mail without recipients: end it empty (RFC 2920 §3.1)
            let ended = smtp.command(".\r\n").await;
            if is_broken(&ended) {
                return ended.map(drop).map_err(failed);
            }
        }
        refused.and(third).map(drop).map_err(failed)
    }
}

impl Failure {
    fn from(error: Error, body_sent: bool) -> Failure {
        match error.status().map(u16::from) {
            // "closing": before the body it means that this connection was too old, not that the mail is unwelcome
            Some(421) if !body_sent => Failure::Broken { error: describe(&error), body_sent },
            Some(_) => Failure::Answered(error),
            None => Failure::Broken { error: describe(&error), body_sent },
        }
    }

    fn too_slow(what: &str, body_sent: bool) -> Failure {
        Failure::Broken { error: format!("no answer to {what} in time"), body_sent }
    }
}

fn is_about_a_parameter(error: &Error) -> bool {
    error.status().is_some_and(|code| PARAMETER_CODES.contains(&u16::from(code)))
}

/// Neither a positive nor a negative answer: the conversation is over. 421 announces the same.
fn is_broken(result: &Result<Response, Error>) -> bool {
    result.as_ref().is_err_and(|error| error.status().is_none_or(|code| u16::from(code) == 421))
}

async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn tls_parameters(server: &Server, settings: &Settings) -> Result<TlsParameters, SettingsError> {
    let fault = |key: &str, problem: String| SettingsError { at: format!("smtp.{key}"), problem };
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(file) = &settings.ca_file {
        let pem = std::fs::read(file)
            .map_err(|error| fault("ca_file", format!("`{}` cannot be read: {error}", file.display())))?;
        let certificate = Certificate::from_pem(&pem);
        let certificate = certificate
            .map_err(|_| fault("ca_file", format!("`{}` is not a PEM file of certificates", file.display())))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| fault("url", format!("TLS cannot be set up: {error}")))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The mail as it goes over the wire: lines that begin with a dot get a second one (RFC 5321 §4.5.2), then the final dot.
/// All parts are quoted-printable, so the bytes are text.
fn with_final_dot(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail).replace("\r\n.", "\r\n..");
    let end = if text.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" };
    text + end
}

/// The server's final line, e.g. `250 2.0.0 Ok: queued as 4F1B2C`.
fn answer(response: &Response) -> String {
    let last = response.message().last().unwrap_or_default();
    one_line(&format!("{} {last}", response.code()), 300)
}

/// An error in one line: the server's code and words, or what went wrong on the way.
fn describe(error: &Error) -> String {
    let words = std::error::Error::source(error).map(|source| source.to_string()).unwrap_or_default();
    match error.status() {
        Some(code) => one_line(&format!("{code} {words}"), 300),
        None => one_line(&error.to_string(), 300),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_one_dot() {
        assert_eq!(with_final_dot(b"A: b\r\n\r\n.x\r\n..\r\ny."), "A: b\r\n\r\n..x\r\n...\r\ny.\r\n.\r\n");
        assert_eq!(with_final_dot(b"A: b\r\n\r\nx\r\n"), "A: b\r\n\r\nx\r\n.\r\n");
    }
}
