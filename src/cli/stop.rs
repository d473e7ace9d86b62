//! `mainstay stop` and `mainstay go`: the emergency stop, pulled with the caller's own credentials.
//!
//! It is one annotation on one `ConfigMap` of the installation, read live by the operator before every act.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use std::process::ExitCode;

use super::{CliError, block_on, print};
use crate::effect::STOP_ANNOTATION;

/// Which installations are meant.
#[derive(Debug, clap::Args)]
pub struct Scope {
    /// The namespace of the installation; without it the one of the current context
    #[arg(long, short)]
    namespace: Option<String>,
    /// Every installation of the cluster
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
}

/// How the emergency stop is pulled.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// Why; everybody who looks at a policy reads it
    #[arg(long)]
    why: String,
    #[command(flatten)]
    scope: Scope,
}

/// How it is released.
#[derive(Debug, clap::Args)]
pub struct GoArgs {
    #[command(flatten)]
    scope: Scope,
}

/// Pulls the emergency stop.
pub fn run_stop(args: &StopArgs) -> Result<ExitCode, CliError> {
    for installation in
        block_on(stop(args.scope.namespace.as_deref(), args.scope.all_namespaces, Some(&args.why)))??
    {
        print(&format!("{installation}: stopped; nothing is done to any pod until `mainstay go`\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Releases the emergency stop.
pub fn run_go(args: &GoArgs) -> Result<ExitCode, CliError> {
    for installation in block_on(stop(args.scope.namespace.as_deref(), args.scope.all_namespaces, None))?? {
        print(&format!("{installation}: goes on\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The labels by which the chart marks the `ConfigMap`.
const SELECTOR: &str = "app.kubernetes.io/name=mainstay,app.kubernetes.io/component=stop";

/// Why the emergency stop could not be pulled or released.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// No cluster is configured.
    #[error("failed to find a cluster: {0}; set KUBECONFIG or choose a context")]
    Config(#[from] kube::config::InferConfigError),
    /// The cluster refused or did not answer.
    #[error("failed to reach the cluster: {0}")]
    Api(#[from] kube::Error),
    /// Nothing to pull.
    #[error("no installation of Mainstay in {0}: name its namespace with --namespace, or use --all-namespaces")]
    NotFound(String),
}

/// Pulls (`Some(why)`) or releases (`None`) the stop of every installation in a namespace, or in all of them.
/// Returns the installations that were reached, as `namespace/name`.
pub async fn stop(namespace: Option<&str>, all: bool, why: Option<&str>) -> Result<Vec<String>, StopError> {
    let config = kube::Config::infer().await?;
    let home = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
    let client = Client::try_from(config)?;
    let found: Api<ConfigMap> =
        if all { Api::all(client.clone()) } else { Api::namespaced(client.clone(), &home) };
    let found = found.list(&ListParams::default().labels(SELECTOR)).await?;
    if found.items.is_empty() {
        return Err(StopError::NotFound(if all { "the cluster".into() } else { format!("namespace {home}") }));
    }
    let mut reached = Vec::new();
    for map in found {
        let (namespace, name) = (map.namespace().unwrap_or_default(), map.name_any());
        let patch = json!({"metadata": {"annotations": {STOP_ANNOTATION: why}}});
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        reached.push(format!("{namespace}/{name}"));
    }
    Ok(reached)
}
