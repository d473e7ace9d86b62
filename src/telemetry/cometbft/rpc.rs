//! One poll of a node: its RPC, and the Cosmos REST API beside it where that is named.
//!
//! `/status` decides; `/net_info`, `/num_unconfirmed_txs`, `/abci_info` and `/consensus_state` follow, and now and then
//! `/blockchain`. `/consensus_state` comes last: it hangs on a node whose remote signer keeps silent, and that is how
//! one is told.

use std::time::Duration;

use super::{
    decode::{self, Status},
    rest::Rest,
};
use crate::{
    policy::COMETBFT,
    signal::{Identity, Mono, Poll, Signal, Unknown, Value},
    telemetry::{
        ask::{Endpoint, Session, Trouble},
        clock::Clock,
        execution::ratio,
        heights::Heights,
        report::{Report, flag},
        source::{Expected, Source},
        support::Support,
    },
};

/// Pace and load are measured over so many blocks.
const MEASURED: u64 = 20;

/// The RPC of one node.
#[derive(Clone, Debug)]
pub struct CometBft {
    endpoint: Endpoint,
    chain: Expected,
    rest: Option<Rest>,
    support: Support,
    /// Height, round and step as last seen, and since when.
    round: Option<(String, Mono)>,
    /// The head up to which the pace was measured, and the time between blocks and transactions a second.
    pace: Option<(u64, Value, Value)>,
    heights: Heights,
    /// The address of the node's key, and whether it was in the active set.
    key: Option<(String, bool)>,
}

impl CometBft {
    /// The RPC at an endpoint, of a node of this chain, and its REST API.
    #[must_use]
    pub const fn new(endpoint: Endpoint, chain: Expected, rest: Option<Rest>) -> Self {
        let (round, pace, key) = (None, None, None);
        Self { endpoint, chain, rest, support: Support::new(), round, pace, heights: Heights::new(), key }
    }

    /// What one further path of the RPC says.
    async fn told<T>(
        &mut self,
        session: &Session<'_>,
        path: &'static str,
        read: impl FnOnce(&[u8]) -> Result<T, Unknown>,
    ) -> Result<T, Trouble> {
        if !self.support.offers(path) {
            return Err(Trouble::unsupported());
        }
        let answer = fetch(session, path).await.and_then(|body| Ok(read(&body)?));
        self.support.learn(path, answer)
    }

    /// Blocks at the heights that are asked for, each once.
    async fn blocks(&mut self, session: &Session<'_>, asks: &[u64], head: u64, report: &mut Report<'_>) {
        for height in self.heights.due(asks, head) {
            let path = format!("/blockchain?minHeight={height}&maxHeight={height}");
            let metas = fetch(session, &path).await.and_then(|body| Ok(decode::metas(&body)?));
            // A height below its head that it does not tell was pruned: asking again would not bring it back.
            if !matches!(metas, Err(Trouble::Failed(_))) {
                self.heights.settle(height);
            }
            let of_height = |metas: decode::Metas| metas.blocks.into_iter().find(|block| block.height == height);
            report.told.blocks.extend(metas.ok().and_then(of_height));
        }
    }

    /// Mean time between the last blocks, and what they carry. Measured anew when half of them are new.
    async fn pace(&mut self, session: &Session<'_>, head: u64, report: &mut Report<'_>) {
        let due = self.pace.as_ref().is_none_or(|(at, ..)| head >= at + MEASURED / 2 || head < *at);
        if due && head > 1 {
            let from = head.saturating_sub(MEASURED - 1).max(1);
            let path = format!("/blockchain?minHeight={from}&maxHeight={head}");
            let metas = fetch(session, &path).await.and_then(|body| Ok(decode::metas(&body)?));
            match metas {
                Ok(metas) if metas.span > 0 && metas.blocks.len() > 1 => {
                    let blocks = metas.blocks.len() as u64 - 1;
                    let interval = Value::Micros(i64::try_from(metas.span / blocks).unwrap_or(i64::MAX));
                    let throughput = ratio(metas.transactions.saturating_mul(1_000_000), metas.span);
                    self.pace = Some((head, interval, throughput));
                }
                Ok(_) => {}
                Err(trouble) => {
                    report.put(Signal::BlockInterval, Err(trouble.unknown()));
                    report.put(Signal::TxThroughput, Err(trouble.unknown()));
                }
            }
        }
        let known = self.pace.clone().map(|(_, interval, throughput)| (interval, throughput));
        let (interval, throughput) = known.map_or((None, None), |(one, other)| (Some(one), Some(other)));
        report.put(Signal::BlockInterval, interval.ok_or(Unknown::NotYet));
        report.put(Signal::TxThroughput, throughput.ok_or(Unknown::NotYet));
    }

    async fn consensus(&mut self, session: &Session<'_>, signs: bool, clock: &dyn Clock, report: &mut Report<'_>) {
        let in_time = session.has_half();
        let told = self.told(session, "/consensus_state", decode::round).await;
        // The RPC answers, and the state of consensus does not, although there was time: it is being held, most likely
        // by a signer that keeps silent.
        if signs {
            let answers = match &told {
                Ok(_) => Ok(flag(true)),
                Err(trouble) if trouble.is_silence() && in_time => Ok(flag(false)),
                Err(trouble) => Err(trouble.unknown()),
            };
            report.put(Signal::SignerAnswers, answers);
        }
        match told {
            Ok((at, round)) => {
                let now = clock.mono();
                let since = match self.round.take() {
                    Some((known, since)) if known == at => since,
                    _ => now,
                };
                self.round = Some((at, since));
                report.set(Signal::Round, Value::Whole(round));
                report.set(Signal::RoundAge, Value::of_millis(now.since(since)));
            }
            Err(trouble) => {
                report.put(Signal::Round, Err(trouble.unknown()));
                report.put(Signal::RoundAge, Err(trouble.unknown()));
            }
        }
    }
}

impl Source for CometBft {
    fn signals(&self) -> &[Signal] {
        COMETBFT
    }

    async fn poll(&mut self, clock: &dyn Clock, asks: &[u64]) -> Poll {
        let mut report = Report::begin(COMETBFT, clock);
        let endpoint = self.endpoint.clone();
        let session = match endpoint.session() {
            Ok(session) => session,
            Err(why) => return report.unasked(&why),
        };
        let (status, latency) = match status(&session, &self.chain, clock).await {
            Ok(told) => told,
            Err(trouble) => {
                self.heights.clear();
                if let (Some(rest), Some((address, signs))) = (&mut self.rest, &self.key) {
                    rest.poll(address, *signs, clock.mono(), clock.wall().0, &mut report).await;
                }
                return report.failed(&trouble, clock);
            }
        };
        report.answered(latency, clock);
        let Status { chain, version, head, hash, block_time_skew, syncing, signing, address } = status;
        self.support.version(&version);
        report.told.identity = Some(Identity { chain, version });
        report.set(Signal::Head, Value::Whole(head));
        report.set(Signal::BlockHash, Value::Text(hash));
        report.put(Signal::BlockTimeSkew, block_time_skew.map(Value::Micros));
        report.set(Signal::Syncing, flag(syncing));
        report.set(Signal::Signing, flag(signing));
        let peers = self.told(&session, "/net_info", decode::peers).await;
        report.tell(Signal::Peers, peers, Value::Whole);
        let pool = self.told(&session, "/num_unconfirmed_txs", decode::mempool).await;
        report.tell(Signal::Mempool, pool, Value::Whole);
        let state = self.told(&session, "/abci_info", decode::state).await;
        report.told.state = state.as_ref().ok().copied().flatten();
        match state {
            Ok(Some(state)) => report.set(Signal::AppHash, Value::Text(state.hash.to_string())),
            Ok(None) => report.put(Signal::AppHash, Err(Unknown::Unsupported)),
            Err(trouble) => report.put(Signal::AppHash, Err(trouble.unknown())),
        }
        self.pace(&session, head, &mut report).await;
        self.blocks(&session, asks, head, &mut report).await;
        self.key = Some((address.clone(), signing));
        if let Some(rest) = &mut self.rest {
            rest.poll(&address, signing, clock.mono(), clock.wall().0, &mut report).await;
        }
        self.consensus(&session, signing, clock, &mut report).await;
        report.end()
    }
}

async fn status(
    session: &Session<'_>,
    chain: &Expected,
    clock: &dyn Clock,
) -> Result<(Status, Duration), Trouble> {
    let answer = session.fetch("/status").await?;
    if answer.status != 200 {
        return Err(Trouble::Unusable(decode::complaint(answer.status, &answer.body)));
    }
    Ok((decode::read_status(&answer.body, chain, clock.wall())?, answer.latency))
}

async fn fetch(session: &Session<'_>, path: &str) -> Result<Vec<u8>, Trouble> {
    let answer = session.fetch(path).await?;
    match answer.status {
        200 => Ok(answer.body),
        404 => Err(Trouble::unsupported()),
        status => Err(Trouble::Unusable(decode::complaint(status, &answer.body))),
    }
}
