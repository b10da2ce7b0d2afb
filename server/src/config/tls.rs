//! What is set about the certificates of the doors for clients.

use std::path::{Path, PathBuf};

use super::{ClientAuth, ConfigError, Settings};
use crate::tls::{Clients, DoorFiles};

/// What is set about them, by whatever settings.
#[derive(Clone, Copy, Debug)]
pub struct TlsSettings<'a> {
    /// The certificate.
    pub cert: Option<&'a Path>,
    /// Its key.
    pub key: Option<&'a Path>,
    /// The authority of clients.
    pub client_ca: Option<&'a Path>,
    /// Whether clients need one of its certificates.
    pub client_auth: Option<ClientAuth>,
}

impl<'a> From<&'a Settings> for TlsSettings<'a> {
    fn from(settings: &'a Settings) -> TlsSettings<'a> {
        TlsSettings {
            cert: settings.tls_cert.as_deref(),
            key: settings.tls_key.as_deref(),
            client_ca: settings.tls_client_ca.as_deref(),
            client_auth: settings.tls_client_auth,
        }
    }
}

/// The files of the doors, `None` if they do without TLS.
///
/// # Errors
/// [`ConfigError::Invalid`] if something is set without what it belongs to.
pub fn door(settings: TlsSettings<'_>) -> Result<Option<DoorFiles>, ConfigError> {
    let TlsSettings { cert, key, client_ca, client_auth } = settings;
    let incomplete = |setting, value: &str, reason: &str| {
        Err(ConfigError::Invalid { setting, value: value.to_owned(), reason: reason.to_owned() })
    };
    match (cert, key) {
        (Some(cert), Some(key)) => {
            if client_ca.is_none() && client_auth.is_some() {
                return incomplete("tls_client_auth", "set", "say with `tls_client_ca` whose certificates are meant");
            }
            let is_required = client_auth.unwrap_or_default() == ClientAuth::Required;
            let clients = client_ca.map(|ca| Clients { ca: PathBuf::from(ca), is_required });
            Ok(Some(DoorFiles { cert: cert.to_owned(), key: key.to_owned(), clients }))
        }
        (Some(_), None) => incomplete("tls_key", "left out", "a certificate and its key belong together"),
        (None, Some(_)) => incomplete("tls_cert", "left out", "a certificate and its key belong together"),
        (None, None) if client_ca.is_some() || client_auth.is_some() => {
            incomplete("tls_cert", "left out", "clients can only prove who they are where the door does, too")
        }
        (None, None) => Ok(None),
    }
}

/// Whether nobody gets in without a certificate.
#[must_use]
pub fn proves_clients(files: Option<&DoorFiles>) -> bool {
    files.and_then(|files| files.clients.as_ref()).is_some_and(|clients| clients.is_required)
}
