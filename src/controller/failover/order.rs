//! Orders: each is carried out or refused once, the oldest first.

use sha2::{Digest, Sha256};

use crate::{
    api::{FailoverGroup, MAINSTAY, OrderOutcome, SigningOrder, SigningOrderStatus},
    effect::{
        Failed,
        signing::{answer_order, read_order},
    },
    failover::{
        Activation, Epoch, Event, Height, Record, Unreadable,
        orders::{Fate, Order, Wish, fate, mend},
        step,
    },
    signal::Server,
};

use super::{Context, Next, Round, Trouble, choose, choose::Choice, keys};

/// An order of a ladder rests on what was seen when it was given. After so long (milliseconds) that is history, as for a
/// remediation that could not begin: nobody was there to carry it out.
const FRESH: u64 = 120_000;
/// What is applied together is there within so long (milliseconds).
const TOGETHER: u64 = 10_000;

/// The orders about an identity that are not over, oldest first. The cache names them and the API server tells how each
/// stands: an order is answered once, and the cache may not have heard of it.
pub async fn open(ctx: &Context, namespace: &str, identity: &str) -> Result<Vec<SigningOrder>, Failed> {
    let cached = ctx.stores.failover.iter().flat_map(|stores| stores.orders.list());
    let mut orders = Vec::new();
    for cached in cached.filter(|order| order.metadata.namespace.as_deref() == Some(namespace)) {
        if cached.spec.identity != identity || !is_open(&cached) {
            continue;
        }
        let name = cached.metadata.name.as_deref().unwrap_or_default();
        orders.extend(read_open(ctx, namespace, name, identity).await?);
    }
    orders.sort_by_key(|order| (order.metadata.creation_timestamp.clone(), order.metadata.name.clone()));
    Ok(orders)
}

/// An order as it is now, if it is about this identity and not over.
pub async fn read_open(
    ctx: &Context,
    namespace: &str,
    name: &str,
    identity: &str,
) -> Result<Option<SigningOrder>, Failed> {
    let live = read_order(&ctx.clients.actuator, namespace, name).await?;
    Ok(live.filter(|live| live.spec.identity == identity && is_open(live)))
}

/// Whether an order is not over.
pub fn is_open(order: &SigningOrder) -> bool {
    matches!(outcome(order), None | Some(OrderOutcome::Accepted))
}

/// Whether what an order is about may still be on its way: people apply an identity, its group and an order together.
pub fn is_young(order: &SigningOrder, now: Server) -> bool {
    let given = order.metadata.creation_timestamp.as_ref();
    given.is_none_or(|given| now.since(Server(given.0.as_millisecond())) < TOGETHER)
}

fn outcome(order: &SigningOrder) -> Option<OrderOutcome> {
    order.status.as_ref().and_then(|status| status.outcome)
}

/// Whom the orders of an epoch want to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// These, in this order.
    pub named: Vec<String>,
    /// And anybody else, if none of them can.
    pub anybody: bool,
}

/// Whom the orders of an epoch want to go on, if there are any. A later one has its way where an earlier one cannot.
pub fn wanted(orders: &[SigningOrder], epoch: Epoch) -> Option<Wanted> {
    let of = orders.iter().filter(|order| u64::try_from(order.spec.epoch).is_ok_and(|of| of == epoch.0));
    let mut wanted = None;
    for (order, switch) in of.filter_map(|order| Some((order, order.spec.failover.as_ref()?))) {
        let chosen = order.status.as_ref().and_then(|status| status.member.clone());
        let so_far = wanted.get_or_insert(Wanted { named: Vec::new(), anybody: false });
        so_far.named.extend(switch.to.clone().or(chosen));
        so_far.anybody |= switch.to.is_none();
    }
    wanted
}

/// Why an order is not carried out any more, though it is about the epoch of now.
fn outdated(order: &SigningOrder, now: Server) -> Option<String> {
    let given = order.metadata.creation_timestamp.as_ref()?;
    let age = now.since(Server(given.0.as_millisecond()));
    (order.spec.by == MAINSTAY && age > FRESH)
        .then(|| format!("it was given {} s ago, on what was seen then: it comes late", age / 1000))
}

/// Who went on: the holder, or else whom it chose.
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
            let floor = Height(u64::try_from(adopt.floor).map_err(|_| "the floor is negative")?);
            match &adopt.pod_uid {
                Some(uid) => Wish::AdoptAfter { uid: uid.clone(), floor },
                None => Wish::Adopt(floor),
            }
        }
        (None, None, Some(switch), None) => Wish::Switch(switch.to.clone()),
        (None, None, None, Some(release)) => Wish::Release(release.pod_uid.clone()),
        _ => return Err("exactly one of init, adopt, failover and release"),
    };
    let epoch = Epoch(u64::try_from(spec.epoch).map_err(|_| "the epoch is negative")?);
    let uid = order.metadata.uid.as_deref().filter(|uid| !uid.is_empty()).ok_or("the order has no uid")?;
    let digest = Sha256::digest(uid);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    let accepted = outcome(order) == Some(OrderOutcome::Accepted);
    Ok(Order { wish, epoch, activation: Activation(u128::from_be_bytes(bytes)), accepted })
}

impl Round<'_> {
    /// What the oldest order that leads to a step wants; those that lead to none are answered on the way.
    pub(super) async fn orders_first(
        &mut self,
        record: &Result<Option<Record>, Unreadable>,
    ) -> Result<Option<Next>, Trouble> {
        let mut left = Vec::new();
        let mut next = None;
        for order in std::mem::take(&mut self.orders) {
            if next.is_some() {
                left.push(order);
                continue;
            }
            let decided = match (read(&order), record) {
                (Ok(read), Ok(record)) => fate(record.as_ref(), &read),
                (Ok(read), Err(why)) => mend(why, &read),
                (Err(why), _) => Fate::Refused(why.into()),
            };
            match (decided, record) {
                (Fate::Begin(first), _) => {
                    left.push(order);
                    next = Some(Next::Write(first));
                }
                (Fate::Take(event), Ok(Some(record))) => {
                    if let Some((order, stepped)) = self.take(order, record, event).await? {
                        left.push(order);
                        next = Some(Next::Write(stepped));
                    }
                }
                (Fate::Wait, _) | (Fate::Take(_), Ok(None) | Err(_)) => left.push(self.join(order).await?),
                (Fate::Done(why), _) => {
                    let member = went_on(&order, record.as_ref().ok().and_then(Option::as_ref));
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
        mut order: SigningOrder,
        record: &Record,
        event: Event,
    ) -> Result<Option<(SigningOrder, Record)>, Trouble> {
        if let Event::Wanted { .. } = event {
            if let Some(why) = outdated(&order, self.ctx.now().server) {
                self.refuse(&order, why).await?;
                return Ok(None);
            }
            if self.refuses_for_the_key(&order).await? {
                return Ok(None);
            }
            let wanted = order.spec.failover.as_ref().and_then(|switch| switch.to.clone());
            let candidates = choose::candidates(self.ctx, self.namespace, self.group, &self.memory.key).await?;
            let former = record.holder().map(|holder| holder.pod.member.clone());
            // Whoever asks for another asks for another, and not for the same once more.
            let rest: Vec<_> = if wanted.is_some() {
                candidates
            } else {
                candidates.into_iter().filter(|one| Some(&one.member) != former.as_ref()).collect()
            };
            let choice = Choice { others: wanted.is_none(), wanted: wanted.into_iter().collect(), former: None };
            match choice.among(&rest) {
                Ok(chosen) => {
                    let why = format!("{} is to go on", chosen.member);
                    order = self.accept(order, why, Some(chosen.member.clone())).await?;
                }
                Err(why) => {
                    self.refuse(&order, why).await?;
                    return Ok(None);
                }
            }
        }
        Ok(Some((order, step(record, event).0)))
    }

    /// Refuses a switch while somebody outside of the group has its key: nobody is to sign beside them.
    async fn refuses_for_the_key(&self, order: &SigningOrder) -> Result<bool, Trouble> {
        let Some(elsewhere) = self.memory.key.elsewhere() else { return Ok(false) };
        self.refuse(order, format!("{}: {elsewhere}", keys::KIND)).await?;
        Ok(true)
    }

    /// A switch that comes while the place is changing hands is part of that.
    async fn join(&self, order: SigningOrder) -> Result<SigningOrder, Trouble> {
        if order.spec.failover.is_some() && outcome(&order).is_none() {
            if self.refuses_for_the_key(&order).await? {
                return Ok(order);
            }
            return self.accept(order, "the place is changing hands already".into(), None).await;
        }
        Ok(order)
    }

    /// The order as it is then, unless that is what it says already.
    async fn accept(
        &self,
        order: SigningOrder,
        reason: String,
        member: Option<String>,
    ) -> Result<SigningOrder, Trouble> {
        let status = SigningOrderStatus { outcome: Some(OrderOutcome::Accepted), reason, member };
        if order.status.as_ref() == Some(&status) {
            return Ok(order);
        }
        Ok(answer_order(&self.ctx.clients.actuator, &order, &status).await?)
    }

    /// Answers the orders of a group that can carry none out. One that was taken before goes on when the group is mended.
    pub(super) async fn refuse_all(&self, trouble: &Trouble) -> Result<(), Trouble> {
        let (Trouble::Invalid(why) | Trouble::Unreadable(why)) = trouble else { return Ok(()) };
        let (identity, now) = (&self.group.spec.identity, self.ctx.now().server);
        if self.is_anothers_to_answer() {
            return Ok(());
        }
        for order in open(self.ctx, self.namespace, identity).await? {
            if outcome(&order).is_none() && !is_young(&order, now) {
                self.refuse(&order, invalid(self.group, why)).await?;
            }
        }
        Ok(())
    }

    /// Whether another group of this namespace names the same identity, and the identity that one.
    fn is_anothers_to_answer(&self) -> bool {
        let (own, name) = (self.group.metadata.name.as_deref(), &self.group.spec.identity);
        let Some(stores) = &self.ctx.stores.failover else { return false };
        let of = stores.identities.get("", name).filter(|of| of.spec.namespace == self.namespace);
        let of = of.filter(|of| Some(of.spec.group.as_str()) != own);
        let other = of.and_then(|of| stores.groups.get(self.namespace, &of.spec.group));
        other.is_some_and(|other| other.spec.identity == *name)
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
        Ok(answer(self.ctx, order, outcome, reason, member).await?)
    }
}

/// Says what becomes of an order.
pub async fn answer(
    ctx: &Context,
    order: &SigningOrder,
    outcome: OrderOutcome,
    reason: String,
    member: Option<String>,
) -> Result<(), Failed> {
    tracing::info!(order = order.metadata.name, ?outcome, reason, "an order is answered");
    let status = SigningOrderStatus { outcome: Some(outcome), reason, member };
    answer_order(&ctx.clients.actuator, order, &status).await?;
    Ok(())
}

/// What somebody is told who orders something of a group that is none.
fn invalid(group: &FailoverGroup, why: &str) -> String {
    let name = group.metadata.name.as_deref().unwrap_or_default();
    format!("the group {name} is Invalid, and nothing is carried out for it: {why}. Mend that, and order again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{SigningOrderSpec, SwitchOrder};

    fn switch(epoch: i64, to: Option<&str>, chosen: Option<&str>) -> SigningOrder {
        let failover = Some(SwitchOrder { to: to.map(Into::into), reason: String::new() });
        let (identity, by) = ("hub.k".to_owned(), "ann".to_owned());
        let spec = SigningOrderSpec { identity, epoch, by, init: None, adopt: None, failover, release: None };
        let mut order = SigningOrder::new("x", spec);
        order.status = chosen.map(|chosen| SigningOrderStatus {
            outcome: Some(OrderOutcome::Accepted),
            reason: String::new(),
            member: Some(chosen.into()),
        });
        order
    }

    /// The operator was away; the holder may have been well for an hour.
    #[test]
    fn a_ladders_order_that_nobody_looked_at_in_time_is_not_carried_out() {
        let given: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |millis| Server(given.as_millisecond()).plus(millis);
        let by = |who: &str| {
            let mut order = switch(4, None, None);
            order.spec.by = who.into();
            order.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(given));
            order
        };
        assert_eq!(outdated(&by(MAINSTAY), after(FRESH)), None);
        assert!(outdated(&by(MAINSTAY), after(FRESH + 1)).unwrap().contains("comes late"));
        assert_eq!(outdated(&by("ann"), after(10 * FRESH)), None, "a person may be patient");
    }

    /// `kubectl apply` writes an identity, its group and an order one after another.
    #[test]
    fn an_order_is_refused_for_what_is_not_there_when_it_is_not_young_any_more() {
        let given: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut order = switch(4, None, None);
        order.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(given));
        let after = |millis| Server(given.as_millisecond()).plus(millis);
        assert!(is_young(&order, after(TOGETHER - 1)) && !is_young(&order, after(TOGETHER)));
    }

    #[test]
    fn an_order_says_who_went_on() {
        let order = switch(4, None, Some("b"));
        assert_eq!(went_on(&order, None), Some("b".into()));
        let record = Record::adopted(Epoch(4), Activation(1), Height(0));
        let pod = crate::failover::Pod { member: "c".into(), uid: "u".into(), node: "n".into() };
        let hand_over = crate::failover::HandOver::Gate;
        let offered = Event::Offered { pod: pod.into(), activation: Activation(2), hand_over };
        assert_eq!(went_on(&order, Some(&step(&record, offered).0)), Some("c".into()), "another after that");
    }

    #[test]
    fn the_orders_of_an_epoch_are_asked_in_their_order() {
        let orders = [
            switch(3, Some("z"), None),
            switch(4, None, Some("b")),
            switch(4, Some("c"), None),
            switch(5, None, None),
        ];
        let named = vec!["b".to_owned(), "c".to_owned()];
        assert_eq!(wanted(&orders, Epoch(4)), Some(Wanted { named, anybody: true }));
        let of_three = Wanted { named: vec!["z".into()], anybody: false };
        assert_eq!(wanted(&orders, Epoch(3)), Some(of_three));
        assert_eq!(wanted(&orders, Epoch(5)), Some(Wanted { named: Vec::new(), anybody: true }));
        assert_eq!(wanted(&orders, Epoch(6)), None);
    }
}
