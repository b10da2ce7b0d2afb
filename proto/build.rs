//! Compiles `quorate/v1/*.proto` without `protoc`.

use std::path::Path;

const FILES: &[&str] = &[
    "quorate/v1/common.proto",
    "quorate/v1/znode.proto",
    "quorate/v1/watch.proto",
    "quorate/v1/session.proto",
    "quorate/v1/cluster.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=quorate");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]).enable_type_names();
    tonic_prost_build::configure().build_transport(false).compile_fds_with_config(descriptors, config)?;
    Ok(())
}
