//! Where samples come from. Policies name ports and paths, never hosts.

use std::borrow::Cow;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::api::Duration;

/// One thing that is asked of each target. The pod's own status needs no source: it is always watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.cometbft)").message("name one source, such as cometbft: {port: rpc}"))]
#[x_kube(validation = Rule::new("!has(self.every) || !self.every.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.every) >= duration('500ms') && duration(self.every) <= duration('5m'))").message("every: between 500ms and 5m").field_path(".every"))]
#[x_kube(validation = Rule::new("!has(self.timeout) || !self.timeout.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.timeout) >= duration('100ms') && duration(self.timeout) <= duration('30s'))").message("timeout: between 100ms and 30s").field_path(".timeout"))]
pub struct TelemetrySource {
    /// Name of the source; the preset's is `rpc`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("a lower-case name such as rpc or rpc-2"))]
    pub name: String,
    /// The RPC of a `CometBFT` node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cometbft: Option<CometBftSource>,
    /// How often it is asked; 500ms to 5m. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// How long an answer may take, from the first byte sent to the last received; 100ms to 30s. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// The RPC of a `CometBFT` node: `/status` and `/net_info`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CometBftSource {
    /// A container port of the target, by name or number.
    pub port: PortName,
}

/// A container port, by name or number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortName {
    /// By number.
    Number(u16),
    /// By the name that the container gives it.
    Name(String),
}

impl JsonSchema for PortName {
    fn schema_name() -> Cow<'static, str> {
        "PortName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 1,
            "maximum": 65535,
            "maxLength": 15,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        })
    }
}
