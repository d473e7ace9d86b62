//! Orders: each is carried out or refused once, the oldest first.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{
    api::{MAINSTAY, OrderOutcome, SigningOrder, SigningOrderStatus},
    effect::signing::answer_order,
    failover::{
        Activation, Epoch, Event, Height, Record,
        orders::{Fate, Order, Wish, fate},
        step,
    },
    signal::Server,
};

use super::{Next, Round, Trouble, choose, choose::Choice};

/// An order of a ladder rests on what was seen when it was given. After so long (milliseconds) that is history, as for a
/// remediation that could not begin: nobody was there to carry it out.
const FRESH: u64 = 120_000;

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

/// The member that the oldest order of an epoch asks for, and whether it does so by name.
pub fn member(orders: &[Arc<SigningOrder>], epoch: Epoch) -> Option<(String, bool)> {
    let order = orders.iter().find(|order| {
        order.spec.failover.is_some() && u64::try_from(order.spec.epoch).is_ok_and(|of| of == epoch.0)
    })?;
    let named = order.spec.failover.as_ref().and_then(|switch| switch.to.clone());
    let chosen = order.status.as_ref().and_then(|status| status.member.clone());
    let by_name = named.is_some();
    Some((chosen.or(named)?, by_name))
}

/// Why an order is not carried out any more, though it is about the epoch of now.
fn outdated(order: &SigningOrder, now: Server) -> Option<String> {
    let given = order.metadata.creation_timestamp.as_ref()?;
    let age = now.since(Server(given.0.as_millisecond()));
    (order.spec.by == MAINSTAY && age > FRESH)
        .then(|| format!("it was given {} s ago, on what was seen then: it comes late", age / 1000))
}

/// Who went on: whom it chose, or another after that.
fn went_on(order: &SigningOrder, record: Option<&Record>) -> Option<String> {
    let holder = record.and_then(Record::holder).filter(|_| order.spec.failover.is_some());
    let chosen = || order.status.as_ref().and_then(|status| status.member.clone());
    holder.map(|holder| holder.pod.member.clone()).or_else(chosen)
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
                (Fate::Done(why), _) => {
                    let member = went_on(&order, record);
                    self.answer(&order, OrderOutcome::Done, why, member).await?;
                }
                (Fate::Refused(why), _) => self.refuse(&order, why).await?,
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
            if let Some(why) = outdated(&order, self.ctx.now().server) {
                self.refuse(&order, why).await?;
                return Ok(None);
            }
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
                    self.refuse(&order, why).await?;
                    return Ok(None);
                }
            }
        }
        Ok(Some((order, step(record, event).0)))
    }

    async fn refuse(&self, order: &SigningOrder, why: String) -> Result<(), Trouble> {
        let member = order.status.as_ref().and_then(|status| status.member.clone());
        self.answer(order, OrderOutcome::Refused, why, member).await
    }

    async fn answer(
        &self,
        order: &SigningOrder,
        outcome: OrderOutcome,
        reason: String,
        member: Option<String>,
    ) -> Result<(), Trouble> {
        tracing::info!(order = order.metadata.name, ?outcome, reason, "an order is answered");
        let status = SigningOrderStatus { outcome: Some(outcome), reason, member };
        Ok(answer_order(&self.ctx.clients.actuator, order, &status).await?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::failover::{Activation, HandOver, Phase, Pod};

    fn order(by: &str, to: Option<&str>, status: &Value) -> SigningOrder {
        serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
            "metadata": {"name": "x", "namespace": "cosmos", "uid": "o1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"identity": "hub-1.k", "epoch": 4, "by": by, "failover": {"to": to, "reason": "why"}},
            "status": status,
        }))
        .unwrap()
    }

    /// The operator was away; the holder may have been well for an hour.
    #[test]
    fn a_ladders_order_that_nobody_looked_at_in_time_is_not_carried_out() {
        let given: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |millis| Server(given.as_millisecond()).plus(millis);
        let ours = order(MAINSTAY, None, &json!({}));
        assert_eq!(outdated(&ours, after(FRESH)), None);
        assert!(outdated(&ours, after(FRESH + 1)).unwrap().contains("comes late"));
        assert_eq!(outdated(&order("ann", None, &json!({})), after(10 * FRESH)), None, "a person may be patient");
    }

    #[test]
    fn an_order_says_who_went_on_and_whom_it_asked_for() {
        let accepted = json!({"outcome": "Accepted", "member": "b"});
        let asked = |order| member(&[Arc::new(order)], Epoch(4));
        assert_eq!(asked(order("ann", None, &accepted)), Some(("b".into(), false)));
        assert_eq!(asked(order("ann", Some("b"), &json!({}))), Some(("b".into(), true)));
        let pod = Arc::new(Pod { member: "c".into(), uid: "u3".into(), node: "n3".into() });
        let fenced = Record::adopted(Epoch(4), Activation(1), Height(100));
        let offer = Event::Offered { pod, activation: Activation(2), hand_over: HandOver::Gate };
        let record = step(&fenced, offer).0;
        assert!(matches!(record.phase, Phase::Active(_)));
        assert_eq!(went_on(&order("ann", None, &accepted), Some(&record)).as_deref(), Some("c"));
        assert_eq!(went_on(&order("ann", None, &accepted), None).as_deref(), Some("b"));
    }
}
