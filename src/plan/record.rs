//! A decision written down so that it can be made again: bit for bit, by anybody, offline.
//!
//! Everything that decides is in it, and nothing else: the policy without what only judges, and of the ledger what this
//! decision rests on.

use serde::{Deserialize, Serialize};

use crate::{
    api::{LedgerSeat, NetworkLedgerSpec, PolicyRef, RemediationRef, policy::Severity},
    policy::{NetworkPlan, Policy},
    signal::{Now, Server},
};

use super::{
    ChainFacts, Decision, Facts, FleetFacts, GuardResult, Hours, JoinedFacts, Live, OwnFacts, Step, TargetFacts,
    decision::bounded, guards::mends, propose,
};

/// A record is never longer (bytes): what the journal's schema has room for.
const MOST: usize = 16_000;

/// A decision and everything that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The version that decided.
    pub engine: String,
    /// What was decided.
    pub step: Step,
    /// What every guard of the step said.
    pub guards: Vec<GuardResult>,
    /// The target.
    pub target: TargetFacts,
    /// The other targets.
    pub fleet: FleetFacts,
    /// The chain as a whole.
    pub chain: ChainFacts,
    /// The other networks that it needs.
    pub joined: Vec<JoinedFacts>,
    /// What was read live.
    pub live: Live,
    /// Whether it was a time in which nothing is begun.
    #[serde(default)]
    pub hours: Hours,
    /// What the process knew about itself.
    pub own: OwnFacts,
    /// When it was.
    pub now: Now,
    /// Who decided.
    pub installation: String,
    /// The policy, without sources and rules: those only judge.
    pub policy: Policy,
    /// The network, without references.
    pub network: NetworkPlan,
    /// What of the ledger the decision rests on.
    pub ledger: NetworkLedgerSpec,
}

/// What deciding once more came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The same step, and every guard said the same.
    Same,
    /// Something else.
    Differs(String),
}

/// Writes a decision down. A record that was cut in the middle could never be read again: it is the sentences that are
/// cut, and then the warnings that go, but for those that hold a restart back. What decides is never cut; a record that does not fit even so is empty.
pub(super) fn write_down(facts: &Facts<'_>, step: Step, guards: &[GuardResult]) -> String {
    let mut record = Record {
        engine: env!("CARGO_PKG_VERSION").into(),
        step,
        guards: guards.to_vec(),
        target: facts.target.clone(),
        fleet: facts.fleet,
        chain: facts.chain.clone(),
        joined: facts.joined.to_vec(),
        live: facts.live.clone(),
        hours: facts.hours.clone(),
        own: facts.own,
        now: facts.now,
        installation: facts.installation.to_owned(),
        policy: what_decides(facts.policy),
        network: of_network(facts.network, &facts.policy.id.namespace),
        ledger: narrowed(facts),
    };
    for sentence in [usize::MAX, 256, 64, 0] {
        let verdict = &mut record.target.verdict;
        for finding in &mut verdict.findings {
            finding.evidence = bounded(&finding.evidence, sentence);
        }
        if sentence == 0 {
            let no_help = |signal| !mends(signal);
            verdict.findings.retain(|finding| {
                finding.firing && (finding.severity >= Severity::Critical || finding.signal.is_some_and(no_help))
            });
        }
        // Plain data with string keys: this cannot fail, and an empty record would be no reason not to heal.
        let text = serde_json::to_string(&record).unwrap_or_default();
        if text.len() <= MOST {
            return text;
        }
    }
    String::new()
}

/// Sources and rules judge; what they found is in the verdict.
fn what_decides(policy: &Policy) -> Policy {
    Policy { sources: Vec::new(), rules: Vec::new(), sinks: Vec::new(), ..policy.clone() }
}

fn of_network(network: &NetworkPlan, namespace: &str) -> NetworkPlan {
    let allowed_namespaces =
        network.allowed_namespaces.iter().filter(|name| *name == namespace).cloned().collect();
    NetworkPlan { references: Vec::new(), allowed_namespaces, ..network.clone() }
}

/// The part of the ledger that a decision about this target rests on. Every guard says the same of it as of the whole.
#[must_use]
pub fn narrowed(facts: &Facts<'_>) -> NetworkLedgerSpec {
    let (ledger, policy) = (facts.ledger, facts.policy);
    let of_network = facts.network.budget.iter().map(|limit| limit.per).max().unwrap_or(0);
    let longest = policy.longest_budget().max(super::ledger::HOUR);
    let seats = ledger.seats.iter().map(|seat| LedgerSeat {
        remediation: RemediationRef { namespace: String::new(), name: String::new(), ..seat.remediation.clone() },
        policy: PolicyRef { name: String::new(), ..seat.policy.clone() },
        since: 0,
        deadline: 0,
        previous_at: 0,
        ..seat.clone()
    });
    let actions = ledger.actions.iter().filter(|action| {
        let window = if action.policy == policy.id.uid { longest.max(of_network) } else { of_network };
        let seated = || ledger.seats.iter().any(|seat| seat.remediation.uid == action.remediation);
        action.simulated == facts.simulated() && (facts.now.server.since(Server(action.at)) < window || seated())
    });
    let slots = ledger.slots.iter().filter(|record| {
        record.policy == policy.id.uid && record.slot == facts.target.slot && record.simulated == facts.simulated()
    });
    NetworkLedgerSpec {
        installation: ledger.installation.clone(),
        retired_at: ledger.retired_at,
        seats: seats.collect(),
        actions: actions.cloned().collect(),
        slots: slots.cloned().collect(),
    }
}

impl Record {
    /// What the decision rests on.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            policy: &self.policy,
            network: &self.network,
            ledger: &self.ledger,
            installation: &self.installation,
            target: &self.target,
            fleet: self.fleet,
            chain: &self.chain,
            joined: &self.joined,
            live: &self.live,
            hours: &self.hours,
            own: self.own,
            now: self.now,
        }
    }

    /// Decides once more, and compares.
    #[must_use]
    pub fn replay(&self) -> Replay {
        let proposal = match propose(&self.facts()) {
            Decision::Proposed(proposal) => proposal,
            Decision::Refused(refusal) => {
                let why = format!("it would be refused now: {}: {}", refusal.guard.name(), refusal.held.why);
                return Replay::Differs(why);
            }
            Decision::Nothing => return Replay::Differs("nothing would be decided now".into()),
        };
        if proposal.step != self.step {
            let (then, now) = (self.step.name(), proposal.step.name());
            return Replay::Differs(format!("it was {then}, and would be {now} now"));
        }
        // A later version may ask more guards than this one did: they let it pass, or it would not be proposed.
        let guards = super::all(&self.facts(), proposal.step);
        match self.guards.iter().find(|then| !guards.contains(then)) {
            Some(then) => Replay::Differs(format!("the guard {} says something else now", then.guard.name())),
            None => Replay::Same,
        }
    }
}
