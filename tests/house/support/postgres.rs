//! A real PostgreSQL server that lives as long as the test process, and databases in it.

use breachclock::evidence::SigningKey;
use breachclock::store::PgStore;
use breachclock::store::postgres::Settings;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const USER: &str = "breachclock";

/// A server of its own folder and socket. It is stopped and its folder removed when this is dropped, or when the test
/// process ends in whatever way: a shell waits for the end of its standard input.
pub struct Cluster {
    dir: PathBuf,
    port: u16,
    keeper: Child,
}

/// The server that tests share, started by the first that asks.
pub fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(None))
}

/// Where Debian, the BSDs and those with a path of their own keep the programs; the newest version first.
fn programs() -> PathBuf {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    folders.sort_by_key(|bin| bin.parent().and_then(|p| p.file_name()?.to_str()?.parse::<u32>().ok()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.pop().or_else(|| std::env::split_paths(&path).find(|dir| dir.join("initdb").exists())).unwrap_or_else(
        || {
            panic!(
                "no PostgreSQL is installed: run scripts/test.sh, which installs it, or `apt-get install postgresql`"
            )
        },
    )
}

/// The server refuses to run as root: then it runs as the first of these that exists.
fn owner() -> Option<&'static str> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).stderr(Stdio::null()).output().expect("`id` runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    (id(&["-u"]).as_deref() == Some("0")).then(|| {
        ["postgres", "nobody"].into_iter().find(|user| id(&["-u", user]).is_some()).expect("a user who is not root")
    })
}

/// `program`, as somebody whom the server accepts.
fn command(program: &Path) -> Command {
    let Some(user) = owner() else { return Command::new(program) };
    let group = Command::new("id").args(["-gn", user]).output().expect("`id` runs").stdout;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", String::from_utf8_lossy(&group).trim(), "--clear-groups"]).arg(program);
    command
}

/// What a command prints that must succeed.
fn done(command: &mut Command) -> String {
    let output = command.current_dir("/").output().expect("runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

impl Cluster {
    /// On a socket of its folder, and on this port of 127.0.0.1 if any.
    pub fn start(tcp: Option<u16>) -> Cluster {
        // short: the path of a socket has about a hundred bytes
        let dir = tempfile::Builder::new().prefix("bcpg").tempdir_in("/tmp").expect("a folder").keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("opens");
        let data = dir.join("data");
        fs::create_dir(&data).expect("a folder");
        if let Some(user) = owner() {
            done(Command::new("chown").arg("-R").arg(user).arg(&dir));
        }
        let (bin, port) = (programs(), tcp.unwrap_or(5432));
        let mut initdb = command(&bin.join("initdb"));
        done(initdb.args(["--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", USER, "-D"]).arg(&data));
        let config = format!(
            "listen_addresses = '{}'\nport = {port}\nunix_socket_directories = '{}'\nfsync = off\n\
             full_page_writes = off\nmax_connections = 200\n",
            if tcp.is_some() { "127.0.0.1" } else { "" },
            dir.display()
        );
        fs::write(data.join("postgresql.auto.conf"), config).expect("is configured");
        let server = command(&bin.join("postgres"));
        // the server ends with the pipe, so with this process; then its folder goes
        let keeper = Command::new("sh")
            .arg("-c")
            .arg(r#"dir=$1; shift; "$@" & server=$!; cat; kill -QUIT $server; wait $server; rm -rf "$dir""#)
            .arg("keeper")
            .arg(&dir)
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(&data)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).expect("a log"))
            .spawn()
            .expect("a shell");
        let cluster = Cluster { dir, port, keeper };
        cluster.wait();
        cluster
    }

    /// Until it takes connections.
    fn wait(&self) {
        let mut asks = Command::new(programs().join("pg_isready"));
        asks.args(["-q", "-d", "postgres", "-p", &self.port.to_string(), "-h"]).arg(&self.dir);
        for _ in 0..600 {
            if asks.status().expect("pg_isready runs").success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not start: {}", fs::read_to_string(self.dir.join("log")).unwrap_or_default());
    }

    /// Kills a process of the server, which then ends all others without ceremony and recovers from its log: what a crash
    /// of the database looks like.
    pub fn crash(&self) {
        let pid = self.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
        done(Command::new("sh").args(["-c", r#"kill -KILL "$1""#, "kill", &pid]));
        std::thread::sleep(Duration::from_millis(100));
        self.wait();
    }

    /// The answer of one statement.
    fn psql(&self, statement: &str) -> String {
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-qAt", "-U", USER, "-p", &self.port.to_string(), "-h"]).arg(&self.dir);
        done(psql.args(["postgres", "-c", statement]))
    }

    /// Lets the server answer by TLS on TCP, and take nothing else there; passwords are asked for.
    pub fn configure_tls(&self, certificate: &Path, key: &Path) {
        let data = self.dir.join("data");
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = data.join(to);
            fs::copy(from, &to).expect("copies");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("closes");
            if let Some(user) = owner() {
                done(Command::new("chown").arg(user).arg(&to));
            }
        }
        fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all all all scram-sha-256\n")
            .expect("writes");
        self.psql("ALTER SYSTEM SET ssl = on");
        self.psql("SELECT pg_reload_conf()");
        // the postmaster reads its files between two connections
        std::thread::sleep(Duration::from_millis(500));
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", MADE.fetch_add(1, Ordering::Relaxed));
        let mut createdb = Command::new(programs().join("createdb"));
        done(createdb.args(["-U", USER, "-p", &self.port.to_string(), "-h"]).arg(&self.dir).arg(&name));
        self.url(&name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@/{database}?host={}&port={}", self.dir.display(), self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The key of houses in tests.
pub fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// A store for a log in the database at `url`.
pub async fn open(url: &str, origin: &str) -> breachclock::store::Result<PgStore> {
    PgStore::open(
        &Settings::parse(url, None, None).expect("a URL"),
        origin,
        &key().public(),
        breachclock::store::Keeper::of_tests(),
    )
    .await
}

/// A connection past the store, to look and to tamper.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.batch_execute("SET search_path = breachclock").await.expect("sets");
    client
}
