//! `mainstay crds`: the custom resource definitions, as they go into a cluster.

use std::{fs, path::PathBuf, process::ExitCode};

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{CliError, print};
use crate::api::{
    FailoverGroup, Network, NetworkLedger, NodeHealthPolicy, NodeRemediation, RemediationApproval,
    SigningIdentity, SigningOrder,
};

/// Arguments of `mainstay crds`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write one file per kind into this directory instead of printing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the definitions.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let Some(directory) = &args.out else {
        let documents = all().iter().map(to_yaml).collect::<Result<Vec<_>, _>>()?;
        print(&documents.join("---\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(directory)
        .map_err(|source| CliError::Write { name: directory.display().to_string(), source })?;
    for crd in all() {
        let path = directory.join(file_name(&crd));
        fs::write(&path, to_yaml(&crd)?)
            .map_err(|source| CliError::Write { name: path.display().to_string(), source })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every definition, as the API server takes it.
#[must_use]
pub fn all() -> Vec<Value> {
    let kinds = [
        FailoverGroup::crd(),
        Network::crd(),
        NetworkLedger::crd(),
        NodeHealthPolicy::crd(),
        NodeRemediation::crd(),
        RemediationApproval::crd(),
        SigningIdentity::crd(),
        SigningOrder::crd(),
    ];
    kinds
        .into_iter()
        .map(|crd| {
            let mut crd = json!(crd);
            tidy(&mut crd);
            crd
        })
        .collect()
}

/// The schema of the one version of a definition.
#[must_use]
pub fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Name of the file of a definition: `mainstay.dev_networks.yaml`.
#[must_use]
pub fn file_name(crd: &Value) -> String {
    let part = |key: &str| crd.pointer(key).and_then(Value::as_str).unwrap_or_default();
    format!("{}_{}.yaml", part("/spec/group"), part("/spec/names/plural"))
}

/// A definition as the text of its file.
pub fn to_yaml(crd: &Value) -> Result<String, serde_yaml::Error> {
    Ok(format!("# Written by `mainstay crds`. Do not edit.\n{}", serde_yaml::to_string(crd)?))
}

/// Formats that the API server knows; any other (`uint32`) earns the user a warning "unrecognized format".
const FORMATS: [&str; 3] = ["int32", "int64", "date-time"];

/// Puts right what the derive leaves behind, wherever it stands.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // An absent field is absent, not null: `has()` in a rule is true for a null that is allowed.
            if map.get("nullable") == Some(&json!(true)) {
                map.remove("nullable");
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
                map.remove("format");
            }
            // The one form of `anyOf` with types that a structural schema may have; the derive drops the types.
            if map.contains_key("x-kubernetes-int-or-string") {
                map.insert("anyOf".into(), json!([{"type": "integer"}, {"type": "string"}]));
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            // 64.0 is 64 to everybody who reads it.
            #[expect(clippy::cast_possible_truncation, reason = "only whole numbers below 2^53")]
            if let Some(float) = number
                .as_f64()
                .filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0)
            {
                *value = json!(float as i64);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
        see(path, schema);
        for (name, child) in schema["properties"].as_object().into_iter().flatten() {
            walk(child, &format!("{path}.{name}"), see);
        }
        for (name, key) in [("[]", "items"), ("{}", "additionalProperties")] {
            if let Some(child) = schema.get(key) {
                walk(child, &format!("{path}{name}"), see);
            }
        }
    }

    /// What people write is bounded, so that the cost of every rule is. A status is written by Mainstay, and a
    /// bound there could only keep it from telling the truth.
    #[test]
    fn every_list_map_and_string_of_a_spec_has_a_maximum() {
        for crd in all() {
            walk(&schema(&crd)["properties"]["spec"], "spec", &mut |path, node| {
                let bounded = match node["type"].as_str() {
                    Some("array") => node["maxItems"].is_u64(),
                    Some("string") => node["maxLength"].is_u64() || node["enum"].is_array(),
                    Some("object") => node.get("additionalProperties").is_none() || node["maxProperties"].is_u64(),
                    None => node["maxLength"].is_u64(),
                    _ => true,
                };
                assert!(bounded, "{} {path}", file_name(&crd));
            });
        }
    }

    #[test]
    fn nothing_is_left_that_the_api_server_would_not_know() {
        for crd in all() {
            walk(schema(&crd), "", &mut |path, node| {
                assert!(node.get("nullable").is_none(), "{path}");
                assert!(node["format"].as_str().is_none_or(|format| FORMATS.contains(&format)), "{path}");
                assert!(node["description"].as_str().is_none_or(|text| !text.is_empty()), "{path}");
            });
        }
    }

    #[test]
    fn what_is_a_record_or_a_word_has_no_status() {
        for crd in all() {
            let version = &crd["spec"]["versions"][0];
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
            let has = !matches!(kind, "NetworkLedger" | "RemediationApproval");
            assert_eq!(version["subresources"]["status"].is_object(), has);
            assert_eq!(schema(&crd)["properties"]["status"].is_object(), has);
        }
    }

    /// kubectl reads YAML 1.1, where these words are booleans, even as keys.
    #[test]
    fn no_field_is_a_boolean_to_kubectl() {
        for crd in all() {
            walk(schema(&crd), "", &mut |path, _| {
                let name = path.rsplit('.').next().unwrap_or_default();
                assert!(!["y", "n", "yes", "no", "on", "off", "true", "false"].contains(&name), "{path}");
            });
        }
    }
}
