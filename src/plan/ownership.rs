//! Which installation a network belongs to. Two that act on one chain would each keep to limits of their own, so the
//! first that looks after a network claims it in its ledger, and the others leave it alone.

use crate::{api::NetworkLedgerSpec, signal::Server};

/// How long (milliseconds) a network rests after its installation was uninstalled: longer than the last process of
/// that installation lives on, so that it begins nothing while it is taken down.
const REST: u64 = 60_000;

/// Why `installation` must not act on the network of this ledger; `None` if the network is its own, or free.
#[must_use]
pub fn owned_by_another(ledger: &NetworkLedgerSpec, installation: &str, now: Server) -> Option<String> {
    let owner = &ledger.installation;
    if owner.is_empty() {
        return None;
    }
    if ledger.retired_at > 0 {
        let left = Server(ledger.retired_at).plus(REST).since(now);
        return (left > 0).then(|| {
            format!(
                "the installation {owner} was uninstalled a moment ago: its network is free in {} s",
                left / 1000
            )
        });
    }
    (owner != installation).then(|| {
        format!(
            "the network belongs to the installation {owner}, and two must not act on one network; if that one is \
             gone for good, empty spec.installation of the NetworkLedger"
        )
    })
}

/// The ledger as the property of `installation`, if it is not another's.
pub fn claim(ledger: &NetworkLedgerSpec, installation: &str, now: Server) -> Result<NetworkLedgerSpec, String> {
    if let Some(why) = owned_by_another(ledger, installation, now) {
        return Err(why);
    }
    Ok(NetworkLedgerSpec { installation: installation.to_owned(), retired_at: 0, ..ledger.clone() })
}

/// The ledger after `installation` was uninstalled. Another's stays as it is.
#[must_use]
pub fn leave(ledger: &NetworkLedgerSpec, installation: &str, now: Server) -> NetworkLedgerSpec {
    let mut next = ledger.clone();
    if next.installation == installation {
        next.retired_at = now.0;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Server = Server(1_000_000);

    fn owned(installation: &str) -> NetworkLedgerSpec {
        NetworkLedgerSpec { installation: installation.into(), ..NetworkLedgerSpec::default() }
    }

    #[test]
    fn the_first_one_claims_a_network_and_keeps_it() {
        let ours = claim(&owned(""), "us", NOW).unwrap();
        assert_eq!(ours.installation, "us");
        assert_eq!(claim(&ours, "us", NOW).unwrap(), ours);
        assert!(claim(&ours, "them", NOW).unwrap_err().contains("belongs to the installation us"));
    }

    #[test]
    fn a_network_that_was_left_rests_before_anybody_claims_it() {
        let left = leave(&owned("us"), "us", NOW);
        for installation in ["us", "them"] {
            let soon = claim(&left, installation, NOW.plus(REST - 1)).unwrap_err();
            assert!(soon.contains("was uninstalled"), "{soon}");
            let later = claim(&left, installation, NOW.plus(REST)).unwrap();
            assert_eq!((later.installation.as_str(), later.retired_at), (installation, 0));
        }
    }

    #[test]
    fn nobody_leaves_what_is_anothers() {
        assert_eq!(leave(&owned("them"), "us", NOW), owned("them"));
    }
}
