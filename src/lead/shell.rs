//! The thin shell: carries a candidate's wishes to the API server.

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1 as coordination,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, Config, api::PostParams};
use tokio::{sync::watch, task::JoinHandle, time};

use super::{Answer, Candidate, Effect, Event, Input, Lease, Mono, Term, Timing, step};

/// Reads the monotonic clock that the whole process shares.
pub type Clock = Arc<dyn Fn() -> Mono + Send + Sync>;

/// Why there is no leader election.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// The configuration makes no client.
    #[error("failed to make the client for leader election: {0}")]
    Client(#[source] kube::Error),
}

/// Answers whether this process leads. Cheap to clone.
#[derive(Clone)]
pub struct Leadership {
    term: watch::Receiver<Term>,
    clock: Clock,
    told: bool,
}

/// A client for the election: it never repeats a write by itself, and never waits for long.
pub fn client(mut config: Config) -> Result<Client, LeadError> {
    // By default kube repeats a refused or unanswered write 15 times, long after the decision behind it.
    config.default_retry = false;
    let call = Duration::from_millis(Timing::default().call);
    config.connect_timeout = Some(call);
    config.read_timeout = Some(call);
    Client::try_from(config).map_err(LeadError::Client)
}

/// Stands for election until `leave`, then gives the lease back.
///
/// `client` must not retry (see [`client`]). `name` is the Lease's, in `namespace`. `leave` may complete only when
/// every guarded act has ended and none will begin. The task ends after that and at no other time: whoever started
/// it must end the process if it ends earlier, for nobody renews the lease then.
#[must_use]
pub fn campaign(
    client: Client,
    namespace: &str,
    name: &str,
    identity: &str,
    timing: Timing,
    clock: Clock,
    leave: impl Future<Output = ()> + Send + 'static,
) -> (Leadership, JoinHandle<()>) {
    let (publish, term) = watch::channel(Term::default());
    let desk = Desk {
        leases: Api::namespaced(client, namespace),
        name: name.to_owned(),
        identity: identity.to_owned(),
        timing,
        last: None,
    };
    let task = tokio::spawn(run(desk, publish, Arc::clone(&clock), leave));
    (Leadership { term, clock, told: false }, task)
}

async fn run(mut desk: Desk, publish: watch::Sender<Term>, clock: Clock, leave: impl Future<Output = ()>) {
    let dice = RandomState::new();
    let mut leave = pin!(leave);
    let mut leaving = false;
    let mut candidate = Candidate::new(&desk.identity, desk.timing);
    let mut input = Input::Woke;
    for turn in 0_u64.. {
        let (next, effect) = step(candidate, Event { now: clock(), dice: dice.hash_one(turn), input });
        candidate = next;
        let term = candidate.term();
        publish.send_if_modified(|known| std::mem::replace(known, term) != term);
        input = match effect {
            Effect::Done => return,
            Effect::Wait(_) if leaving => Input::Leave,
            Effect::Wait(millis) => tokio::select! {
                () = time::sleep(Duration::from_millis(millis)) => Input::Woke,
                () = &mut leave => { leaving = true; Input::Leave }
            },
            call => Input::Answered(desk.carry(call).await),
        };
    }
}

/// Where effects become calls.
struct Desk {
    leases: Api<coordination::Lease>,
    name: String,
    identity: String,
    timing: Timing,
    /// The object as last read or written, so that a write keeps what is not ours.
    last: Option<coordination::Lease>,
}

// === impl Desk ===

impl Desk {
    async fn carry(&mut self, effect: Effect) -> Answer {
        // A 404 says of a replacement that the lease is gone, and of a creation that the namespace is.
        let (writes, replaces) = (!matches!(effect, Effect::Read), matches!(effect, Effect::Replace { .. }));
        let call = async {
            match effect {
                Effect::Create => self.leases.create(&PostParams::default(), &self.fresh()).await.map(Some),
                Effect::Replace { version, holder } => {
                    let wanted = self.rewritten(version, holder);
                    self.leases.replace(&self.name, &PostParams::default(), &wanted).await.map(Some)
                }
                Effect::Read | Effect::Wait(_) | Effect::Done => self.leases.get_opt(&self.name).await,
            }
        };
        // Bound before the match: the call borrows the desk.
        let outcome = time::timeout(Duration::from_millis(self.timing.call), call).await;
        match outcome {
            Ok(Ok(Some(lease))) => match slim(&lease) {
                Some(slim) => {
                    self.last = Some(lease);
                    Answer::Lease(slim)
                }
                None => Answer::Unknown,
            },
            Ok(Ok(None)) => Answer::Absent,
            Ok(Err(kube::Error::Api(status)))
                if (writes && status.code == 409) || (replaces && status.code == 404) =>
            {
                Answer::Refused
            }
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.name, %error, "failed to reach the leader lease");
                Answer::Unknown
            }
            Err(_) => {
                tracing::warn!(lease = %self.name, "failed to hear about the leader lease in time");
                Answer::Unknown
            }
        }
    }

    fn fresh(&self) -> coordination::Lease {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        self.signed(coordination::Lease { metadata, spec: None }, Some(self.identity.clone()))
    }

    fn rewritten(&self, version: String, holder: Option<String>) -> coordination::Lease {
        let mut lease = self.last.clone().unwrap_or_else(|| self.fresh());
        lease.metadata.resource_version = Some(version);
        self.signed(lease, holder)
    }

    /// The times are for people: no candidate compares them with its clock.
    fn signed(&self, mut lease: coordination::Lease, holder: Option<String>) -> coordination::Lease {
        let spec = lease.spec.get_or_insert_default();
        let now = MicroTime(Timestamp::now());
        if spec.holder_identity != holder {
            if holder.is_some() {
                spec.acquire_time = Some(now.clone());
                spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            }
            spec.holder_identity = holder;
        }
        spec.renew_time = Some(now);
        spec.lease_duration_seconds = Some(i32::try_from(self.timing.lease.div_ceil(1000)).unwrap_or(i32::MAX));
        lease
    }
}

fn slim(lease: &coordination::Lease) -> Option<Lease> {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    Some(Lease {
        uid: lease.metadata.uid.clone()?,
        version: lease.metadata.resource_version.clone()?,
        holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        duration: u64::try_from(seconds).unwrap_or(0) * 1000,
    })
}

// === impl Leadership ===

impl Leadership {
    /// Whether this process leads at `now`. Ask right before each act.
    ///
    /// True only until the renew deadline after the last confirmed renewal was *sent*, so it turns false by itself
    /// when the API server, the network or the election's task falls silent.
    #[must_use]
    pub fn leads(&self, now: Mono) -> bool {
        self.term.borrow().contains(now)
    }

    /// Waits until the answer differs from the one this handle gave last (at first: no) and returns it.
    pub async fn changed(&mut self) -> bool {
        loop {
            let now = (self.clock)();
            let term = *self.term.borrow_and_update();
            let leads = term.contains(now);
            if leads != self.told {
                self.told = leads;
                return leads;
            }
            let turn = if leads { term.until.since(now) } else { term.from.since(now) };
            let by_itself = leads || (turn > 0 && term.from < term.until);
            tokio::select! {
                Ok(()) = self.term.changed() => {}
                () = time::sleep(Duration::from_millis(turn)), if by_itself => {}
                // The election is over and nothing will change any more.
                else => std::future::pending().await,
            }
        }
    }
}
