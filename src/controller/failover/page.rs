//! What a person is told of, and when it is over.

use std::collections::BTreeMap;

use crate::{
    api::FailoverGroup,
    failover::{Missing, Phase, Record, Shut},
    notify::{Notice, Severity, State},
    signal::Now,
};

use super::{
    super::report::timestamp,
    Context, Key, Rest, Trouble,
    call::Call,
    keys,
    memory::{self, Watched},
};

/// For so long nobody may be seen to sign before a person is called (milliseconds): a whole failover takes less.
const SILENT: u64 = 60_000;

/// The word for what is missing.
pub const fn reason(why: Missing) -> &'static str {
    match why {
        Missing::Proof => "Proof",
        Missing::ChainNeedsUs => "ChainNeedsUs",
    }
}

/// The word for why a key is shut.
pub const fn shut(why: Shut) -> &'static str {
    match why {
        Shut::Foreign => "Foreign",
        Shut::Punished => "Punished",
    }
}

/// What is missing, and what helps, with the commands; nothing if nothing is.
pub fn missing(group: &FailoverGroup, record: &Record) -> Option<String> {
    let Phase::Revoking { holder, blocked: Some(why) } = &record.phase else { return None };
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let namespace = group.metadata.namespace.as_deref().unwrap_or_default();
    let (member, uid, epoch) = (&holder.pod.member, &holder.pod.uid, record.tenure.epoch.0);
    let order = |verb: &str, more: &str| {
        format!("`mainstay {verb} {name} -n {namespace} --pod {uid} --epoch {epoch}{more} --assert \"…\"`")
    };
    let release = order("release", "");
    Some(match why {
        Missing::Proof => format!(
            "nothing proves that the former signer has stopped, the pod {uid} of {member}: delete it, never by force, and bring \
             its node back; or make sure that it is off and then {release}"
        ),
        Missing::ChainNeedsUs => format!(
            "no block passes {} without this key, or nobody knows whether one would: bring the gate of {member} back to seal. \
             If its pod has stopped for good, say so with its state, which tells what it signed last: {}. Without its state, and \
             only if the chain goes on without this key: {release}",
            record.bound().0,
            order("adopt", " --state FOLDER")
        ),
    })
}

/// What a person has to know.
struct Matter {
    kind: &'static str,
    title: &'static str,
    text: String,
}

/// What it means that somebody took the latch from the holder's pod.
pub const UNLATCHED: &str = "somebody took the finalizer mainstay.dev/signer from the holder's pod: when that pod is deleted, nothing \
     will prove that its signer has stopped. Put it back while the pod is not being deleted";

/// What a person has to know now, if anything. `silent`: for how long nobody could be seen to sign.
fn matter(
    group: &FailoverGroup,
    record: Option<&Record>,
    ended: &Result<Rest, Trouble>,
    silent: u64,
    unlatched: bool,
) -> Option<Matter> {
    if let Some(record) = record
        && let Phase::Revoking { blocked: Some(why), .. } = record.phase
        && let Some(text) = missing(group, record)
    {
        return Some(Matter { kind: reason(why), title: "the failover is blocked", text });
    }
    if let Some(why) = record.and_then(|record| record.shut) {
        let (title, text) = ("nobody signs with its key any more", why.because().into());
        return Some(Matter { kind: shut(why), title, text });
    }
    let (title, text) = match ended {
        Ok(rest) => ("nobody signs", format!("{}: {}", rest.reason, rest.message)),
        Err(trouble) => ("nobody can fail it over", trouble.to_string()),
    };
    if silent >= SILENT {
        return Some(Matter { kind: "Silent", title, text });
    }
    let title = "its pod is not held any more";
    unlatched.then(|| Matter { kind: "Unlatched", title, text: UNLATCHED.into() })
}

/// Whether nobody is missed: somebody holds the place, or it has never been in use.
fn is_calm(ended: &Result<Rest, Trouble>) -> bool {
    ended.as_ref().is_ok_and(|rest| matches!(rest.reason, "Held" | "NotBegun" | "Left"))
}

/// Calls a person, once for an epoch and a reason, and once more when it is over. Whom nobody has told is called again.
pub fn tell(
    ctx: &Context,
    group: &FailoverGroup,
    record: Option<&Record>,
    ended: &Result<Rest, Trouble>,
    memory: &mut Watched,
) {
    let now = ctx.now();
    let send = |notice| ctx.notifier.send(&group.spec.notify, notice);
    for over in due(group, record, ended, memory, now) {
        drop(send(over));
    }
    for call in &mut memory.told {
        call.push(now.mono, send);
    }
}

/// Calls a person for a group that cannot be read, in the name of what it was when it could. A process that never read it knows
/// nobody to call: the group's status says it.
pub fn tell_unreadable(ctx: &Context, key: &Key, why: &str) {
    let mut memory = memory::recall(ctx, key);
    let Some(group) = memory.group.clone() else { return };
    tell(ctx, &group, None, &Err(Trouble::Invalid(why.to_owned())), &mut memory);
    memory::remember(ctx, key, memory);
}

/// What is over now. What has begun is among what people are told of.
fn due(
    group: &FailoverGroup,
    record: Option<&Record>,
    ended: &Result<Rest, Trouble>,
    memory: &mut Watched,
    now: Now,
) -> Vec<Notice> {
    memory.silent_since = if is_calm(ended) { None } else { memory.silent_since.or(Some(now.mono)) };
    // What cannot be looked at is not over.
    if matches!(ended, Err(Trouble::Api(_))) && !memory.told.is_empty() {
        return Vec::new();
    }
    let silent = memory.silent_since.map_or(0, |since| now.mono.since(since));
    let (epoch, at) = (memory.epoch().map(|epoch| epoch.0), timestamp(now.wall));
    let astray = memory.key.astray().map(|why| {
        let title = "its key is in use elsewhere, or a member has another one";
        Matter { kind: keys::KIND, title, text: why.to_owned() }
    });
    let matters = matter(group, record, ended, silent, memory.unlatched).into_iter().chain(astray);
    let next: Vec<_> = matters.map(|matter| notice(group, epoch, &matter, at)).collect();
    let told = std::mem::take(&mut memory.told).into_iter();
    let (stays, over): (Vec<_>, Vec<_>) =
        told.partition(|call| next.iter().any(|notice| notice.dedupe_key == call.key()));
    memory.told = stays;
    for notice in next {
        match memory.told.iter_mut().find(|call| call.key() == notice.dedupe_key) {
            Some(call) => call.goes_on(notice),
            None => memory.told.push(Call::new(notice)),
        }
    }
    over.into_iter().map(|call| call.over(at)).collect()
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
    use std::sync::Arc;

    use serde_json::json;
    use tokio::sync::oneshot;

    use super::{super::keys::Whereabouts, *};
    use crate::{
        api::FailoverGroupSpec,
        effect::{Failed, Outcome},
        failover::{Activation, Epoch, Event, HandOver, Height, Pod, step},
        notify::Delivery,
        signal::{Mono, Server, Wall},
    };

    fn group() -> FailoverGroup {
        let spec = json!({"network": "hub", "identity": "hub-1.k", "members": [], "handover": {"gate": {}}});
        let spec: FailoverGroupSpec = serde_json::from_value(spec).unwrap();
        let mut group = FailoverGroup::new("val", spec);
        group.metadata.namespace = Some("cosmos".into());
        group
    }

    /// Epoch 2 of a, and how it is held up.
    fn blocked(why: Missing) -> (Record, Record) {
        let pod = Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() });
        let offer = Event::Offered { pod, activation: Activation(3), hand_over: HandOver::Gate };
        let active = step(&Record::adopted(Epoch(1), Activation(2), Height(3)), offer).0;
        let mut held_up = step(&active, Event::Wanted { epoch: Epoch(2) }).0;
        let Phase::Revoking { blocked, .. } = &mut held_up.phase else { panic!("not revoked") };
        *blocked = Some(why);
        (active, held_up)
    }

    /// Whoever is called at night can copy it.
    #[test]
    fn a_page_says_the_command_with_pod_and_epoch() {
        let (active, held_up) = blocked(Missing::ChainNeedsUs);
        assert_eq!(missing(&group(), &active), None);
        let said = missing(&group(), &held_up).unwrap();
        let adopt = "`mainstay adopt val -n cosmos --pod u1 --epoch 2 --state FOLDER --assert \"…\"`";
        let release = "`mainstay release val -n cosmos --pod u1 --epoch 2 --assert \"…\"`";
        assert!(said.contains("no block passes 3 ") && said.contains(adopt) && said.contains(release), "{said}");
        let said = missing(&group(), &blocked(Missing::Proof).1).unwrap();
        assert!(said.contains(release) && !said.contains("adopt"), "{said}");
    }

    #[test]
    fn a_person_is_called_for_what_lasts() {
        let (group, record) = (group(), Record::adopted(Epoch(1), Activation(2), Height(3)));
        let rest = Ok(Rest::new(0, "NobodyFit", "b: its pod is Pending"));
        assert!(matter(&group, Some(&record), &rest, SILENT - 1, false).is_none());
        let told = matter(&group, Some(&record), &rest, SILENT, true).unwrap();
        assert_eq!((told.kind, told.text.as_str()), ("Silent", "NobodyFit: b: its pod is Pending"));
        let unreadable = Err(Trouble::Invalid("it is no record".into()));
        assert_eq!(matter(&group, None, &unreadable, SILENT, false).unwrap().text, "it is no record");
    }

    // W06.
    #[test]
    fn a_person_is_called_at_once_when_a_latch_is_taken() {
        let (group, record) = (group(), Record::adopted(Epoch(1), Activation(2), Height(3)));
        let rest = || Ok(Rest::new(0, "Held", ""));
        assert!(matter(&group, Some(&record), &rest(), 0, false).is_none());
        let told = matter(&group, Some(&record), &rest(), 0, true).unwrap();
        assert!(told.kind == "Unlatched" && told.text.contains("mainstay.dev/signer"));
    }

    /// A look that came to nothing in between is neither the end nor another beginning.
    #[test]
    fn a_person_is_called_once_and_told_when_it_is_over() {
        let group = group();
        let (active, blocked) = blocked(Missing::ChainNeedsUs);
        let mut memory = Watched::default();
        memory.note(&blocked, Mono(0));
        let mut look = |record: Option<&Record>, ended: Result<Rest, Trouble>, at: u64| {
            let wall = i64::try_from(at).unwrap();
            let now = Now { mono: Mono(at), wall: Wall(wall), server: Server(wall) };
            let mut sent = due(&group, record, &ended, &mut memory, now);
            for call in &mut memory.told {
                call.push(now.mono, |notice| {
                    sent.push(notice);
                    let (answer, delivery) = oneshot::channel();
                    answer.send(Delivery::Delivered).unwrap();
                    delivery
                });
            }
            let firing = |notice: &Notice| matches!(notice.state, State::Firing { .. });
            sent.into_iter().map(|notice| (notice.dedupe_key.clone(), firing(&notice))).collect::<Vec<_>>()
        };
        let rest = |reason| Ok(Rest::new(0, reason, ""));
        let key = "failover/hub-1.k/2/ChainNeedsUs".to_owned();
        assert_eq!(look(Some(&blocked), rest("ChainNeedsUs"), 1), [(key.clone(), true)]);
        assert_eq!(look(Some(&blocked), rest("ChainNeedsUs"), 2 * SILENT), []);
        let silence = Failed { doing: "read", outcome: Outcome::Unknown(String::new()) };
        assert_eq!(look(None, Err(silence.into()), 3 * SILENT), []);
        assert_eq!(look(Some(&blocked), rest("ChainNeedsUs"), 4 * SILENT), []);
        assert_eq!(look(Some(&active), rest("Held"), 5 * SILENT), [(key, false)]);
        assert_eq!(look(Some(&active), rest("Held"), 6 * SILENT), []);
    }

    /// Also while something else is the matter: neither hides the other.
    #[test]
    fn a_person_is_called_for_a_key_that_is_in_use_elsewhere() {
        let (group, (active, blocked)) = (group(), blocked(Missing::ChainNeedsUs));
        let mut memory = Watched::default();
        memory.note(&blocked, Mono(0));
        memory.key =
            Whereabouts::Astray { reason: "Elsewhere", why: "the pod old-0 has it".into(), unfit: Vec::new() };
        let now = Now { mono: Mono(1), wall: Wall(1), server: Server(1) };
        let rest = |reason| Ok(Rest::new(0, reason, ""));
        assert!(due(&group, Some(&blocked), &rest("ChainNeedsUs"), &mut memory, now).is_empty());
        let keys = |memory: &Watched| memory.told.iter().map(|call| call.key().to_owned()).collect::<Vec<_>>();
        let (one, other) =
            ("failover/hub-1.k/2/ChainNeedsUs".to_owned(), "failover/hub-1.k/2/DuplicateKey".to_owned());
        assert_eq!(keys(&memory), [one.clone(), other.clone()]);
        let over = due(&group, Some(&active), &rest("Held"), &mut memory, now);
        assert_eq!((over.len(), &over[0].dedupe_key, keys(&memory)), (1, &one, vec![other.clone()]));
        memory.key = Whereabouts::Here;
        assert_eq!(due(&group, Some(&active), &rest("Held"), &mut memory, now)[0].dedupe_key, other);
    }

    #[test]
    fn nobody_is_called_for_what_is_not_in_use() {
        let calm = |reason| is_calm(&Ok(Rest::new(0, reason, "")));
        assert!(calm("Held") && calm("NotBegun"));
        assert!(
            !["NobodyFit", "NotUp", "Ahead", "RecordGone"].map(calm).contains(&true)
                && !is_calm(&Err(Trouble::Invalid(String::new())))
        );
    }
}
