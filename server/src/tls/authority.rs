//! `Authority`: certificates for tests, made when they run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// How many there are.
static FOUNDED: AtomicU64 = AtomicU64::new(0);

/// An authority, and the files of those that it vouches for.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// The files of somebody with a certificate.
#[derive(Clone)]
pub(crate) struct Papers {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be taken for one whose signatures are wrong.
        let number = FOUNDED.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { issuer, dir: tempfile::tempdir().unwrap() };
        std::fs::write(authority.ca(), authority.issuer.pem()).unwrap();
        authority
    }

    /// The file of its own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for a host. There is one at a time.
    pub(crate) fn papers(&self, host: &str) -> Papers {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let write = |name: &str, text: String| {
            let path = self.dir.path().join(format!("{host}-{name}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Papers { cert: write("cert.pem", cert.pem()), key: write("key.pem", key.serialize_pem()) }
    }

    /// A place for other files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}
