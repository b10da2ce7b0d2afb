//! `Authority`: certificates, made when a test runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// How many there are.
static FOUNDED: AtomicU64 = AtomicU64::new(0);

/// An authority, and a directory with its certificate and those that it has issued.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// The files of somebody with a certificate, in PEM.
#[derive(Clone, Debug)]
pub struct Papers {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// One that nobody has heard of yet.
    ///
    /// # Panics
    /// If its files cannot be written.
    #[must_use]
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("nothing is no wrong name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be taken for one whose signatures are wrong.
        let number = FOUNDED.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().expect("the system gives random numbers");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("its key can sign");
        let authority = Authority { issuer, dir: tempfile::tempdir().expect("a temporary directory") };
        std::fs::write(authority.ca(), authority.pem()).expect("the directory is ours");
        authority
    }

    /// The file of its own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Its own certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its directory, for other files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A certificate for a host, in files of that name.
    ///
    /// # Panics
    /// If they cannot be written.
    #[must_use]
    pub fn papers(&self, host: &str) -> Papers {
        let file = |kind: &str| self.dir.path().join(format!("{host}-{kind}.pem"));
        let papers = Papers { cert: file("cert"), key: file("key") };
        self.issue(host, &papers);
        papers
    }

    /// A certificate for a host, in place of whatever is in these files: first the one, a moment later the other.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn issue(&self, host: &str, papers: &Papers) {
        let key = KeyPair::generate().expect("the system gives random numbers");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("it is a name of a host");
        let cert = params.signed_by(&key, &self.issuer).expect("its key can sign");
        std::fs::write(&papers.cert, cert.pem()).expect("the file is ours");
        std::fs::write(&papers.key, key.serialize_pem()).expect("the file is ours");
    }
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}
