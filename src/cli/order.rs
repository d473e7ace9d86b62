//! `mainstay init`, `adopt`, `failover` and `release`: orders about who signs, given with a person's own credentials. Each
//! writes a `SigningOrder` and tells what becomes of it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use kube::{Api, Client, api::PostParams, core::ObjectMeta};

use super::{CliError, approve::who_am_i, block_on, print};
use crate::{
    api::{
        AdoptOrder, FailoverGroup, InitOrder, OrderOutcome, ReleaseOrder, SigningIdentity, SigningOrder,
        SigningOrderSpec, SwitchOrder,
    },
    failover::{
        Activation, Epoch, Record,
        orders::{Fate, Order, Wish, fate, stands},
    },
};
use floor::FloorError;

mod floor;

/// How long an order is followed.
const MOST: Duration = Duration::from_secs(180);
const EVERY: Duration = Duration::from_millis(500);

/// Whose order.
#[derive(Debug, clap::Args)]
pub struct Whose {
    /// Name of the `FailoverGroup`: `kubectl get fog`
    #[arg(value_name = "GROUP")]
    group: String,
    /// Its namespace; without it the one of the current context
    #[arg(long, short)]
    namespace: Option<String>,
    /// Do not wait for what becomes of it
    #[arg(long)]
    no_wait: bool,
}

/// Arguments of `mainstay init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    #[command(flatten)]
    whose: Whose,
    /// Your word that this key has never signed anything anywhere; it is kept with your name
    #[arg(long = "assert", value_name = "TEXT")]
    assertion: String,
}

/// Arguments of `mainstay adopt`.
#[derive(Debug, clap::Args)]
pub struct AdoptArgs {
    #[command(flatten)]
    whose: Whose,
    /// What signed before: the folder of a gate's state, its `signatures.log`, or a `priv_validator_state.json`; of each, if
    /// there were several
    #[arg(long, value_name = "PATH")]
    pub(super) state: Vec<PathBuf>,
    /// The head of the chain, verified by you. A window is put on top
    #[arg(long, value_name = "HEIGHT")]
    pub(super) head: Option<u64>,
    /// The highest epoch that any gate, log or person remembers, where there is a record: `kubectl get sid` shows its epoch
    #[arg(long, value_name = "EPOCH")]
    epoch: Option<i64>,
    /// The pod that holds the place, by the record, if your word is that this very pod has stopped for good: what its state
    /// says counts then, and not its window
    #[arg(long, value_name = "UID")]
    pub(super) pod: Option<String>,
    /// Your word that no process with this key runs anywhere, and how you know; it is kept with your name
    #[arg(long = "assert", value_name = "TEXT")]
    assertion: String,
}

/// Arguments of `mainstay failover`.
#[derive(Debug, clap::Args)]
pub struct FailoverArgs {
    #[command(flatten)]
    whose: Whose,
    /// The member that is to go on; without it the first that is fit
    #[arg(long, value_name = "MEMBER")]
    to: Option<String>,
    /// Why, for whoever reads it later
    #[arg(long, default_value = "")]
    reason: String,
}

/// Arguments of `mainstay release`.
#[derive(Debug, clap::Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    whose: Whose,
    /// The pod that you made sure of. It must be the one that is waited for: `kubectl describe fog` shows it
    #[arg(long, value_name = "UID")]
    pod: String,
    /// The epoch that it held; without it that of the record
    #[arg(long, value_name = "EPOCH")]
    epoch: Option<i64>,
    /// Your word that the former holder's pod has stopped for good, and how you know; it is kept with your name
    #[arg(long = "assert", value_name = "TEXT")]
    assertion: String,
}

/// Why an order was not given, or not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// No cluster is configured.
    #[error("failed to find a cluster: {0}; set KUBECONFIG or choose a context")]
    Config(#[from] kube::config::InferConfigError),
    /// The cluster refused or did not answer.
    #[error("failed to reach the cluster: {0}")]
    Api(#[from] kube::Error),
    /// The cluster does not let this user.
    #[error("{0}")]
    Refused(String),
    /// The cluster does not say who is asking.
    #[error("the cluster does not say who you are: it has no SelfSubjectReview, or you have no name")]
    Nobody,
    /// No floor comes of it.
    #[error(transparent)]
    Floor(#[from] FloorError),
    /// There is a record, and it is not said that it was looked at.
    #[error(
        "this identity has a record: {stands}. Say which epoch you decided about, that nobody's word comes late: --epoch {epoch}, \
         or the highest that any gate, log or person remembers, if that is higher"
    )]
    Epoch {
        /// How it stands.
        stands: String,
        /// Its epoch.
        epoch: i64,
    },
}

/// What is ordered, once the identity is known.
enum What<'a> {
    Init(&'a InitArgs),
    Adopt(&'a AdoptArgs),
    Failover(&'a FailoverArgs),
    Release(&'a ReleaseArgs),
}

/// `mainstay init`.
pub fn init(args: &InitArgs) -> Result<ExitCode, CliError> {
    Ok(block_on(order(&args.whose, &What::Init(args)))??)
}

/// `mainstay adopt`.
pub fn adopt(args: &AdoptArgs) -> Result<ExitCode, CliError> {
    Ok(block_on(order(&args.whose, &What::Adopt(args)))??)
}

/// `mainstay failover`.
pub fn failover(args: &FailoverArgs) -> Result<ExitCode, CliError> {
    Ok(block_on(order(&args.whose, &What::Failover(args)))??)
}

/// `mainstay release`.
pub fn release(args: &ReleaseArgs) -> Result<ExitCode, CliError> {
    Ok(block_on(order(&args.whose, &What::Release(args)))??)
}

async fn order(whose: &Whose, what: &What<'_>) -> Result<ExitCode, OrderError> {
    let config = kube::Config::infer().await?;
    let namespace = whose.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let groups: Api<FailoverGroup> = Api::namespaced(client.clone(), &namespace);
    let identity = groups.get(&whose.group).await?.spec.identity;
    let identities: Api<SigningIdentity> = Api::all(client.clone());
    let object = identities.get(&identity).await?;
    let by = who_am_i(&client).await?.ok_or(OrderError::Nobody)?;
    let spec = spec(what, &object, identity, by)?;
    say(&format!("{}\n", describe(&spec)));
    let orders: Api<SigningOrder> = Api::namespaced(client, &namespace);
    let mut order = SigningOrder::new("", spec);
    order.metadata = ObjectMeta { generate_name: Some(format!("{}-", whose.group)), ..ObjectMeta::default() };
    let order = match orders.create(&PostParams::default(), &order).await {
        Ok(order) => order,
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.code == 422 => {
            return Err(OrderError::Refused(status.message));
        }
        Err(error) => return Err(error.into()),
    };
    let name = order.metadata.name.unwrap_or_default();
    say(&format!("ordered: {name}\n"));
    if whose.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(follow(&orders, &namespace, &name).await)
}

/// Tells what becomes of an order. Nothing is lost when this ends before it does.
async fn follow(orders: &Api<SigningOrder>, namespace: &str, name: &str) -> ExitCode {
    let mut said = String::new();
    let ended = tokio::time::timeout(MOST, async {
        loop {
            // What cannot be read now may be in a moment.
            if let Ok(order) = orders.get(name).await
                && let Some(status) = order.status
                && let Some(outcome) = status.outcome
            {
                let line = format!("{outcome:?}: {}\n", status.reason);
                if line != said {
                    say(&line);
                }
                said = line;
                match outcome {
                    OrderOutcome::Accepted => {}
                    OrderOutcome::Done => return ExitCode::SUCCESS,
                    OrderOutcome::Refused => return ExitCode::from(1),
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    });
    ended.await.unwrap_or_else(|_| {
        say(&format!(
            "not over after {} s: `kubectl describe sord {name} -n {namespace}` and `kubectl get sid` tell more\n",
            MOST.as_secs()
        ));
        ExitCode::from(1)
    })
}

fn say(text: &str) {
    // A reader that has gone has seen enough; the order stands.
    drop(print(text));
}

fn spec(
    what: &What<'_>,
    object: &SigningIdentity,
    identity: String,
    by: String,
) -> Result<SigningOrderSpec, OrderError> {
    let status = object.status.as_ref();
    let epoch = status.map_or(0, |status| status.epoch);
    let record = status.and_then(|status| Record::try_from(status).ok());
    let mut spec =
        SigningOrderSpec { identity, epoch, by, init: None, adopt: None, failover: None, release: None };
    match what {
        What::Init(args) => {
            spec.epoch = 0;
            spec.init = Some(InitOrder { assertion: args.assertion.clone() });
        }
        What::Adopt(args) => {
            if status.is_some() && args.epoch.is_none() {
                let stands = record.as_ref().map_or_else(|| "one that cannot be read".into(), stands);
                return Err(OrderError::Epoch { stands, epoch });
            }
            spec.epoch = args.epoch.unwrap_or(epoch);
            let floor = floor::floor(args, object.spec.window, record.as_ref())?;
            let (pod_uid, assertion) = (args.pod.clone(), args.assertion.clone());
            spec.adopt = Some(AdoptOrder { floor, pod_uid, assertion });
        }
        What::Failover(args) => {
            spec.failover = Some(SwitchOrder { to: args.to.clone(), reason: args.reason.clone() });
        }
        What::Release(args) => {
            spec.epoch = args.epoch.unwrap_or(epoch);
            is_waited_for(record.as_ref(), spec.epoch, &args.pod)?;
            let (pod_uid, assertion) = (args.pod.clone(), args.assertion.clone());
            spec.release = Some(ReleaseOrder { pod_uid, assertion });
        }
    }
    Ok(spec)
}

/// Whoever made sure of one pod vouches for no other: the place may have moved meanwhile.
fn is_waited_for(record: Option<&Record>, epoch: i64, uid: &str) -> Result<(), OrderError> {
    let epoch = Epoch(u64::try_from(epoch).unwrap_or(0));
    let order = Order { wish: Wish::Release(uid.into()), epoch, activation: Activation(0), accepted: false };
    match fate(record, &order) {
        Fate::Refused(why) => Err(OrderError::Refused(why)),
        Fate::Begin(_) | Fate::Take(_) | Fate::Wait | Fate::Done(_) => Ok(()),
    }
}

fn describe(spec: &SigningOrderSpec) -> String {
    let SigningOrderSpec { identity, epoch, by, init, adopt, failover, release } = spec;
    let what = match (init, adopt, failover, release) {
        (Some(_), ..) => "init: a new key, which has never signed; its members may sign from height 1".to_owned(),
        (_, Some(adopt), ..) => {
            let pod = adopt.pod_uid.as_ref().map(|uid| format!("pod {uid} has stopped for good, and "));
            let pod = pod.unwrap_or_default();
            format!(
                "adopt: {pod}nothing at or below {} is ever signed again, by an epoch after {epoch}",
                adopt.floor
            )
        }
        (.., Some(switch), _) => match &switch.to {
            Some(to) => format!("failover: {to} goes on after epoch {epoch}"),
            None => format!("failover: the first member that is fit goes on after epoch {epoch}"),
        },
        (.., Some(release)) => format!("release: pod {} of epoch {epoch} has stopped for good", release.pod_uid),
        _ => "nothing".into(),
    };
    format!("{identity}\n{what}\nby {by}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{SigningHolder, SigningIdentitySpec, SigningIdentityStatus, SigningPhase};

    /// Epoch 4 of u1, revoked.
    fn identity(phase: SigningPhase) -> SigningIdentity {
        let spec =
            SigningIdentitySpec { network: "n".into(), namespace: "ns".into(), group: "g".into(), window: 20 };
        let holder = SigningHolder { member: "a".into(), pod_uid: "u1".into(), node: "n".into(), boot_id: None };
        let mut identity = SigningIdentity::new("hub.k", spec);
        identity.status = Some(SigningIdentityStatus {
            epoch: 4,
            activation: "0".repeat(32),
            phase,
            holder: Some(holder),
            floor: 100,
            ceiling: 120,
            claims: 1,
            ..SigningIdentityStatus::default()
        });
        identity
    }

    fn whose() -> Whose {
        Whose { group: "val".into(), namespace: None, no_wait: false }
    }

    fn ordered(what: &What<'_>, object: &SigningIdentity) -> Result<SigningOrderSpec, String> {
        spec(what, object, "hub.k".into(), "ann".into()).map_err(|error| error.to_string())
    }

    /// The place may have moved since a person looked.
    #[test]
    fn only_the_pod_that_is_waited_for_is_released() {
        let release = |pod: &str, epoch, phase| {
            let args = ReleaseArgs { whose: whose(), pod: pod.into(), epoch, assertion: "off".into() };
            ordered(&What::Release(&args), &identity(phase))
                .map(|spec| (spec.epoch, spec.release.unwrap().pod_uid))
        };
        assert_eq!(release("u1", None, SigningPhase::Revoking), Ok((4, "u1".into())));
        assert_eq!(release("u1", Some(4), SigningPhase::Revoking), Ok((4, "u1".into())));
        for (pod, epoch, phase, words) in [
            (
                "u2",
                None,
                SigningPhase::Revoking,
                "nobody waits for the pod u2: epoch 4 is Revoking, held by a (pod u1)",
            ),
            ("u1", None, SigningPhase::Active, "epoch 4 is Active, held by a (pod u1)"),
            ("u1", Some(5), SigningPhase::Revoking, "no epoch 5 yet"),
        ] {
            let why = release(pod, epoch, phase).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn an_adoption_of_a_record_says_which_epoch_it_is_about() {
        let adopt = |epoch, object: &SigningIdentity| {
            let (state, head, assertion) = (Vec::new(), Some(490), "off".to_owned());
            let args = AdoptArgs { whose: whose(), state, head, epoch, pod: None, assertion };
            ordered(&What::Adopt(&args), object).map(|spec| (spec.epoch, spec.adopt.unwrap().floor))
        };
        let record = identity(SigningPhase::Active);
        let why = adopt(None, &record).unwrap_err();
        assert!(why.contains("epoch 4 is Active, held by a (pod u1)") && why.contains("--epoch 4"), "{why}");
        assert_eq!(adopt(Some(4), &record), Ok((4, 511)));
        let mut new = record.clone();
        new.status = None;
        assert_eq!(adopt(None, &new), Ok((0, 511)));
        let mut broken = record;
        broken.status.as_mut().unwrap().holder = None;
        assert!(adopt(None, &broken).unwrap_err().contains("cannot be read"));
        assert_eq!(adopt(Some(4), &broken), Ok((4, 511)));
    }
}
