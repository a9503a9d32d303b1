//! The same commands with PostgreSQL as with a file.

use crate::cluster::{Cluster, Pooler};
use crate::studies::{sandbox, trials};
use qgd::tuner::storage::{self, Storage};
use qgd::tuner::{Ask, Distribution, Optimize, Parameter, Point, Sampler, Space, Study, StudyConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const OBJECTIVE: [&str; 4] = ["--", "sh", "-c", "echo \"{{\\\"value\\\": $QGD_PARAM_X}}\""];

#[test]
fn a_study_in_postgresql_is_tuned_helped_with_looked_at_and_deleted() {
    let Some(cluster) = Cluster::shared() else { return };
    let (sandbox, url) = (sandbox(), cluster.database());
    let tune = |flags: &[&str]| {
        let output = sandbox.qgd(&[&["tune", "space.toml", "--storage"], flags, &OBJECTIVE].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
    };
    tune(&[&url, "--trials", "8", "--lag", "3", "--workers", "3"]);
    tune(&["sqlite:///s.db", "--trials", "8", "--lag", "3"]);
    let comparable = |storage: &str| {
        let trials = trials(&sandbox, "space", storage);
        trials.iter().map(|t| (t["params"].clone(), t["values"].clone(), t["state"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(comparable(&url), comparable("sqlite:///s.db"));
    // As Optuna writes the same address.
    let theirs = url.replace("postgresql://", "postgresql+psycopg2://");
    let worker = sandbox
        .qgd(&[&["worker", "--study", "space", "--storage", &theirs, "--trials", "10"], &OBJECTIVE[..]].concat());
    assert_eq!((worker.code, comparable(&url).len()), (0, 10), "{}", worker.stderr);
    let on = |command: &[&str]| sandbox.qgd(&[&["study"], command, &["--storage", &url]].concat());
    assert!(on(&["list"]).stdout.contains("space") && on(&["show", "space"]).stdout.contains("10 trials"));
    assert!(on(&["best", "space", "--json"]).stdout.contains("\"params\""));
    assert_eq!(on(&["delete", "space"]).code, 0);
    assert_eq!(on(&["show", "space"]).code, 2);
}

#[test]
fn asking_and_telling_works_with_postgresql() {
    let Some(cluster) = Cluster::shared() else { return };
    let (sandbox, url) = (sandbox(), cluster.database());
    let run = |lines: &str| {
        let mut command = sandbox.command(&["ask-tell", "--space", "space.toml", "--storage", &url]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert!(run("{\"ask\":{}}\n{\"tell\":{\"trial\":0,\"values\":[2]}}").contains("{\"ok\":true}"));
    assert!(run("{\"best\":{}}").contains("\"values\":[2.0]"));
}

#[test]
fn a_server_that_cannot_be_used_is_bad_input_and_the_password_is_not_shown() {
    let Some(cluster) = Cluster::shared() else { return };
    let (sandbox, good) = (sandbox(), cluster.database());
    let refuses = |url: &str, needles: &[&str]| {
        let flags = ["tune", "space.toml", "--storage", url];
        sandbox.refuses(&[&flags[..], &OBJECTIVE].concat(), needles);
        sandbox.refuses(&["study", "list", "--storage", url], needles);
        let output = sandbox.qgd(&[&flags[..], &OBJECTIVE].concat());
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
    };
    refuses(&good.replace("secret", "secreT"), &["password authentication failed", "postgresql://qgd@127.0.0.1"]);
    refuses(&cluster.url("nowhere"), &["database \"nowhere\" does not exist"]);
    refuses("postgresql://qgd:secret@127.0.0.1:1/db", &["127.0.0.1:1/db", "Connection refused"]);
    refuses("postgresql://qgd:secret@127.0.0.1:x/db", &["postgresql://USER:PASSWORD@HOST:PORT/DATABASE"]);
    sandbox.refuses(&["study", "list", "--storage", &good], &["there are no studies in postgresql://qgd@127.0.0.1"]);
    // The password from the environment.
    let url = good.replacen(&good[good.find(":top").unwrap()..good.find('@').unwrap()], "", 1);
    let mut command =
        sandbox.command(&[&["tune", "space.toml", "--trials", "1", "--storage", &url], &OBJECTIVE[..]].concat());
    assert!(!url.contains("secret") && command.env("PGPASSWORD", "top@secret/1").status().unwrap().success());
}

/// Writes a server's certificate for `localhost`, its key, and the authority that signed it.
fn write_certificates(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: &str| {
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(folder.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write("server.key", &key.serialize_pem());
    write("server.crt", &certificate.pem());
    write("authority.crt", &authority.pem());
}

#[test]
fn tls_is_what_sslmode_says_and_a_wrong_certificate_is_refused() {
    let (sandbox, stranger) = (sandbox(), tempfile::tempdir().unwrap());
    write_certificates(stranger.path());
    let with_tls = |folder: &Path| {
        write_certificates(folder);
        let file = |name| folder.join(name).display().to_string();
        std::fs::copy(file("authority.crt"), sandbox.path("ca.crt")).unwrap();
        std::fs::copy(file("server.crt"), sandbox.path("server.crt")).unwrap();
        format!("-c ssl=on -c ssl_cert_file={} -c ssl_key_file={}", file("server.crt"), file("server.key"))
    };
    let Some(cluster) = Cluster::start_with(with_tls) else { return };
    let url = cluster.database();
    let by_name = url.replace("@127.0.0.1:", "@localhost:");
    let (ca, own) = (sandbox.path("ca.crt").display().to_string(), sandbox.path("server.crt").display().to_string());
    let foreign = stranger.path().join("authority.crt").display().to_string();
    let refuses = |url: &str, needle: &str| sandbox.refuses(&["study", "list", "--storage", url], &[needle]);
    let output = sandbox.qgd(&[&["tune", "space.toml", "--trials", "1", "--storage", &url], &OBJECTIVE[..]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    // From here on the server notes for each trial whether the connection that begins it is encrypted.
    let notes = "CREATE TABLE encrypted (is_so BOOLEAN); \
                 CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO encrypted SELECT ssl FROM \
                 pg_stat_ssl WHERE pid = pg_backend_pid(); RETURN NEW; END'; \
                 CREATE TRIGGER note AFTER INSERT ON trials FOR EACH ROW EXECUTE FUNCTION note()";
    let database = url.rsplit_once('/').unwrap().1.to_owned();
    cluster.execute(&database, notes);
    let encrypted = |url: &str, n_trials: usize| {
        cluster.execute(&database, "DELETE FROM encrypted");
        let n_trials = n_trials.to_string();
        let flags = ["tune", "space.toml", "--trials", &n_trials, "--storage", url];
        let output = sandbox.qgd(&[&flags, &OBJECTIVE[..]].concat());
        assert_eq!(output.code, 0, "{url}: {}", output.stderr);
        cluster.value::<bool>(&database, "SELECT bool_and(is_so) FROM encrypted")
    };
    assert!(!encrypted(&format!("{url}?sslmode=disable"), 2));
    assert!(!encrypted(&format!("{url}?sslmode=allow"), 3));
    assert!(encrypted(&url, 4), "TLS is preferred");
    assert!(encrypted(&format!("{url}?sslmode=require"), 5));
    assert!(encrypted(&format!("{url}?sslmode=verify-ca&sslrootcert={ca}"), 6));
    assert!(encrypted(&format!("{by_name}?sslmode=verify-full&sslrootcert={ca}"), 7));
    assert!(encrypted(&format!("{by_name}?sslrootcert={own}&sslmode=verify-full&connect_timeout=9"), 8));
    refuses(&format!("{url}?sslmode=verify-full&sslrootcert={ca}"), "not valid for name");
    refuses(&format!("{url}?sslmode=verify-ca&sslrootcert={foreign}"), "invalid peer certificate");
    refuses(&format!("{url}?sslmode=require&sslrootcert={foreign}"), "invalid peer certificate");
    refuses(&format!("{by_name}?sslrootcert=system"), "invalid peer certificate");
    refuses(&format!("{url}?sslmode=sometimes"), "disable, allow, prefer, require, verify-ca, verify-full");
    // As the environment says, where the address says nothing.
    let mut command = sandbox.command(&["study", "list", "--storage", &url]);
    let output = command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &foreign).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    // A server without TLS.
    let Some(shared) = Cluster::shared() else { return };
    refuses(&format!("{}?sslmode=require", shared.database()), "server does not support TLS");
}

#[test]
fn behind_a_pooler_in_transaction_mode_several_workers_make_the_same_trials() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(pooler) = Pooler::start(cluster) else { return };
    let (sandbox, direct) = (sandbox(), cluster.database());
    let through = pooler.in_front_of(cluster, &direct);
    let flags = ["tune", "space.toml", "--storage", &through, "--trials", "12", "--lag", "4", "--workers", "4"];
    let output = sandbox.qgd(&[&flags, &OBJECTIVE[..]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let flags = ["tune", "space.toml", "--storage", "sqlite:///s.db", "--trials", "12", "--lag", "4"];
    assert_eq!(sandbox.qgd(&[&flags, &OBJECTIVE[..]].concat()).code, 0);
    let params = |storage: &str| {
        trials(&sandbox, "space", storage).iter().map(|trial| trial["params"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(params(&through), params("sqlite:///s.db"));
    assert_eq!(params(&direct), params(&through));
}

/// Counts its proposals.
struct Counting(Arc<AtomicUsize>);

impl Sampler for Counting {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(ask.random_point("counting"))
    }
}

#[test]
fn many_workers_lose_no_proposals_to_each_other() {
    let Some(cluster) = Cluster::shared() else { return };
    let (url, n_workers, n_trials, count) = (cluster.database(), 8, 120, Arc::new(AtomicUsize::new(0)));
    let study = |storage: Arc<dyn Storage>| {
        let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
        let config = StudyConfig { lag: n_workers, ..StudyConfig::default() };
        Study::create_or_open(storage, space, config).unwrap().with_sampler(Box::new(Counting(count.clone())))
    };
    let work = |study: Study| {
        let options = Optimize { n_trials, ..Optimize::default() };
        study.optimize(&options, |trial| Ok(trial.float("x")?.into())).unwrap();
        study.trials().unwrap().iter().map(|t| (t.number, t.params.clone(), t.values.clone())).collect::<Vec<_>>()
    };
    let many = std::thread::scope(|scope| {
        let worker = || work(study(storage::open(&url).unwrap()));
        let workers: Vec<_> = (0..n_workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).last().unwrap()
    });
    // A worker learns by one lost proposal that it is not alone.
    let n_proposals = count.load(Ordering::Relaxed);
    assert!(n_proposals <= n_trials + 2 * n_workers, "{n_proposals} proposals for {n_trials} trials");
    assert_eq!(many, work(study(Arc::new(storage::Memory::new()))), "the trials of one worker");
}
