//! `Ensemble`: what a server has to know about the others.

use std::net::SocketAddr;
use std::path::PathBuf;

use quorate_types::{ClusterId, ServerId};
use quorate_zab::{Members, Timing};
use xxhash_rust::xxh3::xxh3_64;

use super::{ConfigError, Settings, address, check};
use crate::peers::TlsFiles;

/// The name of an ensemble that was given none.
const CLUSTER_NAME: &str = "quorate";

/// What is set about the ensemble of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Follows from its name.
    pub cluster: ClusterId,
    /// This server.
    pub server: ServerId,
    /// The servers that the ensemble begins with.
    pub founding: Members,
    /// Of the door for the other servers.
    pub peer: SocketAddr,
    /// An empty data directory is the ensemble's beginning.
    pub initialize: bool,
    /// How servers prove who they are.
    pub tls: Option<TlsFiles>,
    /// How long they wait for each other.
    pub timing: Timing,
}

impl Ensemble {
    /// Whether there is anybody else in it.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.founding.servers.len() > 1
    }

    /// `None` if nothing is said about other servers.
    pub(super) fn of(settings: &Settings) -> Result<Option<Ensemble>, ConfigError> {
        let Some(members) = &settings.member else {
            let given = [
                ("server_id", settings.server_id.is_some()),
                ("peer", settings.peer.is_some()),
                ("initialize", settings.initialize == Some(true)),
            ];
            let lonely = given.into_iter().find_map(|(setting, is_set)| is_set.then_some(setting));
            let reason = "it is for servers of an ensemble: say with `member` which these are";
            return check(lonely.unwrap_or_default(), "set", lonely.is_none(), reason).map(|()| None);
        };
        let invalid =
            |setting, value: String, reason: &str| ConfigError::Invalid { setting, value, reason: reason.into() };
        let reason = "say which of the members this server is";
        let id = settings.server_id.ok_or_else(|| invalid("server_id", "left out".into(), reason))?;
        let reason = "there is no such member";
        let place = members.get(ServerId(id)).ok_or_else(|| invalid("server_id", id.to_string(), reason))?;
        let tls = tls_files(settings)?;
        let is_open = settings.insecure.unwrap_or(false) || tls.is_some();
        let founding = members.founding();
        check("member", "observers only", founding.voters().next().is_some(), "somebody has to vote")?;
        let defaults = Timing::default();
        let ping_ms = settings.ping_ms.unwrap_or(defaults.ping_ms);
        let sync_limit_ms = settings.sync_limit_ms.unwrap_or(defaults.sync_limit_ms);
        check("ping_ms", ping_ms, (10..=10_000).contains(&ping_ms), "it must be 10 to 10000")?;
        let patience = "it must be at least 3 times ping_ms, and at most 60000";
        check("sync_limit_ms", sync_limit_ms, (3 * ping_ms..=60_000).contains(&sync_limit_ms), patience)?;
        let stall_limit_ms = defaults.stall_limit_ms.max(sync_limit_ms);
        Ok(Some(Ensemble {
            cluster: ClusterId(xxh3_64(settings.cluster_name.as_deref().unwrap_or(CLUSTER_NAME).as_bytes())),
            server: ServerId(id),
            founding,
            peer: address("peer", settings.peer.as_ref().unwrap_or(&place.peer), is_open)?,
            initialize: settings.initialize.unwrap_or(false),
            tls,
            timing: Timing { ping_ms, sync_limit_ms, stall_limit_ms, ..defaults },
        }))
    }
}

fn tls_files(settings: &Settings) -> Result<Option<TlsFiles>, ConfigError> {
    let Settings { peer_tls_cert, peer_tls_key, peer_tls_ca, .. } = settings;
    let files: [(&'static str, &Option<PathBuf>); 3] =
        [("peer_tls_cert", peer_tls_cert), ("peer_tls_key", peer_tls_key), ("peer_tls_ca", peer_tls_ca)];
    let missing = files.iter().find_map(|(setting, file)| file.is_none().then_some(*setting));
    match (peer_tls_cert, peer_tls_key, peer_tls_ca) {
        (Some(cert), Some(key), Some(ca)) => {
            Ok(Some(TlsFiles { cert: cert.clone(), key: key.clone(), ca: ca.clone() }))
        }
        (None, None, None) => Ok(None),
        _ => Err(ConfigError::Invalid {
            setting: missing.unwrap_or_default(),
            value: "left out".to_owned(),
            reason: "a certificate, its key and the authority belong together".to_owned(),
        }),
    }
}
