//! How many blocks a validator may miss before the chain jails it, as one node tells it. Asked through the RPC, which every
//! node has, and not through REST, which most have not. Written after cosmos-sdk v0.50 (`x/slashing`).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;

use super::decode::base64;
use crate::telemetry::{Client, client::Deadline, number::decimal};

const PATH: &str = "/abci_query?path=%22/cosmos.slashing.v1beta1.Query/Params%22";
const CAP: usize = 16 * 1024;
const WITHIN: Duration = Duration::from_secs(3);
/// A share is written in so many decimal places, of which a millionth has six.
const MICRO: u64 = 10_u64.pow(18 - 6);

#[derive(Deserialize)]
struct Answer {
    result: Outer,
}

#[derive(Deserialize)]
struct Outer {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    code: u32,
    value: String,
}

/// Asks a node how many blocks of the chain's window may be missed; none if it does not tell, or the chain has no such rule.
pub async fn allowed_misses(client: &Client, ip: IpAddr, port: u16) -> Option<u64> {
    let url = format!("http://{}{PATH}", SocketAddr::new(ip, port));
    let answer = client.get(&url, Deadline::within(WITHIN), CAP).await.ok()?;
    let Response { code, value } = serde_json::from_slice::<Answer>(&answer.body).ok()?.result.response;
    if code != 0 {
        return None;
    }
    // The parameters are the only field of the answer.
    let answer = base64(&value, CAP)?;
    let Field::Bytes(params) = field(&answer, 1)? else { return None };
    let Field::Number(window) = field(params, 1)? else { return None };
    let Field::Bytes(least) = field(params, 2)? else { return None };
    let least = decimal(std::str::from_utf8(least).ok()?)? / MICRO;
    Some(allowed(window, u32::try_from(least).ok().filter(|least| *least <= 1_000_000)?))
}

/// What is left of a window of which this many millionths must be signed. `MinSignedPerWindow` of x/slashing rounds to the
/// nearest block.
pub(super) fn allowed(window: u64, least: u32) -> u64 {
    let least = (u128::from(window) * u128::from(least) + 500_000) / 1_000_000;
    window.saturating_sub(u64::try_from(least).unwrap_or(u64::MAX))
}

/// What a field of a message of protocol buffers may be.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The first field of this number.
fn field(message: &[u8], wanted: u64) -> Option<Field<'_>> {
    let mut rest = message;
    while !rest.is_empty() {
        let key = number(&mut rest)?;
        let value = match key & 7 {
            0 => Field::Number(number(&mut rest)?),
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                let (bytes, after) = rest.split_at_checked(length)?;
                rest = after;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        if key >> 3 == wanted {
            return Some(value);
        }
    }
    None
}

/// A number in base 128, the lowest digits first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn ask(answer: &'static str) -> Option<u64> {
        let canned = move |url: &str, _: &[u8]| {
            assert!(url.ends_with(PATH), "{url}");
            (200, answer.as_bytes().to_vec())
        };
        let client = Client::canned(Arc::new(canned)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(allowed_misses(&client, IpAddr::from([10, 0, 0, 1]), 26657))
    }

    #[test]
    fn the_parameters_of_the_chain_say_how_many() {
        // 10,000 blocks of which 5 in a hundred must be signed, as the Cosmos Hub has it.
        const HUB: &str = r#"{"jsonrpc":"2.0","id":-1,"result":{"response":{"code":0,"log":"","index":"0","key":null,
            "value":"Cj8IkE4SETUwMDAwMDAwMDAwMDAwMDAwGgMI2AQiETUwMDAwMDAwMDAwMDAwMDAwKg8xMDAwMDAwMDAwMDAwMDA=",
            "proofOps":null,"height":"7","codespace":""}}}"#;
        // As wasmd 0.70 answered with the defaults: half of 100.
        const DEFAULTS: &str = r#"{"jsonrpc":"2.0","id":-1,"result":{"response":{"code":0,"log":"","info":"","index":"0",
            "key":null,"value":"CkEIZBISNTAwMDAwMDAwMDAwMDAwMDAwGgMI2AQiETUwMDAwMDAwMDAwMDAwMDAwKhExMDAwMDAwMDAwMDAwMDAwMA==",
            "proofOps":null,"height":"2","codespace":""}}}"#;
        assert_eq!(ask(HUB), Some(9_500));
        assert_eq!(ask(DEFAULTS), Some(50));
    }

    #[test]
    fn what_says_something_else_says_nothing() {
        for answer in [
            "{}",
            r#"{"error":{"code":-32603}}"#,
            // Of CometBFT's own store, of a chain without this module, and without a value.
            r#"{"result":{"response":{"code":0,"log":"does not exist","key":null,"value":null}}}"#,
            r#"{"result":{"response":{"code":6,"log":"unknown query path","value":null}}}"#,
            r#"{"result":{"response":{"code":6,"value":"CkAIkE4SETUwMDAwMDAwMDAwMDAwMDAw"}}}"#,
            r#"{"result":{"response":{"code":0,"value":""}}}"#,
            // Torn in the middle, not in base 64, and a number without an end.
            r#"{"result":{"response":{"value":"CkAIkE4SETUwMDAwMDAw"}}}"#,
            r#"{"result":{"response":{"value":"***"}}}"#,
            r#"{"result":{"response":{"value":"/////////////////////w=="}}}"#,
        ] {
            assert_eq!(ask(answer), None, "{answer}");
        }
    }

    #[test]
    fn what_must_be_signed_is_rounded_as_the_chain_does() {
        assert_eq!((allowed(100, 500_000), allowed(10_000, 50_000)), (50, 9_500));
        assert_eq!((allowed(5, 500_000), allowed(5, 1_000_000), allowed(0, 0)), (2, 0, 0));
    }
}
