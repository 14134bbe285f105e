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
    keeper: Child,
}

/// The server that tests share, started by the first that asks.
pub fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(""))
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

fn done(command: &mut Command) {
    let output = command.current_dir("/").output().expect("runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Cluster {
    /// `extra` is put into the server's configuration.
    pub fn start(extra: &str) -> Cluster {
        // short: the path of a socket has about a hundred bytes
        let dir = tempfile::Builder::new().prefix("bcpg").tempdir_in("/tmp").expect("a folder").keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("opens");
        let data = dir.join("data");
        fs::create_dir(&data).expect("a folder");
        if let Some(user) = owner() {
            done(Command::new("chown").arg("-R").arg(user).arg(&dir));
        }
        let bin = programs();
        let mut initdb = command(&bin.join("initdb"));
        done(initdb.args(["--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", USER, "-D"]).arg(&data));
        let config = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nfull_page_writes = off\n\
             max_connections = 200\n{extra}\n",
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
        let cluster = Cluster { dir, keeper };
        cluster.wait();
        cluster
    }

    /// Until it takes connections.
    fn wait(&self) {
        let mut asks = Command::new(programs().join("pg_isready"));
        asks.args(["-q", "-d", "postgres", "-h"]).arg(&self.dir);
        for _ in 0..600 {
            if asks.status().expect("pg_isready runs").success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not start: {}", fs::read_to_string(self.dir.join("log")).unwrap_or_default());
    }

    /// Kills every process of the server and starts it again: what a crash of the database looks like.
    pub fn crash(&self) {
        let pid = fs::read_to_string(self.dir.join("data/postmaster.pid")).expect("is there");
        let pid = pid.lines().next().expect("a number").to_string();
        // one backend that is killed makes the postmaster end all others without ceremony and recover from its log
        let backends = Command::new("pgrep").args(["-P", &pid, "-f", "checkpointer"]).output().expect("pgrep runs");
        done(Command::new("kill").arg("-KILL").arg(String::from_utf8_lossy(&backends.stdout).trim()));
        std::thread::sleep(Duration::from_millis(100));
        self.wait();
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", MADE.fetch_add(1, Ordering::Relaxed));
        done(Command::new(programs().join("createdb")).args(["-U", USER, "-h"]).arg(&self.dir).arg(&name));
        self.url(&name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@/{database}?host={}", self.dir.display())
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
    PgStore::open(&Settings::parse(url, None, None).expect("a URL"), origin, &key().public()).await
}

/// A connection past the store, to look and to tamper.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.batch_execute("SET search_path = breachclock").await.expect("sets");
    client
}
