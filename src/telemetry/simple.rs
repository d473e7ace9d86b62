//! Endpoints with one question: Web3Signer, Hermes, Chainlink.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    ask::{Endpoint, Trouble, document},
    client::Answer,
    clock::Clock,
    report::{Report, flag},
    source::Source,
};
use crate::{
    policy::{CHAINLINK, FAILING_CHECKS, HERMES, WEB3SIGNER},
    signal::{Poll, Signal, Value},
};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Web3Signer (written after 24.x): `/upcheck` decides, `/healthcheck` says what its database and keys think. HTTP
    /// 412 to a request to sign is a refusal and no illness; it is not asked for here.
    Web3Signer,
    /// Hermes 1.10 and later: `/state` lists its workers.
    Hermes,
    /// Chainlink 2.x: `/health` lists its checks. Its developers offer no liveness check, on purpose.
    Chainlink,
}

/// An endpoint with one question.
#[derive(Clone, Debug)]
pub struct Simple {
    endpoint: Endpoint,
    api: Api,
}

#[derive(Deserialize)]
struct Health {
    status: String,
}

#[derive(Deserialize)]
struct State {
    status: String,
    result: Workers,
}

#[derive(Deserialize)]
struct Workers {
    workers: BTreeMap<String, Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct Checks {
    data: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    status: String,
}

impl Simple {
    /// The API at an endpoint.
    #[must_use]
    pub const fn new(endpoint: Endpoint, api: Api) -> Self {
        Self { endpoint, api }
    }

    const fn question(&self) -> &'static str {
        match self.api {
            Api::Web3Signer => "/upcheck",
            Api::Hermes => "/state",
            Api::Chainlink => "/health",
        }
    }

    /// What the answer to the question tells.
    fn read(&self, answer: &Answer) -> Result<Option<(Signal, Value)>, Trouble> {
        let wrong = || Err(Trouble::invalid(&format!("HTTP {}", answer.status)));
        match self.api {
            Api::Web3Signer if answer.status == 200 && answer.body.trim_ascii() == b"OK" => Ok(None),
            Api::Web3Signer if answer.status == 200 => Err(Trouble::invalid("not the OK of a Web3Signer")),
            Api::Hermes if answer.status == 200 => {
                let state: State = document(&answer.body)?;
                if state.status != "success" {
                    return Err(Trouble::invalid(&format!("status {}", state.status)));
                }
                let packets = state.result.workers.get("Packet").map_or(0, Vec::len);
                Ok(Some((Signal::RelayWorkers, Value::Whole(packets as u64))))
            }
            // 503 says that a check fails, and the document which.
            Api::Chainlink if matches!(answer.status, 200 | 503) => {
                let checks: Checks = document(&answer.body)?;
                let failing = checks.data.iter().filter(|check| check.attributes.status != "passing").count();
                Ok(Some((FAILING_CHECKS, Value::Whole(failing as u64))))
            }
            Api::Web3Signer | Api::Hermes | Api::Chainlink => wrong(),
        }
    }
}

impl Source for Simple {
    fn signals(&self) -> &[Signal] {
        match self.api {
            Api::Web3Signer => WEB3SIGNER,
            Api::Hermes => HERMES,
            Api::Chainlink => CHAINLINK,
        }
    }

    async fn poll(&mut self, clock: &dyn Clock, _asks: &[u64]) -> Poll {
        let mut report = Report::begin(self.signals(), clock);
        let session = match self.endpoint.session() {
            Ok(session) => session,
            Err(why) => return report.unasked(&why),
        };
        let told = session.fetch(self.question()).await;
        let told = told.and_then(|answer| Ok((self.read(&answer)?, answer.latency)));
        let (value, latency) = match told {
            Ok(told) => told,
            Err(trouble) => return report.failed(&trouble, clock),
        };
        report.answered(latency, clock);
        if let Some((signal, value)) = value {
            report.set(signal, value);
        }
        if self.api == Api::Web3Signer {
            let health = session.fetch("/healthcheck").await.and_then(|answer| match answer.status {
                200 | 503 => document::<Health>(&answer.body),
                404 => Err(Trouble::unsupported()),
                status => Err(Trouble::invalid(&format!("HTTP {status}"))),
            });
            report.tell(Signal::SignerAnswers, health, |health| flag(health.status == "UP"));
        }
        report.end()
    }
}
