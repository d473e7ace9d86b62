//! The other replicas of this installation, asked whether they reach a target that keeps silent here.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures::future::join_all;

use super::context::Context;
use crate::{
    api::policy::PortName,
    effect,
    plan::{Said, Vantage},
    signal::Testimony,
    telemetry::{Client, Deadline, address::resolve_port},
    world::PodView,
};

/// The port of theirs on which they tell, as the chart calls it.
const PORT: &str = "http";
/// How long another replica may take, and how much of what it says is read.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST: usize = 64 * 1024;

/// The other replicas: found once, and asked for as long as one look lasts. One that did not answer is not waited for a
/// second time, or a policy with hundreds of silent targets would take minutes to look at.
#[derive(Debug, Default)]
pub(super) struct Others {
    found: Option<Result<Vec<PodView>, String>>,
    mute: BTreeMap<String, String>,
}

impl Others {
    /// What they say of a pod (uid) under a policy (uid).
    pub async fn say(&mut self, ctx: &Context, policy: &str, pod: &str) -> Vantage {
        if self.found.is_none() {
            let found = effect::other_replicas(&ctx.clients.actuator, &ctx.namespace, &ctx.pod).await;
            self.found = Some(found.map_err(|error| error.to_string()));
        }
        self.told(&ctx.probes, policy, pod).await
    }

    async fn told(&mut self, client: &Client, policy: &str, pod: &str) -> Vantage {
        let replicas = match &self.found {
            Some(Ok(replicas)) => replicas,
            Some(Err(why)) => return Vantage::Unfound(why.clone()),
            None => return Vantage::Unread,
        };
        let said = join_all(replicas.iter().map(|replica| async {
            let told = match self.mute.get(&replica.name) {
                Some(why) => Err(why.clone()),
                None => ask(client, replica, policy, pod).await,
            };
            Said { replica: replica.name.clone(), told }
        }));
        let said = said.await;
        for Said { replica, told } in &said {
            if let Err(why) = told {
                self.mute.insert(replica.clone(), why.clone());
            }
        }
        Vantage::Asked(said)
    }
}

/// One question, bounded in every way: whoever answers may be anybody that has the address now.
async fn ask(client: &Client, replica: &PodView, policy: &str, pod: &str) -> Result<Testimony, String> {
    let ip = replica.ip.as_deref().and_then(|ip| ip.parse().ok()).ok_or("it has no address")?;
    let port = resolve_port(&PortName::Name(PORT.into()), &replica.ports).map_err(|why| why.to_string())?;
    let url = format!("http://{}/vantage/{policy}/{pod}", SocketAddr::new(ip, port));
    let answer =
        client.get(&url, Deadline::within(PATIENCE), MOST).await.map_err(|failure| failure.to_string())?;
    match answer.status {
        200 => Testimony::read(&answer.body),
        // As one of an earlier version does.
        status => Err(format!("it answers with HTTP {status}")),
    }
}

#[cfg(test)]
mod tests;
