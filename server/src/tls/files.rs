//! Which files there are for what, and what can be wrong with them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;

use super::{VERSIONS, provider};

/// Where the certificates of a front door are, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorFiles {
    /// The door's certificate, followed by those between it and the authority.
    pub cert: PathBuf,
    /// The private key of that certificate.
    pub key: PathBuf,
    /// What clients have to prove, if anything.
    pub clients: Option<Clients>,
}

/// What clients have to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// The authority of their certificates.
    pub ca: PathBuf,
    /// Whether a client without a certificate is turned away. One with a wrong certificate always is.
    pub is_required: bool,
}

/// Why certificates cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or is none.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: pem::Error,
    },
    /// A file holds no certificate.
    #[error("there is no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// A file holds no private key.
    #[error("there is no private key in {}", .0.display())]
    NoKey(PathBuf),
    /// A certificate and a private key are of different pairs.
    #[error("the private key in {} is not that of the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// What stands in a file is no certificate, or none of its kind.
    #[error("what is in {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl TlsError {
    pub(crate) fn unusable(path: &Path, reason: impl fmt::Display) -> TlsError {
        TlsError::Unusable { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl DoorFiles {
    /// All of them.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let ca = self.clients.iter().map(|clients| &clients.ca);
        [&self.cert, &self.key].into_iter().chain(ca).cloned().collect()
    }

    /// How a door that speaks these protocols does its part of a handshake.
    pub(crate) fn server_config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(|error| TlsError::unusable(&self.cert, error))?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(Clients { ca, is_required }) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider());
                let verifier = if *is_required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|error| TlsError::unusable(ca, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (chain, key) = (certificates(&self.cert)?, key(&self.key)?);
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| mismatch(&self.cert, &self.key, error))?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

/// Why a certificate and a private key cannot be used together.
pub(crate) fn mismatch(cert: &Path, key: &Path, error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() },
        rustls::Error::InvalidCertificate(_) => TlsError::unusable(cert, error),
        _ => TlsError::unusable(key, error),
    }
}

/// The certificates of a file, in their order.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |reason| TlsError::File { path: path.to_owned(), reason };
    let read = CertificateDer::pem_file_iter(path).map_err(file)?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(file)?;
    if certificates.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(certificates) }
}

/// The private key of a file.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|reason| match reason {
        pem::Error::NoItemsFound => TlsError::NoKey(path.to_owned()),
        reason => TlsError::File { path: path.to_owned(), reason },
    })
}

/// The certificates of a file, as authorities to be trusted.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::unusable(path, error))?;
    }
    Ok(roots)
}
