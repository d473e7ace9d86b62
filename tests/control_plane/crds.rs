//! `crds/*.yaml` are what `mainstay crds` prints.

use std::{collections::BTreeSet, fs, path::Path};

use mainstay::{
    api::{Family, policy::Role},
    cli::crds,
    policy::preset,
};

#[test]
fn the_files_are_fresh() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut names = BTreeSet::new();
    for crd in crds::all() {
        let name = crds::file_name(&crd);
        let file = fs::read_to_string(directory.join(&name)).unwrap_or_default();
        assert!(file == crds::to_yaml(&crd).unwrap(), "{name} is stale: run `mainstay crds --out crds`");
        names.insert(name);
    }
    let found = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), names, "no file without a kind");
}

/// Two rules of the API server repeat what presets say; they must not drift apart.
#[test]
fn the_rules_know_the_presets() {
    let text = serde_json::to_string(&crds::all()).unwrap();
    for role in [Role::FullNode, Role::Sentry, Role::Validator] {
        let preset = preset(Family::CometBFT, role);
        for (rule, _) in &preset.rules {
            assert!(text.contains(&format!("'{}'", rule.name)), "{}", rule.name);
        }
        let source = &preset.sources[0];
        assert_eq!((source.name.as_str(), source.every, source.timeout), ("rpc", 5_000, 2_000));
        assert_eq!(preset.limits.evidence_max_age, 30_000);
    }
}

/// P14: nothing that a team writes in its namespace can name a secret, a host, another namespace or a file.
#[test]
fn a_policy_reaches_its_own_namespace_only() {
    fn names(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema["properties"].as_object() {
            found.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(map) => map.values().for_each(|value| names(value, found)),
            serde_json::Value::Array(list) => list.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }
    let crd = crds::all().into_iter().find(|crd| crd["spec"]["names"]["kind"] == "NodeHealthPolicy").unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = BTreeSet::new();
    names(&schema["properties"]["spec"], &mut found);
    assert!(found.contains("selector") && found.contains("port"), "{found:?}");
    let forbidden = ["secret", "host", "url", "namespace", "file", "token", "password", "env"];
    let wrong: Vec<_> =
        found.iter().filter(|name| forbidden.iter().any(|word| name.to_lowercase().contains(word))).collect();
    assert_eq!(wrong, Vec::<&String>::new());
}
