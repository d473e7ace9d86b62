//! One look at a policy: what the decisions about its targets share.

use std::collections::{BTreeMap, BTreeSet};

use super::{PolicySnapshot, TargetSnapshot};
use crate::{
    api::{LedgerSeat, NetworkLedgerSpec},
    judge::VerdictKind,
    plan::{Facts, FleetFacts, Hours, Live, OwnFacts, PodFacts},
    signal::Now,
};

/// Everything that a policy's targets are decided by, at one instant. Targets are decided one by one, in the order of
/// their names; what is about to be done for one is a seat that the next one sees.
#[derive(Debug)]
pub struct Round<'a> {
    snapshot: &'a PolicySnapshot,
    installation: &'a str,
    ledger: NetworkLedgerSpec,
    hours: Hours,
    own: OwnFacts,
    now: Now,
    census: Census,
}

/// The targets of a policy, counted once for all of them.
#[derive(Debug, Default)]
struct Census {
    all: FleetFacts,
    healthy: u32,
    /// Healthy, without a seat and not on its way out.
    free: u32,
    /// Per node and per zone, how many targets are unhealthy and how many are healthy.
    nodes: BTreeMap<String, (u32, u32)>,
    zones: BTreeMap<String, (u32, u32)>,
    seated: BTreeSet<String>,
}

impl<'a> Round<'a> {
    /// Begins a look. `hours`: whether this is a time in which nothing is begun.
    #[must_use]
    pub fn new(
        snapshot: &'a PolicySnapshot,
        installation: &'a str,
        ledger: NetworkLedgerSpec,
        hours: Hours,
        own: OwnFacts,
        now: Now,
    ) -> Self {
        let census = Census::of(snapshot, &ledger);
        Self { snapshot, installation, ledger, hours, own, now, census }
    }

    /// The policy and its targets.
    #[must_use]
    pub fn snapshot(&self) -> &'a PolicySnapshot {
        self.snapshot
    }

    /// What the decision about a target rests on.
    #[must_use]
    pub fn facts<'s>(&'s self, target: &'s TargetSnapshot, live: &'s Live) -> Facts<'s> {
        Facts {
            policy: &self.snapshot.policy,
            network: &self.snapshot.network,
            ledger: &self.ledger,
            installation: self.installation,
            target: &target.facts,
            fleet: self.census.others(target),
            chain: &target.chain,
            joined: &target.joined,
            live,
            hours: &self.hours,
            own: self.own,
            now: self.now,
        }
    }

    /// Something is about to be done: the targets after this one must know, though no seat was taken yet. A page takes none.
    pub fn seat(&mut self, expected: Option<LedgerSeat>) {
        let Some(seat) = expected else { return };
        self.ledger.seats.push(seat);
        self.census = Census::of(self.snapshot, &self.ledger);
    }

    /// The ledger, with the seats that are about to be taken.
    #[must_use]
    pub fn ledger(&self) -> &NetworkLedgerSpec {
        &self.ledger
    }
}

impl Census {
    fn of(snapshot: &PolicySnapshot, ledger: &NetworkLedgerSpec) -> Self {
        let seated = ledger.seats.iter().map(|seat| seat.slot.clone()).collect();
        let mut census = Self { seated, ..Self::default() };
        census.all.new_targets = snapshot.new_targets;
        for target in &snapshot.targets {
            census.all.targets += 1;
            match target.facts.verdict.kind {
                VerdictKind::Unknown => census.all.unknown += 1,
                VerdictKind::Suspect => census.all.suspect += 1,
                VerdictKind::Unhealthy => {
                    census.all.unhealthy += 1;
                    census.node(target).0 += 1;
                    census.zone(target).0 += 1;
                }
                VerdictKind::Healthy => {
                    census.healthy += 1;
                    census.node(target).1 += 1;
                    census.zone(target).1 += 1;
                    census.free += u32::from(census.is_free(target));
                }
            }
        }
        census
    }

    fn node(&mut self, target: &TargetSnapshot) -> &mut (u32, u32) {
        self.nodes.entry(target.node.clone()).or_default()
    }

    fn zone(&mut self, target: &TargetSnapshot) -> &mut (u32, u32) {
        self.zones.entry(target.zone.clone()).or_default()
    }

    fn is_free(&self, target: &TargetSnapshot) -> bool {
        target.facts.verdict.kind == VerdictKind::Healthy
            && !self.seated.contains(&target.facts.slot)
            && !is_leaving(&target.live)
    }

    fn others(&self, subject: &TargetSnapshot) -> FleetFacts {
        let (unhealthy_here, well_here) = self.nodes.get(&subject.node).copied().unwrap_or_default();
        // A pod that does not say where it runs is in no zone.
        let zone = self.zones.get(&subject.zone).filter(|_| !subject.zone.is_empty());
        let (unhealthy_in_zone, well_in_zone) = zone.copied().unwrap_or_default();
        FleetFacts {
            healthy_others: self.free - u32::from(self.is_free(subject)),
            unhealthy_here,
            well_elsewhere: self.healthy - well_here,
            unhealthy_in_zone,
            well_in_zone,
            ..self.all
        }
    }
}

fn is_leaving(live: &Live) -> bool {
    match &live.pod {
        PodFacts::Present(pod) => pod.terminating,
        PodFacts::Gone => true,
    }
}
