//! One thing that is asked of one target, whatever its family.

use std::{future::Future, net::IpAddr, time::Duration};

use super::{
    address::{probe_url, resolve_port},
    client::Client,
    clock::Clock,
    cometbft::CometBft,
};
use crate::{
    policy::{self, SourceKind},
    signal::{Poll, Signal},
};

/// Something that can be asked.
pub trait Source: Send + Sync {
    /// What it tells about: a poll has a value or a reason for each of these.
    fn signals(&self) -> &'static [Signal];

    /// Asks once. Never fails, and ends by itself within the source's own timeout.
    fn poll(&self, clock: &dyn Clock) -> impl Future<Output = Poll> + Send;
}

/// What the telemetry needs to know of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The pod's own address.
    pub ip: IpAddr,
    /// The container ports that it declares: name and number.
    pub ports: &'a [(Option<String>, u16)],
    /// What the chain of its network calls itself.
    pub chain_id: &'a str,
}

/// A source of any family.
#[derive(Clone, Debug)]
pub enum AnySource {
    /// The RPC of a `CometBFT` node.
    CometBft(CometBft),
}

impl AnySource {
    /// The source that a policy asks for, at this target. What may not be asked (a port that is not declared, an
    /// address on the deny list) becomes a source that tells why at every poll.
    #[must_use]
    pub fn at(target: Target<'_>, source: &policy::Source, client: &Client) -> Self {
        let timeout = Duration::from_millis(source.timeout);
        match &source.kind {
            SourceKind::CometBft(port) => {
                let base = resolve_port(port, target.ports)
                    .and_then(|port| probe_url(target.ip, port, client.reach(), client.denied()));
                Self::CometBft(CometBft::new(client.clone(), base, target.chain_id, timeout))
            }
        }
    }
}

impl Source for AnySource {
    fn signals(&self) -> &'static [Signal] {
        match self {
            Self::CometBft(source) => source.signals(),
        }
    }

    async fn poll(&self, clock: &dyn Clock) -> Poll {
        match self {
            Self::CometBft(source) => source.poll(clock).await,
        }
    }
}
