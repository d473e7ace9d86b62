//! Conditions on signals.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    SignalName,
    signals::{known_rule, known_signal, time_signals, unknown_rule, unknown_signal},
};
use crate::api::{Duration, Threshold};

/// A threshold that is a number, and one that is a time.
const NUMBER: &str = "^-?[0-9]{1,12}([.][0-9]{1,6})?$";
const TIME: &str = "^[1-9][0-9]{0,5}(ms|s|m|h)$";

/// One condition on one signal. (`Rule` alone would collide with kube's schema derive.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(description = "One condition on one signal.")]
#[x_kube(validation = Rule::new("!(has(self.disabled) && self.disabled) || (self.name.startsWith('preset/') && ![has(self.signal), has(self.above), has(self.below), has(self.stalled), has(self.diverged), has(self.absent), has(self.__for__), has(self.breaching), has(self.clear)].exists(x, x))").message("disabled: true stands alone beside the name of a preset rule, such as {name: preset/lonely, disabled: true}"))]
#[x_kube(validation = Rule::new("(has(self.disabled) && self.disabled) || has(self.signal)").message("name the signal that is judged, such as signal: head_lag"))]
#[x_kube(validation = Rule::new("(has(self.disabled) && self.disabled) || [has(self.above), has(self.below), has(self.stalled), has(self.diverged), has(self.absent)].filter(x, x).size() == 1").message("exactly one of above, below, stalled, diverged and absent"))]
#[x_kube(validation = Rule::new("!(has(self.__for__) && has(self.breaching))").message("for or breaching, not both: for is a time without a break, breaching counts samples"))]
#[x_kube(validation = Rule::new("!has(self.stalled) || (has(self.signal) && self.signal == 'head')").message("stalled judges the signal head: write signal: head"))]
#[x_kube(validation = Rule::new("!has(self.diverged) || (has(self.signal) && self.signal in ['block_hash', 'app_hash'])").message("diverged compares block_hash or app_hash with the network's: write signal: block_hash"))]
#[x_kube(validation = Rule::new("has(self.diverged) || !has(self.signal) || !(self.signal in ['block_hash', 'app_hash'])").message("hashes are only compared: write diverged: {}"))]
#[x_kube(validation = Rule::new("!has(self.diverged) || self.severity != 'Critical'").message("diverged needs severity: Quarantine or Warning: no restart brings a node back to the network's chain"))]
#[x_kube(validation = Rule::new("!has(self.absent) || self.severity == 'Warning'").message("absent needs severity: Warning, since what is not known is never a reason to act"))]
#[x_kube(validation = Rule::new("!has(self.clear) || ((!has(self.clear.below) || has(self.above)) && (!has(self.clear.above) || has(self.below)))").message("clear.below goes with above, and clear.above with below").field_path(".clear"))]
#[x_kube(validation = Rule::new(hysteresis("above", "below", "<=")).message("inverted hysteresis: clear.below must be at most above, and written in the same unit").field_path(".clear"))]
#[x_kube(validation = Rule::new(hysteresis("below", "above", ">=")).message("inverted hysteresis: clear.above must be at least below, and written in the same unit").field_path(".clear"))]
#[x_kube(validation = Rule::new(format!("!has(self.signal) || self.signal in {} || self.signal.startsWith('custom/') || ((!has(self.above) || !string(self.above).matches('{TIME}')) && (!has(self.below) || !string(self.below).matches('{TIME}')))", time_signals())).message("this signal is not a time: write a plain number"))]
pub struct HealthRule {
    /// Name of the rule, unique in the policy. `preset/NAME` replaces that rule of the preset.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(known_rule()).message(unknown_rule().as_str()))]
    pub name: String,
    /// Remove the preset rule of this name. (Not `off`: to kubectl that is YAML 1.1 for `false`, even as a key.)
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(description = "Remove the preset rule of this name.")]
    pub disabled: bool,
    /// The signal that is judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(known_signal()).message(unknown_signal().as_str()))]
    pub signal: Option<SignalName>,
    /// Breach: the reading is greater than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Threshold>,
    /// Breach: the reading is less than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Threshold>,
    /// Breach: the head does not rise although the network's head is ahead and rises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Stalled>,
    /// Breach: the node's block, or its application's state, differs from the network's at a height that is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged: Option<Diverged>,
    /// Breach: there is no reading at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absent>,
    /// The breach must have lasted so long without a break before the rule fires. Default: it fires at once.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// Instead of `for`: so many of the last samples must have breached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaching: Option<Breaching>,
    /// When a firing rule is over. Default: as soon as the condition no longer holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
    /// What a firing rule means.
    #[serde(default)]
    pub severity: Severity,
}

/// The head does not rise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stalled {}

/// The node follows another chain than the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diverged {}

/// There is no reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Absent {}

/// So many of the last samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.samples <= self.of").message("samples must be at most of: 15 of the last 20, not 20 of 15"))]
pub struct Breaching {
    /// How many must have breached.
    #[schemars(range(min = 1, max = 64))]
    pub samples: i32,
    /// Of how many. Unknown readings are not counted.
    #[schemars(range(min = 1, max = 64))]
    pub of: i32,
}

/// When a firing rule is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Clear {
    /// For `below` rules: only when the reading is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Threshold>,
    /// For `above` rules: only when the reading is at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Threshold>,
    /// Only after that has lasted so long without a break.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
}

/// What a firing rule means.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Severity {
    /// It is told, and nothing is done.
    Warning,
    /// The target is unhealthy and the ladder begins.
    #[default]
    Critical,
    /// The target is unhealthy, a person is called, and it is never restarted.
    Quarantine,
}

/// A firing rule must be easier to keep quiet than to start: `clear.INNER` lies on the healthy side of `OUTER`.
fn hysteresis(outer: &str, inner: &str, relation: &str) -> String {
    let (edge, back) = (format!("string(self.{outer})"), format!("string(self.clear.{inner})"));
    format!(
        "!has(self.{outer}) || !has(self.clear) || !has(self.clear.{inner}) || \
         ({edge}.matches('{NUMBER}') && {back}.matches('{NUMBER}') && double({back}) {relation} double({edge})) || \
         ({edge}.matches('{TIME}') && {back}.matches('{TIME}') && duration({back}) {relation} duration({edge}))"
    )
}

// serde's `skip_serializing_if` calls with a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}
