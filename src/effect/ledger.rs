//! Ledger: the one record that limits rest on, changed by compare-and-swap.

use kube::{Api, Client, api::PostParams};

use super::{Failed, Outcome, Verb};
use crate::{
    api::{NetworkLedger, NetworkLedgerSpec},
    controller::clients::{CallError, DEADLINE, deadline},
};

/// Who writes, for the API server's bookkeeping.
const MANAGER: &str = "mainstay-ledger";
/// How often a swap is tried: each time somebody else was faster, or nobody knows who was.
const ATTEMPTS: usize = 5;

/// A swap came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwapError<E> {
    /// The record as it is does not allow the change.
    #[error("failed to change the ledger: {0}")]
    Refused(E),
    /// The API server did not take it, or did not answer.
    #[error(transparent)]
    Failed(Failed),
    /// Somebody else was faster each time.
    #[error("failed to change the ledger: it changed {ATTEMPTS} times meanwhile")]
    Contended,
}

/// Reads the ledger of a network; an empty record if there is none yet.
pub async fn get(actuator: &Client, network: &str) -> Result<NetworkLedgerSpec, Failed> {
    let api: Api<NetworkLedger> = Api::all(actuator.clone());
    Ok(read(&api, network).await?.map(|ledger| ledger.spec).unwrap_or_default())
}

/// Reads the ledger of a network, lets `change` decide what it should be, and writes that if nobody was faster; else,
/// and when nobody knows, all over again. So `change` must be idempotent: it may meet its own work. What it leaves as
/// it is is not written. Returns the record as it is then.
pub async fn swap<E>(
    actuator: &Client,
    network: &str,
    change: impl Fn(&NetworkLedgerSpec) -> Result<NetworkLedgerSpec, E>,
) -> Result<NetworkLedgerSpec, SwapError<E>> {
    let api: Api<NetworkLedger> = Api::all(actuator.clone());
    let mut unclear = None;
    for _ in 0..ATTEMPTS {
        let found = read(&api, network).await.map_err(SwapError::Failed)?;
        let exists = found.is_some();
        let mut ledger = found.unwrap_or_else(|| NetworkLedger::new(network, NetworkLedgerSpec::default()));
        let next = change(&ledger.spec).map_err(SwapError::Refused)?;
        if next == ledger.spec {
            return Ok(next);
        }
        ledger.spec = next;
        match write(&api, network, exists, &ledger).await {
            Ok(written) => return Ok(written.spec),
            // Somebody was faster, or has deleted it.
            Err(Failed { outcome: Outcome::Moved(_) | Outcome::Gone, .. }) => unclear = None,
            Err(failed @ Failed { outcome: Outcome::Unknown(_), .. }) => unclear = Some(failed),
            Err(failed) => return Err(SwapError::Failed(failed)),
        }
    }
    Err(unclear.map_or(SwapError::Contended, SwapError::Failed))
}

async fn read(api: &Api<NetworkLedger>, network: &str) -> Result<Option<NetworkLedger>, Failed> {
    match deadline(DEADLINE, api.get(network)).await {
        Ok(ledger) => Ok(Some(ledger)),
        Err(error) => match Failed::of("read the ledger", Verb::Read, &error) {
            Failed { outcome: Outcome::Gone, .. } => Ok(None),
            failed => Err(failed),
        },
    }
}

async fn write(
    api: &Api<NetworkLedger>,
    network: &str,
    exists: bool,
    ledger: &NetworkLedger,
) -> Result<NetworkLedger, Failed> {
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    let answer: Result<_, CallError> = if exists {
        deadline(DEADLINE, api.replace(network, &params, ledger)).await
    } else {
        deadline(DEADLINE, api.create(&params, ledger)).await
    };
    answer.map_err(|error| Failed::of("change the ledger", Verb::Write, &error))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::{Value, json};

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    fn stored(version: u32, installation: &str) -> Value {
        json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NetworkLedger",
            "metadata": {"name": "hub", "uid": "l1", "resourceVersion": version.to_string()},
            "spec": {"installation": installation},
        })
    }

    /// Takes the network for "us", unless it belongs to somebody.
    fn claim(record: &NetworkLedgerSpec) -> Result<NetworkLedgerSpec, String> {
        match record.installation.as_str() {
            "" | "us" => Ok(NetworkLedgerSpec { installation: "us".into(), ..record.clone() }),
            other => Err(format!("belongs to {other}")),
        }
    }

    fn lines(fake: &Fake) -> Vec<String> {
        let path = "/apis/mainstay.dev/v1alpha1/networkledgers";
        fake.requests().iter().map(|request| request.line().replace(path, "")).collect()
    }

    #[tokio::test]
    async fn a_change_is_written_on_the_version_that_was_read() {
        let (client, fake) =
            Fake::answering([Answer::json(200, stored(3, "")), Answer::json(200, stored(4, "us"))]);
        assert_eq!(swap(&client, "hub", claim).await.unwrap().installation, "us");
        assert_eq!(lines(&fake), ["GET /hub", "PUT /hub"]);
        assert_eq!(fake.requests()[1].body["metadata"]["resourceVersion"], "3");
        assert_eq!(fake.requests()[1].body["spec"]["installation"], "us");
    }

    #[tokio::test]
    async fn the_first_change_makes_the_ledger() {
        let missing = || Answer::status(404, "NotFound");
        let (client, fake) = Fake::answering([
            missing(),
            Answer::status(409, "AlreadyExists"),
            Answer::json(200, stored(1, "")),
            Answer::json(200, stored(2, "us")),
        ]);
        assert_eq!(swap(&client, "hub", claim).await.unwrap().installation, "us");
        assert_eq!(lines(&fake), ["GET /hub", "POST ", "GET /hub", "PUT /hub"]);
        let (client, _) = Fake::answering([missing()]);
        assert_eq!(get(&client, "hub").await, Ok(NetworkLedgerSpec::default()));
    }

    #[tokio::test]
    async fn whoever_was_slower_decides_again() {
        let (client, fake) = Fake::answering([
            Answer::json(200, stored(3, "")),
            Answer::status(409, "Conflict"),
            Answer::json(200, stored(4, "them")),
        ]);
        let error = swap(&client, "hub", claim).await.unwrap_err();
        assert_eq!(error, SwapError::Refused("belongs to them".into()));
        assert_eq!(error.to_string(), "failed to change the ledger: belongs to them");
        assert_eq!(fake.requests().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_recognised_by_what_is_there() {
        for lost in [Answer::Hang, Answer::Reset, Answer::status(504, "Timeout")] {
            let (client, fake) =
                Fake::answering([Answer::json(200, stored(3, "")), lost, Answer::json(200, stored(4, "us"))]);
            assert_eq!(swap(&client, "hub", claim).await.unwrap().installation, "us");
            assert_eq!(lines(&fake), ["GET /hub", "PUT /hub", "GET /hub"]);
        }
    }

    #[tokio::test]
    async fn endless_contention_ends() {
        let round = || [Answer::json(200, stored(3, "")), Answer::status(409, "Conflict")];
        let (client, fake) = Fake::answering((0..9).flat_map(|_| round()));
        assert_eq!(swap(&client, "hub", claim).await, Err(SwapError::Contended));
        assert_eq!(fake.requests().len(), 2 * ATTEMPTS);
    }

    #[tokio::test]
    async fn a_refusal_by_the_api_server_is_not_tried_again() {
        let (client, fake) = Fake::answering([Answer::json(200, stored(3, "")), Answer::status(403, "Forbidden")]);
        let error = swap(&client, "hub", claim).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to change the ledger: refused: message of 403");
        assert_eq!(fake.requests().len(), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_written() {
        let (client, fake) = Fake::answering([Answer::status(503, "ServiceUnavailable")]);
        let change = |record: &NetworkLedgerSpec| Ok::<_, Infallible>(record.clone());
        assert!(matches!(swap(&client, "hub", change).await, Err(SwapError::Failed(_))));
        assert_eq!(fake.requests().len(), 1);
    }
}
