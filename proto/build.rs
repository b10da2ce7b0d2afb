//! Compiles `quorate/v1/*.proto` and `quorate/peer/v1/*.proto` without `protoc`.

use std::error::Error;
use std::path::Path;

/// What clients speak.
const PUBLIC: &[&str] = &[
    "quorate/v1/common.proto",
    "quorate/v1/znode.proto",
    "quorate/v1/watch.proto",
    "quorate/v1/session.proto",
    "quorate/v1/cluster.proto",
];

/// What servers speak among themselves. The servers need its messages, not the code that tonic makes of its service:
/// they hand over what they send without copying it.
const PEER: &[&str] = &["quorate/peer/v1/member.proto", "quorate/peer/v1/peer.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=quorate");
    let descriptors = protox::compile(PUBLIC, ["."])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    let public = tonic_prost_build::configure().build_transport(false);
    public.compile_fds_with_config(descriptors, config())?;
    let peer = tonic_prost_build::configure().build_client(false).build_server(false);
    peer.compile_fds_with_config(protox::compile(PEER, ["."])?, config())?;
    Ok(())
}

fn config() -> tonic_prost_build::Config {
    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]).enable_type_names();
    config
}
