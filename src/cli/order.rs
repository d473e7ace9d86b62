//! `mainstay init`, `adopt`, `failover` and `release`: orders about who signs, given with a person's own credentials. Each
//! writes a `SigningOrder` and tells what becomes of it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use kube::{Api, Client, api::PostParams, core::ObjectMeta};

use super::{CliError, approve::who_am_i, block_on, print};
use crate::{
    api::{
        AdoptOrder, FailoverGroup, InitOrder, OrderOutcome, ReleaseOrder, SigningIdentity, SigningIdentityStatus,
        SigningOrder, SigningOrderSpec, SigningPhase, SwitchOrder,
    },
    gate::state::{State, StateError},
};

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
    /// The `priv_validator_state.json` of the process that signed before
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The head of the chain, verified by you
    #[arg(long, value_name = "HEIGHT")]
    head: Option<u64>,
    /// The highest epoch that any gate, log or person remembers; without it that of the record
    #[arg(long, value_name = "EPOCH")]
    epoch: Option<i64>,
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
    /// The state file is none.
    #[error(transparent)]
    State(#[from] StateError),
    /// Neither a state nor a head.
    #[error(
        "an adoption needs a floor: --state with the priv_validator_state.json of the process that signed before, --head \
         with a height that you have verified, or both"
    )]
    NoFloor,
    /// Nobody waits.
    #[error("no former holder is waited for in epoch {0}: there is nothing to release")]
    NothingToRelease(i64),
    /// A number that cannot be.
    #[error("{0} is no height of any chain")]
    Height(u64),
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
    Ok(follow(&orders, &name).await)
}

/// Tells what becomes of an order. Nothing is lost when this ends before it does.
async fn follow(orders: &Api<SigningOrder>, name: &str) -> ExitCode {
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
            "not over after {} s: `kubectl describe sord {name}` and `kubectl get sid` tell more\n",
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
    let record = object.status.as_ref();
    let epoch = record.map_or(0, |record| record.epoch);
    let mut spec =
        SigningOrderSpec { identity, epoch, by, init: None, adopt: None, failover: None, release: None };
    match what {
        What::Init(args) => {
            spec.epoch = 0;
            spec.init = Some(InitOrder { assertion: args.assertion.clone() });
        }
        What::Adopt(args) => {
            spec.epoch = args.epoch.unwrap_or(epoch);
            let floor = floor(args, object.spec.window)?;
            spec.adopt = Some(AdoptOrder { floor, assertion: args.assertion.clone() });
        }
        What::Failover(args) => {
            spec.failover = Some(SwitchOrder { to: args.to.clone(), reason: args.reason.clone() });
        }
        What::Release(args) => {
            let pod_uid = waited_for(record).ok_or(OrderError::NothingToRelease(epoch))?;
            spec.release = Some(ReleaseOrder { pod_uid, assertion: args.assertion.clone() });
        }
    }
    Ok(spec)
}

/// Above all that can have been signed: what the former process says, and what the chain says with a window on top.
fn floor(args: &AdoptArgs, window: i64) -> Result<i64, OrderError> {
    let signed = args.state.as_deref().map(State::read).transpose()?.map(|state| state.height);
    // A gate whose node works on the height after the head owns a window above that.
    let head = args.head.map(|head| head.saturating_add(u64::try_from(window).unwrap_or(0)).saturating_add(1));
    let floor = signed.max(head).ok_or(OrderError::NoFloor)?;
    i64::try_from(floor).map_err(|_| OrderError::Height(floor))
}

fn waited_for(record: Option<&SigningIdentityStatus>) -> Option<String> {
    let record = record.filter(|record| record.phase == SigningPhase::Revoking)?;
    record.holder.as_ref().map(|holder| holder.pod_uid.clone())
}

fn describe(spec: &SigningOrderSpec) -> String {
    let SigningOrderSpec { identity, epoch, by, init, adopt, failover, release } = spec;
    let what = match (init, adopt, failover, release) {
        (Some(_), ..) => "init: a new key, which has never signed; its members may sign from height 1".to_owned(),
        (_, Some(adopt), ..) => {
            format!("adopt: nothing at or below {} is ever signed again, by an epoch after {epoch}", adopt.floor)
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

    fn args(state: Option<PathBuf>, head: Option<u64>) -> AdoptArgs {
        let whose = Whose { group: "val".into(), namespace: None, no_wait: false };
        AdoptArgs { whose, state, head, epoch: None, assertion: "stopped".into() }
    }

    #[test]
    fn a_floor_is_the_highest_of_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        std::fs::write(&path, r#"{"height":"500","round":0,"step":3}"#).unwrap();
        assert_eq!(floor(&args(Some(path.clone()), None), 20).unwrap(), 500);
        assert_eq!(floor(&args(Some(path.clone()), Some(400)), 20).unwrap(), 500);
        assert_eq!(floor(&args(Some(path), Some(490)), 20).unwrap(), 511);
        assert!(matches!(floor(&args(None, None), 20), Err(OrderError::NoFloor)));
        assert!(matches!(floor(&args(None, Some(u64::MAX)), 20), Err(OrderError::Height(_))));
    }

    #[test]
    fn only_somebody_who_is_waited_for_is_released() {
        let mut record = SigningIdentityStatus { phase: SigningPhase::Active, ..SigningIdentityStatus::default() };
        record.holder = Some(crate::api::SigningHolder {
            member: "a".into(),
            pod_uid: "u1".into(),
            node: "n".into(),
            boot_id: None,
        });
        assert_eq!(waited_for(Some(&record)), None);
        record.phase = SigningPhase::Revoking;
        assert_eq!(waited_for(Some(&record)).as_deref(), Some("u1"));
        assert_eq!(waited_for(None), None);
    }
}
