//! One object: first its schema, then its rules, then the operator's own validation.

use serde_json::{Value, json};

use super::{Document, Families, Finding, Weight, read::without_nulls, rules::Rules, schema};
use crate::{
    api::{FailoverGroup, Family, GROUP, Network, NodeHealthPolicy, SigningIdentity, VERSION},
    cli::crds,
    failover::{plain_name, split},
    policy,
};

/// The kinds of ours.
pub struct Kinds(Vec<Kind>);

struct Kind {
    name: String,
    schema: Value,
    rules: Rules,
}

impl Kinds {
    pub fn new() -> Self {
        let kind = |crd: &Value| {
            let mut schema = crds::schema(crd).clone();
            // The API server has these in every schema.
            schema["properties"]["apiVersion"] = json!({"type": "string"});
            schema["properties"]["kind"] = json!({"type": "string"});
            schema["properties"]["metadata"] = metadata_schema();
            Kind { name: text(crd, "/spec/names/kind").to_owned(), rules: Rules::new(&schema), schema }
        };
        Self(crds::all().iter().map(kind).collect())
    }
}

/// An object of ours, and what could be read of it.
pub struct Object {
    file: String,
    document: Document,
    /// The policy, once nothing is wrong with it.
    pub policy: Option<(NodeHealthPolicy, policy::Policy)>,
    /// The network, once nothing is wrong with it.
    pub network: Option<Network>,
    /// The group of a signer, once nothing is wrong with it.
    pub group: Option<FailoverGroup>,
    /// The key of a signer, once nothing is wrong with it.
    pub identity: Option<SigningIdentity>,
}

impl Object {
    /// An object of our group, or else the kind of what it is.
    pub fn new(file: &str, document: Document) -> Result<Self, String> {
        let version = text(&document.value, "/apiVersion");
        if version.split_once('/').is_some_and(|(group, _)| group == GROUP) {
            let file = file.to_owned();
            return Ok(Self { file, document, policy: None, network: None, group: None, identity: None });
        }
        let kind = text(&document.value, "/kind");
        Err(if kind.is_empty() { "something without a kind".into() } else { kind.to_owned() })
    }

    /// The name of a network and its family, if that is what it is.
    pub fn network_family(&self) -> Option<(String, Family)> {
        let value = &self.document.value;
        let family = serde_json::from_value(value["spec"]["family"].clone()).ok()?;
        (text(value, "/kind") == "Network").then(|| (text(value, "/metadata/name").to_owned(), family))
    }

    /// Everything that would be refused. `families`: those of the networks that are known.
    pub fn check(&mut self, kinds: &Kinds, families: &Families) -> Vec<Finding> {
        let value = &self.document.value;
        let known = || kinds.0.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>().join(", ");
        if text(value, "/apiVersion") != format!("{GROUP}/{VERSION}") {
            return vec![self.error("apiVersion", format!("no such version: write {GROUP}/{VERSION}"))];
        }
        let Some(kind) = kinds.0.iter().find(|kind| kind.name == text(value, "/kind")) else {
            return vec![self.error("kind", format!("no such kind: write one of {}", known()))];
        };
        let mut findings: Vec<_> = self.name_problem().into_iter().collect();
        let errors = schema::validate(&kind.schema, value);
        let blocked = errors.iter().any(|error| error.blocks_rules);
        findings.extend(errors.into_iter().map(|error| self.error(&error.path, error.message)));
        if blocked {
            return findings;
        }
        let broken = kind.rules.broken(&without_nulls(value.clone())).into_iter();
        findings.extend(broken.map(|(path, message)| self.error(&path, message)));
        if findings.is_empty() {
            findings.extend(self.compile(families));
        }
        findings
    }

    /// A finding about a field of this object.
    pub fn finding(&self, weight: Weight, path: &str, message: impl Into<String>) -> Finding {
        let (kind, name) = (text(&self.document.value, "/kind"), text(&self.document.value, "/metadata/name"));
        Finding {
            weight,
            file: self.file.clone(),
            line: self.document.line(path),
            object: format!("{kind}/{name}"),
            path: path.to_owned(),
            message: message.into(),
        }
    }

    fn error(&self, path: &str, message: impl Into<String>) -> Finding {
        self.finding(Weight::Error, path, message)
    }

    fn name_problem(&self) -> Option<Finding> {
        let metadata = &self.document.value["metadata"];
        if metadata["generateName"].is_string() {
            return None;
        }
        match metadata["name"].as_str() {
            None | Some("") => {
                Some(self.error("metadata.name", "Required value: name or generateName is required"))
            }
            Some(name) if name.len() > 253 || !name.split('.').all(is_label) => Some(self.error(
                "metadata.name",
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
            )),
            Some(_) => None,
        }
    }

    /// What the operator itself would refuse; on the way, the object is kept for the warnings.
    fn compile(&mut self, families: &Families) -> Option<Finding> {
        let value = without_nulls(self.document.value.clone());
        match text(&value, "/kind") {
            "NodeHealthPolicy" => match serde_json::from_value::<NodeHealthPolicy>(value) {
                Ok(object) => match policy::validate(&object, families.of(&object.spec.network)) {
                    Ok(policy) => self.policy = Some((object, policy)),
                    Err(problem) => return Some(self.error(&problem.place, problem.help)),
                },
                Err(error) => return Some(self.error("", error.to_string())),
            },
            "Network" => match serde_json::from_value::<Network>(value) {
                Ok(object) => match policy::validate_network(&object) {
                    Ok(_) => self.network = Some(object),
                    Err(problem) => return Some(self.error("", problem.to_string())),
                },
                Err(error) => return Some(self.error("", error.to_string())),
            },
            "FailoverGroup" => match serde_json::from_value(value) {
                Ok(object) => self.group = Some(object),
                Err(error) => return Some(self.error("", error.to_string())),
            },
            "SigningIdentity" => match serde_json::from_value::<SigningIdentity>(value) {
                Ok(object) if object.metadata.name.as_deref().and_then(split).is_some() => {
                    self.identity = Some(object);
                }
                Ok(object) => {
                    let plain = object.metadata.name.as_deref().and_then(plain_name);
                    let message = plain.map_or(NAMED_AFTER_ITS_KEY.into(), |plain| {
                        format!("a key has one name, and this chain's id can stand in it: write {plain}")
                    });
                    return Some(self.error("metadata.name", message));
                }
                Err(error) => return Some(self.error("", error.to_string())),
            },
            _ => {}
        }
        None
    }
}

/// Admission control says it in the same words.
const NAMED_AFTER_ITS_KEY: &str = "the name of a SigningIdentity is CHAIN_ID.PUBLIC_KEY, the key with 64 hexadecimal \
                                   digits (of BLS keys 96) in lower case: `mainstay identity FILE --chain CHAIN_ID` \
                                   prints that of a priv_validator_key.json";

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `ObjectMeta`, as far as people write it by hand.
fn metadata_schema() -> Value {
    let (text, any) = (json!({"type": "string"}), json!({"x-kubernetes-preserve-unknown-fields": true}));
    let texts = json!({"type": "object", "additionalProperties": text});
    json!({"type": "object", "properties": {
        "name": text, "generateName": text, "namespace": text, "labels": texts, "annotations": texts,
        "creationTimestamp": any, "deletionGracePeriodSeconds": any, "deletionTimestamp": any, "finalizers": any,
        "generation": any, "managedFields": any, "ownerReferences": any, "resourceVersion": any, "selfLink": any,
        "uid": any,
    }})
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use crate::cli::check::check;

    #[test]
    fn an_identity_is_named_after_its_key() {
        let said = |name: &str| {
            let text = format!(
                "apiVersion: mainstay.dev/v1alpha1\nkind: SigningIdentity\nmetadata: {{name: {name}}}\n\
                 spec: {{network: hub, namespace: cosmos, group: val}}\n"
            );
            check(&[("i.yaml".into(), text)], None).to_string()
        };
        let key = "0a".repeat(32);
        assert!(said(&format!("hub-4.{key}")).ends_with("fine, 0 warnings\n"));
        for name in ["hub-4", &key, &format!("hub-4.{}", &key[1..])] {
            let said = said(name);
            assert!(
                said.contains("metadata.name: the name of a SigningIdentity is CHAIN_ID.PUBLIC_KEY"),
                "{said}"
            );
        }
        assert!(said(&format!("0x64656d6f5f31.{key}")).ends_with("fine, 0 warnings\n"), "demo_1");
        let twice = said(&format!("0x64656d6f2d31.{key}"));
        assert!(
            twice
                .contains(&format!("a key has one name, and this chain's id can stand in it: write demo-1.{key}")),
            "{twice}"
        );
    }

    #[test]
    fn what_kubernetes_itself_refuses_is_refused() {
        let text = "\
apiVersion: mainstay.dev/v1alpha1
kind: Network
metadata:
  name: hub
  labels: {a: 1}
  lables: {}
spec: {family: CometBFT, chainId: hub-4, allowedNamespaces: [x], bogus: null, blockTime: null}
";
        assert_eq!(
            check(&[("n.yaml".into(), text.into())], None).to_string(),
            "n.yaml:5: Network/hub: metadata.labels.a: must be of type string: \"integer\"\n\
             n.yaml:6: Network/hub: metadata.lables: unknown field \"metadata.lables\": here may stand annotations, \
             creationTimestamp, deletionGracePeriodSeconds, deletionTimestamp, finalizers, generateName, generation, \
             labels, managedFields, name, namespace, ownerReferences, resourceVersion, selfLink, uid\n\
             n.yaml:7: Network/hub: spec.bogus: unknown field \"spec.bogus\": here may stand allowedNamespaces, \
             blockTime, budget, chainId, family, maxConcurrent, references, stalledAfter, upgrades\n\
             1 object checked: 3 findings, 0 warnings\n"
        );
    }
}
