//! `mainstay replay`: makes a decision once more, offline, from what the journal kept of it.

use std::{fmt::Write as _, process::ExitCode};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{CliError, check, print};
use crate::{
    api::Duration,
    plan::{
        GuardResult,
        record::{Record, Replay},
    },
};

/// Arguments of `mainstay replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A decision, or a `NodeRemediation` as `kubectl get nrem NAME -o yaml` prints it; `-` for stdin
    #[arg(value_name = "FILE")]
    file: String,
    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Plain words
    Text,
    /// JSON
    Json,
}

/// Why a decision cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Neither JSON nor YAML, or neither a decision nor a remediation.
    #[error("{0} holds no decision: give it the output of kubectl get nrem NAME -o yaml, or its spec.decision")]
    Nothing(String),
    /// A remediation that keeps none.
    #[error(
        "the remediation in {0} keeps no decision: it was made by hand, or what it rested on did not fit into 16 KB"
    )]
    Empty(String),
    /// One that this version does not understand.
    #[error("the decision in {file} cannot be read by version {}: {why}", env!("CARGO_PKG_VERSION"))]
    Unreadable {
        /// Where it stands.
        file: String,
        /// Why.
        why: String,
    },
}

/// Replays one decision. Exit code 0: the same; 1: another.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let record = decision(&super::read(&args.file)?, &args.file)?;
    let outcome = record.replay();
    print(&match args.output {
        Output::Text => text(&record, &outcome),
        Output::Json => serde_json::to_string_pretty(&value(&record, &outcome)).unwrap_or_default() + "\n",
    })?;
    Ok(ExitCode::from(u8::from(outcome != Replay::Same)))
}

/// The decision in a text: as it is, or in a remediation.
fn decision(text: &str, file: &str) -> Result<Record, ReplayError> {
    let nothing = || ReplayError::Nothing(file.to_owned());
    let bare = serde_json::from_str::<Value>(text).ok();
    let value = match bare {
        Some(value) => value,
        None => check::documents(text).0.into_iter().next().map(|document| document.value).ok_or_else(nothing)?,
    };
    let kept = match &value["spec"]["decision"] {
        Value::Null if value["kind"] == "NodeRemediation" => return Err(ReplayError::Empty(file.to_owned())),
        Value::Null => value,
        Value::String(kept) if kept.is_empty() => return Err(ReplayError::Empty(file.to_owned())),
        Value::String(kept) => serde_json::from_str(kept)
            .map_err(|error| ReplayError::Unreadable { file: file.to_owned(), why: error.to_string() })?,
        _ => return Err(nothing()),
    };
    if kept["engine"].is_null() {
        return Err(nothing());
    }
    let engine = kept["engine"].as_str().unwrap_or_default().to_owned();
    serde_json::from_value(kept).map_err(|error| ReplayError::Unreadable {
        file: file.to_owned(),
        why: format!("version {engine} wrote it: {error}"),
    })
}

fn text(record: &Record, outcome: &Replay) -> String {
    let mut page = String::new();
    let target = &record.target;
    let id = &record.policy.id;
    let _ = writeln!(page, "{} {} of policy {}/{}", record.step.name(), target.pod, id.namespace, id.name);
    let at = jiff::Timestamp::from_millisecond(record.now.server.0).unwrap_or_default();
    let _ = writeln!(page, "decided {at:.3} by mainstay {} ({})", record.engine, record.installation);
    for finding in target.verdict.findings.iter().filter(|finding| !finding.evidence.is_empty()) {
        let fires = if finding.firing { "fires" } else { "breaches" };
        let _ = writeln!(page, "  {} {fires}: {}", finding.rule, finding.evidence);
    }
    page.push('\n');
    for said in &record.guards {
        let _ = writeln!(page, "  {:<18} {}", said.guard.name(), words(said, record));
    }
    let _ = match outcome {
        Replay::Same => writeln!(page, "\nDecided again: the same."),
        Replay::Differs(why) => writeln!(page, "\nDecided again: NOT the same. {why}"),
    };
    if record.engine != env!("CARGO_PKG_VERSION") {
        let _ = writeln!(page, "Another version decided then; this is {}.", env!("CARGO_PKG_VERSION"));
    }
    page
}

fn words(said: &GuardResult, record: &Record) -> String {
    match &said.held {
        None => "passes".into(),
        Some(held) => {
            let left = held.until.map(|until| until.since(record.now.mono));
            let until = left.map(|left| format!(" ({} more)", Duration::from_millis(left))).unwrap_or_default();
            format!("HOLDS: {}{until}", held.why)
        }
    }
}

fn value(record: &Record, outcome: &Replay) -> Value {
    let guards = record.guards.iter().map(|said| {
        json!({"guard": said.guard.name(), "holds": said.held.is_some(), "why": said.held.as_ref().map(|held| &held.why)})
    });
    json!({
        "engine": record.engine,
        "replayedBy": env!("CARGO_PKG_VERSION"),
        "step": record.step.name(),
        "pod": record.target.pod,
        "same": *outcome == Replay::Same,
        "differs": match outcome { Replay::Same => Value::Null, Replay::Differs(why) => json!(why) },
        "guards": guards.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decision of version 0.1.0, from a real cluster. A later engine that decides otherwise must say so here.
    const KEPT: &str = include_str!("replay/testdata/restart-0.1.0.json");

    fn remediation() -> String {
        let quoted = serde_json::to_string(KEPT.trim()).unwrap();
        format!("apiVersion: mainstay.dev/v1alpha1\nkind: NodeRemediation\nspec:\n  decision: {quoted}\n")
    }

    #[test]
    fn a_decision_of_an_earlier_version_is_still_made() {
        for text in [KEPT.to_owned(), remediation()] {
            let record = decision(&text, "x").unwrap();
            assert_eq!(record.replay(), Replay::Same);
        }
    }

    #[test]
    fn it_is_told_in_words() {
        let record = decision(KEPT, "x").unwrap();
        insta::assert_snapshot!(text(&record, &record.replay()));
    }

    #[test]
    fn what_is_no_decision_is_refused_with_what_to_give() {
        let why = |text: &str| decision(text, "f.yaml").unwrap_err().to_string();
        assert!(why("{}").contains("f.yaml holds no decision"), "{}", why("{}"));
        assert!(why("").contains("holds no decision"));
        assert!(why("kind: NodeRemediation\nspec: {attempt: 1}").contains("keeps no decision"));
        assert!(why("kind: NodeRemediation\nspec: {decision: ''}").contains("keeps no decision"));
        assert!(why("kind: NodeRemediation\nspec: {decision: '{'}").contains("cannot be read"));
        assert!(why(r#"{"engine": "9.0.0", "step": "dance"}"#).contains("version 9.0.0 wrote it"));
    }
}
