//! `Tls`: how servers prove to this client who they are, and this client to them.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use tokio_rustls::TlsConnector;

/// HTTP/2, as it is called during a handshake.
const H2: &[u8] = b"h2";

/// How servers prove to this client who they are, and this client to them. By default servers have to show a certificate
/// for the name by which they are called, of an authority that this system trusts, and this client shows none.
///
/// Files are read again for every connection, so certificates can be replaced while the client runs.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    ca: Option<Pem>,
    identity: Option<(Pem, Pem)>,
    server_name: Option<String>,
}

/// Something in PEM.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Text(Bytes),
}

impl Tls {
    /// With the authorities that this system trusts.
    #[must_use]
    pub fn new() -> Tls {
        Tls::default()
    }

    /// The authorities of servers are in this file, in PEM; no others are trusted.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Tls {
        self.ca = Some(Pem::File(path.into()));
        self
    }

    /// The authorities of servers, in PEM; no others are trusted.
    #[must_use]
    pub fn ca_pem(mut self, text: impl Into<Bytes>) -> Tls {
        self.ca = Some(Pem::Text(text.into()));
        self
    }

    /// This client's certificate, followed by those between it and the authority, and its private key are in these
    /// files, in PEM.
    #[must_use]
    pub fn identity_files(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Tls {
        self.identity = Some((Pem::File(cert.into()), Pem::File(key.into())));
        self
    }

    /// This client's certificate, followed by those between it and the authority, and its private key, in PEM.
    #[must_use]
    pub fn identity_pem(mut self, cert: impl Into<Bytes>, key: impl Into<Bytes>) -> Tls {
        self.identity = Some((Pem::Text(cert.into()), Pem::Text(key.into())));
        self
    }

    /// The name for which servers have to show a certificate, where it is not that by which they are called.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Tls {
        self.server_name = Some(name.into());
        self
    }

    /// What makes connections. Reads files. The error is a text for humans.
    pub(crate) fn connector(&self) -> Result<TlsConnector, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let (chain, private) = (cert.certificates()?, key.private_key()?);
                let pair = builder.with_client_auth_cert(chain, private);
                pair.map_err(|error| format!("the certificate in {cert} and the key in {key} cannot be used: {error}"))?
            }
        };
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(Arc::new(config).into())
    }

    /// For whom a server that is called so has to show a certificate.
    pub(crate) fn name_of(&self, host_and_port: &str) -> Result<ServerName<'static>, String> {
        let name = self.server_name.as_deref().unwrap_or_else(|| host(host_and_port));
        ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is no name of a server"))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(ca) => {
                for certificate in ca.certificates()? {
                    roots.add(certificate).map_err(|error| format!("{ca} cannot be used: {error}"))?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let none = "this system trusts no authority: give the certificate of the servers' (`ca`)";
                    return Err(none.to_owned());
                }
            }
        }
        Ok(roots)
    }
}

impl Pem {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let read: Result<Vec<_>, pem::Error> = match self {
            Pem::File(path) => CertificateDer::pem_file_iter(path).and_then(Iterator::collect),
            Pem::Text(text) => CertificateDer::pem_slice_iter(text).collect(),
        };
        match read {
            Ok(certificates) if certificates.is_empty() => Err(format!("there is no certificate in {self}")),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(format!("cannot use {self}: {error}")),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let read = match self {
            Pem::File(path) => PrivateKeyDer::from_pem_file(path),
            Pem::Text(text) => PrivateKeyDer::from_pem_slice(text),
        };
        read.map_err(|error| match error {
            pem::Error::NoItemsFound => format!("there is no private key in {self}"),
            error => format!("cannot use {self}: {error}"),
        })
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => write!(f, "{}", path.display()),
            Pem::Text(_) => f.write_str("the PEM that was given"),
        }
    }
}

/// Without what is in it: it may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Why there is no TLS with a server, and what to do; `None` for what has nothing to do with TLS.
pub(crate) fn explain(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let text = match error {
        rustls::Error::InvalidCertificate(refused) => explain_certificate(refused),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS: write its address without https://".to_owned()
        }
        rustls::Error::AlertReceived(alert) => explain_alert(*alert),
        rustls::Error::PeerIncompatible(_) => format!("it speaks another TLS than 1.3: {error}"),
        _ => error.to_string(),
    };
    Some(format!("no TLS: {text}"))
}

fn explain_certificate(refused: &CertificateError) -> String {
    match refused {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is of an authority that is not trusted: give that authority's (`ca`)".to_owned()
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let (expected, presented) = (expected.to_str(), presented.join(", "));
            format!(
                "its certificate is not for {expected}, but for {presented}: call it by such a name, or say which is meant \
                 (`server-name`)"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: it needs a new one".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: one of the two clocks may be wrong".to_owned()
        }
        other => format!("its certificate cannot be believed: {other}"),
    }
}

/// A name of a certificate without its kind: `DnsName("a")` is what rustls makes of `a`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it wants to know who calls: give a certificate and its key (`cert`, `key`)".to_owned()
        }
        AlertDescription::UnknownCA => {
            "it does not trust the authority of this client's certificate (`cert`)".to_owned()
        }
        AlertDescription::CertificateExpired => "this client's certificate (`cert`) has expired".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::DecryptError => format!("it does not accept this client's certificate (`cert`): {alert:?}"),
        AlertDescription::NoApplicationProtocol => "that door does not speak gRPC".to_owned(),
        other => format!("it answers {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_the_host_of_its_address_unless_something_else_is_said() {
        let named = |tls: Tls, address| tls.name_of(address).map(|name| name.to_str().into_owned());
        assert_eq!(named(Tls::new(), "quorate-1.example:7181").as_deref(), Ok("quorate-1.example"));
        assert_eq!(named(Tls::new(), "10.0.0.1:7181").as_deref(), Ok("10.0.0.1"));
        assert_eq!(named(Tls::new(), "[fe80::1]:7181").as_deref(), Ok("fe80::1"));
        assert_eq!(named(Tls::new().server_name("other.example"), "10.0.0.1:7181").as_deref(), Ok("other.example"));
        assert!(named(Tls::new(), "not a name:1").is_err());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = |tls: Tls| tls.connector().err().expect("it cannot be used");
        assert!(error(Tls::new().ca_file("/nonexistent/ca.pem")).contains("/nonexistent/ca.pem"));
        assert!(error(Tls::new().ca_pem("nothing")).contains("no certificate"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(error(Tls::new().ca_pem(broken)).contains("cannot be used"));
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
        let own = params.self_signed(&key).expect("a certificate").pem();
        let tls = Tls::new().ca_pem(own.clone());
        assert!(error(tls.clone().identity_pem(own.clone(), "nothing")).contains("no private key"));
        let other = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        assert!(error(tls.clone().identity_pem(own.clone(), other)).contains("cannot be used"));
        assert!(tls.identity_pem(own, key.serialize_pem()).connector().is_ok());
    }

    #[test]
    fn a_key_is_not_shown() {
        assert!(!format!("{:?}", Tls::new().identity_pem("cert", "a secret")).contains("secret"));
    }
}
