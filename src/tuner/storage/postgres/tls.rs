//! TLS to a PostgreSQL server, configured as libpq's users know it.

use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Settings of TLS, each with the environment variable that stands in for it.
const SETTINGS: [(&str, &str); 4] =
    [("sslmode", "PGSSLMODE"), ("sslrootcert", "PGSSLROOTCERT"), ("sslcert", "PGSSLCERT"), ("sslkey", "PGSSLKEY")];

/// Values of `sslmode`.
const MODES: [(&str, Mode); 6] = [
    ("disable", Mode::Disable),
    ("allow", Mode::Allow),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

/// Value of `sslrootcert` for the authorities that the machine trusts.
const SYSTEM: &str = "system";

/// When TLS is used, and what the server must prove; from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Mode {
    /// Never.
    Disable,
    /// Only where the server refuses to do without.
    Allow,
    /// Where the server has it.
    Prefer,
    /// Always, with any server.
    Require,
    /// Always, and an authority must have signed the certificate.
    VerifyCa,
    /// Always, and the certificate must be that of the host, too.
    VerifyFull,
}

/// The address without the settings of TLS, and these. None where a %XX is none.
pub(super) fn split(url: &str) -> Option<(String, BTreeMap<&'static str, String>)> {
    // A password may hold a question mark, but is followed by the host.
    let (start, query) = match url.rsplit_once('?') {
        Some((start, query)) if !query.contains('@') || start.contains('@') => (start, query),
        _ => return Some((url.to_owned(), BTreeMap::new())),
    };
    let (mut rest, mut settings) = (Vec::new(), BTreeMap::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match SETTINGS.iter().find(|(name, _)| *name == key) {
            Some((name, _)) => _ = settings.insert(*name, decoded(value)?),
            None => rest.push(pair),
        }
    }
    let mark = if rest.is_empty() { "" } else { "?" };
    Some((format!("{start}{mark}{}", rest.join("&")), settings))
}

/// The text that %XX stand for.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// How to connect to a server: with TLS, without, or first the one and then the other.
pub(super) struct Tls {
    mode: Mode,
    connector: MakeRustlsConnect,
}

impl Tls {
    /// Reads the settings and the files that they name. An error says which setting is wrong.
    pub(super) fn new(given: &BTreeMap<&'static str, String>) -> Result<Self, String> {
        let settings = Settings::new(given);
        let mode = settings.mode()?;
        let verifier = settings.verifier(mode)?;
        let builder = ClientConfig::builder_with_provider(verifier.provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let config = match settings.own_certificate()? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| format!("sslcert and sslkey: {error}"))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { mode, connector: MakeRustlsConnect::new(config) })
    }

    /// Connects to a server.
    pub(super) fn connect(&self, config: &Config) -> Result<Client, postgres::Error> {
        let plain = || config.clone().ssl_mode(SslMode::Disable).connect(NoTls);
        let with_tls = |mode| config.clone().ssl_mode(mode).connect(self.connector.clone());
        match self.mode {
            Mode::Disable => plain(),
            Mode::Allow => {
                plain().or_else(|error| if refuses(&error) { with_tls(SslMode::Require) } else { Err(error) })
            }
            Mode::Prefer => {
                with_tls(SslMode::Prefer).or_else(|error| if refuses(&error) { plain() } else { Err(error) })
            }
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => with_tls(SslMode::Require),
        }
    }
}

/// Whether the server's rules forbid this user or this kind of connection.
fn refuses(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// Settings as they were given, else as the environment has them.
struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    fn new(given: &BTreeMap<&'static str, String>) -> Self {
        let from_environment =
            SETTINGS.iter().filter_map(|(name, variable)| Some((*name, std::env::var(variable).ok()?)));
        let mut settings: BTreeMap<_, _> = from_environment.filter(|(_, value)| !value.is_empty()).collect();
        settings.extend(given.clone());
        Self(settings)
    }

    fn mode(&self) -> Result<Mode, String> {
        let from_system = self.0.get("sslrootcert").is_some_and(|file| file == SYSTEM);
        let Some(given) = self.0.get("sslmode") else {
            return Ok(if from_system { Mode::VerifyFull } else { Mode::Prefer });
        };
        let names: Vec<_> = MODES.iter().map(|(name, _)| *name).collect();
        let mode = MODES.iter().find(|(name, _)| name == given).map(|(_, mode)| *mode);
        let mode = mode.ok_or_else(|| format!("sslmode is `{given}`; there are: {}", names.join(", ")))?;
        if from_system && mode != Mode::VerifyFull {
            return Err(format!("sslrootcert=system needs sslmode=verify-full, but that is `{given}`"));
        }
        Ok(mode)
    }

    /// The file that a setting names, else the one of that name in `~/.postgresql`, where it exists.
    fn file(&self, setting: &str, usual: &str) -> Option<PathBuf> {
        match self.0.get(setting) {
            Some(file) => Some(PathBuf::from(file)),
            None => std::env::home_dir().map(|home| home.join(".postgresql").join(usual)).filter(|file| file.is_file()),
        }
    }

    fn verifier(&self, mode: Mode) -> Result<Verifier, String> {
        let provider = Arc::new(ring::default_provider());
        let lenient = Verifier { provider: provider.clone(), check: None };
        if mode < Mode::Require {
            return Ok(lenient);
        }
        let certificates = match self.file("sslrootcert", "root.crt") {
            // As in libpq: who has authorities has them asked.
            None if mode == Mode::Require => return Ok(lenient),
            None => return Err("to verify the server give sslrootcert=FILE or sslrootcert=system".into()),
            Some(file) if file == Path::new(SYSTEM) => rustls_native_certs::load_native_certs().certs,
            Some(file) => certificates("sslrootcert", &file)?,
        };
        let mut roots = RootCertStore::empty();
        // A machine's own list may hold certificates that nobody can use.
        roots.add_parsable_certificates(certificates.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let verifier = verifier.map_err(|error| format!("sslrootcert: {error}"))?;
        let checks_host = mode == Mode::VerifyFull;
        Ok(Verifier { provider, check: Some(Check { verifier, trusted: certificates, checks_host }) })
    }

    fn own_certificate(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, String> {
        let Some(chain) = self.file("sslcert", "postgresql.crt") else { return Ok(None) };
        let Some(key) = self.file("sslkey", "postgresql.key") else {
            return Err("sslcert is given, but no sslkey".into());
        };
        let secret = PrivateKeyDer::from_pem_file(&key).map_err(|error| unreadable("sslkey", &key, error))?;
        Ok(Some((certificates("sslcert", &chain)?, secret)))
    }
}

fn certificates(setting: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| unreadable(setting, file, error))?;
    if found.is_empty() {
        Err(format!("{setting}={}: there is no certificate in it", file.display()))
    } else {
        Ok(found)
    }
}

fn unreadable(setting: &str, file: &Path, error: rustls::pki_types::pem::Error) -> String {
    format!("{setting}={}: {error}", file.display())
}

/// Looks at the certificate of a server as far as the mode asks for it.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None where any certificate will do.
    check: Option<Check>,
}

#[derive(Debug)]
struct Check {
    verifier: Arc<WebPkiServerVerifier>,
    /// Certificates that are trusted themselves, authorities or not: a server's own may be among them.
    trusted: Vec<CertificateDer<'static>>,
    checks_host: bool,
}

impl Check {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if self.trusted.iter().any(|trusted| trusted == certificate) {
            let certificate = ParsedCertificate::try_from(certificate)?;
            return if self.checks_host { rustls::client::verify_server_name(&certificate, host) } else { Ok(()) };
        }
        match self.verifier.verify_server_cert(certificate, intermediates, host, ocsp, now) {
            Err(error) if !self.checks_host && is_about_the_name(&error) => Ok(()),
            done => done.map(|_| ()),
        }
    }
}

fn is_about_the_name(error: &rustls::Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(check) = &self.check {
            check.verify(certificate, intermediates, host, ocsp, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&'static str, &str)]) -> BTreeMap<&'static str, String> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    #[test]
    fn settings_of_tls_are_taken_out_of_the_address_and_nothing_else_is() {
        let all = "postgresql://me:a?b@host/db?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fmy%20ca.pem";
        let (address, found) = split(all).unwrap();
        assert_eq!(address, "postgresql://me:a?b@host/db?connect_timeout=3");
        assert_eq!(found, settings(&[("sslmode", "verify-full"), ("sslrootcert", "/my ca.pem")]));
        assert_eq!(split("postgresql://h/d?sslmode=require").unwrap().0, "postgresql://h/d");
        for untouched in ["postgresql://h/d", "postgresql://me:a?sslmode=b@h/d", "postgresql://h/d?host=%2Ftmp"] {
            assert_eq!(split(untouched).unwrap(), (untouched.to_owned(), BTreeMap::new()));
        }
        assert_eq!(split("postgresql://h/d?sslkey=%4"), None);
        assert_eq!(split("postgresql://h/d?sslkey=%zz"), None);
    }

    #[test]
    fn settings_that_are_wrong_are_named() {
        let refused = |pairs: &[(&'static str, &str)], needle: &str| {
            let error = Tls::new(&settings(pairs)).err().unwrap();
            assert!(error.contains(needle), "{error}");
        };
        refused(&[("sslmode", "verify")], "sslmode is `verify`; there are: disable, allow, prefer");
        refused(&[("sslmode", "require"), ("sslrootcert", "system")], "needs sslmode=verify-full");
        refused(&[("sslmode", "require"), ("sslrootcert", "/nowhere")], "sslrootcert=/nowhere");
        refused(&[("sslmode", "verify-ca"), ("sslrootcert", "/dev/null")], "there is no certificate in it");
        refused(&[("sslcert", "/nowhere")], "no sslkey");
        assert!(Tls::new(&settings(&[("sslmode", "disable")])).is_ok());
    }
}
