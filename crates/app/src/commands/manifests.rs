//! `keda manifests`: what installs the operator in a cluster.

use crate::FINE;
use crate::deploy::{Options, objects};

pub(crate) fn run(arguments: &crate::cli::DeployManifests) -> anyhow::Result<u8> {
    let options = Options {
        namespace: arguments.namespace.clone(),
        image: arguments.image.clone(),
        replicas: arguments.replicas,
        watch_namespaces: arguments.watch_namespace.clone(),
        scale_targets: (!arguments.scale_target.is_empty()).then(|| arguments.scale_target.clone()),
        restrict_secrets: arguments.restrict_secrets,
        crds: !arguments.no_crds,
    };
    super::print_objects(&objects(&options), arguments.output)?;
    Ok(FINE)
}
