//! Starts everything, and ends it in the order in which nothing is left half done.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, ConfigError},
    effect::{StopRef, event::Events},
    lead,
    notify::{DoorError, Notifier, heartbeat},
    serve::{self, Gate, ServeError, Vitals},
    signal::Testimony,
    telemetry::{self, Clock, SystemClock, address::Reach},
};

use super::{
    caches::{CountRestarts, scope, watch_all},
    clients::{Clients, ConnectError, MonoClock},
    context::{Context, Queues},
    failover, network, policy, queue, readiness, remediation, schema, sight,
    watch::{Key, WatchEnv},
};

/// How the operator was started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file; the default one may be missing.
    pub config: Option<PathBuf>,
    /// The namespaces that are looked after; empty: all.
    pub namespaces: Vec<String>,
    /// Where health and metrics are served, such as `0.0.0.0:8080`.
    pub listen: String,
    /// This installation, `namespace/name`: two must not share a network.
    pub installation: String,
    /// This replica, unique per process.
    pub identity: String,
    /// The pod that it runs in, if it does.
    pub pod: String,
    /// Whether failover groups are looked after.
    pub failover: bool,
    /// Whether a taint may say that a launcher's machine is off.
    pub node_off: bool,
}

/// Why the operator could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No cluster.
    #[error(transparent)]
    Client(#[from] ConnectError),
    /// No cluster is configured.
    #[error("failed to find the API server: {0}")]
    Cluster(#[from] kube::config::InferConfigError),
    /// No election.
    #[error(transparent)]
    Lead(#[from] lead::LeadError),
    /// No sinks.
    #[error(transparent)]
    Sinks(#[from] DoorError),
    /// No port.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// No probes.
    #[error("failed to make the client for probes: {0}")]
    Probes(#[from] telemetry::BuildError),
    /// The installation is not `namespace/name`.
    #[error("failed to read --installation {0}: write namespace/name")]
    Installation(String),
    /// A task that must not end ended.
    #[error("the task {0} ended by itself; the process ends with it, so that the next one starts whole")]
    Task(&'static str),
}

/// Probes under way at once, over all targets.
const SIMULTANEOUS_POLLS: usize = telemetry::SIMULTANEOUS_POLLS;
/// How long an end waits for what is under way.
const FAREWELL: Duration = Duration::from_secs(20);

/// Runs the operator until it is told to end.
pub async fn run(options: Options) -> Result<(), RunError> {
    let Some((namespace, name)) = options.installation.split_once('/') else {
        return Err(RunError::Installation(options.installation));
    };
    let config = Config::load(options.config.as_deref())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let vitals = Vitals::default();
    let stop = CancellationToken::new();
    let mut essential = JoinSet::new();

    let listener = serve::listen(&options.listen).await?;
    let (router, ended) = (serve::router(vitals.clone()), stop.clone());
    essential.spawn(async move {
        if let Err(error) = serve::serve(listener, router, ended.cancelled_owned()).await {
            tracing::error!(%error, "health and metrics");
        }
        "serve"
    });

    let cluster = kube::Config::infer().await?;
    let mono: MonoClock = {
        let clock = Arc::clone(&clock);
        Arc::new(move || clock.mono())
    };
    let clients = Clients::connect(cluster.clone(), &mono)?;
    let acted = TaskTracker::new();
    let no_more_acts = {
        let (stop, acted) = (stop.clone(), acted.clone());
        async move {
            stop.cancelled().await;
            acted.wait().await;
        }
    };
    let (lead, mut campaign) = lead::campaign(
        lead::client(cluster.clone())?,
        namespace,
        name,
        &options.identity,
        lead::Timing::default(),
        Arc::clone(&mono),
        no_more_acts,
    );

    let metrics = vitals.metrics.clone();
    let scope = scope(&options.namespaces);
    let env = WatchEnv {
        client: clients.watcher.clone(),
        cache_age: clients.cache_age.clone(),
        clock: mono,
        counters: Arc::new(CountRestarts(metrics.clone())),
    };
    let stores = watch_all(&env, &scope, options.failover, &mut essential);
    let ctx = Arc::new(Context {
        events: Events::new(clients.actuator.clone(), Some(options.identity.clone())),
        notifier: Notifier::new(&config.sinks, metrics.clone())?,
        server: clients.server.clone(),
        cache_age: clients.cache_age.clone(),
        stores,
        queues: Queues::default(),
        world: std::sync::Mutex::default(),
        asks: super::asks::AskBoard::default(),
        probes: telemetry::Client::new(Reach::PodsOnly, &addresses(&cluster))?,
        lead,
        metrics,
        clock,
        config,
        installation: options.installation.clone(),
        namespaces: options.namespaces,
        namespace: namespace.to_owned(),
        pod: options.pod,
        stop: StopRef { namespace: namespace.to_owned(), name: format!("{name}-stop") },
        known: super::context::Known::default(),
        failover: failover::Memory::default(),
        node_off: options.node_off,
        // The name of everything of this release that is the cluster's, as the chart makes it.
        guard: format!("{}-approval", options.installation.replace('/', ".")),
        clients,
    });
    measure(&ctx);
    start(&ctx, &vitals, &mut essential, &acted, &stop);

    let mut terminate = signal(SignalKind::terminate()).map_err(|_| RunError::Task("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|_| RunError::Task("signals"))?;
    let result = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = &mut campaign => Err(RunError::Task("leadership")),
        Some(ended) = essential.join_next() => Err(RunError::Task(ended.unwrap_or("by panic"))),
    };
    tracing::info!("ending: nothing new is begun, and what is under way comes to its next safe point");
    stop.cancel();
    acted.close();
    let farewell = async {
        acted.wait().await;
        if result.is_ok() {
            // Gives the lease back, now that nothing guarded runs.
            let _ = campaign.await;
        }
        ctx.notifier.idle().await;
    };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("not everything came to its end in time; the journal knows where it stands");
    }
    result
}

/// Starts the tasks that see, judge and act.
fn start(
    ctx: &Arc<Context>,
    vitals: &Vitals,
    essential: &mut JoinSet<&'static str>,
    acted: &TaskTracker,
    stop: &CancellationToken,
) {
    show(ctx, vitals);
    let (polls, waiting) = mpsc::channel(sight::WAITING_POLLS);
    let pulse = |name| vitals.liveness.pulse(name, Duration::from_secs(120));
    essential.spawn(named(
        "sight",
        sight::follow(Arc::clone(ctx), polls, SIMULTANEOUS_POLLS, pulse("sight"), stop.clone()),
    ));
    essential.spawn(named("file", sight::file(Arc::clone(ctx), waiting)));
    essential.spawn(named("tick", sight::tick(Arc::clone(ctx), pulse("tick"), stop.clone())));
    // No gate of readiness: a replica that does not lead is as ready as one that does.
    essential.spawn(named("lead", follow_leadership(Arc::clone(ctx), stop.clone())));
    essential
        .spawn(named("schema", schema::follow(Arc::clone(ctx), vitals.readiness.gate("schema"), stop.clone())));
    essential
        .spawn(named("caches", follow_caches(Arc::clone(ctx), vitals.readiness.gate("caches"), stop.clone())));

    let concurrency = usize::from(ctx.config.concurrency);
    let queues = &ctx.queues;
    let (policies, remediations, networks) =
        (Arc::clone(&queues.policies), Arc::clone(&queues.remediations), Arc::clone(&queues.networks));
    // What these do must be over before the lease is given back, so they are tracked, and ended by `stop`.
    acted.spawn(queue::run("policy", policies, Arc::clone(&ctx.clock), concurrency, stop.clone(), {
        let ctx = Arc::clone(ctx);
        move |key| policy::reconcile(Arc::clone(&ctx), key)
    }));
    acted.spawn(queue::run("remediation", remediations, Arc::clone(&ctx.clock), concurrency, stop.clone(), {
        let ctx = Arc::clone(ctx);
        move |key| remediation::reconcile(Arc::clone(&ctx), key)
    }));
    acted.spawn(queue::run("network", networks, Arc::clone(&ctx.clock), concurrency, stop.clone(), {
        let ctx = Arc::clone(ctx);
        move |key| network::reconcile(Arc::clone(&ctx), key)
    }));
    let gates = Arc::clone(&queues.gates);
    acted.spawn(queue::run("gate", gates, Arc::clone(&ctx.clock), concurrency, stop.clone(), {
        let ctx = Arc::clone(ctx);
        move |key| readiness::reconcile(Arc::clone(&ctx), key)
    }));

    if ctx.stores.failover.is_some() {
        let groups = Arc::clone(&queues.groups);
        acted.spawn(queue::run("failover", groups, Arc::clone(&ctx.clock), concurrency, stop.clone(), {
            let ctx = Arc::clone(ctx);
            move |key| failover::reconcile(Arc::clone(&ctx), key)
        }));
        essential.spawn(named("failover", failover::follow(Arc::clone(ctx), stop.clone())));
    }

    if let Some(config) = ctx.config.heartbeat.clone() {
        let (notifier, sender) = (ctx.notifier.clone(), ctx.installation.clone());
        let ctx = Arc::clone(ctx);
        let sees = move || {
            let ctx = Arc::clone(&ctx);
            async move { sees(&ctx) }
        };
        essential.spawn(named("heartbeat", heartbeat(notifier, config, sender, sees)));
    }
}

/// The addresses of the API server that are known without asking anybody: no probe goes there.
fn addresses(cluster: &kube::Config) -> Vec<IpAddr> {
    cluster.cluster_url.host().and_then(|host| host.trim_matches(['[', ']']).parse().ok()).into_iter().collect()
}

pub(super) async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Whether this operator sees: the dead man's signal stops when it does not.
fn sees(ctx: &Context) -> Result<(), String> {
    let age = ctx.own_facts().cache_age;
    if age > 120_000 {
        return Err(format!("nothing was heard of the pods for {} s", age / 1000));
    }
    Ok(())
}

/// A new leader looks at everything: what a former one left is resumed from the journal.
async fn follow_leadership(ctx: Arc<Context>, stop: CancellationToken) {
    let mut lead = ctx.lead.clone();
    while let Some(leads) = stop.run_until_cancelled(lead.changed()).await {
        tracing::info!(leads, "leadership");
        ctx.metrics.leader.set(i64::from(leads));
        if leads {
            look_at_everything(&ctx);
        }
    }
}

fn look_at_everything(ctx: &Context) {
    let now = ctx.clock.mono();
    readiness::wake_all(ctx);
    failover::wake_all(ctx);
    for object in ctx.stores.remediations.list() {
        if let (Some(namespace), Some(name)) = (object.metadata.namespace.clone(), object.metadata.name.clone()) {
            ctx.queues.remediations.push(Key { namespace, name }, now);
        }
    }
    for object in ctx.stores.policies.list() {
        if let (Some(namespace), Some(name)) = (object.metadata.namespace.clone(), object.metadata.name.clone()) {
            ctx.queues.policies.push(Key { namespace, name }, now);
        }
    }
    for object in ctx.stores.networks.list() {
        if let Some(name) = object.metadata.name.clone() {
            ctx.queues.networks.push(name, now);
        }
    }
    // What cannot be read is looked at too, for somebody must say so.
    for invalid in ctx.stores.policies.invalid() {
        ctx.queues.policies.push(invalid.key.clone(), now);
    }
    for invalid in ctx.stores.networks.invalid() {
        ctx.queues.networks.push(invalid.key.name.clone(), now);
    }
}

async fn follow_caches(ctx: Arc<Context>, gate: Gate, stop: CancellationToken) {
    loop {
        match ctx.stores.waiting() {
            None => gate.ready(),
            Some(what) => gate.waiting(what),
        }
        if stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Gauges that are only true when they are computed as they are asked for.
fn measure(ctx: &Arc<Context>) {
    let weak = Arc::downgrade(ctx);
    ctx.metrics.before_scrape(move |metrics| {
        let Some(ctx) = weak.upgrade() else { return };
        let verdicts = ctx.world().verdicts();
        for kind in crate::judge::VerdictKind::ALL {
            let count = i64::from(verdicts.get(&kind).copied().unwrap_or(0));
            metrics.targets.get_or_create(&serve::Verdict { verdict: kind.name() }).set(count);
        }
        let now = ctx.clock.mono();
        let queues = &ctx.queues;
        let oldest = [
            queues.policies.oldest(now),
            queues.remediations.oldest(now),
            queues.networks.oldest(now),
            queues.gates.oldest(now),
            queues.groups.oldest(now),
        ];
        metrics.oldest_reconcile.set(seconds(oldest.into_iter().max().unwrap_or(0)));
        for kind in ["pods", "networks", "nodehealthpolicies", "noderemediations"] {
            if let Some(age) = ctx.cache_age.age(kind, now) {
                metrics.cache_age.get_or_create(&serve::CacheKind { kind }).set(seconds(age));
            }
        }
    });
}

/// What this replica sees, for the others to ask.
fn show(ctx: &Arc<Context>, vitals: &Vitals) {
    let weak = Arc::downgrade(ctx);
    vitals.outlook.opens(move |policy, pod| match weak.upgrade() {
        Some(ctx) => ctx.world().testimony(policy, pod, ctx.clock.mono()),
        None => Testimony::Unknown { why: "ending".into() },
    });
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}
