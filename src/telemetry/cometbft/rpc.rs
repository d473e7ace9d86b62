//! One poll of a node's RPC: `/status`, then `/net_info`.

use std::time::Duration;

use super::decode::{self, Status};
use crate::{
    signal::{Poll, Signal, Unknown, Value},
    telemetry::{
        client::{Answer, BODY_CAP, Client, Deadline, Failure},
        clock::Clock,
        source::Source,
    },
};

/// What the RPC tells, in the order of [`Poll::values`].
pub const SIGNALS: [Signal; 7] = [
    Signal::Reachable,
    Signal::RpcLatency,
    Signal::Head,
    Signal::BlockTimeSkew,
    Signal::Syncing,
    Signal::Peers,
    Signal::Signing,
];

/// The RPC of one node.
#[derive(Clone, Debug)]
pub struct CometBft {
    client: Client,
    base: Result<String, Unknown>,
    chain_id: String,
    timeout: Duration,
}

/// A `/status` that makes no sense, or that did not come.
pub(in crate::telemetry) enum NoStatus {
    /// It did not come.
    Failed(Failure),
    /// It makes no sense.
    Unusable(Unknown),
}

impl CometBft {
    /// The RPC at `base`, of a node of `chain_id`; both requests of a poll together take at most `timeout`.
    ///
    /// A node that may not be asked is asked nothing, but still tells why at every poll: its readings then carry the
    /// reason, where otherwise they would read "not observed yet" for ever.
    #[must_use]
    pub fn new(client: Client, base: Result<String, Unknown>, chain_id: &str, timeout: Duration) -> Self {
        Self { client, base, chain_id: chain_id.to_owned(), timeout }
    }

    async fn peers(&self, base: &str, deadline: Deadline) -> Result<Value, Unknown> {
        let answer = self.client.get(&format!("{base}/net_info"), deadline, BODY_CAP).await;
        let answer = answer.map_err(|failure| failure.unknown())?;
        if answer.status != 200 {
            return Err(decode::complaint(answer.status, &answer.body));
        }
        decode::peers(&answer.body).map(Value::Whole)
    }
}

impl Source for CometBft {
    fn signals(&self) -> &'static [Signal] {
        &SIGNALS
    }

    async fn poll(&self, clock: &dyn Clock) -> Poll {
        let asked_at = clock.mono();
        let base = match &self.base {
            Ok(base) => base,
            Err(why) => return Poll { asked_at, observed_at: asked_at, values: nothing(Err(why.clone()), why) },
        };
        let deadline = Deadline::within(self.timeout);
        let status = status(&self.client, base, &self.chain_id, deadline, clock).await;
        // The head is dated by its own answer: a slow /net_info must not make it look fresher than it is.
        let observed_at = clock.mono();
        let values = match status {
            Ok((status, latency)) => values(status, latency, self.peers(base, deadline).await),
            Err(NoStatus::Failed(failure)) if failure.is_silence() => {
                nothing(Ok(Value::Whole(0)), &failure.unknown())
            }
            Err(no_status) => {
                let why = no_status.unknown();
                nothing(Err(why.clone()), &why)
            }
        };
        Poll { asked_at, observed_at, values }
    }
}

impl NoStatus {
    /// Why nothing is known.
    pub(in crate::telemetry) fn unknown(&self) -> Unknown {
        match self {
            Self::Failed(failure) => failure.unknown(),
            Self::Unusable(why) => why.clone(),
        }
    }
}

/// Asks for `/status`, and says how long that took.
pub(in crate::telemetry) async fn status(
    client: &Client,
    base: &str,
    chain_id: &str,
    deadline: Deadline,
    clock: &dyn Clock,
) -> Result<(Status, Duration), NoStatus> {
    let answer = client.get(&format!("{base}/status"), deadline, BODY_CAP).await;
    let Answer { status, body, latency } = answer.map_err(NoStatus::Failed)?;
    if status != 200 {
        return Err(NoStatus::Unusable(decode::complaint(status, &body)));
    }
    let status = decode::status(&body, chain_id, clock.wall()).map_err(NoStatus::Unusable)?;
    Ok((status, latency))
}

fn values(
    status: Status,
    latency: Duration,
    peers: Result<Value, Unknown>,
) -> Vec<(Signal, Result<Value, Unknown>)> {
    let Status { head, block_time_skew, syncing, signing } = status;
    let latency = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX);
    vec![
        (Signal::Reachable, Ok(Value::Whole(1))),
        (Signal::RpcLatency, Ok(Value::Micros(latency))),
        (Signal::Head, Ok(Value::Whole(head))),
        (Signal::BlockTimeSkew, block_time_skew.map(Value::Micros)),
        (Signal::Syncing, Ok(Value::Whole(syncing.into()))),
        (Signal::Peers, peers),
        (Signal::Signing, Ok(Value::Whole(signing.into()))),
    ]
}

/// Nothing but what is to be said of `reachable`.
fn nothing(reachable: Result<Value, Unknown>, why: &Unknown) -> Vec<(Signal, Result<Value, Unknown>)> {
    let rest = SIGNALS.into_iter().filter(|signal| *signal != Signal::Reachable);
    std::iter::once((Signal::Reachable, reachable)).chain(rest.map(|signal| (signal, Err(why.clone())))).collect()
}
