//! One table of wrong and right objects. `mainstay check` and the API server must agree on every row.

use serde_json::{Value, json};

/// A wrong object, and how it is refused.
pub struct Refusal {
    pub title: &'static str,
    pub object: Value,
    /// The field that is named.
    pub path: &'static str,
    /// What is said about it, by both.
    pub says: &'static str,
}

pub fn policy() -> Value {
    json!({
        "apiVersion": "mainstay.dev/v1alpha1",
        "kind": "NodeHealthPolicy",
        "metadata": {"name": "rpc", "namespace": "default"},
        "spec": {"network": "hub", "role": "FullNode", "selector": {"matchLabels": {"app": "gaiad"}}},
    })
}

pub fn network() -> Value {
    json!({
        "apiVersion": "mainstay.dev/v1alpha1",
        "kind": "Network",
        "metadata": {"name": "hub"},
        "spec": {"family": "CometBFT", "chainId": "hub-4", "allowedNamespaces": ["default"]},
    })
}

pub fn remediation() -> Value {
    json!({
        "apiVersion": "mainstay.dev/v1alpha1",
        "kind": "NodeRemediation",
        "metadata": {"name": "rpc-0-a", "namespace": "default"},
        "spec": {
            "network": "hub",
            "policy": {"name": "rpc", "uid": "u", "generation": 1},
            "target": {"slot": "rpc-0", "pod": "rpc-0", "uid": "u"},
            "action": {"page": {}},
            "attempt": 1,
        },
    })
}

pub fn ledger() -> Value {
    json!({
        "apiVersion": "mainstay.dev/v1alpha1",
        "kind": "NetworkLedger",
        "metadata": {"name": "hub"},
        "spec": {"installation": "mainstay/mainstay"},
    })
}

pub fn approval() -> Value {
    json!({
        "apiVersion": "mainstay.dev/v1alpha1",
        "kind": "RemediationApproval",
        "metadata": {"name": "rpc-0-a.ann", "namespace": "default"},
        "spec": {"approver": "ann", "remediation": {"name": "rpc-0-a", "uid": "u"}},
    })
}

/// The base with some fields of its spec replaced; null takes one away.
fn with(mut base: Value, spec: &Value) -> Value {
    merge(&mut base["spec"], spec);
    base
}

/// Lays one over the other; what is null is taken away.
pub fn merge(base: &mut Value, patch: &Value) {
    let (Value::Object(base), Value::Object(patch)) = (&mut *base, patch) else {
        *base = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            base.remove(key);
        } else {
            merge(base.entry(key.clone()).or_insert(json!({})), value);
        }
    }
}

const DURATION: &str = "write a whole number and one unit";

/// Ways to be wrong about what is read.
#[rustfmt::skip]
fn refused_sources() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let rule = |rule: Value| json!({"rules": [rule]});
    vec![
        ("two kinds of source", json!({"telemetry": [{"name": "rpc", "cometbft": {"port": 1}, "solana": {"port": 1}}]}), "spec.telemetry[0]", "exactly one of cometbft, execution"),
        ("httpJson without signals", json!({"telemetry": [{"name": "x", "httpJson": {"port": 1, "path": "/"}}]}), "spec.telemetry[0].signals", "httpJson needs signals"),
        ("a metric for httpJson", json!({"telemetry": [{"name": "x", "httpJson": {"port": 1, "path": "/"}, "signals": [{"signal": "head", "metric": "h"}]}]}), "spec.telemetry[0].signals", "httpJson needs signals"),
        ("a query without a signal", json!({"telemetry": [{"name": "x", "prometheus": {"query": "q"}}]}), "spec.telemetry[0].signals", "prometheus needs one signal"),
        ("signals for a source that knows them", json!({"telemetry": [{"name": "x", "solana": {"port": 1}, "signals": [{"signal": "head", "metric": "h"}]}]}), "spec.telemetry[0].signals", "signals goes with scrape"),
        ("a path that is none", json!({"telemetry": [{"name": "x", "scrape": {"port": 1, "path": "http://evil"}}]}), "spec.telemetry[0].scrape.path", "a path begins with a slash"),
        ("a contract that is none", json!({"telemetry": [{"name": "x", "feed": {"contract": "0x1", "heartbeat": "1h"}}]}), "spec.telemetry[0].feed.contract", "at least 42"),
        ("a wallet that asks for more", json!({"telemetry": [{"name": "x", "wallet": {"address": "cosmos1a/../../x"}}]}), "spec.telemetry[0].wallet.address", "letters and digits only"),
        ("a fork that is restarted", rule(json!({"name": "a", "signal": "block_hash", "diverged": {}})), "spec.rules[0]", "no restart brings a node back"),
        ("a hash above a number", rule(json!({"name": "a", "signal": "block_hash", "above": 3})), "spec.rules[0]", "hashes are only compared"),
        ("a custom signal with a long name", rule(json!({"name": "a", "signal": "custom/abcdefghijklmnopqrstuvwxyz", "above": 3})), "spec.rules[0].signal", "31"),
        ("joins of a node", json!({"joins": ["osmosis"]}), "spec.joins", "Relayer and Oracle"),
    ]
}

/// Steps and approvals.
#[rustfmt::skip]
fn refused_steps() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    vec![
        ("a job of what signs", json!({"role": "Validator", "remediation": {"job": {"cronJob": "resync"}}}), "spec.remediation", "an older signing state"),
        ("a job without a name", json!({"remediation": {"job": {}}}), "spec.remediation.job.cronJob", "Required value"),
        ("a job in capitals", json!({"remediation": {"job": {"cronJob": "Resync"}}}), "spec.remediation.job.cronJob", "should match"),
        ("a job in a hurry", json!({"remediation": {"job": {"cronJob": "resync", "within": "5s"}}}), "spec.remediation.job.within", "between 1m and 168h"),
        ("a restart that may take for ever", json!({"remediation": {"restart": {"within": "999h"}}}), "spec.remediation.restart.within", "between 10s and 168h"),
        ("no attempt at a job", json!({"remediation": {"job": {"cronJob": "resync", "attempts": 0}}}), "spec.remediation.job.attempts", "should be greater than or equal to 1"),
        ("a failover of what does not sign", json!({"remediation": {"failover": {"group": "hub"}}}), "spec.remediation", "their pods are re-routed and restarted"),
        ("a failover without a group", json!({"role": "Validator", "remediation": {"failover": {}}}), "spec.remediation.failover.group", "Required value"),
        ("a failover in a hurry", json!({"role": "Validator", "remediation": {"failover": {"group": "hub", "within": "5s"}}}), "spec.remediation.failover.within", "between 30s and 24h"),
        ("no attempt at a failover", json!({"role": "Validator", "remediation": {"failover": {"group": "hub", "attempts": 0}}}), "spec.remediation.failover.attempts", "should be greater than or equal to 1"),
        ("approvals without the mode", json!({"guard": {"approvals": {"required": 2}}}), "spec.guard", "goes with mode Approve"),
        ("too many approvals", json!({"mode": "Approve", "guard": {"approvals": {"required": 6}}}), "spec.guard.approvals.required", "should be less than or equal to 5"),
    ]
}

#[rustfmt::skip]
fn refused_networks() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    vec![
        ("an unknown family", json!({"family": "Bitcoin"}), "spec.family", "supported values: \"CometBFT\""),
        ("no chain id", json!({"chainId": null}), "spec.chainId", "Required value"),
        ("a block time of zero", json!({"blockTime": "0s"}), "spec.blockTime", DURATION),
        ("an address with credentials", json!({"references": [{"name": "a", "url": "https://me:secret@rpc.example.org"}]}), "spec.references[0].url", "credentials belong into the operator's configuration"),
        ("an address of another scheme", json!({"references": [{"name": "a", "url": "file:///etc/passwd"}]}), "spec.references[0].url", "write http:// or https://"),
        ("two references of one name", json!({"references": [{"name": "a", "url": "https://a.example"}, {"name": "a", "url": "https://b.example"}]}), "spec.references[1]", "Duplicate value"),
        ("less than nothing at once", json!({"maxConcurrent": -1}), "spec.maxConcurrent", "should be greater than or equal to 0"),
    ]
}

/// Every way to be wrong.
#[rustfmt::skip]
pub fn refused() -> Vec<Refusal> {
    let rule = |rule: Value| json!({"rules": [rule]});
    let of = |base: fn() -> Value| move |(title, spec, path, says): (&'static str, Value, &'static str, &'static str)| {
        Refusal { title, object: with(base(), &spec), path, says }
    };
    let policies = [
        ("no network", json!({"network": null}), "spec.network", "Required value"),
        ("an empty network", json!({"network": ""}), "spec.network", "should be at least 1 chars long"),
        ("an unknown role", json!({"role": "Miner"}), "spec.role", "supported values: \"FullNode\", \"Sentry\", \"Validator\""),
        ("an unknown mode", json!({"mode": "Automatic"}), "spec.mode", "supported values: \"Observe\", \"DryRun\", \"Approve\", \"Enforce\""),
        ("a role that is a number", json!({"role": 3}), "spec.role", "must be of type string"),
        ("a priority in quotes", json!({"priority": "3"}), "spec.priority", "must be of type integer"),
        ("a priority out of range", json!({"priority": 1001}), "spec.priority", "should be less than or equal to 1000"),
        ("an unknown field", json!({"bogus": 1}), "spec.bogus", "unknown field \"spec.bogus\""),
        ("an unknown field of the guard", json!({"guard": {"bogus": [null]}}), "spec.guard.bogus", "unknown field \"spec.guard.bogus\""),
        ("an unknown field of a rule", rule(json!({"name": "a", "signal": "peers", "below": 3, "fro": "1m"})), "spec.rules[0].fro", "unknown field \"spec.rules[0].fro\""),
        // P01.
        ("no selector", json!({"selector": null}), "spec.selector", "Required value"),
        ("an empty selector", json!({"selector": {"matchLabels": null}}), "spec.selector", "an empty selector would mean every pod"),
        ("a selector without a positive term", json!({"selector": {"matchLabels": null, "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}), "spec.selector", "name at least one label that a pod must carry"),
        ("In without values", json!({"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}), "spec.selector.matchExpressions[0]", "In and NotIn need values"),
        ("Exists with values", json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["x"]}]}}), "spec.selector.matchExpressions[0]", "Exists and DoesNotExist have none"),
        ("an unknown operator", json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Is"}]}}), "spec.selector.matchExpressions[0].operator", "supported values: \"In\""),

        ("two rules of one name", json!({"rules": [{"name": "a", "signal": "peers", "below": 3}, {"name": "a", "signal": "peers", "below": 2}]}), "spec.rules[1]", "Duplicate value"),
        ("an unknown signal", rule(json!({"name": "a", "signal": "hed_lag", "above": 3})), "spec.rules[0].signal", "name a standard signal (reachable, "),
        ("a rule without a signal", rule(json!({"name": "a", "above": 3})), "spec.rules[0]", "name the signal that is judged"),
        ("a rule without a condition", rule(json!({"name": "a", "signal": "peers"})), "spec.rules[0]", "exactly one of above, below, stalled, diverged and absent"),
        ("a rule with two conditions", rule(json!({"name": "a", "signal": "peers", "above": 3, "below": 9})), "spec.rules[0]", "exactly one of above, below, stalled, diverged and absent"),
        ("a rule name in capitals", rule(json!({"name": "Slow", "signal": "peers", "below": 3})), "spec.rules[0].name", "a lower-case name such as slow-rpc"),
        ("an unknown preset rule", rule(json!({"name": "preset/slow", "disabled": true})), "spec.rules[0].name", "one of preset/silent"),
        ("a rule of one's own disabled", rule(json!({"name": "slow", "disabled": true})), "spec.rules[0]", "beside the name of a preset rule"),
        ("disabled with a condition", rule(json!({"name": "preset/lonely", "disabled": true, "signal": "peers", "below": 2})), "spec.rules[0]", "disabled: true stands alone"),
        ("for and breaching", rule(json!({"name": "a", "signal": "peers", "below": 3, "for": "1m", "breaching": {"samples": 1, "of": 2}})), "spec.rules[0]", "for or breaching, not both"),
        // P04.
        ("a for of zero", rule(json!({"name": "a", "signal": "peers", "below": 3, "for": "0s"})), "spec.rules[0].for", DURATION),
        ("a negative for", rule(json!({"name": "a", "signal": "peers", "below": 3, "for": "-5s"})), "spec.rules[0].for", DURATION),
        ("a for that only CEL could read", rule(json!({"name": "a", "signal": "peers", "below": 3, "for": "1h1h"})), "spec.rules[0].for", DURATION),
        ("a for without a unit", rule(json!({"name": "a", "signal": "peers", "below": 3, "for": "60"})), "spec.rules[0].for", DURATION),
        ("a for that is a number", rule(json!({"name": "a", "signal": "peers", "below": 3, "for": 60})), "spec.rules[0].for", "must be of type string"),
        ("a for that is too long a text", rule(json!({"name": "a", "signal": "peers", "below": 3, "for": "00000000001s"})), "spec.rules[0].for", "Too long"),
        ("more breaching than samples", rule(json!({"name": "a", "signal": "peers", "below": 3, "breaching": {"samples": 20, "of": 15}})), "spec.rules[0].breaching", "15 of the last 20, not 20 of 15"),
        ("more samples than are kept", rule(json!({"name": "a", "signal": "peers", "below": 3, "breaching": {"samples": 20, "of": 65}})), "spec.rules[0].breaching.of", "should be less than or equal to 64"),
        ("stalled peers", rule(json!({"name": "a", "signal": "peers", "stalled": {}})), "spec.rules[0]", "stalled judges the signal head"),
        ("an absence that is critical", rule(json!({"name": "a", "signal": "peers", "absent": {}})), "spec.rules[0]", "absent needs severity: Warning"),
        ("an unknown severity", rule(json!({"name": "a", "signal": "peers", "below": 3, "severity": "Fatal"})), "spec.rules[0].severity", "supported values: \"Warning\", \"Critical\", \"Quarantine\""),
        // P05.
        ("hysteresis on the wrong side", rule(json!({"name": "a", "signal": "peers", "below": 3, "clear": {"below": 2}})), "spec.rules[0].clear", "clear.below goes with above"),
        ("inverted hysteresis of numbers", rule(json!({"name": "a", "signal": "head_lag", "above": 9, "clear": {"below": 10}})), "spec.rules[0].clear", "inverted hysteresis: clear.below must be at most above"),
        ("inverted hysteresis of decimals", rule(json!({"name": "a", "signal": "rpc_latency", "above": "0.9", "clear": {"below": "0.95"}})), "spec.rules[0].clear", "inverted hysteresis: clear.below must be at most above"),
        ("inverted hysteresis of durations", rule(json!({"name": "a", "signal": "rpc_latency", "above": "900ms", "clear": {"below": "1s"}})), "spec.rules[0].clear", "inverted hysteresis: clear.below must be at most above"),
        ("inverted hysteresis below", rule(json!({"name": "a", "signal": "peers", "below": 3, "clear": {"above": 2}})), "spec.rules[0].clear", "inverted hysteresis: clear.above must be at least below"),
        ("hysteresis in two units", rule(json!({"name": "a", "signal": "rpc_latency", "above": "3s", "clear": {"below": 1}})), "spec.rules[0].clear", "written in the same unit"),
        ("a duration of peers", rule(json!({"name": "a", "signal": "peers", "below": "3s"})), "spec.rules[0]", "this signal is not a time: write a plain number"),
        ("a threshold in words", rule(json!({"name": "a", "signal": "peers", "below": "three"})), "spec.rules[0].below", "write a whole number (10), a decimal in quotes (\"0.95\")"),
        ("a decimal without quotes", rule(json!({"name": "a", "signal": "rpc_latency", "above": 0.5})), "spec.rules[0].above", "must be of type integer"),

        ("a source without a kind", json!({"telemetry": [{"name": "rpc"}]}), "spec.telemetry[0]", "exactly one of cometbft, execution"),
        ("a source without a port", json!({"telemetry": [{"name": "rpc", "cometbft": {}}]}), "spec.telemetry[0].cometbft.port", "Required value"),
        ("a port out of range", json!({"telemetry": [{"name": "rpc", "cometbft": {"port": 65536}}]}), "spec.telemetry[0].cometbft.port", "should be less than or equal to 65535"),
        ("polling too often", json!({"telemetry": [{"name": "rpc", "cometbft": {"port": 1}, "every": "100ms"}]}), "spec.telemetry[0].every", "every: between 500ms and 5m"),
        ("a timeout too long", json!({"telemetry": [{"name": "rpc", "cometbft": {"port": 1}, "timeout": "31s"}], "guard": {"evidenceMaxAge": "2m"}}), "spec.telemetry[0].timeout", "timeout: between 100ms and 30s"),
        ("polls older than evidence may be", json!({"telemetry": [{"name": "rpc", "cometbft": {"port": 1}, "every": "25s", "timeout": "6s"}]}), "spec", "must together not exceed guard.evidenceMaxAge"),
        ("evidence younger than the preset polls", json!({"guard": {"evidenceMaxAge": "6s"}}), "spec", "must together not exceed guard.evidenceMaxAge"),

        ("a share above 100%", json!({"guard": {"minHealthy": "101%"}}), "spec.guard.minHealthy", "or a percentage from 0% to 100%"),
        ("a negative share", json!({"guard": {"minHealthy": -1}}), "spec.guard.minHealthy", "write a whole number of targets"),
        ("a share without its sign", json!({"guard": {"minHealthy": "51"}}), "spec.guard.minHealthy", "should match '^(100|[1-9]?[0-9])%$'"),
        ("a negative maxConcurrent", json!({"guard": {"maxConcurrent": -1}}), "spec.guard.maxConcurrent", "should be greater than or equal to 0"),
        ("a negative budget", json!({"guard": {"budget": [{"actions": -1, "per": "1h"}]}}), "spec.guard.budget[0].actions", "should be greater than or equal to 0"),
        ("a budget that is no list", json!({"guard": {"budget": "3 per hour"}}), "spec.guard.budget", "must be of type array"),
        ("a budget without a time", json!({"guard": {"budget": [{"actions": 1}]}}), "spec.guard.budget[0].per", "Required value"),
        ("a budget of a blink", json!({"guard": {"budget": [{"actions": 1, "per": "1s"}]}}), "spec.guard.budget[0].per", "per: between 1m and 168h"),
        ("five budgets", json!({"guard": {"budget": [{"actions": 1, "per": "1h"}, {"actions": 1, "per": "2h"}, {"actions": 1, "per": "3h"}, {"actions": 1, "per": "4h"}, {"actions": 1, "per": "5h"}]}}), "spec.guard.budget", "must have at most 4 items"),
        ("evidence that lives too long", json!({"guard": {"evidenceMaxAge": "6m"}}), "spec.guard.evidenceMaxAge", "evidenceMaxAge: between 2s and 5m"),
        ("no attempt at all", json!({"remediation": {"restart": {"attempts": 0}}}), "spec.remediation.restart.attempts", "should be greater than or equal to 1"),
        // P06.
        ("healing in a blink", json!({"remediation": {"restart": {"within": "9s"}}}), "spec.remediation.restart.within", "within: between 10s and 168h"),
        ("half a backoff", json!({"remediation": {"restart": {"backoff": {"factor": 2}}}}), "spec.remediation.restart.backoff.max", "Required value"),
        ("re-routing a validator", json!({"role": "Validator", "remediation": {"reroute": {}}}), "spec.remediation", "reroute is for the roles FullNode and Sentry"),
        ("to and fro in a blink", json!({"remediation": {"reroute": {"stay": "1s"}}}), "spec.remediation.reroute.stay", "stay: at least 5s"),
        ("re-routing without end", json!({"remediation": {"reroute": {"attempts": 11}}}), "spec.remediation.reroute.attempts", "should be less than or equal to 10"),
        ("a storm of one", json!({"guard": {"storm": {"targets": 1, "per": "10m", "cooldown": "1h"}}}), "spec.guard.storm.targets", "should be greater than or equal to 2"),
        ("a storm in a blink", json!({"guard": {"storm": {"targets": 3, "per": "1s", "cooldown": "1h"}}}), "spec.guard.storm.per", "per: between 1m and 24h"),
        ("a storm that never ends", json!({"guard": {"storm": {"targets": 3, "per": "10m", "cooldown": "48h"}}}), "spec.guard.storm.cooldown", "cooldown: at most 24h"),
        ("a window that neither denies nor allows", json!({"guard": {"windows": [{"reason": "x"}]}}), "spec.guard.windows[0]", "exactly one of deny and allow"),
        ("a window of a blink", json!({"guard": {"windows": [{"deny": {"cron": "0 9 * * MON", "duration": "1s"}}]}}), "spec.guard.windows[0].deny.duration", "duration: between 1m and 168h"),
        ("a window in four fields", json!({"guard": {"windows": [{"deny": {"cron": "0 9 * *", "duration": "1h"}}]}}), "spec.guard.windows[0].deny.cron", "at least 9 chars"),
        ("a budget per target of a blink", json!({"guard": {"budgetPerTarget": [{"actions": 1, "per": "1s"}]}}), "spec.guard.budgetPerTarget[0].per", "per: between 1m and 168h"),
        ("a rung that does not exist yet", json!({"remediation": {"pray": {}}}), "spec.remediation.pray", "unknown field \"spec.remediation.pray\""),
    ];
    let remediations = [
        ("no action", json!({"action": {"page": null}}), "spec.action", "exactly one of reroute, rejoin, restart, job, failover and page"),
        ("two actions", json!({"action": {"restart": {"method": "Delete", "within": "5m", "clear": "5s"}}}), "spec.action", "exactly one of reroute, rejoin, restart, job, failover and page"),
        ("a job without a name", json!({"action": {"page": null, "job": {"within": "1h", "clear": "5s"}}}), "spec.action.job.cronJob", "Required value"),
        ("a failover of no identity", json!({"action": {"page": null, "failover": {"group": "hub", "epoch": 1, "within": "2m"}}}), "spec.action.failover.identity", "Required value"),
        ("a failover before there was one", json!({"action": {"page": null, "failover": {"group": "hub", "identity": "hub-1.k", "epoch": -1, "within": "2m"}}}), "spec.action.failover.epoch", "should be greater than or equal to 0"),
        ("a pod that is a path", json!({"target": {"slot": "rpc-0", "pod": "../secrets", "uid": "u"}}), "spec.target.pod", "should match"),
        ("attempt zero", json!({"attempt": 0}), "spec.attempt", "should be greater than or equal to 1"),
    ];
    let approvals = [
        ("nobody's approval", json!({"approver": null}), "spec.approver", "Required value"),
        ("an approval of no one remediation", json!({"remediation": {"uid": null}}), "spec.remediation.uid", "Required value"),
    ];
    let approvals = approvals.into_iter().map(of(approval));
    let policies = policies.into_iter().chain(refused_sources()).chain(refused_steps()).map(of(policy)).chain(approvals);
    policies.chain(refused_networks().into_iter().map(of(network))).chain(remediations.into_iter().map(of(remediation))).collect()
}

/// Right objects, among them everything that a policy can say.
pub fn accepted() -> Vec<(&'static str, Value)> {
    let whole = json!({
        "mode": "Enforce",
        "priority": -5,
        "selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}, {"key": "x", "operator": "DoesNotExist"}]},
        "telemetry": [
            {"name": "rpc", "cometbft": {"port": "rpc"}, "every": "500ms", "timeout": "100ms"},
            {"name": "rpc-2", "cometbft": {"port": 26657}, "every": "20s", "timeout": "10s"},
        ],
        "rules": [
            {"name": "stalled", "signal": "head", "stalled": {}, "for": "60s"},
            {"name": "behind", "signal": "head_lag", "above": 10, "for": "30s", "clear": {"below": 3, "for": "10s"}},
            {"name": "flaky", "signal": "rpc_latency", "above": "3s", "breaching": {"samples": 15, "of": 20}, "clear": {"below": "500ms"}, "severity": "Warning"},
            {"name": "even", "signal": "block_time_skew", "above": "1.5", "clear": {"below": "1.5"}},
            {"name": "lonely", "signal": "peers", "below": 3, "clear": {"above": 3}},
            {"name": "cold", "signal": "block_time_skew", "below": -3, "clear": {"above": "-2.5"}},
            {"name": "mute", "signal": "peers", "absent": {}, "severity": "Warning"},
            {"name": "preset/lonely", "disabled": true},
            {"name": "preset/behind", "signal": "head_lag", "above": 5},
        ],
        "remediation": {"reroute": {"within": "1m", "attempts": 3, "stay": "5s", "quarantineTheLast": true}, "restart": {"within": "5m", "attempts": 2, "cooldown": "15m", "backoff": {"factor": 2, "max": "4h"}}, "job": {"cronJob": "resync.v2", "within": "2h", "attempts": 2, "cooldown": "1h", "backoff": {"factor": 1, "max": "4h"}}, "page": {}},
        "guard": {
            "minHealthy": "51%", "maxConcurrent": 0, "newIncidentAfter": "1h", "progress": {"within": "20m"},
            "budget": [{"actions": 0, "per": "1m"}, {"actions": 6, "per": "168h"}],
            "budgetPerTarget": [{"actions": 1, "per": "1h"}],
            "storm": {"targets": 3, "per": "10m", "cooldown": "30m"},
            "windows": [
                {"deny": {"cron": "0 9 * * MON", "duration": "2h", "timeZone": "Europe/Berlin"}, "reason": "release hour"},
                {"allow": {"cron": "0 0 * * *", "duration": "24h"}},
            ],
            "warmUp": "5m", "evidenceMaxAge": "30s", "pause": ["a release"],
        },
        "notify": ["oncall"],
    });
    let share = |share: Value| with(policy(), &json!({"guard": {"minHealthy": share}}));
    vec![
        ("the shortest policy", policy()),
        ("a policy that says everything", with(policy(), &whole)),
        ("a whole number of healthy targets", share(json!(2))),
        ("no healthy target", share(json!("0%"))),
        ("all healthy", share(json!("100%"))),
        ("a policy that does nothing", with(policy(), &json!({"remediation": {}}))),
        (
            "fields that are null",
            json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy", "metadata": {"name": "rpc", "namespace": "default"},
            "spec": {"network": "hub", "role": "Sentry", "selector": {"matchLabels": {"app": "x"}}, "mode": null, "guard": null,
                "rules": [{"name": "a", "signal": "peers", "below": 3, "above": null, "for": null}]}}),
        ),
        ("the shortest network", network()),
        (
            "a network with references",
            with(
                network(),
                &json!({"blockTime": "500ms", "budget": [{"actions": 6, "per": "24h"}], "references": [{"name": "a", "url": "https://rpc.example.org:26657/base/"}]}),
            ),
        ),
        ("a remediation", remediation()),
        ("a ledger", ledger()),
        ("an approval", approval()),
        (
            "a policy that asks people",
            with(policy(), &json!({"mode": "Approve", "guard": {"approvals": {"required": 2}}})),
        ),
        (
            "a validator that fails over",
            with(
                policy(),
                &json!({"role": "Validator", "remediation": {"failover": {"group": "hub", "within": "2m", "attempts": 1, "cooldown": "1h"}, "page": {}}}),
            ),
        ),
        (
            "a failover by hand",
            with(
                remediation(),
                &json!({"action": {"page": null, "failover": {"group": "hub", "identity": "hub-1.k", "epoch": 4, "within": "2m"}}}),
            ),
        ),
        (
            "a job by hand",
            with(
                remediation(),
                &json!({"action": {"page": null, "job": {"cronJob": "resync", "within": "1h", "clear": "5s"}}}),
            ),
        ),
    ]
}
