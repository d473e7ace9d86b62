//! Failover: orders that another member of a group signs. Who goes on, and when nobody can sign twice, is for the group's
//! own controller to say; here an order is given, once, and its answer is read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};

use super::{
    Failed, Outcome, Verb,
    outcome::bounded,
    read::ReadError,
    signing::{self, Identity},
};
use crate::{
    api::{
        FailoverAction, FailoverGroup, MAINSTAY, NodeRemediation, OrderOutcome, SigningOrder, SigningOrderSpec,
        SwitchOrder,
    },
    controller::clients::{CallError, DEADLINE, deadline},
    failover::{Missing, Phase, Record},
    plan::GroupFacts,
};

/// Orders that are asked for at once, and how often: more in one namespace are not looked through, and nothing is known then.
const PAGE: u32 = 500;
const PAGES: usize = 20;

/// Which group, and as whose.
#[derive(Clone, Copy, Debug)]
pub struct GroupRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// The network that its key is of.
    pub network: &'a str,
    /// Uid of the pod that is to hold its place.
    pub pod: &'a str,
    /// Name of the order that does not stand in its own way; empty if there is none yet.
    pub order: &'a str,
}

/// An order, as its remediation gives it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name: that of the remediation, so that it is given once however often it is asked for.
    pub name: &'a str,
    /// Uid of the remediation.
    pub remediation: &'a str,
    /// Which identity, and which epoch of it.
    pub action: &'a FailoverAction,
    /// The pod that signs, and is unwell.
    pub pod: &'a str,
    /// The rules that fired.
    pub rules: &'a [String],
    /// Who asked for it.
    pub requested_by: &'a str,
}

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// There is none of this remediation.
    Absent,
    /// It is not answered, or being carried out; says how far it has come.
    Open(String),
    /// This member holds the place.
    Done(String),
    /// It is not carried out; says why.
    Refused(String),
}

/// Whether a pod holds the place of a group, and another could. The record is read as it is: a group's status is for people.
pub(super) async fn read_group(
    actuator: &Client,
    namespace: &str,
    of: GroupRef<'_>,
) -> Result<GroupFacts, ReadError> {
    let groups: Api<FailoverGroup> = Api::namespaced(actuator.clone(), namespace);
    let group = match deadline(DEADLINE, groups.get(of.name)).await {
        Ok(group) => group,
        Err(error) if is_forbidden(&error) => return Ok(GroupFacts::Forbidden),
        Err(error) if Outcome::of(Verb::Read, &error) == Outcome::Gone => return Ok(GroupFacts::Absent),
        Err(error) => return unreadable("it", "FailoverGroup", &error),
    };
    let name = &group.spec.identity;
    let identity = match signing::read_identity(actuator, name).await {
        Ok(Some(identity)) => identity,
        Ok(None) => return Ok(GroupFacts::Foreign(format!("there is no SigningIdentity {name}"))),
        Err(Failed { outcome: Outcome::Refused(_), .. }) => return Ok(GroupFacts::Forbidden),
        Err(Failed { outcome, .. }) => return Err(ReadError { what: "SigningIdentity", outcome }),
    };
    let found = of_record(namespace, of, &group, &identity);
    if !matches!(found, GroupFacts::Ready { .. }) {
        return Ok(found);
    }
    // Last: an order that comes later is about an epoch that was still the target's now.
    match other_order(actuator, namespace, of, name).await {
        Ok(None) => Ok(found),
        Ok(Some(other)) => Ok(GroupFacts::Moving(other)),
        Err(error) if is_forbidden(&error) => Ok(GroupFacts::Forbidden),
        Err(error) => unreadable("a SigningOrder of this namespace", "SigningOrders", &error),
    }
}

/// Another order about an identity that is not over, in words; people keep those that are over, however many they are.
async fn other_order(
    actuator: &Client,
    namespace: &str,
    of: GroupRef<'_>,
    identity: &str,
) -> Result<Option<String>, CallError> {
    let api: Api<SigningOrder> = Api::namespaced(actuator.clone(), namespace);
    let is_open = |order: &&SigningOrder| {
        let outcome = order.status.as_ref().and_then(|status| status.outcome);
        order.spec.identity == *identity && matches!(outcome, None | Some(OrderOutcome::Accepted))
    };
    let mut page = ListParams::default().limit(PAGE);
    for _ in 0..PAGES {
        let orders = deadline(DEADLINE, api.list(&page)).await?;
        let other = orders.items.iter().filter(is_open).find_map(|order| {
            let name = order.metadata.name.as_deref().filter(|name| *name != of.order)?;
            Some(format!("SigningOrder {name} of {} is not over", order.spec.by))
        });
        let Some(next) = orders.metadata.continue_.filter(|next| !next.is_empty() && other.is_none()) else {
            return Ok(other);
        };
        page = page.continue_token(&next);
    }
    Ok(Some(format!("more than {} orders are not looked through", PAGES * PAGE as usize)))
}

/// What the record says, before anybody's orders.
fn of_record(namespace: &str, of: GroupRef<'_>, group: &FailoverGroup, identity: &Identity) -> GroupFacts {
    let name = &identity.name;
    let spec = match &identity.spec {
        Ok(spec) => spec,
        Err(why) => return GroupFacts::Unreadable(why.clone()),
    };
    if (spec.namespace.as_str(), spec.group.as_str()) != (namespace, of.name) {
        return GroupFacts::Foreign(format!("SigningIdentity {name} is for {}/{}", spec.namespace, spec.group));
    }
    if [&group.spec.network, &spec.network].into_iter().any(|network| network != of.network) {
        return GroupFacts::Foreign(format!(
            "it or its SigningIdentity is of another network than {}",
            of.network
        ));
    }
    let record = match &identity.record {
        Ok(Some(record)) => record,
        Ok(None) => return GroupFacts::NoRecord,
        Err(why) => return GroupFacts::Unreadable(why.to_string()),
    };
    if let Some(why) = record.shut {
        return GroupFacts::Shut(why.because().into());
    }
    let holder = match &record.phase {
        Phase::Active(holder) => &holder.pod,
        Phase::Revoking { .. } | Phase::Fenced(_) => return GroupFacts::Moving(stands(record)),
    };
    if holder.uid != of.pod {
        return GroupFacts::NotHolder(holder.member.clone());
    }
    if group.spec.members.iter().all(|member| member.name == holder.member) {
        return GroupFacts::NoStandby;
    }
    // Numbers beyond what the API server stores were read from it.
    let epoch = i64::try_from(record.tenure.epoch.0).unwrap_or(i64::MAX);
    GroupFacts::Ready { identity: name.clone(), epoch, automatic: group.spec.automatic }
}

/// Gives the order, once: one of the same name and for the same remediation is that very order.
pub async fn order_failover(actuator: &Client, given: &Given<'_>) -> Outcome {
    let orders: Api<SigningOrder> = Api::namespaced(actuator.clone(), given.namespace);
    match deadline(DEADLINE, orders.create(&PostParams::default(), &order(given))).await {
        Ok(_) => Outcome::Done,
        Err(CallError::Kube(kube::Error::Api(status))) if status.is_already_exists() => {
            match deadline(DEADLINE, orders.get(given.name)).await {
                Ok(found) if is_of(&found, given) => Outcome::Done,
                Ok(_) => Outcome::Refused(format!("another SigningOrder {} is there already", given.name)),
                Err(error) => match Outcome::of(Verb::Read, &error) {
                    // It was there a moment ago: what it did in between, nobody can say.
                    Outcome::Gone => Outcome::Unknown("the order was there, and is gone".into()),
                    outcome => outcome,
                },
            }
        }
        Err(error) => Outcome::of(Verb::Write, &error),
    }
}

/// What became of an order.
pub async fn read_order(actuator: &Client, given: &Given<'_>) -> Result<OrderState, ReadError> {
    let orders: Api<SigningOrder> = Api::namespaced(actuator.clone(), given.namespace);
    let found = match deadline(DEADLINE, orders.get(given.name)).await {
        Ok(found) if is_of(&found, given) => found,
        Ok(_) => return Ok(OrderState::Absent),
        Err(error) if Outcome::of(Verb::Read, &error) == Outcome::Gone => return Ok(OrderState::Absent),
        Err(error) => return Err(ReadError::of("SigningOrder", &error)),
    };
    let status = found.status.unwrap_or_default();
    let member = status.member.unwrap_or_else(|| "another member".into());
    Ok(match status.outcome {
        Some(OrderOutcome::Done) => OrderState::Done(member),
        Some(OrderOutcome::Refused) => OrderState::Refused(bounded(&status.reason)),
        None => {
            OrderState::Open("nobody has looked at its order: does the operator run with failover.enabled?".into())
        }
        Some(OrderOutcome::Accepted) => {
            OrderState::Open(match signing::read_identity(actuator, &given.action.identity).await {
                Ok(Some(Identity { record: Ok(Some(record)), .. })) => {
                    format!("{member} is to go on; {}", stands(&record))
                }
                Ok(_) => format!("{member} is to go on, and the identity has no readable record"),
                Err(error) => format!("{member} is to go on; {error}"),
            })
        }
    })
}

/// Where the place stands.
fn stands(record: &Record) -> String {
    let epoch = record.tenure.epoch.0;
    match &record.phase {
        Phase::Active(holder) => {
            format!("epoch {epoch} is {}'s, whose gate has not claimed it", holder.pod.member)
        }
        Phase::Revoking { holder, blocked } => {
            let why = match blocked {
                None => "it has not sealed yet",
                Some(Missing::Proof) => "blocked: nothing proves that it has stopped",
                Some(Missing::ChainNeedsUs) => "blocked: no block passes its ceiling without this key",
            };
            format!("epoch {epoch} is being taken from {}: {why}", holder.pod.member)
        }
        Phase::Fenced(_) => format!("epoch {epoch} is over, and nobody has begun the next"),
    }
}

/// The order. It goes with its journal entry.
fn order(given: &Given<'_>) -> SigningOrder {
    let mut order = SigningOrder::new(given.name, spec(given));
    order.metadata.namespace = Some(given.namespace.to_owned());
    order.metadata.owner_references = Some(vec![OwnerReference {
        api_version: <NodeRemediation as kube::Resource>::api_version(&()).into_owned(),
        kind: <NodeRemediation as kube::Resource>::kind(&()).into_owned(),
        name: given.name.to_owned(),
        uid: given.remediation.to_owned(),
        controller: None,
        block_owner_deletion: None,
    }]);
    order
}

fn spec(given: &Given<'_>) -> SigningOrderSpec {
    let why = if given.requested_by == MAINSTAY {
        format!("{} is unwell: {}", given.pod, given.rules.join(", "))
    } else {
        format!("{} asks for it, of {}", given.requested_by, given.pod)
    };
    SigningOrderSpec {
        identity: given.action.identity.clone(),
        epoch: given.action.epoch,
        by: MAINSTAY.into(),
        init: None,
        adopt: None,
        failover: Some(SwitchOrder { to: None, reason: bounded(&why) }),
        release: None,
    }
}

fn is_of(order: &SigningOrder, given: &Given<'_>) -> bool {
    let mut owners = order.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == given.remediation) && order.spec == spec(given)
}

/// What this build cannot read is one more reason not to fail over, and none to leave a pod alone: the look at the group is
/// part of every step's.
fn unreadable(which: &str, what: &'static str, error: &CallError) -> Result<GroupFacts, ReadError> {
    match error {
        CallError::Kube(kube::Error::SerdeError(why)) => {
            Ok(GroupFacts::Foreign(bounded(&format!("{which} cannot be read: {why}"))))
        }
        _ => Err(ReadError::of(what, error)),
    }
}

fn is_forbidden(error: &CallError) -> bool {
    matches!(error, CallError::Kube(kube::Error::Api(status)) if status.code == 403)
}

#[cfg(test)]
mod tests;
