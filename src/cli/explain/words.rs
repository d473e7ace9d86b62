//! A policy in plain words. Each line ends with where its value comes from.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    api::{
        Duration, HealthyShare, NodeHealthPolicy, Threshold,
        policy::{Mode, PortName, Role, Severity},
    },
    policy::{Condition, Policy, Rule, Source, SourceKind, Trigger, preset, required_healthy},
    signal::Unit,
};

/// One screen about a policy.
pub fn explain(object: &NodeHealthPolicy, policy: &Policy) -> String {
    let mut page = Page(String::new());
    page.head(policy);
    page.sources(object, policy);
    page.rules(object, policy);
    page.ladder(object, policy);
    page.guards(object, policy);
    page.0
}

mod ladder;

struct Page(String);

impl Page {
    fn title(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n{text}");
    }

    /// A line with its origin in a column of its own.
    fn line(&mut self, text: &str, own: bool) {
        self.origin(text, if own { "policy" } else { "preset" });
    }

    /// A line whose preset value comes from somewhere.
    fn from(&mut self, text: &str, own: bool, whence: &str) {
        if own { self.line(text, true) } else { self.origin(text, &format!("preset: {whence}")) }
    }

    fn origin(&mut self, text: &str, origin: &str) {
        let _ = writeln!(self.0, "  {text:<96}  {origin}");
    }

    fn head(&mut self, policy: &Policy) {
        let role = match policy.role {
            Role::FullNode => "full node",
            Role::Sentry => "sentry",
            Role::Validator => "validator",
            Role::Signer => "signer",
            Role::Relayer => "relayer",
            Role::Oracle => "oracle",
        };
        let mode = match policy.mode {
            Mode::Observe => "Mainstay gives verdicts and does nothing (mode Observe).",
            Mode::DryRun => "Mainstay writes down each step it would have taken, and takes none (mode DryRun).",
            Mode::Approve => "Mainstay acts on each step that people have approved (mode Approve).",
            Mode::Enforce => "Mainstay acts by itself (mode Enforce).",
        };
        let (id, selector) = (&policy.id, policy.selector.notation());
        let place =
            if id.namespace.is_empty() { String::new() } else { format!(" in namespace {}", id.namespace) };
        let _ = writeln!(self.0, "NodeHealthPolicy {}{place}", id.name);
        let _ = writeln!(self.0, "  Every pod with {selector} is a {role} of network {}.", policy.network);
        let _ = writeln!(self.0, "  {mode}");
        let _ = writeln!(
            self.0,
            "  On a pod that two policies select, the one with the higher priority acts; this one's is {}.",
            policy.priority
        );
        let sinks = if policy.sinks.is_empty() { "nobody".into() } else { policy.sinks.join(", ") };
        let _ = writeln!(self.0, "  Told of remediations and pages: {sinks}.");
        let _ = writeln!(
            self.0,
            "\nPreset: {:?}, {role}. Each line below ends with where its value comes from.",
            policy.family
        );
    }

    fn sources(&mut self, object: &NodeHealthPolicy, policy: &Policy) {
        self.title("What is asked");
        for source in &policy.sources {
            let Source { name, kind, every, timeout } = source;
            let own = object.spec.telemetry.iter().any(|written| written.name == *name);
            let text = format!(
                "{name}: {} every {}, answer within {}; known for {}",
                asked(kind),
                duration(*every),
                duration(*timeout),
                duration(source.stale_after())
            );
            self.line(&text, own);
        }
    }

    fn rules(&mut self, object: &NodeHealthPolicy, policy: &Policy) {
        self.title("When a target is not healthy");
        let own = |name: &str| object.spec.rules.iter().any(|rule| rule.name == name);
        let preset = preset(policy.family, policy.role).rules;
        for severity in [Severity::Critical, Severity::Quarantine, Severity::Warning] {
            for rule in policy.rules.iter().filter(|rule| rule.severity == severity) {
                match preset.iter().find(|(of, _)| of.name == rule.name && !own(&rule.name)) {
                    Some((_, why)) => self.origin(&sentence(rule), &format!("preset: {why}")),
                    None => self.line(&sentence(rule), true),
                }
            }
        }
        for (rule, _) in preset.iter().filter(|(of, _)| policy.rules.iter().all(|kept| kept.name != of.name)) {
            if own(&rule.name) {
                self.line(&format!("{}: disabled", rule.name), true);
            } else {
                let why = format!("{}: not judged, no source offers {}", rule.name, rule.signal.name());
                self.line(&why, false);
            }
        }
    }

    fn guards(&mut self, object: &NodeHealthPolicy, policy: &Policy) {
        self.title("What holds Mainstay back");
        let (written, limits) = (&object.spec.guard, &policy.limits);
        let share = match limits.min_healthy {
            HealthyShare::Count(count) => format!("{count} of the other targets must be healthy"),
            HealthyShare::Percent(percent) => {
                format!(
                    "{percent}% of all targets must be healthy besides the one that is helped, or else all the others"
                )
            }
        };
        self.from(&share, written.min_healthy.is_some(), "medik8s' node health check: 51%");
        let at_once = format!("at most {} at once (0: no automatic action)", actions(limits.max_concurrent));
        self.line(&at_once, written.max_concurrent.is_some());
        for limit in &limits.budget {
            let budget = format!("at most {} in {}", actions(limit.actions), duration(limit.per));
            self.from(&budget, written.budget.is_some(), "three restarts in ten minutes alarm Mina's operators");
        }
        if limits.budget.is_empty() {
            self.line("no budget of actions", written.budget.is_some());
        }
        for limit in &limits.budget_per_target {
            let budget = format!("at most {} on one target in {}", actions(limit.actions), duration(limit.per));
            self.line(&budget, true);
        }
        if let Some(storm) = limits.storm {
            let storm = format!(
                "none for {} after {} targets were acted on within {}",
                duration(storm.cooldown),
                storm.targets,
                duration(storm.per)
            );
            self.from(&storm, written.storm.is_some(), "many at once are one cause, and not so many");
        }
        for window in &limits.windows {
            let (when, lasts) = (&window.begins, duration(window.lasts));
            let side = if window.denies { "none" } else { "only" };
            self.line(&format!("{side} within {lasts} from {when} on: {}", window.reason), true);
        }
        let warm_up = format!("no action on a pod younger than {}", duration(limits.warm_up));
        self.from(&warm_up, written.warm_up.is_some(), "right after a start every node looks bad");
        let progress = format!(
            "none on a node that is catching up while its head rose within {}",
            duration(limits.progress_within)
        );
        self.from(
            &progress,
            written.progress.is_some(),
            "polkadot-k8s restarts after 20 min without; a restart throws progress away",
        );
        let age = format!("evidence older than {} is no evidence", duration(limits.evidence_max_age));
        self.line(&age, written.evidence_max_age.is_some());
        if policy.mode == Mode::Approve {
            let people = if limits.approvals == 1 { "person" } else { "people" };
            let approvals = format!(
                "each step that does something to a pod waits for {} {people}, for 15m at most",
                limits.approvals
            );
            self.line(&approvals, written.approvals.is_some());
        }
        let incident =
            format!("after {} in health the next breach is a new incident", duration(limits.new_incident_after));
        self.line(&incident, written.new_incident_after.is_some());
        for reason in &limits.pause {
            self.line(&format!("PAUSED, nothing new is started: {reason}"), true);
        }
        self.table(limits.min_healthy);
    }

    fn table(&mut self, share: HealthyShare) {
        let row = |cell: &dyn Fn(u32) -> String| (1..=7).map(cell).collect::<String>();
        let targets = row(&|n| format!("{n:>4}"));
        let healthy = row(&|n| format!("{:>4}", required_healthy(share, n)));
        let help = row(&|n| format!("{:>4}", if required_healthy(share, n) < n { "yes" } else { "no" }));
        self.title(&format!("How many of the others must be healthy before one is helped (minHealthy: {share})"));
        let _ = writeln!(
            self.0,
            "  targets              {targets}\n  healthy others needed{healthy}\n  can one be helped?   {help}"
        );
    }
}

fn sentence(rule: &Rule) -> String {
    let (name, signal) = (&rule.name, rule.signal.name());
    let value = |at: i64| format!("{}{}", number(at), unit(rule.signal.unit()));
    let condition = match rule.condition {
        Condition::Above(at) => format!("{signal} above {}", value(at)),
        Condition::Below(at) => format!("{signal} below {}", value(at)),
        Condition::Stalled => "head does not rise while the network's does".into(),
        Condition::Diverged => format!("{signal} differs from the network's at a height that is final"),
        Condition::Absent => format!("{signal} is not known"),
    };
    let trigger = match rule.trigger {
        Trigger::For(0) => String::new(),
        Trigger::For(hold) => format!(" for {}", duration(hold)),
        Trigger::Samples { samples, of } => format!(" in {samples} of {of} samples"),
    };
    let back = match (rule.condition, rule.clear_at) {
        (Condition::Above(_), Some(at)) => format!(" at most {}", value(at)),
        (Condition::Below(_), Some(at)) => format!(" at least {}", value(at)),
        _ => String::new(),
    };
    let clear = match (back.as_str(), rule.clear_for) {
        ("", 0) => String::new(),
        ("", held) => format!("; over after {} without", duration(held)),
        (back, 0) => format!("; over when{back}"),
        (back, held) => format!("; over when{back} for {}", duration(held)),
    };
    let severity = match rule.severity {
        Severity::Critical => "",
        Severity::Quarantine => " (a person is called, no restart)",
        Severity::Warning => " (told only)",
    };
    format!("{name}: {condition}{trigger}{clear}{severity}")
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => " s",
        Unit::Blocks => " blocks",
        Unit::PerSecond => "/s",
        Unit::Coins => " coins",
        Unit::Flag | Unit::Count | Unit::Height | Unit::Ratio | Unit::Number | Unit::Text => "",
    }
}

/// What a source asks, in words.
fn asked(kind: &SourceKind) -> String {
    let port = |port: &PortName| match port {
        PortName::Number(number) => number.to_string(),
        PortName::Name(name) => name.clone(),
    };
    match kind {
        SourceKind::CometBft { port: of, rest: None } => format!("CometBFT RPC on port {}", port(of)),
        SourceKind::CometBft { port: of, rest: Some(rest) } => {
            format!("CometBFT RPC on port {} and Cosmos REST on port {}", port(of), port(rest))
        }
        SourceKind::Execution(of) => format!("Ethereum JSON-RPC on port {}", port(of)),
        SourceKind::Consensus(of) => format!("Beacon API on port {}", port(of)),
        SourceKind::Substrate(of) => format!("Substrate JSON-RPC on port {}", port(of)),
        SourceKind::Solana { port: of, .. } => format!("Solana JSON-RPC on port {}", port(of)),
        SourceKind::Web3Signer(of) => format!("Web3Signer on port {}", port(of)),
        SourceKind::Hermes(of) => format!("Hermes REST on port {}", port(of)),
        SourceKind::Chainlink(of) => format!("Chainlink health on port {}", port(of)),
        SourceKind::Feed { contract, heartbeat } => {
            format!("feed {contract}, heartbeat {}, through the references,", duration(*heartbeat))
        }
        SourceKind::Wallet { address, .. } => format!("wallet {address}, through the references,"),
        SourceKind::Scrape { port: of, path, reads, picks } => {
            let known = reads.map(|reads| format!(" of {reads:?}")).unwrap_or_default();
            let more = if picks.is_empty() { String::new() } else { format!(" and {} more", picks.len()) };
            format!("metrics{known}{more} on port {}{path}", port(of))
        }
        SourceKind::HttpJson { port: of, path, .. } => format!("JSON on port {}{path}", port(of)),
        SourceKind::Prometheus { query, .. } => format!("query {query}, once for all targets,"),
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

fn actions(count: u32) -> String {
    if count == 1 { "1 action".into() } else { format!("{count} actions") }
}

/// Milliseconds as people write them.
pub fn duration(millis: u64) -> String {
    Duration::from_millis(millis).to_string()
}

/// Millionths as people write them.
pub fn threshold(micros: i64) -> Value {
    let whole = micros % 1_000_000 == 0;
    json!(if whole { Threshold::Whole(micros / 1_000_000) } else { Threshold::Micros(micros) })
}

fn number(micros: i64) -> String {
    threshold(micros).to_string().replace('"', "")
}
