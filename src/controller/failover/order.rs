//! Orders: each is carried out or refused once, the oldest first.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{
    api::{OrderOutcome, SigningOrder, SigningOrderStatus},
    effect::signing::answer_order,
    failover::{
        Activation, Epoch, Event, Height, Record,
        orders::{Fate, Order, Wish, fate},
        step,
    },
};

use super::{Next, Round, Trouble, choose, choose::Choice};

/// The orders about an identity that are not over, oldest first.
pub fn open(all: &[Arc<SigningOrder>], namespace: &str, identity: &str) -> Vec<Arc<SigningOrder>> {
    let mut orders: Vec<_> = all
        .iter()
        .filter(|order| order.metadata.namespace.as_deref() == Some(namespace) && order.spec.identity == identity)
        .filter(|order| matches!(outcome(order), None | Some(OrderOutcome::Accepted)))
        .cloned()
        .collect();
    orders.sort_by_key(|order| (order.metadata.creation_timestamp.clone(), order.metadata.name.clone()));
    orders
}

fn outcome(order: &SigningOrder) -> Option<OrderOutcome> {
    order.status.as_ref().and_then(|status| status.outcome)
}

/// The member that the oldest order of an epoch asks for.
pub fn member(orders: &[Arc<SigningOrder>], epoch: Epoch) -> Option<String> {
    let order = orders.iter().find(|order| {
        order.spec.failover.is_some() && u64::try_from(order.spec.epoch).is_ok_and(|of| of == epoch.0)
    })?;
    let chosen = order.status.as_ref().and_then(|status| status.member.clone());
    chosen.or_else(|| order.spec.failover.as_ref().and_then(|switch| switch.to.clone()))
}

/// What an order says.
fn read(order: &SigningOrder) -> Result<Order, &'static str> {
    let spec = &order.spec;
    let wish = match (&spec.init, &spec.adopt, &spec.failover, &spec.release) {
        (Some(_), None, None, None) => Wish::Init,
        (None, Some(adopt), None, None) => {
            Wish::Adopt(Height(u64::try_from(adopt.floor).map_err(|_| "the floor is negative")?))
        }
        (None, None, Some(_), None) => Wish::Switch,
        (None, None, None, Some(release)) => Wish::Release(release.pod_uid.clone()),
        _ => return Err("exactly one of init, adopt, failover and release"),
    };
    let epoch = Epoch(u64::try_from(spec.epoch).map_err(|_| "the epoch is negative")?);
    let uid = order.metadata.uid.as_deref().filter(|uid| !uid.is_empty()).ok_or("the order has no uid")?;
    let digest = Sha256::digest(uid);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Ok(Order { wish, epoch, activation: Activation(u128::from_be_bytes(bytes)) })
}

impl Round<'_> {
    /// What the oldest order that leads to a step wants; those that lead to none are answered on the way.
    pub(super) async fn orders_first(&mut self, record: Option<&Record>) -> Result<Option<Next>, Trouble> {
        let mut left = Vec::new();
        let mut next = None;
        for order in std::mem::take(&mut self.orders) {
            if next.is_some() {
                left.push(order);
                continue;
            }
            let decided = match read(&order) {
                Ok(read) => fate(record, &read),
                Err(why) => Fate::Refused(why.into()),
            };
            match (decided, record) {
                (Fate::Begin(first), _) => {
                    left.push(order);
                    next = Some(Next::Write(first));
                }
                (Fate::Take(event), Some(record)) => {
                    if let Some((order, stepped)) = self.take(&order, record, event).await? {
                        left.push(order);
                        next = Some(Next::Write(stepped));
                    }
                }
                (Fate::Wait, _) | (Fate::Take(_), None) => left.push(order),
                (Fate::Done(why), _) => self.answer(&order, OrderOutcome::Done, why).await?,
                (Fate::Refused(why), _) => self.answer(&order, OrderOutcome::Refused, why).await?,
            }
        }
        self.orders = left;
        Ok(next)
    }

    /// Nobody is revoked for somebody who cannot go on.
    async fn take(
        &self,
        order: &Arc<SigningOrder>,
        record: &Record,
        event: Event,
    ) -> Result<Option<(Arc<SigningOrder>, Record)>, Trouble> {
        let mut order = Arc::clone(order);
        if let Event::Wanted { .. } = event {
            let wanted = order.spec.failover.as_ref().and_then(|switch| switch.to.clone());
            let candidates = choose::candidates(self.ctx, self.namespace, self.group).await?;
            let former = record.holder().map(|holder| holder.pod.member.clone());
            // Whoever asks for another asks for another, and not for the same once more.
            let rest: Vec<_> = if wanted.is_some() {
                candidates
            } else {
                candidates.into_iter().filter(|one| Some(&one.member) != former.as_ref()).collect()
            };
            let choice = Choice { wanted: wanted.as_deref(), former: None, others: wanted.is_none() };
            match choice.among(&rest) {
                Ok(chosen) => {
                    let status = SigningOrderStatus {
                        outcome: Some(OrderOutcome::Accepted),
                        reason: format!("{} is to go on", chosen.member),
                        member: Some(chosen.member.clone()),
                    };
                    answer_order(&self.ctx.clients.actuator, &order, &status).await?;
                    Arc::make_mut(&mut order).status = Some(status);
                }
                Err(why) => {
                    self.answer(&order, OrderOutcome::Refused, why).await?;
                    return Ok(None);
                }
            }
        }
        Ok(Some((order, step(record, event).0)))
    }

    async fn answer(&self, order: &SigningOrder, outcome: OrderOutcome, reason: String) -> Result<(), Trouble> {
        tracing::info!(order = order.metadata.name, ?outcome, reason, "an order is answered");
        let member = order.status.as_ref().and_then(|status| status.member.clone());
        let status = SigningOrderStatus { outcome: Some(outcome), reason, member };
        Ok(answer_order(&self.ctx.clients.actuator, order, &status).await?)
    }
}
