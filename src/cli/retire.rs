//! `mainstay retire`: ends what is under way, so that an uninstall leaves nothing stuck.
//!
//! Run by the chart before its objects are removed. It pulls nothing down: pods that were asked to go have gone, and
//! their workloads make them anew without us.

use std::process::ExitCode;

use kube::{Api, Client, api::ListParams};

use super::{CliError, block_on, print};

use crate::{
    api::{Network, NodeRemediation, Phase},
    controller::entry::step_of,
    effect::{self, journal, ledger as ledgers},
    plan::{ledger, ownership},
    remedy::{End, Entry},
    signal::Server,
};

/// What is retired.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The namespaces that were looked after, separated by commas; without it all of them
    #[arg(long, value_delimiter = ',', env = "MAINSTAY_NAMESPACES")]
    namespaces: Vec<String>,
    /// This installation, as namespace/name
    #[arg(long, default_value = "mainstay-system/mainstay", env = "MAINSTAY_INSTALLATION")]
    installation: String,
}

/// Retires the installation.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let namespaces: Vec<_> = args.namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
    let ended = block_on(async {
        let config = kube::Config::infer().await.map_err(|error| RetireError::Cluster(error.to_string()))?;
        let client = Client::try_from(config)?;
        let now = crate::telemetry::Clock::wall(&crate::telemetry::SystemClock::start());
        retire(&client, &args.installation, &namespaces, Server(now.0)).await
    })??;
    print(&format!("{ended} remediations were under way and have ended\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Why something may be left.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// No cluster is configured.
    #[error("failed to find the API server: {0}")]
    Cluster(String),
    /// The cluster refused or did not answer.
    #[error("failed to list networks, remediations and pods: {0}")]
    List(#[from] kube::Error),
    /// A network could not be left.
    #[error("failed to leave network {0}: {1}")]
    Leave(String, String),
    /// One could not be ended.
    #[error("failed to end remediation {0}: {1}")]
    End(String, String),
}

/// Leaves the networks of this installation, so that it begins nothing more; then ends every remediation of these
/// namespaces (all, if none is named), frees its seat and lets the object go, and brings every pod that is out of rotation
/// back in. Returns how many remediations there were.
pub async fn retire(
    client: &Client,
    installation: &str,
    namespaces: &[String],
    now: Server,
) -> Result<usize, RetireError> {
    for network in Api::<Network>::all(client.clone()).list_metadata(&ListParams::default()).await? {
        let name = network.metadata.name.unwrap_or_default();
        let leave = |record: &_| Ok::<_, std::convert::Infallible>(ownership::leave(record, installation, now));
        let left = ledgers::swap(client, &name, leave).await;
        left.map_err(|error| RetireError::Leave(name, error.to_string()))?;
    }
    let mut ended = 0;
    for scope in effect::scopes::<NodeRemediation>(client, namespaces) {
        // By their metadata, and one by one: one that this build cannot read must not keep the others, or the uninstall.
        for listed in effect::listed(&scope, &ListParams::default()).await? {
            if !journal::holds(&listed.metadata) {
                continue;
            }
            let name = listed.metadata.name.clone().unwrap_or_default();
            let namespace = listed.metadata.namespace.clone().unwrap_or_default();
            let done = match Api::<NodeRemediation>::namespaced(client.clone(), &namespace).get_opt(&name).await {
                Ok(Some(object)) => end(client, object, now).await,
                Ok(None) => Ok(()),
                Err(kube::Error::SerdeError(error)) => {
                    tracing::warn!(namespace, name, %error, "cannot be read: let go; its seat is reclaimed in time");
                    journal::let_go_unread(client, &listed.metadata).await
                }
                Err(error) => return Err(error.into()),
            };
            done.map_err(|error| RetireError::End(name, error.to_string()))?;
            ended += 1;
        }
    }
    effect::bring_all_back(client, namespaces, now).await?;
    Ok(ended)
}

async fn end(client: &Client, mut object: NodeRemediation, now: Server) -> Result<(), effect::Failed> {
    // The operator may still be writing; whoever loses reads again.
    for _ in 0..5 {
        let phase = object.status.as_ref().map(|status| status.phase).unwrap_or_default();
        if !phase.is_final() {
            let entry = Entry {
                phase: match phase {
                    Phase::Pending | Phase::AwaitingApproval => Phase::Withdrawn,
                    _ => Phase::Failed,
                },
                reason: "Uninstalled".into(),
                message: "Mainstay was uninstalled; what was asked of the cluster goes on without it".into(),
                deadline: None,
                acted_at: None,
                replacement: String::new(),
            };
            let status = crate::controller::report::journal_status(&object, &entry, now);
            match journal::write_status(client, &object, status).await {
                Ok(written) => object = written,
                Err(effect::Failed { outcome: effect::Outcome::Moved(_), .. }) => {
                    let (namespace, name) = (object.metadata.namespace.clone(), object.metadata.name.clone());
                    let found =
                        journal::get(client, &namespace.unwrap_or_default(), &name.unwrap_or_default()).await?;
                    match found {
                        Some(live) => object = live,
                        None => return Ok(()),
                    }
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let status = object.status.clone().unwrap_or_default();
        let ended = End::of(status.phase, &status.reason, status.acted_at);
        let spec = &object.spec;
        let claim = ledger::Claim {
            remediation: &uid,
            policy: &spec.policy.uid,
            slot: &spec.target.slot,
            attempt: spec.attempt,
            step: step_of(&spec.action),
            acted_at: status.acted_at.map(Server),
        };
        let free = |record: &_| {
            Ok::<_, std::convert::Infallible>(ledger::release(record, &claim, ended.acted, ended.exhausted))
        };
        if let Err(error) = ledgers::swap(client, &object.spec.network, free).await {
            tracing::warn!(%error, "could not free a seat; it is reclaimed when its deadline has passed");
        }
        return journal::let_go(client, &object).await;
    }
    Ok(())
}
