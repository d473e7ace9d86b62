//! The other replicas of this installation. Each has a way of its own to every target: what keeps silent here and answers
//! there is not ill, and the way to it is.

use serde::{Deserialize, Serialize};

use crate::signal::Testimony;

use super::{Facts, guard::Held};

/// What the other replicas say of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Vantage {
    /// Not asked for: a cache knows pods only, and most of what is wrong is no silence.
    #[default]
    Unread,
    /// They could not be found.
    Unfound(String),
    /// What each of them that is ready said; of none, if this one is alone.
    Asked(Vec<Said>),
}

/// What another replica said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Its pod.
    pub replica: String,
    /// Its word, or why there is none.
    pub told: Result<Testimony, String>,
}

/// A silence is confirmed by another replica before anything is done about it. Whoever is alone has nobody to ask.
pub(super) fn unconfirmed(facts: &Facts<'_>) -> Option<Held> {
    if !facts.target.verdict.is_a_silence() {
        return None;
    }
    let said = match &facts.live.vantage {
        Vantage::Unread => return None,
        Vantage::Unfound(why) => {
            return Held::because(format!("the other replicas could not be found, to confirm its silence: {why}"));
        }
        Vantage::Asked(said) => said,
    };
    if let Some(Said { replica, .. }) = said.iter().find(|said| matches!(said.told, Ok(Testimony::Reaches { .. })))
    {
        return Held::because(format!("replica {replica} reaches it: suspect the way from here to there"));
    }
    if let Some((replica, why)) = said.iter().find_map(|said| Some((&said.replica, said.told.as_ref().err()?))) {
        return Held::because(format!(
            "replica {replica} is ready and does not say whether it reaches it ({why}): our own network may be what is \
             broken"
        ));
    }
    let first = said.first()?;
    let most = facts.policy.limits.evidence_max_age;
    let confirms = |said: &Said| matches!(said.told, Ok(Testimony::Silent { age }) if age <= most);
    if said.iter().any(confirms) {
        return None;
    }
    let why = match &first.told {
        Ok(Testimony::Unknown { why }) => why,
        _ => "what it saw is too old",
    };
    Held::because(format!("no other replica confirms its silence: {}: {why}", first.replica))
}
