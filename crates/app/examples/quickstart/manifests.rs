//! The committed manifests with the addresses of this run, in a folder of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use crate::PORT;

/// What the manifests name, and how they name it.
const DEPLOYMENT: &str = include_str!("../../../../examples/quickstart/deployment.yaml");
const SCALED_OBJECT: &str = include_str!("../../../../examples/quickstart/scaledobject.yaml");
const PROGRAM: &str = "target/release/examples/quickstart";

/// Writes the manifests into a folder, for a queue at this address and workers that run this program.
pub(crate) fn write(folder: &Path, queue: SocketAddr, program: &Path) -> anyhow::Result<()> {
    let program = program.to_str().context("the path of this program is not UTF-8")?;
    let program = serde_json::Value::from(program).to_string();
    let address = format!("127.0.0.1:{PORT}");
    fs::create_dir(folder)?;
    for (name, text) in [("deployment.yaml", DEPLOYMENT), ("scaledobject.yaml", SCALED_OBJECT)] {
        let text = text.replace(PROGRAM, &program).replace(&address, &queue.to_string());
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
