//! Shows what the quorum sees, tells people when a chain stands still, and reclaims seats that nobody holds.

use std::sync::Arc;

use crate::{
    api::{Phase, RemediationRef},
    effect::{journal, ledger as ledgers},
    plan::{ledger, ownership},
    remedy::End,
    signal::Server,
};

use super::{context::Context, remediation::Standing, report};

/// A network is looked at again after this (milliseconds).
const TICK: u64 = 30_000;

/// Looks at one network. Returns when it wants to be looked at again (milliseconds).
pub async fn reconcile(ctx: Arc<Context>, name: String) -> Option<u64> {
    if !ctx.leads() {
        return None;
    }
    let now = ctx.now();
    let Some(object) = ctx.stores.networks.get("", &name) else {
        let invalid = ctx.stores.networks.unreadable("", &name)?;
        // Whom it admits is not known: that is for the installation that looks after all namespaces to tell, or for
        // its owner.
        if ctx.namespaces.is_empty() || owns(&ctx, &name).await {
            report::unreadable_network(&ctx, &invalid, now).await;
        }
        return Some(TICK);
    };
    let Some(snapshot) = ctx.world().network(&name, now.mono) else {
        report::invalid_network(&ctx, &object, now).await;
        return Some(TICK);
    };
    if !ctx.looks_after_any(&snapshot.plan.allowed_namespaces) {
        return None;
    }
    let claim = |record: &_| ownership::claim(record, &ctx.installation, now.server);
    let record = match ledgers::swap(&ctx.clients.actuator, &name, claim).await {
        Ok(record) => {
            ctx.set_foreign(&name, false);
            record
        }
        // Its owner tells of it. Two that wrote one status would do nothing else any more.
        Err(ledgers::SwapError::Refused(why)) => {
            ctx.set_foreign(&name, true);
            tracing::debug!(network = name, why, "left alone");
            return Some(TICK);
        }
        Err(error) => {
            tracing::warn!(network = name, %error, "could not read the ledger");
            report::reconcile_error(&ctx.metrics, "network", "read");
            return Some(TICK);
        }
    };
    report::network(&ctx, &object, &snapshot, now).await;
    reclaim(&ctx, &name, &record).await;
    Some(TICK)
}

async fn owns(ctx: &Context, network: &str) -> bool {
    let record = ledgers::get(&ctx.clients.actuator, network).await;
    record.is_ok_and(|record| record.installation == ctx.installation)
}

/// A seat that may be nobody's is given back only after a live look shows its remediation over or gone.
async fn reclaim(ctx: &Context, network: &str, record: &crate::api::NetworkLedgerSpec) {
    let ended = |held_by: &RemediationRef| {
        let known = ctx.stores.remediations.get(&held_by.namespace, &held_by.name);
        // One that still has its finalizer has somebody who will give the seat back.
        // One that is not known is gone, or so new that a live look will find it.
        known.is_none_or(|known| {
            let same = known.metadata.uid.as_ref() == Some(&held_by.uid);
            same && known.phase().is_final() && !journal::is_held(&known)
        })
    };
    for seat in ledger::doubtful(record, ctx.now().server, ended) {
        let held_by = &seat.remediation;
        let mut acted_at = None;
        let end = match journal::get(&ctx.clients.actuator, &held_by.namespace, &held_by.name).await {
            Ok(Some(live)) if live.metadata.uid.as_ref() == Some(&held_by.uid) => match live.phase() {
                Phase::Pending | Phase::AwaitingApproval | Phase::Acting | Phase::Verifying => continue,
                phase @ (Phase::Succeeded
                | Phase::Failed
                | Phase::Superseded
                | Phase::Withdrawn
                | Phase::DryRun) => {
                    let status = live.status.unwrap_or_default();
                    acted_at = status.acted_at.map(Server);
                    End::of(phase, &status.reason, status.acted_at)
                }
            },
            // Gone, and nobody can say what it did: the budget stays spent.
            Ok(_) => End::of(Phase::Failed, "Gone", None),
            Err(_) => continue,
        };
        let claim = ledger::Claim { acted_at, ..ledger::Claim::of(seat) };
        let release = |record: &_| {
            Ok::<_, std::convert::Infallible>(ledger::release(record, &claim, end.acted, end.exhausted))
        };
        match ledgers::swap(&ctx.clients.actuator, network, release).await {
            Ok(_) => tracing::warn!(network, slot = seat.slot, "reclaimed a seat whose holder is gone"),
            Err(error) => tracing::warn!(network, slot = seat.slot, %error, "could not reclaim a seat"),
        }
    }
}
