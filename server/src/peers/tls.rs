//! `Tls`: both ends of a connection prove with a certificate that they belong to the ensemble.
//!
//! All servers trust one authority, and whoever has a certificate of it may connect; which server it is, the hello says.
//! A server that is dialed also has to have a certificate for the host name, or the address, by which it was dialed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::tls::io::Io;
use crate::tls::rotating::Rotating;
use crate::tls::{self, Clients, DoorFiles, TlsError, files};

/// Where the certificates are, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// This server's certificate, followed by those between it and the authority.
    pub cert: PathBuf,
    /// The private key of that certificate.
    pub key: PathBuf,
    /// The authority that all servers trust.
    pub ca: PathBuf,
}

/// Both roles of this server.
#[derive(Clone)]
struct Roles {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

/// Both roles, with the certificates that are in the files now.
#[derive(Clone)]
pub(super) struct Tls(Arc<Rotating<Roles>>);

impl TlsFiles {
    fn roles(&self) -> Result<Roles, TlsError> {
        let clients = Some(Clients { ca: self.ca.clone(), is_required: true });
        let door = DoorFiles { cert: self.cert.clone(), key: self.key.clone(), clients };
        let server = door.server_config(&[tls::H2])?;
        let mut client = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(tls::VERSIONS)
            .map_err(|error| TlsError::unusable(&self.cert, error))?
            .with_root_certificates(files::roots(&self.ca)?)
            .with_client_auth_cert(files::certificates(&self.cert)?, files::key(&self.key)?)
            .map_err(|error| files::mismatch(&self.cert, &self.key, error))?;
        client.alpn_protocols = vec![tls::H2.to_vec()];
        Ok(Roles { connector: Arc::new(client).into(), acceptor: Arc::new(server).into() })
    }
}

impl Tls {
    pub(super) fn load(files: &TlsFiles) -> Result<Tls, TlsError> {
        let (paths, files) = (vec![files.cert.clone(), files.key.clone(), files.ca.clone()], files.clone());
        Ok(Tls(Arc::new(Rotating::new("peers", paths, move || files.roles())?)))
    }

    /// Uses new certificates when the files have changed, until `stop`. Connections that there are go on.
    pub(super) async fn keep_fresh(self, stop: impl Future<Output = ()>) {
        self.0.keep_fresh(stop).await;
    }

    /// As the one who dialed `address`, `host:port`.
    pub(super) async fn connect(&self, address: &str, stream: TcpStream) -> io::Result<Io> {
        let name = ServerName::try_from(host(address).to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = self.0.current().connector.connect(name, stream).await?;
        Ok(Io::Right(Box::new(stream.into())))
    }

    /// As the one who was dialed.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Io> {
        let stream = self.0.current().acceptor.accept(stream).await?;
        Ok(Io::Right(Box::new(stream.into())))
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_host_of_an_address_is_what_is_before_its_port() {
        assert_eq!(host("quorate-1.example:7182"), "quorate-1.example");
        assert_eq!(host("10.0.0.1:7182"), "10.0.0.1");
        assert_eq!(host("[fe80::1]:7182"), "fe80::1");
    }
}
