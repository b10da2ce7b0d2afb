//! `/v1/cluster/members` and `/v1/cluster/leader`: who belongs to the ensemble, how that is changed, and who leads.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_MATCH};
use quorate_client::{Member, MemberAddress, MemberSpec, Members, Membership, Reconfigured};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use crate::body;
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::problem::{Problem, ProblemDocument};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The ensemble's servers.
#[derive(Serialize, ToSchema)]
#[schema(as = Members)]
pub(crate) struct MembersDocument<'a> {
    /// The version of the configuration: the zxid of the change that led to it, `0x0` for that which the ensemble began
    /// with. The same is in the ETag, for `If-Match`.
    #[schema(value_type = String, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    version: Hex,
    /// The version of the configuration that is being introduced; null if none is.
    #[schema(value_type = Option<String>, required, example = json!(null), pattern = "^0x[0-9a-f]{1,16}$")]
    pending_version: Option<Hex>,
    /// How many voters are a quorum.
    #[schema(example = 2)]
    quorum: u32,
    /// The leader; null if none is known.
    #[schema(required, example = 1)]
    leader_id: Option<u32>,
    /// The server whose knowledge this is: the leader, if it can be asked.
    #[schema(example = 1)]
    told_by_id: u32,
    /// Those who belong to the ensemble, and those who have come to learn and may be added.
    members: Vec<MemberDocument<'a>>,
}

/// One server of the ensemble. What is null is not known to whoever tells.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberDocument<'a> {
    /// Its id.
    #[schema(example = 1, minimum = 1, maximum = 254)]
    server_id: u32,
    /// What it does: `leading`, `following`, `observing`, `looking` or `unreachable`; `unknown` if nobody can tell.
    #[schema(example = "leading")]
    role: &'static str,
    /// What it is in the configuration: `participant` or `observer`; null if it does not belong to it.
    #[schema(required, example = "participant")]
    membership: Option<&'static str>,
    /// The last txn that it has durably.
    #[schema(value_type = Option<String>, required, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Option<Hex>,
    /// How many committed txns it lacks.
    #[schema(required, example = 0)]
    behind: Option<u64>,
    /// For how long something has been committed that it lacks, to within 100 ms.
    #[schema(required, example = 0)]
    lag_ms: Option<u64>,
    /// How long the leader's last ping and its answer took.
    #[schema(required, example = 1)]
    latency_ms: Option<u64>,
    /// It is being brought to the leader's state.
    synchronizing: bool,
    /// It may have forgotten something, and does not count until it has caught up.
    amnesiac: bool,
    /// How it is reached; null if the configuration does not say.
    #[schema(required)]
    addresses: Option<AddressesDocument<'a>>,
}

/// How a server is reached, each `host:port`.
#[derive(Serialize, ToSchema)]
#[schema(as = Addresses)]
pub(crate) struct AddressesDocument<'a> {
    /// By the other servers.
    #[schema(example = "s1.example:7182")]
    peer: &'a str,
    /// By clients that speak gRPC.
    #[schema(required, example = "s1.example:7181")]
    grpc: Option<&'a str>,
    /// By clients that speak HTTP.
    #[schema(required, example = "s1.example:7180")]
    http: Option<&'a str>,
}

/// A configuration that is in force.
#[derive(Serialize, ToSchema)]
#[schema(as = Configuration)]
pub(crate) struct ConfigurationDocument<'a> {
    /// Its version.
    #[schema(value_type = String, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    version: Hex,
    /// All who belong to it.
    members: Vec<ConfiguredDocument<'a>>,
}

/// What a server is in a configuration.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfiguredMember)]
pub(crate) struct ConfiguredDocument<'a> {
    /// Its id.
    #[schema(example = 1, minimum = 1, maximum = 254)]
    server_id: u32,
    /// Whether it votes: `participant` or `observer`.
    #[schema(example = "participant")]
    membership: &'static str,
    /// How it is reached; null if the configuration does not say.
    #[schema(required)]
    addresses: Option<AddressesDocument<'a>>,
}

/// What a server is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberSpec)]
pub(crate) struct SpecDocument {
    /// Its id. An id is never used again for another disk.
    #[schema(example = 4, minimum = 1, maximum = 254)]
    server_id: u32,
    /// Whether it votes. Default: `participant`.
    #[serde(default)]
    #[schema(required = false, example = "participant")]
    membership: MembershipName,
    /// How it is reached. A member keeps what it has if this is missing.
    addresses: Option<AddressesWish>,
}

/// Whether a server votes.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Membership)]
pub(crate) enum MembershipName {
    /// It votes.
    #[default]
    Participant,
    /// It learns what was decided.
    Observer,
}

/// How a server is to be reached, each `host:port`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddressesSpec)]
pub(crate) struct AddressesWish {
    /// By the other servers.
    #[schema(example = "s4.example:7182")]
    peer: String,
    /// By clients that speak gRPC.
    #[schema(example = "s4.example:7181")]
    grpc: Option<String>,
    /// By clients that speak HTTP.
    #[schema(example = "s4.example:7180")]
    http: Option<String>,
}

/// All servers that the ensemble is to consist of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MembersSpec)]
pub(crate) struct WholeDocument {
    /// These, and no others; at least one of them votes.
    members: Vec<SpecDocument>,
}

/// Who is to join and who is to leave, all at once.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MembersChange)]
pub(crate) struct StepsDocument {
    /// They join, or become what is said here if they belong to the ensemble already.
    #[serde(default)]
    #[schema(required = false)]
    add: Vec<SpecDocument>,
    /// They leave. Who is gone already is no error.
    #[serde(default)]
    #[schema(required = false, example = json!([2]))]
    remove: Vec<u32>,
    /// Only if this is the configuration's version; `If-Match` says the same.
    #[schema(example = "0x100000002", pattern = "^0x[0-9a-fA-F]{1,16}$")]
    version: Option<String>,
}

/// Who is to lead.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LeaderWish)]
pub(crate) struct LeaderWish {
    /// A voter; whoever has come furthest if this is missing.
    #[schema(example = 2, minimum = 1, maximum = 254)]
    server_id: Option<u32>,
}

/// Who leads.
#[derive(Serialize, ToSchema)]
#[schema(as = Leader)]
pub(crate) struct LeaderDocument {
    /// The server.
    #[schema(example = 2)]
    leader_id: u32,
}

impl<'a> From<&'a Members> for MembersDocument<'a> {
    fn from(members: &'a Members) -> MembersDocument<'a> {
        MembersDocument {
            version: Hex(members.version),
            pending_version: members.pending_version.map(Hex),
            quorum: members.quorum,
            leader_id: (members.leader_id != 0).then_some(members.leader_id),
            told_by_id: members.told_by_id,
            members: members.members.iter().map(MemberDocument::from).collect(),
        }
    }
}

impl<'a> From<&'a Member> for MemberDocument<'a> {
    fn from(member: &'a Member) -> MemberDocument<'a> {
        MemberDocument {
            server_id: member.server_id,
            role: member.state.as_str(),
            membership: member.membership.map(Membership::as_str),
            zxid: member.zxid.map(Hex),
            behind: member.behind,
            lag_ms: member.lag.map(milliseconds),
            latency_ms: member.latency.map(milliseconds),
            synchronizing: member.synchronizing,
            amnesiac: member.amnesiac,
            addresses: member.address.as_ref().map(AddressesDocument::from),
        }
    }
}

impl<'a> From<&'a MemberAddress> for AddressesDocument<'a> {
    fn from(address: &'a MemberAddress) -> AddressesDocument<'a> {
        AddressesDocument { peer: &address.peer, grpc: address.grpc.as_deref(), http: address.http.as_deref() }
    }
}

impl<'a> From<&'a MemberSpec> for ConfiguredDocument<'a> {
    fn from(spec: &'a MemberSpec) -> ConfiguredDocument<'a> {
        ConfiguredDocument {
            server_id: spec.server_id,
            membership: spec.membership.as_str(),
            addresses: spec.address.as_ref().map(AddressesDocument::from),
        }
    }
}

impl From<SpecDocument> for MemberSpec {
    fn from(spec: SpecDocument) -> MemberSpec {
        let membership = match spec.membership {
            MembershipName::Participant => Membership::Participant,
            MembershipName::Observer => Membership::Observer,
        };
        let address = |AddressesWish { peer, grpc, http }| MemberAddress { peer, grpc, http };
        MemberSpec { server_id: spec.server_id, membership, address: spec.addresses.map(address) }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// List the ensemble's servers.
///
/// As the leader knows them; as the server behind the gateway does, if there is no leader that can be asked.
#[utoipa::path(
    get, path = "/v1/cluster/members", tag = "cluster", operation_id = "getMembers",
    responses(
        (status = 200, description = "The servers; the ETag is the configuration's version", body = MembersDocument<'_>),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let members = gateway.client.members().timeout(gateway.config.request_timeout).send().await?;
    let document = MembersDocument::from(&members);
    Ok(Answer::new(&gateway, StatusCode::OK, members.header.zxid)
        .field((ETAG, tag(members.version)))
        .field((CACHE_CONTROL, NO_STORE))
        .json(&document)
        .finish())
}

/// Say which servers the ensemble is to consist of.
///
/// Answered once the new configuration is the only one that counts. If it is so already, nothing is done.
#[utoipa::path(
    put, path = "/v1/cluster/members", tag = "cluster", operation_id = "setMembers",
    params(("If-Match" = Option<String>, Header, description = "Only if the configuration has this version: its ETag", example = "\"0x100000002\"")),
    request_body = WholeDocument,
    responses(
        (status = 200, description = "The ensemble consists of them", body = ConfigurationDocument<'_>),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn put(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let version = condition(&parts.headers)?;
    let whole: WholeDocument = body::json(&gateway, &parts.headers, body, "the members").await?;
    let asked = gateway.client.reconfigure().members(whole.members.into_iter().map(MemberSpec::from));
    let asked = asked.timeout(gateway.config.request_timeout);
    reconfigured(&gateway, &version.map_or(asked.clone(), |version| asked.version(version)).send().await?)
}

/// Let servers join or leave the ensemble, or change what they are.
///
/// All steps are made together. Answered once the new configuration is the only one that counts: servers that have left
/// may then be switched off. What is so already is no change and no error.
#[utoipa::path(
    post, path = "/v1/cluster/members", tag = "cluster", operation_id = "changeMembers",
    params(("If-Match" = Option<String>, Header, description = "Only if the configuration has this version: its ETag", example = "\"0x100000002\"")),
    request_body = StepsDocument,
    responses(
        (status = 200, description = "The ensemble has changed", body = ConfigurationDocument<'_>),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn post(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let matched = condition(&parts.headers)?;
    let StepsDocument { add, remove, version } = body::json(&gateway, &parts.headers, body, "the change").await?;
    let named = version.map(|text| version_in(&text)).transpose()?;
    if matched.is_some() && named.is_some() && matched != named {
        return Err(Problem::bad_arguments("If-Match and `version` name two versions"));
    }
    let mut asked = gateway.client.reconfigure().timeout(gateway.config.request_timeout);
    asked = add.into_iter().map(MemberSpec::from).fold(asked, |asked, spec| asked.add(spec));
    asked = remove.into_iter().fold(asked, |asked, id| asked.remove(id));
    asked = matched.or(named).into_iter().fold(asked, |asked, version| asked.version(version));
    reconfigured(&gateway, &asked.send().await?)
}

/// Hand leadership over.
///
/// Answered once somebody else leads: before the leader is stopped, for example.
#[utoipa::path(
    post, path = "/v1/cluster/leader", tag = "cluster", operation_id = "transferLeadership",
    request_body(content = Option<LeaderWish>, description = "Who is to lead; may be missing"),
    responses(
        (status = 200, description = "Leadership was handed over", body = LeaderDocument),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn transfer(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let wish: Option<LeaderWish> = body::json_if_any(&gateway, &parts.headers, body, "the leader").await?;
    let asked = gateway.client.transfer_leadership().timeout(gateway.config.request_timeout);
    let leader_id = match wish.and_then(|wish| wish.server_id) {
        Some(server_id) => asked.to(server_id).send().await?,
        None => asked.send().await?,
    };
    let zxid = gateway.client.last_header().map_or(0, |header| header.zxid);
    Ok(Answer::new(&gateway, StatusCode::OK, zxid).json(&LeaderDocument { leader_id }).finish())
}

fn reconfigured(gateway: &Gateway, done: &Reconfigured) -> Result<Response, Problem> {
    let members = done.members.iter().map(ConfiguredDocument::from).collect();
    let document = ConfigurationDocument { version: Hex(done.version), members };
    Ok(Answer::new(gateway, StatusCode::OK, done.header.zxid)
        .field((ETAG, tag(done.version)))
        .field((CACHE_CONTROL, NO_STORE))
        .json(&document)
        .finish())
}

fn tag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}\"", Hex(version))).expect("a number is visible ASCII")
}

/// The version that `If-Match` demands; every ensemble has some configuration, so `*` demands nothing.
fn condition(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    match value.to_str().unwrap_or_default().trim() {
        "*" => Ok(None),
        tag => match tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(version) => version_in(version).map(Some),
            None => Err(Problem::bad_arguments("If-Match is neither '*' nor one entity tag of the members")),
        },
    }
}

fn version_in(text: &str) -> Result<u64, Problem> {
    let version = Hex::parse(text).map(|version| version.0);
    version.ok_or_else(|| Problem::bad_arguments(format!("{text:?} is no version of a configuration: `0x..`")))
}
