//! What a person is told of, and when it is over.

use std::collections::BTreeMap;

use crate::{
    api::FailoverGroup,
    failover::{Missing, Phase, Record},
    notify::{Notice, Severity, State},
};

use super::{super::report::timestamp, Context, Rest, memory::Watched};

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

/// What a person has to know now, if anything.
fn matter(record: &Record, rest: &Rest, silent: u64) -> Option<Matter> {
    if let Phase::Revoking { blocked: Some(why), .. } = record.phase {
        return Some(Matter { kind: reason(why), title: "the failover is blocked", text: missing(why).into() });
    }
    let text = || format!("{}: {}", rest.reason, rest.message);
    (silent >= SILENT).then(|| Matter { kind: "Silent", title: "nobody signs", text: text() })
}

/// Calls a person, once for an epoch and a reason, and once more when it is over.
pub fn tell(ctx: &Context, group: &FailoverGroup, record: &Record, rest: &Rest, memory: &mut Watched) {
    let now = ctx.now();
    memory.silent_since = if rest.reason == "Held" { None } else { memory.silent_since.or(Some(now.mono)) };
    let silent = memory.silent_since.map_or(0, |since| now.mono.since(since));
    let next = matter(record, rest, silent).map(|matter| notice(group, record, &matter, timestamp(now.wall)));
    let key = |notice: &Option<Notice>| notice.as_ref().map(|notice| notice.dedupe_key.clone());
    if key(&next) == key(&memory.told) {
        return;
    }
    let over = memory.told.take().map(|told| Notice { state: State::Resolved { at: timestamp(now.wall) }, ..told });
    for notice in over.into_iter().chain(next.clone()) {
        drop(ctx.notifier.send(&group.spec.notify, notice));
    }
    memory.told = next;
}

fn notice(group: &FailoverGroup, record: &Record, matter: &Matter, at: jiff::Timestamp) -> Notice {
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let namespace = group.metadata.namespace.as_deref().unwrap_or_default();
    let labels = [("network", group.spec.network.as_str()), ("namespace", namespace), ("group", name)];
    let labels: BTreeMap<_, _> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let epoch = record.tenure.epoch.0;
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
        let rest = Rest::new(0, "NobodyFit", "b: its pod is Pending");
        assert!(matter(&record, &rest, SILENT - 1).is_none());
        let told = matter(&record, &rest, SILENT).unwrap();
        assert_eq!((told.kind, told.text.as_str()), ("Silent", "NobodyFit: b: its pod is Pending"));
    }
}
