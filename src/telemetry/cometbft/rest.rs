//! The Cosmos REST API (gRPC gateway) beside a node's RPC: what the chain holds of this node's key, and which upgrade
//! it has planned. Written after cosmos-sdk v0.50 (`x/slashing`, `x/upgrade`, `x/auth`).

use bech32::{Bech32, Hrp};
use serde::Deserialize;

use super::slashing::allowed;
use crate::{
    signal::{Mono, Signal, Unknown, Upgrade, Value},
    telemetry::{
        ask::{Endpoint, Session, Trouble},
        execution::ratio,
        number::{Decimal, decimal},
        report::{Report, flag},
        source::Expected,
        text::excerpt,
    },
};

/// The chain's constants are asked for again after so long (milliseconds): governance may change them.
const PARAMS_EVERY: u64 = 600_000;
/// The planned upgrade is asked for again after so long.
const PLAN_EVERY: u64 = 15_000;
/// A key that the chain does not know is asked for again after so long.
const STRANGER_EVERY: u64 = 300_000;

/// The REST API of one node, and those of the network's references: what the chain holds of a key is known there too
/// while its node is away.
#[derive(Clone, Debug)]
pub struct Rest {
    endpoints: Vec<Endpoint>,
    chain: Expected,
    /// The chain's constants, and when they were asked for.
    params: Option<(Params, Mono)>,
    plan: Option<(Option<Upgrade>, Mono)>,
    /// Until when the chain is not asked about a key that it does not know.
    stranger_until: Mono,
}

#[derive(Clone, Debug)]
struct Params {
    prefix: String,
    /// So many misses in the window are allowed.
    allowed: u64,
}

#[derive(Deserialize)]
struct NodeInfo {
    default_node_info: DefaultNodeInfo,
}

#[derive(Deserialize)]
struct DefaultNodeInfo {
    network: String,
}

#[derive(Deserialize)]
struct Prefix {
    bech32_prefix: String,
}

#[derive(Deserialize)]
struct SlashingParams {
    params: Slashing,
}

#[derive(Deserialize)]
struct Slashing {
    signed_blocks_window: Decimal,
    min_signed_per_window: String,
}

#[derive(Deserialize)]
struct SigningInfo {
    val_signing_info: Info,
}

#[derive(Deserialize)]
struct Info {
    jailed_until: String,
    tombstoned: bool,
    missed_blocks_counter: Decimal,
}

#[derive(Deserialize)]
struct CurrentPlan {
    plan: Option<Plan>,
}

#[derive(Deserialize)]
struct Plan {
    name: String,
    height: Decimal,
}

impl Rest {
    /// The REST APIs at these endpoints, of nodes of this chain; the first that answers is believed.
    #[must_use]
    pub const fn new(endpoints: Vec<Endpoint>, chain: Expected) -> Self {
        Self { endpoints, chain, params: None, plan: None, stranger_until: Mono(0) }
    }

    /// Asks what the chain holds of the key with this address (20 bytes in hexadecimal digits), and what is planned.
    pub(super) async fn poll(
        &mut self,
        address: &str,
        signs: bool,
        now: Mono,
        wall: i64,
        report: &mut Report<'_>,
    ) {
        let mut asked = Err(Trouble::unsupported());
        for endpoint in self.endpoints.clone() {
            asked = match endpoint.session() {
                Ok(session) => self.ask(&session, address, signs, now, wall, report).await,
                Err(why) => Err(Trouble::Unusable(why)),
            };
            // One that makes no sense may be one that knows better than the next.
            if !asked.as_ref().is_err_and(Trouble::is_silence) {
                break;
            }
        }
        if let Err(trouble) = asked {
            for signal in [Signal::MissedBlocks, Signal::MissedRatio, Signal::Jailed, Signal::Tombstoned] {
                report.put(signal, Err(trouble.unknown()));
            }
        }
        report.told.upgrade = self.plan.as_ref().map(|(plan, _)| plan.clone());
    }

    async fn ask(
        &mut self,
        session: &Session<'_>,
        address: &str,
        signs: bool,
        now: Mono,
        wall: i64,
        report: &mut Report<'_>,
    ) -> Result<(), Trouble> {
        let params = self.params(session, now).await?;
        self.upgrade(session, now).await?;
        if !signs && now < self.stranger_until {
            return Err(Trouble::unsupported());
        }
        let address = consensus_address(&params.prefix, address)?;
        let path = format!("/cosmos/slashing/v1beta1/signing_infos/{address}");
        let told = session.get::<SigningInfo>(&path).await;
        if told.is_err() {
            // The gateway answers 404, older ones 500, for a key that was never in the set.
            self.stranger_until = now.plus(STRANGER_EVERY);
        }
        let Info { jailed_until, tombstoned, missed_blocks_counter } = told?.val_signing_info;
        let missed = missed_blocks_counter.0;
        report.set(Signal::MissedBlocks, Value::Whole(missed));
        report.put(
            Signal::MissedRatio,
            if params.allowed > 0 {
                Ok(ratio(missed, params.allowed))
            } else {
                Err(Unknown::Invalid("the chain allows no misses at all".into()))
            },
        );
        // The jail is left by a transaction, so that a sentence that is over does not mean freedom: one who does not
        // sign after it is still inside.
        let until = jailed_until.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond);
        report.set(Signal::Jailed, flag(until > wall || (until > 0 && !signs)));
        report.set(Signal::Tombstoned, flag(tombstoned));
        Ok(())
    }

    async fn params(&mut self, session: &Session<'_>, now: Mono) -> Result<Params, Trouble> {
        if let Some((params, at)) = &self.params
            && now.since(*at) < PARAMS_EVERY
        {
            return Ok(params.clone());
        }
        self.chain.check(&[&excerpt(chain(session).await?.as_bytes())])?;
        let Prefix { bech32_prefix } = session.get("/cosmos/auth/v1beta1/bech32").await?;
        let SlashingParams { params } = session.get("/cosmos/slashing/v1beta1/params").await?;
        let window = params.signed_blocks_window.0;
        let least = fraction(&params.min_signed_per_window)
            .ok_or_else(|| Trouble::invalid("min_signed_per_window is no share"))?;
        let params = Params { prefix: excerpt(bech32_prefix.as_bytes()), allowed: allowed(window, least) };
        self.params = Some((params.clone(), now));
        Ok(params)
    }

    async fn upgrade(&mut self, session: &Session<'_>, now: Mono) -> Result<(), Trouble> {
        if self.plan.as_ref().is_some_and(|(_, at)| now.since(*at) < PLAN_EVERY) {
            return Ok(());
        }
        let CurrentPlan { plan } = session.get("/cosmos/upgrade/v1beta1/current_plan").await?;
        let plan = plan.filter(|plan| plan.height.0 > 0);
        let plan = plan.map(|plan| Upgrade { name: excerpt(plan.name.as_bytes()), height: plan.height.0 });
        self.plan = Some((plan, now));
        Ok(())
    }
}

/// What the node behind a REST API calls its chain.
pub(in crate::telemetry) async fn chain(session: &Session<'_>) -> Result<String, Trouble> {
    let info = session.get::<NodeInfo>("/cosmos/base/tendermint/v1beta1/node_info").await?;
    Ok(info.default_node_info.network)
}

/// The address of a consensus key the way the chain writes it: `PREFIXvalcons1…`.
fn consensus_address(prefix: &str, hexadecimal: &str) -> Result<String, Trouble> {
    let bytes: Option<Vec<u8>> = (0..hexadecimal.len())
        .step_by(2)
        .map(|at| hexadecimal.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    let bytes = bytes.filter(|bytes| bytes.len() == 20);
    let bytes = bytes.ok_or_else(|| Trouble::invalid("the node's key has no address of 20 bytes"))?;
    let readable = Hrp::parse(&format!("{prefix}valcons"));
    let readable = readable.map_err(|error| Trouble::invalid(&format!("the chain's prefix: {error}")))?;
    bech32::encode::<Bech32>(readable, &bytes).map_err(|error| Trouble::invalid(&error.to_string()))
}

/// A share such as `0.500000000000000000`, in millionths.
fn fraction(text: &str) -> Option<u32> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let micros: String = rest.chars().chain(std::iter::repeat('0')).take(6).collect();
    let value = decimal(whole)?.checked_mul(1_000_000)?.checked_add(decimal(&micros)?)?;
    u32::try_from(value).ok().filter(|value| *value <= 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_address_that_the_chain_gives_it() {
        // The validator of the recorded /status, as the Cosmos Hub writes it.
        let address = consensus_address("cosmos", "5D6A51A8E9899C44079C6AF90618BA0369070E6E").unwrap();
        assert!(address.starts_with("cosmosvalcons1") && address.len() == 52, "{address}");
        let (prefix, bytes) = bech32::decode(&address).unwrap();
        assert_eq!((prefix.as_str(), bytes[0], bytes[19]), ("cosmosvalcons", 0x5d, 0x6e));
        for refused in ["", "5D", "zz6A51A8E9899C44079C6AF90618BA0369070E6E", "éé"] {
            assert!(consensus_address("cosmos", refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn shares_are_exact() {
        assert_eq!(fraction("0.500000000000000000"), Some(500_000));
        assert_eq!(fraction("1"), Some(1_000_000));
        assert_eq!(fraction("0.05"), Some(50_000));
        for refused in ["", "-0.5", "1.5", "0.x", "a"] {
            assert_eq!(fraction(refused), None, "{refused}");
        }
    }
}
