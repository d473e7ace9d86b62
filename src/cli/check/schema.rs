//! A structural schema held against an object, in the words of the API server.

use serde_json::{Map, Value};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// The field.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// Whether rules cannot be judged as long as this is wrong, as the API server has it.
    pub blocks_rules: bool,
}

/// Everything that the schema refuses in an object, unknown fields included.
#[must_use]
pub fn validate(schema: &Value, object: &Value) -> Vec<SchemaError> {
    let mut errors = Errors(Vec::new());
    errors.object(schema, object, "");
    errors.0
}

struct Errors(Vec<SchemaError>);

impl Errors {
    fn push(&mut self, path: &str, message: String) {
        self.0.push(SchemaError { path: path.to_owned(), message, blocks_rules: false });
    }

    fn block(&mut self, path: &str, message: String) {
        self.0.push(SchemaError { path: path.to_owned(), message, blocks_rules: true });
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return;
        }
        let wanted = schema["type"].as_str();
        let fits = match wanted {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => is_whole(value),
            Some("number") => value.is_number(),
            // Int-or-string.
            _ => is_whole(value) || value.is_string(),
        };
        if !fits {
            let wanted = wanted.unwrap_or("integer or string");
            return self.block(path, format!("{path} in body must be of type {wanted}: \"{}\"", type_of(value)));
        }
        self.choice(schema, value, path);
        match value {
            Value::Object(_) => self.object(schema, value, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(_) => self.number(schema, value, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn choice(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(value)) else { return };
        let list = choices.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        self.push(path, format!("Unsupported value: {value}: supported values: {list}"));
    }

    fn object(&mut self, schema: &Value, value: &Value, path: &str) {
        let Value::Object(map) = value else { return };
        let properties = schema["properties"].as_object();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if map.get(name).is_none_or(Value::is_null) {
                self.block(&join(path, name), "Required value".into());
            }
        }
        if let Some(most) = over(map.len(), &schema["maxProperties"]) {
            self.block(path, format!("Too many: {}: must have at most {most} items", map.len()));
        }
        for (name, value) in map {
            let path = join(path, name);
            if let Some(known) = properties.and_then(|properties| properties.get(name)) {
                // A null is dropped where none is allowed, and our definitions allow none.
                if !value.is_null() {
                    self.value(known, value, &path);
                }
            } else if schema["additionalProperties"].is_object() {
                self.value(&schema["additionalProperties"], value, &path);
            } else {
                self.push(&path, unknown(&path, name, properties));
            }
        }
    }

    fn list(&mut self, schema: &Value, items: &[Value], path: &str) {
        if let Some(most) = over(items.len(), &schema["maxItems"]) {
            self.block(path, format!("Too many: {}: must have at most {most} items", items.len()));
        }
        for (index, item) in items.iter().enumerate() {
            self.value(&schema["items"], item, &format!("{path}[{index}]"));
        }
        let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() else { return };
        let key = |item: &Value| {
            let part = |key: &Value| item.get(key.as_str()?).cloned();
            keys.iter().map(part).collect::<Option<Vec<_>>>()
        };
        for (index, item) in items.iter().enumerate() {
            if let Some(mine) =
                key(item).filter(|mine| items[..index].iter().any(|other| key(other).as_ref() == Some(mine)))
            {
                let named = keys
                    .iter()
                    .zip(mine)
                    .map(|(name, value)| format!("{}: {value}", name.as_str().unwrap_or_default()));
                let named = named.collect::<Vec<_>>().join(", ");
                self.push(&format!("{path}[{index}]"), format!("Duplicate value: {{{named}}}: give each its own"));
            }
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let length = text.chars().count();
        if let Some(most) = over(length, &schema["maxLength"]) {
            self.block(path, format!("Too long: may not be more than {most} bytes"));
        }
        if let Some(least) = schema["minLength"].as_u64().filter(|least| (length as u64) < *least) {
            self.push(path, format!("{path} in body should be at least {least} chars long"));
        }
        if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| !matches(pattern, text)) {
            self.push(path, format!("{path} in body should match '{pattern}'"));
        }
    }

    fn number(&mut self, schema: &Value, value: &Value, path: &str) {
        let (Some(number), least, most) = (value.as_f64(), schema["minimum"].as_f64(), schema["maximum"].as_f64())
        else {
            return;
        };
        if let Some(least) = least.filter(|least| number < *least) {
            self.push(path, format!("{path} in body should be greater than or equal to {least}"));
        }
        if let Some(most) = most.filter(|most| number > *most) {
            self.push(path, format!("{path} in body should be less than or equal to {most}"));
        }
        if schema["format"] == "int32" && value.as_i64().is_none_or(|number| i32::try_from(number).is_err()) {
            self.push(path, format!("{path} in body must be of type int32: \"{value}\""));
        }
    }
}

fn unknown(path: &str, name: &str, known: Option<&Map<String, Value>>) -> String {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let help = if ["y", "yes", "on", "n", "no", "off", "true", "false"].contains(&plain(name).as_str()) {
        ": to kubectl the words y, yes, on, n, no and off are booleans, even as keys".into()
    } else if let Some(close) = known.and_then(|known| known.keys().find(|other| plain(other) == plain(name))) {
        format!(": did you mean {close}?")
    } else if let Some(known) = known.filter(|known| !known.is_empty()) {
        let names = known.keys().map(String::as_str).collect::<Vec<_>>();
        format!(": here may stand {}", names.join(", "))
    } else {
        String::new()
    };
    format!("unknown field \"{path}\"{help}")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The limit, when it is exceeded.
fn over(length: usize, limit: &Value) -> Option<u64> {
    limit.as_u64().filter(|limit| length as u64 > *limit)
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_whole(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Patterns are few and ours. CEL's `matches` judges them, so that no second engine can disagree.
fn matches(pattern: &str, text: &str) -> bool {
    super::rules::matches(pattern, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(schema: &Value, value: &Value) -> Vec<String> {
        let schema = json!({"type": "object", "properties": {"spec": schema}});
        let errors = validate(&schema, &json!({"spec": value}));
        errors.into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect()
    }

    #[test]
    fn types_are_told_apart() {
        assert_eq!(
            errors(&json!({"type": "integer"}), &json!("3")),
            ["spec: spec in body must be of type integer: \"string\""]
        );
        assert_eq!(errors(&json!({"type": "integer"}), &json!(3)), [""; 0]);
        let share = json!({"x-kubernetes-int-or-string": true, "maxLength": 4});
        assert_eq!(errors(&share, &json!("51%")), [""; 0]);
        assert_eq!(errors(&share, &json!(0.5)).len(), 1);
    }

    #[test]
    fn unknown_fields_are_named_and_a_slip_is_seen() {
        let schema = json!({"type": "object", "properties": {"minHealthy": {"type": "integer"}}});
        assert_eq!(
            errors(&schema, &json!({"minhealthy": 1})),
            ["spec.minhealthy: unknown field \"spec.minhealthy\": did you mean minHealthy?"]
        );
        assert_eq!(
            errors(&schema, &json!({"bogus": 1})),
            ["spec.bogus: unknown field \"spec.bogus\": here may stand minHealthy"]
        );
    }

    #[test]
    fn a_list_of_named_things_has_each_name_once() {
        let item = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let schema = json!({"type": "array", "items": item, "x-kubernetes-list-map-keys": ["name"]});
        let found = errors(&schema, &json!([{"name": "a"}, {"name": "b"}, {"name": "a"}]));
        assert_eq!(found, ["spec[2]: Duplicate value: {name: \"a\"}: give each its own"]);
    }
}
