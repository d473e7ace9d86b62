//! Keeps the book true: every guard and every metric is in it, the reference of the fields is what the definitions say,
//! and the examples can be applied.

use std::{env, fmt::Write, fs, path::PathBuf, process::Command};

use mainstay::{
    cli::crds,
    signal::{
        SIGNALS, Unit,
        metrics::{EXPORTERS, How, Metric, known},
    },
};
use serde_json::Value;

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(page(name)).expect("a page")
}

#[test]
fn every_guard_is_explained() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/guard.rs");
    let source = fs::read_to_string(source).expect("the guards");
    let names: Vec<_> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let page = read("guards.md");
    for name in names {
        assert!(page.contains(&format!("| `{name}`")), "docs/guards.md does not explain {name}");
    }
}

#[test]
fn every_metric_is_explained() {
    let source =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/metrics.rs")).expect("the metrics");
    let (_, made) = source.split_once("fn default() -> Self").expect("where they are made");
    let (made, _) = made.split_once("impl fmt::Debug").expect("where that ends");
    // Every second piece is a string; names have no spaces, helps do.
    let names = made.split('"').skip(1).step_by(2).filter(|text| !text.contains(' ') && *text != "mainstay");
    let names: Vec<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    let page = read("operations.md");
    for name in names {
        assert!(page.contains(&format!("| `mainstay_{name}")), "docs/operations.md does not explain {name}");
    }
}

#[test]
fn every_example_is_what_the_api_server_takes() {
    let mut files = Vec::new();
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    for story in fs::read_dir(examples).expect("the examples").flatten() {
        let story = fs::read_dir(story.path()).expect("a story").flatten().map(|file| file.path());
        files.extend(story.filter(|file| file.extension().is_some_and(|end| end == "yaml")));
    }
    assert!(files.len() >= 3, "{files:?}");
    let output = Command::new(env!("CARGO_BIN_EXE_mainstay")).arg("check").args(files).output().expect("a check");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

/// `UPDATE_DOCS=1 cargo test --test docs` writes the page anew.
/// An operator that meets another schema than its own only observes.
#[test]
fn every_definition_and_the_policy_of_approvals_are_of_this_schema() {
    let chart = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/mainstay");
    let definitions = fs::read_dir(chart.join("files/crds")).expect("the definitions");
    let mut files: Vec<_> = definitions.map(|file| file.expect("a definition").path()).collect();
    assert!(files.len() >= 8, "{files:?}");
    files.push(chart.join("templates/admission.yaml"));
    for file in files {
        let text = fs::read_to_string(&file).expect("a file").replace('"', "'");
        let annotation = format!("{}: '{}'", mainstay::api::SCHEMA_ANNOTATION, mainstay::api::SCHEMA);
        assert!(text.contains(&annotation), "{} is not of schema {}", file.display(), mainstay::api::SCHEMA);
    }
}

#[test]
fn the_reference_is_fresh() {
    let fresh = reference();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page("reference.md"), &fresh).expect("a page");
    }
    assert!(read("reference.md") == fresh, "docs/reference.md is stale: UPDATE_DOCS=1 cargo test --test docs");
}

/// The same for the catalogue of signals and the metrics that are known by name.
#[test]
fn the_catalogue_is_fresh() {
    for (name, fresh) in [("signals/catalogue.md", catalogue()), ("signals/metrics.md", metrics())] {
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(page(name), &fresh).expect("a page");
        }
        assert!(read(name) == fresh, "docs/{name} is stale: UPDATE_DOCS=1 cargo test --test docs");
    }
}

/// Every kind of source has a page that shows how it is written.
#[test]
fn every_source_is_explained() {
    let folder = page("signals");
    let pages = fs::read_dir(folder).expect("the pages").flatten();
    let text: String = pages.map(|file| fs::read_to_string(file.path()).expect("a page")).collect();
    for kind in [
        "cometbft",
        "execution",
        "consensus",
        "substrate",
        "solana",
        "web3signer",
        "hermes",
        "chainlink",
        "feed",
        "wallet",
        "scrape",
        "httpJson",
        "prometheus",
    ] {
        assert!(text.contains(&format!("{kind}: {{")), "docs/signals does not explain {kind}");
    }
}

fn catalogue() -> String {
    let mut text =
        "# Catalogue of signals\n\nWritten from the code by a test. Who tells which, stands on the pages of the \
                    [families](README.md).\n\n| signal | unit | meaning |\n|---|---|---|\n"
            .to_owned();
    for signal in SIGNALS {
        let unit = match signal.unit() {
            Unit::Flag => "0 or 1",
            Unit::Count => "count",
            Unit::Height => "height or slot",
            Unit::Ratio => "share",
            Unit::Text => "words",
            other => other.symbol(),
        };
        let _ = writeln!(text, "| `{}` | {unit} | {} |", signal.name(), signal.meaning().trim());
    }
    text
}

fn metrics() -> String {
    let mut text = "# Metrics that are known by name\n\nWritten from the code by a test. `scrape: {reads: …}` reads these as \
                    standard signals; where several lines name one\nsignal, the first whose metric is on the page counts.\n"
        .to_owned();
    for exporter in EXPORTERS {
        let _ = write!(
            text,
            "\n## {exporter:?}\n\n| signal | metric | labels | several series | meaning |\n|---|---|---|---|---|\n"
        );
        for Metric { signal, name, labels, combine, how } in known(exporter) {
            let labels: Vec<_> = labels.iter().map(|(label, value)| format!("`{label}=\"{value}\"`")).collect();
            let how = match how {
                How::AsIs => "as it is".to_owned(),
                How::Is(number) => format!("1 if it is {number}"),
                How::IsNot(number) => format!("1 unless it is {number}"),
                How::SinceUnix => "seconds since that time".to_owned(),
                How::UntilUnix => "seconds until that time".to_owned(),
                How::Unchanged => "seconds for which it has not changed".to_owned(),
                How::NotZero => "seconds for which it has not been 0".to_owned(),
                How::UsedOf(whole) => format!("used share of `{whole}`"),
            };
            let _ =
                writeln!(text, "| `{}` | `{name}` | {} | {combine:?} | {how} |", signal.name(), labels.join(" "));
        }
    }
    text
}

/// Every field that people write, from the definitions.
fn reference() -> String {
    let mut text = "# Reference\n\nEvery field that people write. Written from the definitions by a test; `mainstay explain` \
                    shows what the presets\nfill in where a field is left out, and `mainstay check` what is refused and what \
                    to write instead.\n"
        .to_owned();
    for crd in crds::all() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
        if !["Network", "NodeHealthPolicy", "FailoverGroup", "SigningIdentity"].contains(&kind) {
            continue;
        }
        let scope = match kind {
            "Network" => "one per chain, in no namespace",
            "SigningIdentity" => "one per key, in no namespace",
            _ => "in a namespace",
        };
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let about = words(&schema["description"]);
        let _ = write!(text, "\n## {kind}\n\n{about} ({scope})\n\n| field | type | meaning |\n|---|---|---|\n");
        rows(&mut text, "", &schema["properties"]["spec"]);
    }
    text
}

fn rows(text: &mut String, prefix: &str, schema: &Value) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let is_list = field["type"] == "array";
        let inner = if is_list { &field["items"] } else { field };
        let must = if required.contains(&name.as_str()) { ", required" } else { "" };
        let default =
            if field["default"].is_null() { String::new() } else { format!(", default `{}`", field["default"]) };
        let _ =
            writeln!(text, "| `{path}` | {}{must}{default} | {} |", kind_of(field), words(&field["description"]));
        // Kubernetes' own selectors are explained elsewhere.
        if name != "selector" {
            rows(text, &format!("{path}{}.", if is_list { "[]" } else { "" }), inner);
        }
    }
}

fn kind_of(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return values.join(" ");
    }
    match field["type"].as_str() {
        Some("array") => format!("list of {}", kind_of(&field["items"])),
        Some(kind) => kind.to_owned(),
        None if field["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None => "object".to_owned(),
    }
}

fn words(description: &Value) -> String {
    description.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
