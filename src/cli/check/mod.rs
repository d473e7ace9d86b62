//! `mainstay check`: what the API server and the operator would refuse, without a cluster.

mod object;
mod read;
mod rules;
mod schema;
mod warnings;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    process::ExitCode,
};

use super::{CliError, print};
use crate::api::Family;
use object::{Kinds, Object};

pub use read::{Document, SyntaxError, documents, without_nulls};

/// Arguments of `mainstay check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to check: YAML with one or more documents, or JSON; `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The family of networks that are not in these files
    #[arg(long, value_parser = super::family)]
    family: Option<Family>,
}

/// The families of networks: those that are known, and one for the others.
#[derive(Clone, Debug)]
pub struct Families {
    known: BTreeMap<String, Family>,
    others: Family,
}

impl Families {
    fn of(&self, network: &str) -> Family {
        self.known.get(network).copied().unwrap_or(self.others)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It would be refused.
    Error,
    /// It would be taken, and somebody may be surprised.
    Warning,
    /// Something that was not checked.
    Note,
}

/// Something that the author of a file should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// Name of the file.
    pub file: String,
    /// The line, where it is known.
    pub line: Option<u64>,
    /// `Kind/name`; empty for the file as a whole.
    pub object: String,
    /// The field; empty for the object as a whole.
    pub path: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// What came of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many objects of ours were checked.
    pub objects: usize,
    /// What was found, file by file.
    pub findings: Vec<Finding>,
}

/// Checks files and prints what was found.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let files = args.files.iter().map(|name| Ok((name.clone(), super::read(name)?)));
    let report = check(&files.collect::<Result<Vec<_>, CliError>>()?, args.family);
    print(&report.to_string())?;
    Ok(if report.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The family of a network that stands in a text.
#[must_use]
pub fn family_of(text: &str, network: &str) -> Option<Family> {
    let objects = documents(text).0.into_iter().flat_map(unfold);
    let mut known = objects.filter_map(|document| Object::new("", document).ok()?.network_family());
    known.find(|(name, _)| name == network).map(|(_, family)| family)
}

/// Checks texts, each with the name of its file; networks and policies may be in different ones.
#[must_use]
pub fn check(files: &[(String, String)], family: Option<Family>) -> Report {
    let kinds = Kinds::new();
    let mut findings = Vec::new();
    let mut objects: Vec<Object> = Vec::new();
    for (file, text) in files {
        let (documents, error) = documents(text);
        let mut others = BTreeSet::new();
        for document in documents.into_iter().flat_map(unfold) {
            match Object::new(file, document) {
                Ok(object) => objects.push(object),
                Err(kind) => drop(others.insert(kind)),
            }
        }
        let file_finding = |weight, line, message| Finding {
            weight,
            file: file.clone(),
            line,
            object: String::new(),
            path: String::new(),
            message,
        };
        if let Some(SyntaxError { line, message }) = error {
            findings.push(file_finding(Weight::Error, line, message));
        }
        if !others.is_empty() {
            let list = others.into_iter().collect::<Vec<_>>().join(", ");
            findings.push(file_finding(
                Weight::Note,
                None,
                format!("not of {}, not checked: {list}", crate::api::GROUP),
            ));
        }
    }
    let families = Families {
        known: objects.iter().filter_map(Object::network_family).collect(),
        others: family.unwrap_or(Family::CometBFT),
    };
    for object in &mut objects {
        findings.extend(object.check(&kinds, &families));
    }
    findings.extend(warnings::find(&objects));
    let order = |finding: &Finding| files.iter().position(|(name, _)| *name == finding.file);
    findings.sort_by_key(|finding| (order(finding), finding.line, finding.weight));
    Report { objects: objects.len(), findings }
}

/// The items of a `List`, or the document itself.
fn unfold(document: Document) -> Vec<Document> {
    match document.value["items"].as_array() {
        Some(items) if document.value["kind"] == "List" => {
            (0..items.len()).map(|index| document.item(index)).collect()
        }
        _ => vec![document],
    }
}

impl Report {
    /// How many findings would be refused.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Weight::Error)
    }

    fn count(&self, weight: Weight) -> usize {
        self.findings.iter().filter(|finding| finding.weight == weight).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let objects = plural(self.objects, "object");
        let warnings = plural(self.count(Weight::Warning), "warning");
        match self.errors() {
            0 => writeln!(f, "{objects} checked: fine, {warnings}"),
            errors => writeln!(f, "{objects} checked: {}, {warnings}", plural(errors, "finding")),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.file == "-" { "stdin" } else { &self.file })?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match self.weight {
            Weight::Error => {}
            Weight::Warning => write!(f, ": warning")?,
            Weight::Note => write!(f, ": note")?,
        }
        for part in [&self.object, &self.path] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        // The API server's words often begin with the path.
        let message = self.message.strip_prefix(&format!("{} in body ", self.path));
        match message.filter(|_| !self.path.is_empty()) {
            Some(message) => write!(f, ": {message}"),
            None => write!(f, ": {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        check(&files, None).to_string()
    }

    #[test]
    fn every_finding_says_where_what_and_what_to_write_instead() {
        insta::assert_snapshot!(said(&[("policy.yaml", include_str!("testdata/wrong.yaml"))]));
    }

    #[test]
    fn what_may_surprise_is_said_but_is_no_error() {
        let networks = include_str!("testdata/networks.yaml");
        insta::assert_snapshot!(said(&[
            ("networks.yaml", networks),
            ("policies.yaml", include_str!("testdata/surprising.yaml")),
        ]));
    }

    #[test]
    fn json_and_lists_are_read_too() {
        let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}},
            {"apiVersion": "mainstay.dev/v1alpha1", "kind": "Network", "metadata": {"name": "hub"},
             "spec": {"family": "CometBFT", "chainId": "",
                      "allowedNamespaces": ["cosmos"]}}]}"#;
        assert_eq!(
            said(&[("list.json", list)]),
            "list.json: note: not of mainstay.dev, not checked: ConfigMap\n\
             list.json:4: Network/hub: spec.chainId: should be at least 1 chars long\n\
             1 object checked: 1 finding, 0 warnings\n"
        );
    }

    #[test]
    fn other_versions_and_kinds_of_ours_are_findings() {
        let text =
            "{apiVersion: mainstay.dev/v1, kind: Network}\n---\n{apiVersion: mainstay.dev/v1alpha1, kind: Nod}";
        let said = said(&[("-", text)]);
        assert!(
            said.contains("stdin:1: Network/: apiVersion: no such version: write mainstay.dev/v1alpha1"),
            "{said}"
        );
        assert!(said.contains("stdin:3: Nod/: kind: no such kind: write one of FailoverGroup, "), "{said}");
    }
}
