//! Named queries: one task per policy and source, which asks about all of its targets at once.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config,
    policy::{Policy, Source, SourceKind},
    signal::{Mono, Poll, Signal, Unknown},
    telemetry::{Client, History, Prometheus, Query},
};

use super::{context::Context, running::Running, sight::ProbeKey, watch::Key};
use crate::world::TargetKey;

/// One source of one policy that is a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    policy: Key,
    source: Source,
}

/// The running queries.
#[derive(Default)]
pub(super) struct Queries(Running<Wanted>);

impl Queries {
    /// Starts what these policies want, and stops the rest.
    pub fn follow(
        &mut self,
        ctx: &Arc<Context>,
        client: &Client,
        policies: &[Policy],
        out: &mpsc::Sender<(ProbeKey, Poll)>,
        stop: &CancellationToken,
    ) {
        self.0.follow(policies.iter().flat_map(wanted).collect(), stop, |query, running| {
            let task = ask(Arc::clone(ctx), client.clone(), query, out.clone());
            tokio::spawn(running.run_until_cancelled_owned(task));
        });
    }
}

fn wanted(policy: &Policy) -> impl Iterator<Item = Wanted> + '_ {
    let key = Key { namespace: policy.id.namespace.clone(), name: policy.id.name.clone() };
    let queries = policy.sources.iter().filter(|source| source.kind.is_a_query()).cloned();
    queries.map(move |source| Wanted { policy: key.clone(), source })
}

/// Asks until it is stopped.
async fn ask(ctx: Arc<Context>, client: Client, wanted: Wanted, out: mpsc::Sender<(ProbeKey, Poll)>) {
    let Wanted { policy, source } = wanted;
    let SourceKind::Prometheus { query: name, target_label, signal } = &source.kind else { return };
    let query = |text: String| Query {
        text,
        namespace: policy.namespace.clone(),
        target_label: target_label.clone(),
        signal: *signal,
        stale_after: source.stale_after(),
        timeout: Duration::from_millis(source.timeout),
    };
    // What happened before the start, so that a hold is not begun anew with every restart of the operator.
    if let Ok((server, text)) = server(&ctx.config, &client, name).await {
        match server.history(&query(text), HISTORY, ctx.clock.as_ref()).await {
            Ok(history) => remember(&ctx, &policy, &source, *signal, &history),
            Err(why) => tracing::debug!(policy = %policy.name, query = name, %why, "no history"),
        }
    }
    loop {
        let targets = ctx.world().pods_of(&policy);
        let names: Vec<String> = targets.iter().map(|(name, _)| name.clone()).collect();
        let told = match server(&ctx.config, &client, name).await {
            Ok((server, text)) => server.ask(&query(text), &names, ctx.clock.as_ref()).await,
            Err(why) => {
                let now = ctx.clock.mono();
                let poll = Poll {
                    asked_at: now,
                    observed_at: now,
                    values: vec![(*signal, Err(Unknown::OurSide(why)))],
                    ..Poll::default()
                };
                names.iter().map(|name| (name.clone(), poll.clone())).collect()
            }
        };
        for ((_, uid), (_, poll)) in targets.into_iter().zip(told) {
            let target = TargetKey { policy: policy.clone(), uid };
            if out.send((ProbeKey::new(target, &source), poll)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(source.every)).await;
    }
}

/// So far back one asks at the start.
const HISTORY: Duration = Duration::from_secs(3600);

fn remember(ctx: &Context, policy: &Key, source: &Source, signal: Signal, history: &History) {
    let (now, wall) = (ctx.clock.mono(), ctx.clock.wall());
    for (name, uid) in ctx.world().pods_of(policy) {
        let Some(points) = history.get(&name) else { continue };
        let polls: Vec<Poll> = points
            .iter()
            .map(|(at, value)| {
                let ago = u64::try_from(wall.0.saturating_sub(at.0)).unwrap_or(0);
                let at = Mono(now.0.saturating_sub(ago));
                Poll {
                    asked_at: at,
                    observed_at: at,
                    values: vec![(signal, Ok(value.clone()))],
                    ..Poll::default()
                }
            })
            .collect();
        let target = TargetKey { policy: policy.clone(), uid };
        ctx.world().remember(&target, &source.name, &polls, now);
        ctx.queues.policies.push(policy.clone(), now);
    }
}

/// The server of the operator's configuration, and the text of the query of this name.
async fn server(config: &config::Config, client: &Client, name: &str) -> Result<(Prometheus, String), String> {
    let prometheus = config.prometheus.as_ref();
    let prometheus = prometheus.ok_or("the operator's configuration names no prometheus")?;
    let text = prometheus.queries.get(name).ok_or_else(|| {
        let known: Vec<_> = prometheus.queries.keys().map(String::as_str).collect();
        format!("the operator's configuration has no query \"{name}\"; it has [{}]", known.join(", "))
    })?;
    let authorization = match prometheus.server.authorization_file.clone() {
        None => None,
        // Read at each use, for it rotates.
        Some(file) => {
            let read = tokio::task::spawn_blocking(move || {
                std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
            });
            Some(read.await.map_err(|error| error.to_string())??.trim().to_owned())
        }
    };
    Ok((Prometheus::new(client.clone(), prometheus.server.url.as_str(), authorization), text.clone()))
}
