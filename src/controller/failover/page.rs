//! What a person is told of, and when it is over.

use std::collections::BTreeMap;

use crate::{
    api::FailoverGroup,
    failover::{Missing, Phase, Record},
    notify::{Notice, Severity, State},
};

use super::{super::report::timestamp, Context, Rest, Trouble, memory::Watched};

/// For so long nobody may be seen to sign before a person is called (milliseconds): a whole failover takes less.
const SILENT: u64 = 60_000;

/// The word for what is missing.
pub const fn reason(why: Missing) -> &'static str {
    match why {
        Missing::Proof => "Proof",
        Missing::ChainNeedsUs => "ChainNeedsUs",
    }
}

/// What is missing, and what helps.
pub const fn missing(why: Missing) -> &'static str {
    match why {
        Missing::Proof => {
            "nothing proves that the former signer has stopped: bring its node back, or make sure that it is off and \
             then `mainstay release`"
        }
        Missing::ChainNeedsUs => {
            "no block passes the former holder's ceiling without this key, or nobody knows whether one would: bring its \
             gate back to seal, or make sure that it is off and then `mainstay release`"
        }
    }
}

/// What a person has to know.
struct Matter {
    kind: &'static str,
    title: &'static str,
    text: String,
}

/// What a person has to know now, if anything. `silent`: for how long nobody could be seen to sign.
fn matter(record: Option<&Record>, ended: &Result<Rest, Trouble>, silent: u64) -> Option<Matter> {
    if let Some(Record { phase: Phase::Revoking { blocked: Some(why), .. }, .. }) = record {
        return Some(Matter { kind: reason(*why), title: "the failover is blocked", text: missing(*why).into() });
    }
    let (title, text) = match ended {
        Ok(rest) => ("nobody signs", format!("{}: {}", rest.reason, rest.message)),
        Err(trouble) => ("nobody can fail it over", trouble.to_string()),
    };
    (silent >= SILENT).then_some(Matter { kind: "Silent", title, text })
}

/// Whether nobody is missed: somebody holds the place, or it is not in use yet.
fn is_calm(ended: &Result<Rest, Trouble>) -> bool {
    ended.as_ref().is_ok_and(|rest| matches!(rest.reason, "Held" | "NotBegun"))
}

/// Calls a person, once for an epoch and a reason, and once more when it is over.
pub fn tell(
    ctx: &Context,
    group: &FailoverGroup,
    record: Option<&Record>,
    ended: &Result<Rest, Trouble>,
    memory: &mut Watched,
) {
    let now = ctx.now();
    memory.silent_since = if is_calm(ended) { None } else { memory.silent_since.or(Some(now.mono)) };
    // What cannot be looked at is not over.
    if matches!(ended, Err(Trouble::Api(_))) && memory.told.is_some() {
        return;
    }
    let silent = memory.silent_since.map_or(0, |since| now.mono.since(since));
    let epoch = memory.epoch().map(|epoch| epoch.0);
    let next = matter(record, ended, silent).map(|matter| notice(group, epoch, &matter, timestamp(now.wall)));
    let key = |notice: &Option<Notice>| notice.as_ref().map(|notice| notice.dedupe_key.clone());
    if key(&next) == key(&memory.told) {
        return;
    }
    let over =
        memory.told.take().map(|told| Notice { state: State::Resolved { at: timestamp(now.wall) }, ..told });
    for notice in over.into_iter().chain(next.clone()) {
        drop(ctx.notifier.send(&group.spec.notify, notice));
    }
    memory.told = next;
}

fn notice(group: &FailoverGroup, epoch: Option<u64>, matter: &Matter, at: jiff::Timestamp) -> Notice {
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let namespace = group.metadata.namespace.as_deref().unwrap_or_default();
    let labels = [("network", group.spec.network.as_str()), ("namespace", namespace), ("group", name)];
    let labels: BTreeMap<_, _> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let epoch = epoch.map_or_else(|| "none".into(), |epoch| epoch.to_string());
    Notice {
        dedupe_key: format!("failover/{}/{epoch}/{}", group.spec.identity, matter.kind),
        severity: Severity::Page,
        state: State::Firing { expires_after: Notice::DAY },
        title: format!("{namespace}/{name}, epoch {epoch}: {}", matter.title),
        text: format!("{}. `kubectl -n {namespace} describe fog {name}` tells more", matter.text),
        labels,
        starts_at: at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{Activation, Epoch, Height};

    #[test]
    fn a_person_is_called_for_what_lasts() {
        let record = Record::adopted(Epoch(1), Activation(2), Height(3));
        let rest = Ok(Rest::new(0, "NobodyFit", "b: its pod is Pending"));
        assert!(matter(Some(&record), &rest, SILENT - 1).is_none());
        let told = matter(Some(&record), &rest, SILENT).unwrap();
        assert_eq!((told.kind, told.text.as_str()), ("Silent", "NobodyFit: b: its pod is Pending"));
        let unreadable = Err(Trouble::Invalid("it is no record".into()));
        assert_eq!(matter(None, &unreadable, SILENT).unwrap().text, "it is no record");
    }

    #[test]
    fn nobody_is_called_for_what_is_not_in_use() {
        let calm = |reason| is_calm(&Ok(Rest::new(0, reason, "")));
        assert!(calm("Held") && calm("NotBegun"));
        assert!(!calm("NobodyFit") && !is_calm(&Err(Trouble::Invalid(String::new()))));
    }
}
