//! A network after validation.

use serde::{Deserialize, Serialize};

use crate::api::{Family, Network, Upgrades};

use super::BudgetLimit;

/// A validated network. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPlan {
    /// Its name.
    pub name: String,
    /// Uid of the object.
    pub uid: String,
    /// The family of its software.
    pub family: Family,
    /// What the chain calls itself.
    pub chain_id: String,
    /// How often a block is expected.
    pub block_time: u64,
    /// Namespaces that may have policies here.
    pub allowed_namespaces: Vec<String>,
    /// Nodes outside the cluster.
    pub references: Vec<Reference>,
    /// After so long without a block it is stalled.
    pub stalled_after: u64,
    /// Disruptive actions at once, over all policies.
    pub max_concurrent: u32,
    /// At most so many actions in so long, over all policies.
    #[serde(default)]
    pub budget: Vec<BudgetLimit>,
    /// Whether planned upgrades are read from the chain.
    pub upgrades: bool,
}

/// A node outside the cluster that is asked for the head.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Base address of its RPC.
    pub url: String,
    /// Base address of its Cosmos REST API.
    pub rest: Option<String>,
}

/// What is wrong with a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkProblem {
    /// An empty chain id would match nothing.
    #[error("spec.chainId is empty: write what the chain calls itself, such as cosmoshub-4")]
    NoChainId,
    /// The address of a reference is not one that may be asked.
    #[error("spec.references[{0}].url: write http:// or https:// and a host, without credentials")]
    Url(String),
    /// A number that the schema does not allow.
    #[error("spec.maxConcurrent is negative: write 0 for none, or how many at once")]
    MaxConcurrent,
    /// A number that the schema does not allow.
    #[error("spec.budget[].actions is negative: write 0 for none, or how many")]
    Budget,
}

fn is_plain(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['@', '?', '#']))
}

/// Validates a network. Stored objects may be older than the rules of the API server.
pub fn validate_network(network: &Network) -> Result<NetworkPlan, NetworkProblem> {
    let spec = &network.spec;
    if spec.chain_id.is_empty() {
        return Err(NetworkProblem::NoChainId);
    }
    let mut references = Vec::new();
    for reference in &spec.references {
        if ![Some(&reference.url), reference.rest.as_ref()].into_iter().flatten().all(|url| is_plain(url)) {
            return Err(NetworkProblem::Url(reference.name.clone()));
        }
        let base = |url: &String| url.trim_end_matches('/').to_owned();
        references.push(Reference {
            name: reference.name.clone(),
            url: base(&reference.url),
            rest: reference.rest.as_ref().map(base),
        });
    }
    let budget = spec.budget.iter().map(|budget| {
        let actions = u32::try_from(budget.actions).map_err(|_| NetworkProblem::Budget)?;
        Ok(BudgetLimit { actions, per: budget.per.as_millis() })
    });
    Ok(NetworkPlan {
        name: network.metadata.name.clone().unwrap_or_default(),
        uid: network.metadata.uid.clone().unwrap_or_default(),
        family: spec.family,
        chain_id: spec.chain_id.clone(),
        block_time: spec.block_time.as_millis(),
        allowed_namespaces: spec.allowed_namespaces.clone(),
        references,
        stalled_after: spec.stalled_after.as_millis(),
        budget: budget.collect::<Result<_, _>>()?,
        upgrades: spec.upgrades == Upgrades::FromChain,
        max_concurrent: u32::try_from(spec.max_concurrent).map_err(|_| NetworkProblem::MaxConcurrent)?,
    })
}
