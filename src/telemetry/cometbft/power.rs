//! How much of the voting power a key has, as one node tells it.

use std::{net::IpAddr, time::Duration};

use serde::Deserialize;

use crate::telemetry::{Client, client::Deadline, number::Decimal};

/// Validators on a page: as many as a node gives (`maxPerPage` of `rpc/core/env.go`).
const PAGE: usize = 100;
/// No chain of this family has more pages.
const PAGES: usize = 20;
const CAP: usize = 256 * 1024;
/// All pages together.
const WITHIN: Duration = Duration::from_secs(5);

/// A key's power and that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// Of the key; zero if it is not in the set.
    pub own: u128,
    /// Of all.
    pub total: u128,
}

#[derive(Deserialize)]
struct Answer {
    result: Page,
}

#[derive(Deserialize)]
struct Page {
    validators: Vec<Validator>,
    total: Decimal,
}

#[derive(Deserialize)]
struct Validator {
    address: String,
    voting_power: Decimal,
}

/// Asks a node for the validators of its newest height; none if it does not tell all of them.
pub async fn power(client: &Client, ip: IpAddr, port: u16, address: &str) -> Option<Power> {
    let (mut power, mut known) = (Power { own: 0, total: 0 }, 0);
    let deadline = Deadline::within(WITHIN);
    for page in 1..=PAGES {
        let url = format!("http://{}/validators?per_page={PAGE}&page={page}", std::net::SocketAddr::new(ip, port));
        let answer = client.get(&url, deadline, CAP).await.ok()?;
        let Page { validators, total } = serde_json::from_slice::<Answer>(&answer.body).ok()?.result;
        if validators.is_empty() {
            return None;
        }
        known += validators.len();
        for validator in validators {
            let of = u128::from(validator.voting_power.0);
            power.total += of;
            if validator.address.eq_ignore_ascii_case(address) {
                power.own += of;
            }
        }
        if u64::try_from(known).ok()? >= total.0 {
            return Some(power);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn ask(pages: &'static [&'static str]) -> Option<Power> {
        let canned = move |url: &str, _: &[u8]| {
            let page: usize = url.rsplit('=').next().unwrap().parse().unwrap();
            (200, pages.get(page - 1).unwrap_or(&"{}").as_bytes().to_vec())
        };
        let client = Client::canned(Arc::new(canned)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(power(&client, IpAddr::from([10, 0, 0, 1]), 26657, "AA"))
    }

    #[test]
    fn all_pages_are_read_or_nothing_is_known() {
        const FIRST: &str = r#"{"result":{"total":"3","validators":[
            {"address":"AA","voting_power":"10"},{"address":"BB","voting_power":"20"}]}}"#;
        const SECOND: &str = r#"{"result":{"total":"3","validators":[{"address":"CC","voting_power":"30"}]}}"#;
        assert_eq!(ask(&[FIRST, SECOND]), Some(Power { own: 10, total: 60 }));
        assert_eq!(ask(&[FIRST]), None);
        assert_eq!(ask(&[r#"{"error":{}}"#]), None);
    }
}
