//! Every number that Mainstay publishes. Labels are closed sets: no name, address or sentence is ever one.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

/// A gauge of a quantity that is not a whole number.
pub type Real = Gauge<f64, AtomicU64>;

/// From half a second, a slow answer, to an hour, a resync.
const HEAL_BUCKETS: [f64; 14] =
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),+ })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $name { $(
            #[doc = concat!("The label `", stringify!($field), "`: one of a closed set.")]
            pub $field: &'static str,
        )+ }
    )*};
}

labels! {
    /// The verdict that a target has, or has now.
    Verdict { verdict }
    /// The guard that held.
    Guard { guard }
    /// What a remediation did and how it ended.
    ActionResult { action, result }
    /// A call to the API server that changes something, and what became of it.
    Effect { effect, outcome }
    /// A family of telemetry sources, and what a poll brought.
    Poll { source, result }
    /// A kind of sink, and what became of a notice.
    NoticeResult { sink_kind, result }
    /// A controller and the kind of its error.
    Controller { controller, kind }
    /// A watched kind.
    WatchKind { kind }
    /// A cached kind.
    CacheKind { kind }
}

/// How far a healing has come; each is measured from the breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The verdict turned.
    Detected,
    /// The API server accepted the act.
    Acted,
    /// The verdict is Healthy again.
    Healthy,
}

/// The label of a healing's stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabel {
    /// The stage.
    pub stage: Stage,
}

type Heal = Family<StageLabel, Histogram, fn() -> Histogram>;
type Refresh = Box<dyn Fn(&Metrics) + Send + Sync>;

/// The metric families. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metrics {
    /// Changes of verdicts, by the new one.
    pub verdict_transitions: Family<Verdict, Counter>,
    /// Acts that a guard refused.
    pub refusals: Family<Guard, Counter>,
    /// Remediations that came to an end.
    pub remediations: Family<ActionResult, Counter>,
    /// Calls that change something.
    pub effects: Family<Effect, Counter>,
    /// Polls of telemetry sources.
    pub polls: Family<Poll, Counter>,
    /// Notices to sinks.
    pub notices: Family<NoticeResult, Counter>,
    /// Reconciles that failed.
    pub reconcile_errors: Family<Controller, Counter>,
    /// Watches that began anew.
    pub watch_restarts: Family<WatchKind, Counter>,
    /// Targets by their verdict now.
    pub targets: Family<Verdict, Gauge>,
    /// 1 while this replica leads.
    pub leader: Gauge,
    /// Seconds since a watch last heard from the API server.
    pub cache_age: Family<CacheKind, Real>,
    /// When a heartbeat last arrived at a sink, in seconds since the Unix epoch.
    pub heartbeat: Real,
    /// The age of the oldest running reconcile in seconds; 0 when none runs.
    pub oldest_reconcile: Real,
    /// Seconds from a breach to each stage of its healing.
    pub heal: Heal,
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    refresh: Mutex<Vec<Refresh>>,
}

// === impl Stage ===

impl EncodeLabelValue for Stage {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::Detected => "detected",
            Self::Acted => "acted",
            Self::Healthy => "healthy",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mainstay");
        let r = &mut registry;
        Self {
            verdict_transitions: counted(r, "verdict_transitions", "Changes of verdicts, by the new one"),
            refusals: counted(r, "refusals", "Acts that a guard refused"),
            remediations: counted(r, "remediations", "Remediations that came to an end"),
            effects: counted(r, "effects", "Calls that change something in the cluster"),
            polls: counted(r, "polls", "Polls of telemetry sources"),
            notices: counted(r, "notices", "Notices to sinks"),
            reconcile_errors: counted(r, "reconcile_errors", "Reconciles that failed"),
            watch_restarts: counted(r, "watch_restarts", "Watches that began anew"),
            targets: counted(r, "targets", "Targets by their verdict now"),
            leader: counted(r, "leader", "1 while this replica leads"),
            cache_age: counted(r, "cache_age_seconds", "Seconds since a watch last heard from the API server"),
            heartbeat: counted(r, "heartbeat_timestamp_seconds", "When a heartbeat last arrived at a sink"),
            oldest_reconcile: counted(r, "oldest_reconcile_seconds", "Age of the oldest running reconcile"),
            heal: registered(
                r,
                "heal_seconds",
                "Seconds from a breach to each stage of its healing",
                Family::new_with_constructor(|| Histogram::new(HEAL_BUCKETS)),
            ),
            inner: Arc::new(Inner { registry, refresh: Mutex::default() }),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Runs `refresh` before each scrape: ages grow by themselves and are only true when computed then. It must be
    /// quick and must not add another.
    pub fn before_scrape(&self, refresh: impl Fn(&Self) + Send + Sync + 'static) {
        self.inner.refresh.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(refresh));
    }

    /// One stage of a healing, so many seconds after the breach began.
    pub fn healed(&self, stage: Stage, seconds: f64) {
        self.heal.get_or_create(&StageLabel { stage }).observe(seconds);
    }

    /// All of it as `OpenMetrics` text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        for refresh in self.inner.refresh.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            refresh(self);
        }
        let mut body = String::new();
        text::encode(&mut body, &self.inner.registry)?;
        Ok(body)
    }
}

fn counted<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    registered(registry, name, help, M::default())
}

fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
