//! What a chain itself says of a target: the feed that an oracle publishes, and the wallet that pays the fees.
//!
//! A relayer or an oracle has no chain of its own, and no policy may name a host: the network's references are asked,
//! in their order, until one answers for the right chain.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;
use serde_json::json;

use super::{
    ask::{Endpoint, Session, Trouble, encoded},
    client::Client,
    clock::Clock,
    cometbft::rest_chain,
    execution::{Header, contract, ratio},
    number::{self, Hex},
    report::Report,
    source::{Expected, Source},
};
use crate::{
    api::Family,
    policy::{FEED, Reference, WALLET},
    signal::{Mono, Poll, Signal, Unknown, Value},
};

/// The spending of so long (milliseconds) says how long the rest lasts.
const SPENDING: u64 = 24 * 3_600_000;
/// And at least of so long.
const LEAST_SPENDING: u64 = 600_000;
/// A balance is noted so often (milliseconds).
const NOTED_EVERY: u64 = 300_000;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Matter {
    /// `latestRoundData` of a price feed.
    Feed {
        /// The contract.
        contract: String,
        /// It publishes at least this often (milliseconds).
        heartbeat: u64,
    },
    /// The balance of a wallet.
    Wallet {
        /// The address.
        address: String,
        /// Cosmos: the smallest unit.
        denom: String,
        /// Decimal places of the coin.
        decimals: u32,
    },
}

/// Something that is read from the chain.
#[derive(Clone, Debug)]
pub struct OnChain {
    family: Family,
    /// The address of the RPC, and of the REST API if there is one, of each reference.
    references: Vec<(Endpoint, Option<Endpoint>)>,
    chain: Expected,
    matter: Matter,
    /// Balances in millionths, as they were.
    balances: VecDeque<(Mono, i64)>,
}

#[derive(Deserialize)]
struct ByDenom {
    balance: Balance,
}

#[derive(Deserialize)]
struct Balance {
    amount: String,
}

#[derive(Deserialize)]
struct Lamports {
    value: u64,
}

impl OnChain {
    /// A matter that is asked of these references.
    #[must_use]
    pub fn new(
        client: &Client,
        family: Family,
        references: &[Reference],
        chain: Expected,
        matter: Matter,
        timeout: Duration,
    ) -> Self {
        let endpoint = |url: &String| Endpoint::new(client.clone(), Ok(url.clone()), timeout);
        let references = references.iter().map(|of| (endpoint(&of.url), of.rest.as_ref().map(endpoint))).collect();
        Self { family, references, chain, matter, balances: VecDeque::new() }
    }

    /// The first reference that knows.
    async fn ask(&self) -> Result<Vec<(Signal, Value)>, Unknown> {
        let mut why = Unknown::OurSide("the network has no reference to ask: name one in its spec".into());
        for (rpc, rest) in &self.references {
            let endpoint = if self.family == Family::CometBFT { rest.as_ref() } else { Some(rpc) };
            let Some(endpoint) = endpoint else {
                why = Unknown::OurSide("the network's reference has no rest address".into());
                continue;
            };
            let told = match endpoint.session() {
                Ok(session) => self.told(&session).await,
                Err(why) => Err(Trouble::Unusable(why)),
            };
            match told {
                Ok(values) => return Ok(values),
                Err(trouble) => why = trouble.unknown(),
            }
        }
        Err(why)
    }

    async fn told(&self, session: &Session<'_>) -> Result<Vec<(Signal, Value)>, Trouble> {
        self.verify(session).await?;
        match &self.matter {
            Matter::Feed { contract, heartbeat } => feed(session, contract, *heartbeat).await,
            Matter::Wallet { address, denom, decimals } => {
                let smallest = self.balance(session, address, denom).await?;
                let coins = number::coins(smallest, *decimals);
                let coins = coins.ok_or_else(|| Trouble::invalid("a balance beyond counting"))?;
                Ok(vec![(Signal::WalletBalance, coins)])
            }
        }
    }

    async fn verify(&self, session: &Session<'_>) -> Result<(), Trouble> {
        let chain = match self.family {
            Family::EthereumExecution => session.call::<Hex>("eth_chainId", json!([])).await?.0.to_string(),
            Family::Solana => session.call::<String>("getGenesisHash", json!([])).await?,
            Family::CometBFT => rest_chain(session).await?,
            Family::EthereumConsensus | Family::Substrate | Family::Other => return Err(Trouble::unsupported()),
        };
        self.chain.check(&[&super::text::excerpt(chain.as_bytes())])
    }

    async fn balance(&self, session: &Session<'_>, address: &str, denom: &str) -> Result<u128, Trouble> {
        let broken = || Trouble::invalid("a balance that is no whole number");
        match self.family {
            Family::EthereumExecution => {
                let balance = session.call::<String>("eth_getBalance", json!([address, "latest"])).await?;
                number::wide_hex(&balance).ok_or_else(broken)
            }
            Family::Solana => Ok(session.call::<Lamports>("getBalance", json!([address])).await?.value.into()),
            Family::CometBFT => {
                let path = format!("/cosmos/bank/v1beta1/balances/{address}/by_denom?denom={}", encoded(denom));
                let ByDenom { balance } = session.get(&path).await?;
                let digits = balance.amount.bytes().all(|byte| byte.is_ascii_digit());
                balance.amount.parse().ok().filter(|_| digits).ok_or_else(broken)
            }
            Family::EthereumConsensus | Family::Substrate | Family::Other => Err(Trouble::unsupported()),
        }
    }

    /// How long the balance lasts at the pace at which it fell. A wallet that is filled up starts over.
    fn runway(&mut self, balance: i64, now: Mono) -> Result<Value, Unknown> {
        if self.balances.back().is_some_and(|(_, before)| balance > *before) {
            self.balances.clear();
        }
        let due = self.balances.back().is_none_or(|(at, _)| now.since(*at) >= NOTED_EVERY);
        if due {
            self.balances.push_back((now, balance));
        }
        while self.balances.front().is_some_and(|(at, _)| now.since(*at) > SPENDING) {
            self.balances.pop_front();
        }
        let Some((at, then)) = self.balances.front() else { return Err(Unknown::NotYet) };
        let (elapsed, spent) = (now.since(*at), then.saturating_sub(balance));
        if elapsed < LEAST_SPENDING || spent <= 0 {
            return Err(Unknown::NotYet);
        }
        let seconds = i128::from(balance.max(0)) * i128::from(elapsed) * 1000 / i128::from(spent);
        Ok(Value::Micros(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }
}

impl Source for OnChain {
    fn signals(&self) -> &[Signal] {
        match self.matter {
            Matter::Feed { .. } => FEED,
            Matter::Wallet { .. } => WALLET,
        }
    }

    async fn poll(&mut self, clock: &dyn Clock, _asks: &[u64]) -> Poll {
        let signals = match self.matter {
            Matter::Feed { .. } => FEED,
            Matter::Wallet { .. } => WALLET,
        };
        let mut report = Report::begin(signals, clock);
        match self.ask().await {
            Ok(values) => {
                for (signal, value) in values {
                    if let (Signal::WalletBalance, Value::Micros(balance)) = (signal, &value) {
                        report.put(Signal::WalletRunway, self.runway(*balance, clock.mono()));
                    }
                    report.set(signal, value);
                }
            }
            Err(why) => report.rest(&why),
        }
        report.seen(clock);
        report.end()
    }
}

/// The age of a feed by the time of the latest block: by our clock, a node that stands still would look like an oracle
/// that does.
async fn feed(session: &Session<'_>, at: &str, heartbeat: u64) -> Result<Vec<(Signal, Value)>, Trouble> {
    /// The first four bytes of the Keccak hash of `latestRoundData()`.
    const LATEST_ROUND_DATA: &str = "0xfeaf968c";
    let latest = session.call::<Option<Header>>("eth_getBlockByNumber", json!(["latest", false])).await?;
    let latest = latest.ok_or_else(|| Trouble::invalid("it has no latest block"))?;
    let words = contract(session, at, LATEST_ROUND_DATA).await?;
    // roundId, answer, startedAt, updatedAt, answeredInRound
    let [_, _, _, updated_at, _] = words.as_slice() else {
        return Err(Trouble::invalid("not the answer of a price feed"));
    };
    let (high, low) = updated_at.split_at(24);
    let updated_at = u64::from_be_bytes(low.try_into().unwrap_or_default());
    if high.iter().any(|byte| *byte != 0) || updated_at == 0 {
        return Err(Trouble::invalid("its latest round is not complete"));
    }
    let age = latest.timestamp.0.saturating_sub(updated_at);
    let micros = i64::try_from(age).ok().and_then(|age| age.checked_mul(1_000_000)).unwrap_or(i64::MAX);
    let overdue = ratio(age.saturating_mul(1000), heartbeat);
    Ok(vec![(Signal::FeedAge, Value::Micros(micros)), (Signal::FeedOverdue, overdue)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::address::Reach;

    const MINUTE: u64 = 60_000;

    fn wallet() -> OnChain {
        let client = Client::new(Reach::Anywhere, &[]).expect("a client");
        let matter = Matter::Wallet { address: "a".into(), denom: String::new(), decimals: 6 };
        let timeout = Duration::from_secs(1);
        OnChain::new(&client, Family::CometBFT, &[], Expected::any(), matter, timeout)
    }

    #[test]
    fn the_runway_follows_the_pace_of_spending() {
        let mut wallet = wallet();
        assert_eq!(wallet.runway(100_000_000, Mono(0)), Err(Unknown::NotYet));
        assert_eq!(wallet.runway(99_000_000, Mono(5 * MINUTE)), Err(Unknown::NotYet), "too early to tell");
        // A coin in five minutes: 98 coins last for 490 minutes.
        assert_eq!(wallet.runway(98_000_000, Mono(10 * MINUTE)), Ok(Value::Micros(490 * 60_000_000)));
        assert_eq!(wallet.runway(500_000_000, Mono(15 * MINUTE)), Err(Unknown::NotYet), "filled up");
        assert_eq!(wallet.runway(0, Mono(30 * MINUTE)), Ok(Value::Micros(0)));
    }
}
