//! The rules of a definition (CEL), judged here as the API server judges them.
//!
//! Only in this command and in tests, on the user's own files.

use kube::core::cel::{CompiledSchema, compile_schema, validate_compiled};
use serde_json::{Value, json};

/// The rules of one kind.
#[derive(Debug)]
pub struct Rules(CompiledSchema);

impl Rules {
    /// Compiles the rules of a schema.
    #[must_use]
    pub fn new(schema: &Value) -> Self {
        Self(compile_schema(schema))
    }

    /// Path and message of every rule that the object breaks.
    #[must_use]
    pub fn broken(&self, object: &Value) -> Vec<(String, String)> {
        let errors = validate_compiled(&self.0, object, None).err().into_iter().flatten();
        errors.map(|error| (error.field_path, error.message)).collect()
    }
}

/// Whether a pattern of a schema matches, by the engine that also judges the rules.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let rule = format!("self.matches({})", json!(pattern));
    let schema = json!({"type": "string", "x-kubernetes-validations": [{"rule": rule}]});
    validate_compiled(&compile_schema(&schema), &json!(text), None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_whole_expressions() {
        assert!(matches("^(100|[1-9]?[0-9])%$", "51%"));
        assert!(!matches("^(100|[1-9]?[0-9])%$", "101%"));
        assert!(matches(r"^a\.b$", "a.b"));
        assert!(!matches(r"^a\.b$", "axb"));
    }

    #[test]
    fn every_rule_of_ours_compiles() {
        for crd in crate::cli::crds::all() {
            let broken = Rules::new(crate::cli::crds::schema(&crd)).broken(&json!({"spec": {}}));
            assert!(broken.iter().all(|(_, message)| !message.contains("compile")), "{broken:?}");
        }
    }
}
