//! `mainstay explain`: a policy with every default filled in, in plain words.

mod filled;
mod live;
mod words;

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

pub use live::LiveError;

use super::{CliError, check, print};
use crate::{
    api::{Family, NodeHealthPolicy},
    policy,
};

/// Arguments of `mainstay explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File with the policy, `-` for stdin, or `nhp/NAME` for a policy of the cluster as it stands
    #[arg(value_name = "FILE|nhp/NAME")]
    file: String,
    /// Of a policy of the cluster: its namespace; without it the one of the current context
    #[arg(long, short)]
    namespace: Option<String>,
    /// Of a policy of the cluster: this target only
    #[arg(long, value_name = "POD")]
    target: Option<String>,
    /// The family of the policy's network, where the file does not hold that network as well
    #[arg(long, value_parser = super::family)]
    family: Option<Family>,
    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Plain words
    Text,
    /// The same policy with every value written out
    Yaml,
}

/// Explains every policy of a file; what is wrong with it is told instead.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(name) = args.file.strip_prefix("nhp/") {
        let found = super::block_on(live::find(name, args.namespace.as_deref()))??;
        print(&live::explain(&found, args.target.as_deref())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = super::read(&args.file)?;
    let report = check::check(&[(args.file.clone(), text.clone())], args.family);
    let policies = policies(&text);
    if report.errors() > 0 || policies.is_empty() {
        print(&report.to_string())?;
        if policies.is_empty() {
            eprintln!("mainstay: {} holds no NodeHealthPolicy", args.file);
        }
        return Ok(ExitCode::from(1));
    }
    let explained = policies.iter().map(|object| {
        let family = check::family_of(&text, &object.spec.network).or(args.family);
        explain(object, family.unwrap_or(Family::CometBFT), args.output)
    });
    let separator = if args.output == Output::Yaml { "---\n" } else { "\n" };
    print(&explained.collect::<Result<Vec<_>, _>>()?.join(separator))?;
    Ok(ExitCode::SUCCESS)
}

/// One policy, explained. It must be one that `check` finds nothing wrong with.
pub fn explain(object: &NodeHealthPolicy, family: Family, output: Output) -> Result<String, serde_yaml::Error> {
    match policy::validate(object, family) {
        Ok(policy) if output == Output::Text => Ok(words::explain(object, &policy)),
        Ok(policy) => serde_yaml::to_string(&filled::object(object, &policy)),
        Err(problem) => Ok(format!("{problem}\n")),
    }
}

/// The policies of a text that can be read as such.
#[must_use]
pub fn policies(text: &str) -> Vec<NodeHealthPolicy> {
    let documents = check::documents(text).0.into_iter().map(|document| check::without_nulls(document.value));
    let policies = documents.filter(|value: &Value| value["kind"] == "NodeHealthPolicy");
    policies.filter_map(|value| serde_json::from_value(value).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = include_str!("explain/testdata/short.yaml");
    const LONG: &str = include_str!("explain/testdata/long.yaml");

    fn explained(text: &str, output: Output) -> String {
        let report = check::check(&[("policy.yaml".into(), text.into())], None);
        assert_eq!(report.errors(), 0, "{report}");
        explain(&policies(text)[0], Family::CometBFT, output).unwrap()
    }

    #[test]
    fn a_short_policy_shows_what_its_preset_adds() {
        insta::assert_snapshot!(explained(SHORT, Output::Text));
    }

    #[test]
    fn a_long_policy_shows_what_is_its_own() {
        insta::assert_snapshot!(explained(LONG, Output::Text));
    }

    #[test]
    fn a_policy_with_every_value_written_out() {
        insta::assert_snapshot!(explained(LONG, Output::Yaml));
    }

    #[test]
    fn what_is_written_out_means_the_same() {
        for text in [SHORT, LONG] {
            let filled = explained(text, Output::Yaml);
            let meaning = |text: &str| policy::validate(&policies(text)[0], Family::CometBFT).unwrap();
            let (short, long) = (meaning(text), meaning(&filled));
            let sorted = |mut policy: policy::Policy| {
                policy.rules.sort_by(|a, b| a.name.cmp(&b.name));
                policy
            };
            assert_eq!(sorted(short), sorted(long));
            assert_eq!(explained(&filled, Output::Yaml), filled, "nothing is left to fill in");
        }
    }

    #[test]
    fn it_fits_on_one_screen() {
        assert!(explained(SHORT, Output::Text).lines().count() <= 50);
    }
}
