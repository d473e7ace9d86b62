//! Builders for tests that read like the domain: `facts().unhealthy_for(90).of(3).healthy_others(2)`.

use crate::{
    api::{
        ActionRecord, Family, HealthyShare, LedgerSeat, NetworkLedgerSpec, PolicyRef, RemediationRef, SeatStep,
        SlotRecord,
        policy::{Mode, Role, Severity},
    },
    judge::{Finding, Verdict, VerdictKind},
    policy::{BudgetLimit, FailoverStep, JobStep, NetworkPlan, Policy, Selector, preset},
    signal::{Mono, Now, Server, Signal, Wall},
};

use super::{
    ChainFacts, CronJobFacts, Decision, Facts, FleetFacts, GroupFacts, Guard, Held, Hours, JoinedFacts, Live,
    NodeFacts, OwnFacts, PodFacts, PodPresent, Refusal, Rotation, Step, Stop, TargetFacts, Vantage, WorkloadFacts,
    all, propose,
};

pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const WEEK: u64 = 168 * HOUR;

/// Now on the monotonic clock: long enough after its start for any history.
pub const NOW: u64 = 1000 * HOUR;
/// Now on the API server's clock.
pub const SERVER: i64 = 1_800_000_000_000;

pub const SLOT: &str = "gaia-0";
pub const UID: &str = "pod-uid-1";
pub const US: &str = "mainstay/mainstay";

/// Facts that own what they are made of.
#[derive(Clone, Debug)]
pub struct Given {
    pub policy: Policy,
    pub network: NetworkPlan,
    pub ledger: NetworkLedgerSpec,
    pub target: TargetFacts,
    pub fleet: FleetFacts,
    pub chain: ChainFacts,
    pub joined: Vec<JoinedFacts>,
    pub live: Live,
    pub hours: Hours,
    pub own: OwnFacts,
    pub now: Now,
}

/// One of three full nodes, unhealthy for five minutes on fresh evidence, the others well, nothing in the way.
pub fn facts() -> Given {
    Given {
        policy: policy(),
        network: network(),
        ledger: NetworkLedgerSpec::default(),
        target: TargetFacts {
            slot: SLOT.into(),
            pod: SLOT.into(),
            uid: UID.into(),
            verdict: Verdict {
                kind: VerdictKind::Healthy,
                since: ago(10 * MINUTE),
                findings: Vec::new(),
                unknown: String::new(),
            },
            syncing: false,
            head_risen_at: ago(11 * MINUTE),
            first_seen: ago(10 * HOUR),
            health_before: 0,
            healthy_since: Mono(0),
            by_hand: false,
            stopped: None,
            contested: false,
        },
        fleet: FleetFacts {
            targets: 3,
            healthy_others: 2,
            unknown: 0,
            unhealthy: 1,
            suspect: 0,
            ..FleetFacts::default()
        },
        chain: ChainFacts {
            known: true,
            risen_at: ago(2 * SECOND),
            patience: 30 * SECOND,
            upgrade: None,
            split: false,
        },
        joined: Vec::new(),
        live: Live {
            stop: Stop::Go,
            pod: PodFacts::Present(PodPresent {
                uid: UID.into(),
                resource_version: "7".into(),
                terminating: false,
                ignored: false,
                controlled: true,
                protected: false,
                host_network: false,
                crash_loop: false,
                grace: 30,
                age: 10 * HOUR,
                rotation: Rotation::default(),
            }),
            workload: WorkloadFacts::Settled,
            node: NodeFacts::Ready,
            cron_job: CronJobFacts::Unread,
            group: GroupFacts::Unread,
            vantage: Vantage::Unread,
        },
        hours: Hours::default(),
        own: OwnFacts { cache_age: SECOND, schema_current: true, approvals_guarded: true },
        now: Now { mono: Mono(NOW), wall: Wall(SERVER), server: Server(SERVER) },
    }
    .unhealthy_for(300)
}

pub fn policy() -> Policy {
    let preset = preset(Family::CometBFT, Role::FullNode);
    Policy {
        id: PolicyRef { namespace: "cosmos".into(), name: "rpc".into(), uid: "policy-1".into() },
        generation: 1,
        network: "hub".into(),
        joins: Vec::new(),
        family: Family::CometBFT,
        role: Role::FullNode,
        mode: Mode::Enforce,
        priority: 0,
        selector: serde_json::from_str::<Selector>(r#"{"terms": []}"#).expect("a selector"),
        sources: preset.sources,
        rules: preset.rules.into_iter().map(|(rule, _)| rule).collect(),
        ladder: preset.ladder,
        limits: preset.limits,
        sinks: Vec::new(),
    }
}

pub fn network() -> NetworkPlan {
    NetworkPlan {
        name: "hub".into(),
        uid: "network-1".into(),
        family: Family::CometBFT,
        chain_id: "hub-1".into(),
        block_time: 6 * SECOND,
        allowed_namespaces: vec!["cosmos".into()],
        references: Vec::new(),
        stalled_after: 120 * SECOND,
        max_concurrent: 1,
        budget: Vec::new(),
        upgrades: true,
    }
}

pub fn ago(millis: u64) -> Mono {
    Mono(NOW - millis)
}

pub fn server_ago(millis: u64) -> i64 {
    SERVER - i64::try_from(millis).expect("a time in range")
}

pub fn remediation(uid: &str) -> RemediationRef {
    RemediationRef { namespace: "cosmos".into(), name: uid.into(), uid: uid.into() }
}

impl Given {
    /// A critical rule fires since so many seconds; its newest sample is a second old.
    pub fn unhealthy_for(mut self, seconds: u64) -> Self {
        self.target.verdict = Verdict {
            kind: VerdictKind::Unhealthy,
            since: ago(seconds * SECOND),
            findings: vec![Finding {
                rule: "preset/stalled".into(),
                signal: Some(Signal::Head),
                severity: Severity::Critical,
                firing: true,
                breach_since: ago(seconds * SECOND),
                observed_at: ago(SECOND),
                evidence: "head has stood at 81204 while the network went on to 81310".into(),
            }],
            unknown: String::new(),
        };
        self
    }

    /// No critical rule fires, whatever the verdict is called.
    pub fn verdict(mut self, kind: VerdictKind) -> Self {
        self.target.verdict.kind = kind;
        self.target.verdict.findings.clear();
        self
    }

    pub fn of(mut self, targets: u32) -> Self {
        self.fleet.targets = targets;
        self
    }

    pub fn healthy_others(mut self, healthy: u32) -> Self {
        self.fleet.healthy_others = healthy;
        self
    }

    pub fn unhealthy(mut self, unhealthy: u32) -> Self {
        self.fleet.unhealthy = unhealthy;
        self
    }

    pub fn suspect(mut self, suspect: u32) -> Self {
        self.fleet.suspect = suspect;
        self
    }

    pub fn unknown(mut self, unknown: u32) -> Self {
        self.fleet.unknown = unknown;
        self
    }

    pub fn min_healthy(mut self, share: HealthyShare) -> Self {
        self.policy.limits.min_healthy = share;
        self
    }

    pub fn mode(mut self, mode: Mode) -> Self {
        self.policy.mode = mode;
        self
    }

    pub fn by_hand(mut self) -> Self {
        self.target.by_hand = true;
        self
    }

    pub fn budget(mut self, budget: &[(u32, u64)]) -> Self {
        self.policy.limits.budget =
            budget.iter().map(|(actions, per)| BudgetLimit { actions: *actions, per: *per }).collect();
        self
    }

    /// So many restarts of the slot in this incident, the last so long ago.
    pub fn restarted(self, times: i32, millis_ago: u64) -> Self {
        self.record(|record| {
            record.restarts = times;
            record.attempt = times;
            record.last_at = server_ago(millis_ago);
        })
    }

    pub fn record(mut self, change: impl FnOnce(&mut SlotRecord)) -> Self {
        let simulated = self.as_facts().simulated();
        let mut record = super::ledger::record(&self.ledger, &self.policy.id.uid, SLOT, simulated);
        change(&mut record);
        self.ledger.slots.retain(|known| known.simulated != simulated);
        self.ledger.slots.push(record);
        self
    }

    /// An action of this policy on some slot so long ago.
    pub fn acted(mut self, millis_ago: u64, simulated: bool) -> Self {
        self.ledger.actions.push(ActionRecord {
            policy: self.policy.id.uid.clone(),
            remediation: format!("before-{}", self.ledger.actions.len()),
            slot: super::budget::stands_for(SLOT),
            at: server_ago(millis_ago),
            simulated,
        });
        self
    }

    /// Somebody has a seat.
    pub fn seat(mut self, namespace: &str, policy: &str, slot: &str) -> Self {
        self.ledger.seats.push(LedgerSeat {
            slot: slot.into(),
            remediation: remediation("another"),
            policy: PolicyRef { namespace: namespace.into(), name: policy.into(), uid: policy.into() },
            since: server_ago(MINUTE),
            deadline: SERVER,
            previous_at: 0,
            step: SeatStep::Restart,
            services: Vec::new(),
        });
        self
    }

    /// It had been healthy for so long, and that health began so long ago.
    pub fn healthy_before(mut self, lasted: u64, began_ago: u64) -> Self {
        self.target.health_before = lasted;
        self.target.healthy_since = ago(began_ago);
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn pod(mut self, change: impl FnOnce(&mut PodPresent)) -> Self {
        if let PodFacts::Present(pod) = &mut self.live.pod {
            change(pod);
        }
        self
    }

    pub fn as_facts(&self) -> Facts<'_> {
        Facts {
            policy: &self.policy,
            network: &self.network,
            ledger: &self.ledger,
            installation: US,
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

    pub fn decide(&self) -> Decision {
        propose(&self.as_facts())
    }

    /// The ladder has a job: the `CronJob` `resync`.
    pub fn job(mut self) -> Self {
        self.policy.ladder.job = Some(JobStep {
            cron_job: "resync".into(),
            within: HOUR,
            attempts: 1,
            cooldown: HOUR,
            backoff_factor: 2,
            backoff_max: 4 * HOUR,
        });
        self
    }

    /// The ladder may let another member of the group `hub` sign.
    pub fn failover(mut self) -> Self {
        self.policy.ladder.failover =
            Some(FailoverStep { group: "hub".into(), within: 2 * MINUTE, attempts: 1, cooldown: HOUR });
        self
    }

    /// Every guard that holds a step back.
    pub fn holding(&self, step: Step) -> Vec<Guard> {
        let results = all(&self.as_facts(), step);
        results.into_iter().filter(|result| result.held.is_some()).map(|result| result.guard).collect()
    }

    /// Every guard that holds a restart back.
    pub fn held_by(&self) -> Vec<Guard> {
        self.holding(Step::Restart)
    }

    pub fn refusal(&self) -> Refusal {
        match self.decide() {
            Decision::Refused(refusal) => refusal,
            other => panic!("expected a refusal, not {other:?}"),
        }
    }

    /// Exactly this guard holds, and the refusal says so.
    pub fn is_held_by(&self, guard: Guard) -> Held {
        assert_eq!(self.held_by(), [guard]);
        let refusal = self.refusal();
        assert_eq!(refusal.guard, guard);
        assert!(!refusal.held.why.is_empty());
        assert_eq!(refusal.results, all(&self.as_facts(), Step::Restart));
        refusal.held
    }

    pub fn is_restarted(&self) {
        assert_eq!(self.held_by(), []);
        assert!(matches!(self.decide(), Decision::Proposed(proposal) if proposal.step == Step::Restart));
    }
}
