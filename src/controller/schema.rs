//! Which schema the cluster has. An operator that meets an older one than its own only observes, and says so.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release},
    },
    time::Duration,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt, core::PartialObjectMeta};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{SCHEMA, SCHEMA_ANNOTATION},
    effect::approvals,
    serve::Gate,
};

use super::{
    clients::{DEADLINE, deadline},
    context::Context,
    policy, rotation,
};

/// The custom resources that must be there.
const NAMES: [&str; 8] = [
    "networks.mainstay.dev",
    "networkledgers.mainstay.dev",
    "nodehealthpolicies.mainstay.dev",
    "noderemediations.mainstay.dev",
    "remediationapprovals.mainstay.dev",
    "failovergroups.mainstay.dev",
    "signingidentities.mainstay.dev",
    "signingorders.mainstay.dev",
];

/// The cluster's schema is asked for so often, and old journal entries are forgotten.
const EVERY: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// This build's.
    Current,
    /// Newer: a later version is here, or was. It may have written what this build cannot read.
    Later,
    /// There, but older.
    Older(String),
    /// Not there, or not readable.
    Missing(String),
}

/// Asks the cluster for its schema.
pub async fn ask(client: &Client) -> Schema {
    let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client.clone());
    let mut newest = SCHEMA;
    for name in NAMES {
        let found = match deadline(DEADLINE, api.get(name)).await {
            Ok(found) => found,
            Err(error) => return Schema::Missing(format!("CustomResourceDefinition {name}: {error}")),
        };
        let version = found.annotations().get(SCHEMA_ANNOTATION).and_then(|version| version.parse::<u32>().ok());
        if version.is_none_or(|version| version < SCHEMA) {
            let version = version.map_or("none".to_owned(), |version| version.to_string());
            return Schema::Older(format!("{name} has schema {version}, this operator writes {SCHEMA}"));
        }
        newest = newest.max(version.unwrap_or_default());
    }
    if newest > SCHEMA { Schema::Later } else { Schema::Current }
}

/// Follows the schema and what guards approvals, for as long as the operator runs; the leader clears up meanwhile.
pub async fn follow(ctx: Arc<Context>, gate: Gate, stop: CancellationToken) {
    let mut every = Duration::from_secs(2);
    loop {
        let found = ask(&ctx.clients.reader).await;
        // First: nothing is done before the other says that it may be.
        ctx.known.schema_later.store(found == Schema::Later, Relaxed);
        ctx.known.schema_current.store(matches!(found, Schema::Current | Schema::Later), Release);
        match found {
            Schema::Current | Schema::Later => {
                gate.ready();
                every = EVERY;
            }
            Schema::Older(what) => {
                tracing::warn!(what, "the cluster's schema is older than this operator: it only observes");
                gate.ready();
                every = EVERY;
            }
            Schema::Missing(what) => {
                gate.waiting(what);
                every = (every * 2).min(EVERY);
            }
        }
        ctx.known
            .approvals_guarded
            .store(approvals::guarded(&ctx.clients.reader, &ctx.guard).await.is_some(), Relaxed);
        if ctx.leads() {
            policy::sweep(&ctx).await;
            rotation::sweep(&ctx).await;
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    /// What the cluster has, if all definitions have this build's schema but one.
    async fn found(odd: Option<u32>) -> Schema {
        let definition = |schema: u32| {
            let annotations = json!({SCHEMA_ANNOTATION: schema.to_string()});
            Answer::json(200, json!({"metadata": {"name": "x", "annotations": annotations}}))
        };
        let all = (1..NAMES.len()).map(|_| definition(SCHEMA));
        let (client, _) = Fake::answering(std::iter::once(definition(odd.unwrap_or(SCHEMA))).chain(all));
        ask(&client).await
    }

    #[tokio::test]
    async fn a_newer_schema_is_told_from_ones_own() {
        assert_eq!(found(None).await, Schema::Current);
        assert_eq!(found(Some(SCHEMA + 1)).await, Schema::Later);
        assert!(matches!(found(Some(SCHEMA - 1)).await, Schema::Older(_)));
    }
}
