//! A PostgreSQL server for tests: in a folder of its own, gone when the tests are over, however they end. Where
//! PostgreSQL is not installed what needs it is skipped, unless QGD_REQUIRE names it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A password that a URL must spell with %XX.
const PASSWORD: &str = "top@secret/1";

/// The user `nobody`: PostgreSQL does not run as root.
const NOBODY: u32 = 65534;

pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    n_databases: AtomicUsize,
    /// Stops the server when its stdin is closed, which is when this process ends at the latest.
    _guard: Child,
}

impl Cluster {
    /// The one that tests share, with a database for each.
    pub fn shared() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(Self::start).as_ref()
    }

    /// A new one.
    pub fn start() -> Option<Self> {
        Self::start_with(|_| String::new())
    }

    /// A new one, with more settings. They may name files that are written into its folder beforehand.
    pub fn start_with(prepare: impl FnOnce(&Path) -> String) -> Option<Self> {
        let Some(bin) = folder_of_programs() else {
            skip("postgres");
            return None;
        };
        let folder = tempfile::tempdir().unwrap().keep();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        let more = prepare(&folder);
        give_away(&folder);
        let settings = format!("-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off {more}", folder.display());
        let script = "cd \"$1\" && exec 2>log && initdb -D data -U qgd -A scram-sha-256 --pwfile=password --no-sync >&2 \
                      && pg_ctl -D data -l server.log -o \"$2\" -w start >&2 && echo ready && cat; \
                      pg_ctl -D data -m immediate stop >&2; rm -rf \"$1\"";
        let mut sh = as_nobody(&bin, "sh");
        sh.args(["-c", script, "sh"]).arg(&folder).arg(settings).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = sh.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "PostgreSQL does not start");
        Some(Self { bin, folder, port, n_databases: AtomicUsize::new(0), _guard: guard })
    }

    /// The URL of a new and empty database.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.n_databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgresql://qgd:{}@127.0.0.1:{}/{database}",
            PASSWORD.replace('@', "%40").replace('/', "%2F"),
            self.port
        )
    }

    /// Runs a statement.
    pub fn execute(&self, database: &str, sql: &str) {
        let mut client = ::postgres::Client::connect(&self.url(database), ::postgres::NoTls).unwrap();
        client.batch_execute(sql).unwrap();
    }

    /// The first value that a query answers.
    pub fn value<T: for<'a> ::postgres::types::FromSql<'a>>(&self, database: &str, sql: &str) -> T {
        let mut client = ::postgres::Client::connect(&self.url(database), ::postgres::NoTls).unwrap();
        client.query_one(sql, &[]).unwrap().get(0)
    }

    /// Stops the server and starts it again, `fast` or `immediate`: politely, or as if it had crashed.
    pub fn restart(&self, mode: &str) {
        let mut pg_ctl = as_nobody(&self.bin, "pg_ctl");
        pg_ctl.current_dir(&self.folder).args(["-D", "data", "-l", "server.log", "-m", mode, "-w", "restart"]);
        assert!(pg_ctl.stdout(Stdio::null()).status().unwrap().success());
    }
}

/// PgBouncer in front of a server, in transaction mode: each transaction may go to another connection.
pub struct Pooler {
    port: u16,
    server: Child,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Starts one that keeps two connections to the server for all clients.
    pub fn start(cluster: &Cluster) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        let Some(bin) = folders.find(|folder| folder.join("pgbouncer").is_file()) else {
            skip("pgbouncer");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = users\npool_mode = transaction\n\
             default_pool_size = 2\n",
            cluster.port
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), config).unwrap();
        std::fs::write(folder.path().join("users"), format!("\"qgd\" \"{PASSWORD}\"\n")).unwrap();
        give_away(folder.path());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut pgbouncer = as_nobody(&bin, "pgbouncer");
        pgbouncer.current_dir(folder.path()).args(["-q", "pgbouncer.ini"]).stdout(Stdio::null()).stderr(log);
        let server = pgbouncer.spawn().unwrap();
        let pooler = Self { port, server, _folder: folder };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(pooler);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("PgBouncer does not start")
    }

    /// The URL that leads to the same database through it.
    pub fn in_front_of(&self, cluster: &Cluster, url: &str) -> String {
        url.replace(&format!(":{}/", cluster.port), &format!(":{}/", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Says what is skipped because a program is missing; fails where QGD_REQUIRE names it.
fn skip(program: &str) {
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == program));
    assert!(!required, "QGD_REQUIRE asks for {program}, but it is not installed");
    eprintln!("skipped: {program} is not installed");
}

/// Where `initdb` and the others are: in PATH, or where Debian keeps them.
fn folder_of_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| folder.join("initdb").is_file())
}

/// Gives a folder and its files to the user that servers run as.
fn give_away(folder: &Path) {
    if is_root() {
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.chain([folder.to_path_buf()]).for_each(|path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap());
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn as_nobody(bin: &Path, program: &str) -> Command {
    let mut command = Command::new(if is_root() { "setpriv" } else { "env" });
    if is_root() {
        let id = NOBODY.to_string();
        command.args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups", "--"]);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg(program).env("PATH", format!("{}:{path}", bin.display()));
    command
}
