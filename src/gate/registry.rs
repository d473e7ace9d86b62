//! Where the record is kept: the status of a `SigningIdentity`. Read from a quorum, written with the version that was read.

use std::{future::Future, time::Duration};

use kube::{Api, Client, api::PostParams, core::ObjectMeta};

use crate::{
    api::{SigningIdentity, SigningIdentitySpec, SigningIdentityStatus},
    failover::{ANSWER, Record, Unreadable},
};

/// How long one request may take. The node is answered meanwhile.
const DEADLINE: Duration = Duration::from_millis(ANSWER);

/// An identity as it was read.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its resourceVersion.
    pub version: String,
    /// What administrators wrote.
    pub spec: SigningIdentitySpec,
    /// The record; none until a person has adopted the identity.
    pub record: Option<Record>,
}

impl Seen {
    /// How many heights a gate owns ahead of the chain.
    #[must_use]
    pub fn window(&self) -> u64 {
        // A window of nothing could never be raised; the API server refuses less than four.
        u64::try_from(self.spec.window).unwrap_or(0).max(1)
    }
}

/// Why there was nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Somebody else wrote first: it is read again.
    #[error("somebody else wrote the record first")]
    Conflict,
    /// There is no such identity.
    #[error("there is no SigningIdentity {0}: an administrator has to create it")]
    Absent(String),
    /// What is there is no record.
    #[error("the record cannot be used: {0}")]
    Unreadable(#[from] Unreadable),
    /// What is there was written by a later version, or by hand.
    #[error("the record was written by a version of Mainstay that knows more: {0}: upgrade this one")]
    Newer(String),
    /// It may not be read or written.
    #[error("the API server refuses: {0}; a gate's service account may get its identity and update its status")]
    Forbidden(String),
    /// No answer, or none that says anything.
    #[error("failed to reach the API server: {0}")]
    Failed(String),
}

/// Where the record is kept: the API server, or what a test puts in its place.
pub trait Registry: Sync {
    /// Reads it, from a quorum.
    fn read(&self) -> impl Future<Output = Result<Seen, Trouble>>;
    /// Writes a record with the version of `seen`, and returns what is there then.
    fn write(&self, seen: &Seen, record: &Record) -> impl Future<Output = Result<Seen, Trouble>>;
}

/// One identity in the API server.
pub struct Identity {
    api: Api<SigningIdentity>,
    name: String,
}

// === impl Identity ===

impl Identity {
    /// The identity of this name.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { api: Api::all(client), name: name.into() }
    }

    fn seen(&self, object: SigningIdentity) -> Result<Seen, Trouble> {
        let record = object.status.as_ref().map(Record::try_from).transpose()?;
        let version = object.metadata.resource_version;
        let version = version.ok_or_else(|| Trouble::Failed(format!("{} has no resourceVersion", self.name)))?;
        Ok(Seen { version, spec: object.spec, record })
    }

    fn trouble(&self, error: kube::Error) -> Trouble {
        match error {
            kube::Error::Api(status) if status.is_conflict() => Trouble::Conflict,
            kube::Error::Api(status) if status.is_not_found() => Trouble::Absent(self.name.clone()),
            kube::Error::Api(status) if status.is_forbidden() || status.code == 401 => {
                Trouble::Forbidden(status.message)
            }
            kube::Error::SerdeError(error) => Trouble::Newer(error.to_string()),
            error => Trouble::Failed(error.to_string()),
        }
    }

    async fn call(
        &self,
        call: impl Future<Output = Result<SigningIdentity, kube::Error>>,
    ) -> Result<Seen, Trouble> {
        match tokio::time::timeout(DEADLINE, call).await {
            Ok(answer) => self.seen(answer.map_err(|error| self.trouble(error))?),
            Err(_) => Err(Trouble::Failed(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }
}

impl Registry for Identity {
    async fn read(&self) -> Result<Seen, Trouble> {
        // Without a resourceVersion: the newest, from a quorum. An older one would shut the gate for nothing.
        self.call(self.api.get(&self.name)).await
    }

    async fn write(&self, seen: &Seen, record: &Record) -> Result<Seen, Trouble> {
        let mut object = SigningIdentity::new(&self.name, seen.spec.clone());
        object.metadata = ObjectMeta {
            name: Some(self.name.clone()),
            resource_version: Some(seen.version.clone()),
            ..ObjectMeta::default()
        };
        object.status = Some(SigningIdentityStatus::from(record));
        self.call(self.api.replace_status(&self.name, &PostParams::default(), &object)).await
    }
}
