//! Event: tells the people who look at an object what happened to it (`events.k8s.io`).

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::controller::clients::{DEADLINE, deadline};

/// What the API server takes at most (bytes).
const LONGEST_WORD: usize = 128;
const LONGEST_NOTE: usize = 1_024;

/// Tells people by way of Events. There is one per process: it remembers what it told, to count instead of repeating.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

/// What there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether somebody should look.
    pub warning: bool,
    /// One word for what happened, such as `RestartAccepted`.
    pub reason: String,
    /// What was done about it. Events that differ in neither this nor the reason are counted as one, which keeps the
    /// *first* note: what tells two incidents apart, such as the number of an attempt, belongs here.
    pub action: String,
    /// A sentence with the evidence.
    pub note: String,
}

impl Events {
    /// Tells as `instance`, which is the name of the operator's pod.
    #[must_use]
    pub fn new(actuator: Client, instance: Option<String>) -> Self {
        let reporter = Reporter { controller: "mainstay.dev/operator".into(), instance };
        Self { recorder: Recorder::new(actuator, reporter) }
    }

    /// Tells about an object. That nobody could be told is logged and changes nothing; returns whether it was told.
    pub async fn tell(&self, regarding: &ObjectReference, told: Told) -> bool {
        let Told { warning, reason, action, note } = told;
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: cut(reason, LONGEST_WORD),
            action: cut(action, LONGEST_WORD),
            note: Some(cut(note, LONGEST_NOTE)),
            secondary: None,
        };
        match deadline(DEADLINE, self.recorder.publish(&event, regarding)).await {
            Ok(()) => true,
            Err(error) => {
                let name = regarding.name.as_deref().unwrap_or_default();
                tracing::warn!(%error, reason = event.reason, name, "could not write an Event");
                false
            }
        }
    }
}

fn cut(mut text: String, longest: usize) -> String {
    let end = text.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|end| *end <= longest).last();
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    fn pod() -> ObjectReference {
        ObjectReference {
            namespace: Some("cosmos".into()),
            name: Some("val-0".into()),
            ..ObjectReference::default()
        }
    }

    fn told(action: &str) -> Told {
        let note = "ä".repeat(2_000);
        Told { warning: true, reason: "Unhealthy".into(), action: action.into(), note }
    }

    #[tokio::test]
    async fn the_second_incident_is_an_event_of_its_own() {
        let made = || Answer::json(201, json!({"metadata": {}}));
        let (client, fake) = Fake::answering([made(), made(), made()]);
        let events = Events::new(client, Some("mainstay-0".into()));
        for action in ["RestartAttempt1", "RestartAttempt2", "RestartAttempt2"] {
            assert!(events.tell(&pod(), told(action)).await);
        }
        let lines: Vec<_> = fake.requests().iter().map(|request| request.method.clone()).collect();
        assert_eq!(lines, ["POST", "POST", "PATCH"]);
        let body = &fake.requests()[0].body;
        assert_eq!((&body["reason"], &body["action"]), (&json!("Unhealthy"), &json!("RestartAttempt1")));
        assert_eq!(body["note"].as_str().unwrap().len(), LONGEST_NOTE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_no_error() {
        for answer in [Answer::Hang, Answer::Reset, Answer::status(403, "Forbidden")] {
            let (client, fake) = Fake::answering([answer]);
            assert!(!Events::new(client, None).tell(&pod(), told("Nothing")).await);
            assert_eq!(fake.requests().len(), 1);
        }
    }
}
