//! The table of refusals against `mainstay check`.

use std::collections::BTreeSet;

use mainstay::cli::check::{Report, Weight, check};
use serde_json::Value;

use crate::refusals::{accepted, refused};

/// What `check` says of one object.
pub fn checked(object: &Value) -> Report {
    check(&[("object.yaml".into(), serde_yaml::to_string(object).unwrap())], None)
}

/// The fields that `check` refuses.
pub fn fields(report: &Report) -> BTreeSet<String> {
    let errors = report.findings.iter().filter(|finding| finding.weight == Weight::Error);
    errors.map(|finding| finding.path.clone()).collect()
}

#[test]
fn every_wrong_object_is_refused_with_words_that_help() {
    for case in refused() {
        let report = checked(&case.object);
        let named = report.findings.iter().any(|finding| {
            finding.weight == Weight::Error && finding.path == case.path && finding.message.contains(case.says)
        });
        assert!(named, "{}: wanted {}: {}, got:\n{report}", case.title, case.path, case.says);
        assert!(report.findings.iter().all(|finding| finding.line.is_some()), "{}:\n{report}", case.title);
        assert!(!report.to_string().contains("evaluation error"), "{}:\n{report}", case.title);
    }
}

#[test]
fn every_right_object_passes() {
    for (title, object) in accepted() {
        let report = checked(&object);
        assert_eq!(report.errors(), 0, "{title}:\n{report}");
    }
}
