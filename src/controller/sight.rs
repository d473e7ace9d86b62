//! Keeps the world true: takes over what the caches say, runs the probes it wants, and files what they tell.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    policy::{self, NetworkPlan, Policy, Reference, validate, validate_network},
    serve,
    signal::{Mono, Poll, Signal},
    telemetry::{AnySource, Client, Probe, Runner, Source, Target, reference_every},
    world::{TargetKey, Touched, Wanted},
};

use super::{
    context::Context,
    queries::Queries,
    readiness,
    remediation::{Standing, policy_of},
    running::Running,
    watch::Key,
};

/// The world is taken over from the caches at least this often.
const SYNC: Duration = Duration::from_secs(5);
/// Holds expire by the clock; this is how closely it is watched.
const TICK: Duration = Duration::from_millis(250);
/// Polls that wait to be filed.
pub const WAITING_POLLS: usize = 4096;

/// Which probe of which target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProbeKey {
    /// Which target.
    pub target: TargetKey,
    /// The source's name.
    pub source: String,
    /// The kind of the source, as metrics call it.
    pub kind: &'static str,
}

// === impl ProbeKey ===

impl ProbeKey {
    /// The probe of this source of this target.
    #[must_use]
    pub fn new(target: TargetKey, source: &policy::Source) -> Self {
        Self { target, source: source.name.clone(), kind: source.kind.name() }
    }
}

/// Runs the probes that the world wants, and stops the others.
struct Probes {
    runner: Runner<ProbeKey>,
    client: Client,
    running: Running<Wanted>,
    references: Running<(NetworkPlan, Reference)>,
    queries: Queries,
    out: mpsc::Sender<(ProbeKey, Poll)>,
}

/// Takes over what the caches say, whenever they change and every few seconds, until `stop`.
pub async fn follow(
    ctx: Arc<Context>,
    polls: mpsc::Sender<(ProbeKey, Poll)>,
    simultaneous: usize,
    pulse: serve::Pulse,
    stop: CancellationToken,
) {
    let runner = Runner::new(Arc::clone(&ctx.clock), polls.clone(), simultaneous);
    let mut probes = Probes {
        runner,
        client: ctx.probes.clone(),
        running: Running::default(),
        references: Running::default(),
        queries: Queries::default(),
        out: polls,
    };
    let stores = &ctx.stores;
    let (mut pods, mut policies) = (stores.pods.subscribe(), stores.policies.subscribe());
    let (mut networks, mut remediations) = (stores.networks.subscribe(), stores.remediations.subscribe());
    while !stop.is_cancelled() {
        pulse.beat();
        sync(&ctx, &mut probes, &stop);
        let now = || ctx.clock.mono();
        tokio::select! {
            () = stop.cancelled() => {}
            changed = pods.changed() => readiness::wake(&ctx, changed),
            changed = policies.changed() => {
                for key in changed {
                    ctx.queues.policies.push(key, now());
                }
            }
            changed = networks.changed() => {
                for key in changed {
                    ctx.queues.networks.push(key.name, now());
                }
            }
            changed = remediations.changed() => wake_remediations(&ctx, changed),
            () = tokio::time::sleep(SYNC) => {}
        }
    }
}

fn wake_remediations(ctx: &Context, changed: Vec<Key>) {
    let now = ctx.clock.mono();
    for key in changed {
        if let Some(object) = ctx.stores.remediations.get(&key.namespace, &key.name)
            && object.phase().is_final()
            && let Some(policy) = policy_of(&object)
        {
            ctx.queues.policies.push(policy, now);
            // Whose seat should be free now.
            ctx.queues.networks.push(object.spec.network.clone(), now);
        }
        ctx.queues.remediations.push(key, now);
    }
}

fn sync(ctx: &Arc<Context>, probes: &mut Probes, stop: &CancellationToken) {
    let networks: Vec<NetworkPlan> =
        ctx.stores.networks.list().iter().filter_map(|network| validate_network(network).ok()).collect();
    let policies: Vec<Policy> = ctx
        .stores
        .policies
        .list()
        .iter()
        .filter_map(|policy| {
            let network = networks.iter().find(|network| network.name == policy.spec.network)?;
            validate(policy, network.family).ok()
        })
        .collect();
    let now = ctx.clock.mono();
    let age = ctx.cache_age.age("pods", now).unwrap_or(0);
    let seen_at = Mono(now.0.saturating_sub(age));
    let wanted = ctx.world().sync(networks.clone(), policies.clone(), &ctx.stores.pods.list(), seen_at, now);
    probes.follow(ctx, wanted.into_iter().collect(), stop);
    probes.follow_references(ctx, &networks, stop);
    let (client, out) = (probes.client.clone(), probes.out.clone());
    probes.queries.follow(ctx, &client, &policies, &out, stop);
}

impl Probes {
    fn follow(&mut self, ctx: &Context, wanted: HashSet<Wanted>, stop: &CancellationToken) {
        let (runner, client) = (&self.runner, &self.client);
        self.running.follow(wanted, stop, |probe, running| {
            let key = ProbeKey::new(probe.target.clone(), &probe.source);
            let network = &probe.network;
            let target = Target {
                ip: probe.ip,
                ports: &probe.ports,
                chain_id: &network.chain_id,
                family: network.family,
                references: &network.references,
            };
            if let Some(source) = AnySource::at(target, &probe.source, client) {
                let every = Duration::from_millis(probe.source.every);
                let asks = ctx.asks.of(&network.name);
                tokio::spawn(runner.run(Probe { key, source, every, asks }, running));
            }
        });
    }

    fn follow_references(&mut self, ctx: &Arc<Context>, networks: &[NetworkPlan], stop: &CancellationToken) {
        let wanted = networks
            .iter()
            .flat_map(|network| network.references.iter().map(|reference| (network.clone(), reference.clone())));
        let client = &self.client;
        self.references.follow(wanted.collect(), stop, |(network, reference), running| {
            let task = watch_reference(Arc::clone(ctx), client.clone(), network, reference);
            tokio::spawn(running.run_until_cancelled_owned(task));
        });
    }
}

/// Asks one reference what it sees, for as long as it is wanted.
async fn watch_reference(ctx: Arc<Context>, client: Client, network: NetworkPlan, reference: Reference) {
    let every = reference_every(Duration::from_millis(network.block_time));
    let timeout = every.min(Duration::from_secs(5));
    let source = AnySource::of_reference(network.family, &network.chain_id, &reference, &client, timeout);
    let Some(mut source) = source else { return };
    let asks = ctx.asks.of(&network.name);
    loop {
        let heights = Arc::clone(&asks.borrow());
        let poll = source.poll(ctx.clock.as_ref(), &heights).await;
        let now = ctx.clock.mono();
        let touched = ctx.world().file_reference(&network.name, &reference.name, &poll, now);
        wake(&ctx, touched);
        tokio::time::sleep(every).await;
    }
}

/// Files what the probes tell, until they are gone.
pub async fn file(ctx: Arc<Context>, mut polls: mpsc::Receiver<(ProbeKey, Poll)>) {
    while let Some((key, poll)) = polls.recv().await {
        ctx.metrics.polls.get_or_create(&serve::Poll { source: key.kind, result: result(&poll) }).inc();
        let now = ctx.clock.mono();
        let touched = ctx.world().file(&key.target, &key.source, &poll, now);
        wake(&ctx, touched);
    }
}

/// How a poll went. Feeds, wallets and queries are read elsewhere and do not say whether the target is reachable.
fn result(poll: &Poll) -> &'static str {
    match poll.value(Signal::Reachable) {
        Some(Ok(reachable)) if reachable.whole() == Some(1) => "answered",
        Some(Ok(_)) => "silent",
        None if poll.values.iter().any(|(_, value)| value.is_ok()) => "answered",
        Some(Err(_)) | None => "unknown",
    }
}

/// Judges by the clock, until `stop`.
pub async fn tick(ctx: Arc<Context>, pulse: serve::Pulse, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        pulse.beat();
        let now = ctx.clock.mono();
        let (touched, asks) = {
            let mut world = ctx.world();
            (world.tick(now), world.asks())
        };
        ctx.asks.publish(asks);
        wake(&ctx, touched);
    }
}

fn wake(ctx: &Context, touched: Touched) {
    let now = ctx.clock.mono();
    for verdict in touched.turned {
        ctx.metrics.verdict_transitions.get_or_create(&serve::Verdict { verdict: verdict.name() }).inc();
    }
    for policy in touched.policies {
        ctx.queues.policies.push(policy, now);
    }
    for network in touched.networks {
        ctx.queues.networks.push(network, now);
    }
}

#[cfg(test)]
mod tests {
    use crate::signal::{Unknown, Value};

    use super::*;

    #[test]
    fn a_poll_counts_as_what_it_was() {
        let poll =
            |values: &[(Signal, Result<Value, Unknown>)]| Poll { values: values.to_vec(), ..Poll::default() };
        let ours = || Err(Unknown::OurSide("no way there".into()));
        for (values, expected) in [
            (vec![(Signal::Reachable, Ok(Value::Whole(1)))], "answered"),
            (vec![(Signal::Reachable, Ok(Value::Whole(0))), (Signal::Head, Ok(Value::Whole(9)))], "silent"),
            (vec![(Signal::Reachable, ours())], "unknown"),
            (vec![(Signal::FeedAge, ours()), (Signal::FeedOverdue, Ok(Value::Whole(0)))], "answered"),
            (vec![(Signal::FeedAge, ours())], "unknown"),
            (vec![], "unknown"),
        ] {
            assert_eq!(result(&poll(&values)), expected, "{values:?}");
        }
    }
}
