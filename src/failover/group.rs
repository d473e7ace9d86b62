//! Whether a group may run an identity: what two people wrote apart from each other must fit together.

use super::split;
use crate::api::{FailoverGroupSpec, SigningIdentitySpec, Way};

/// Why the group `own` (namespace and name) may not run its identity; `chain` is the id of its network's chain.
#[must_use]
pub fn mismatch(
    own: (&str, &str),
    group: &FailoverGroupSpec,
    identity: &SigningIdentitySpec,
    chain: Option<&str>,
) -> Option<String> {
    let name = &group.identity;
    let Some((of, key)) = split(name) else {
        return Some(format!(
            "{name} is no CHAIN_ID.PUBLIC_KEY with 64 hexadecimal digits in lower case, or 96 of a BLS key"
        ));
    };
    if (identity.namespace.as_str(), identity.group.as_str()) != own {
        return Some(format!(
            "SigningIdentity {name} is for the group {}/{}: an administrator assigns it to this one",
            identity.namespace, identity.group
        ));
    }
    if identity.network != group.network {
        return Some(format!("SigningIdentity {name} is of the network {}", identity.network));
    }
    let Some(chain) = chain else {
        return Some(format!("there is no Network {}", group.network));
    };
    if of != chain {
        return Some(format!(
            "the network {} is the chain {chain}, and {name} is a key of another one",
            group.network
        ));
    }
    if group.handover.way().is_none() {
        return Some(
            "it does not say how the place changes hands, in one way: handover: {gate: {}}, {launcher: {}}, {label: {service: \
             NAME}}, {keymanager: {}}, {solanaIdentity: {}} or {job: {cronJob: NAME}}"
                .into(),
        );
    }
    // Such a gate would have no such key, and a group that went from one of these ways to another would say so here.
    let digits = match group.handover.way() {
        Some(Way::Keymanager(_)) => Some(("keymanager", 96)),
        Some(Way::Gate) => Some(("gate", 64)),
        Some(Way::SolanaIdentity(_)) => Some(("solanaIdentity", 64)),
        Some(Way::Launcher(_) | Way::Label(_) | Way::Job(_)) | None => None,
    };
    if let Some((way, digits)) = digits.filter(|(_, digits)| *digits != key.len()) {
        return Some(format!(
            "handover.{way} is for keys of {digits} hexadecimal digits, and that of {name} has {}: write another way",
            key.len()
        ));
    }
    let twice = group.members.iter().enumerate().find(|(index, member)| {
        let before = &group.members[..*index];
        before.iter().any(|other| other.name == member.name || other.stateful_set == member.stateful_set)
    });
    twice.map(|(_, member)| {
        format!("the member {} is another one too, by its name or its StatefulSet", member.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{FailoverMember, GateHandover, Handover, Standby};

    type Spoil = fn(&mut FailoverGroupSpec, &mut SigningIdentitySpec);

    fn pair() -> (FailoverGroupSpec, SigningIdentitySpec) {
        let member = |name: &str| FailoverMember { name: name.into(), stateful_set: format!("val-{name}") };
        let group = FailoverGroupSpec {
            network: "hub".into(),
            identity: format!("hub-1.{}", "0a".repeat(32)),
            members: vec![member("a"), member("b")],
            handover: Handover { gate: Some(GateHandover {}), ..Handover::default() },
            standby: Standby::default(),
            automatic: false,
            notify: Vec::new(),
        };
        let identity = SigningIdentitySpec {
            network: "hub".into(),
            namespace: "cosmos".into(),
            group: "val".into(),
            window: 20,
        };
        (group, identity)
    }

    #[test]
    fn what_fits_together_is_run() {
        let (group, identity) = pair();
        assert_eq!(mismatch(("cosmos", "val"), &group, &identity, Some("hub-1")), None);
        assert!(mismatch(("cosmos", "val"), &group, &identity, None).is_some(), "no network");
        assert!(mismatch(("cosmos", "val"), &group, &identity, Some("hub-2")).is_some(), "another chain");
        assert!(mismatch(("other", "val"), &group, &identity, Some("hub-1")).is_some(), "another namespace");
        assert!(mismatch(("cosmos", "twin"), &group, &identity, Some("hub-1")).is_some(), "another group");
    }

    #[test]
    fn what_does_not_is_not() {
        let spoils: [(&str, Spoil); 8] = [
            ("handover.keymanager is for keys of 96", |group, _| {
                group.handover = serde_json::from_str(r#"{"keymanager": {}}"#).expect("a way");
            }),
            ("handover.gate is for keys of 64", |group, _| group.identity = format!("hub-1.{}", "0a".repeat(48))),
            ("no CHAIN_ID.PUBLIC_KEY", |group, _| group.identity = "hub-1.AB".into()),
            ("of the network sea", |_, identity| identity.network = "sea".into()),
            ("handover", |group, _| group.handover.gate = None),
            ("the member b", |group, _| group.members[1].stateful_set = "val-a".into()),
            ("the member a", |group, _| group.members[1].name = "a".into()),
            ("for the group cosmos/twin", |_, identity| identity.group = "twin".into()),
        ];
        for (words, spoil) in spoils {
            let (mut group, mut identity) = pair();
            spoil(&mut group, &mut identity);
            let why = mismatch(("cosmos", "val"), &group, &identity, Some("hub-1")).expect(words);
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
