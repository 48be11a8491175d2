//! Which replica leads: it holds the Lease.
//!
//! A Lease is no fence, so the status of an Episode is written with the resource version that it was decided on, pods have
//! names that cannot be taken twice, and a replica that has lost its Lease ends.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};

/// How long a Lease holds without being renewed, in seconds: so long nobody leads after a crash.
const LEASE_SECONDS: u64 = 15;
/// How long before that it is renewed, in seconds.
const GRACE_SECONDS: u64 = 5;
/// Time of one request about the Lease.
const REQUEST_TIME: Duration = Duration::from_secs(3);
/// Pause after a failure, and between two looks at the own Lease.
const PAUSE: Duration = Duration::from_secs(2);

/// Where the Lease is and who wants it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Namespace of the Lease.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Who wants it: the name of the pod.
    pub(super) identity: String,
}

/// The Lease is ours.
pub(super) struct Leadership {
    candidate: Candidate,
    manager: LeaseManager,
    leases: Api<Lease>,
}

/// A client that gives up early and does not repeat: a late renewal is none.
pub(super) fn client(config: &Config) -> kube::Result<Client> {
    let mut config = config.clone();
    config.connect_timeout = Some(REQUEST_TIME);
    config.read_timeout = Some(REQUEST_TIME);
    config.write_timeout = Some(REQUEST_TIME);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config)
}

/// Waits until the Lease is ours.
pub(super) async fn acquire(client: &Client, candidate: Candidate) -> Leadership {
    let leases = Api::namespaced(client.clone(), &candidate.namespace);
    loop {
        match take(client, &candidate).await {
            Ok(manager) => {
                return Leadership {
                    candidate,
                    manager,
                    leases,
                };
            }
            // A new manager each time: it makes the Lease where it is missing.
            Err(error) => tracing::warn!(
                lease = %candidate.name,
                %error,
                "cannot take the Lease; trying again"
            ),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn take(client: &Client, candidate: &Candidate) -> Result<LeaseManager, LeaseManagerError> {
    let manager = LeaseManagerBuilder::new(client.clone(), &candidate.name)
        .with_namespace(&candidate.namespace)
        .with_identity(&candidate.identity)
        .with_field_manager(field_manager(&candidate.identity))
        .with_duration(LEASE_SECONDS)
        .with_grace(GRACE_SECONDS)
        .build()
        .await?;
    while !manager.changed().await? {}
    Ok(manager)
}

/// Each candidate is a field manager of its own, so that two who take a free Lease at once conflict. Such a name has at
/// most 128 characters; what tells pods of one Deployment apart is at their end.
fn field_manager(identity: &str) -> String {
    let skipped = identity.chars().count().saturating_sub(100);
    let end: String = identity.chars().skip(skipped).collect();
    format!("leader-{end}")
}

impl Leadership {
    /// Renews the Lease; comes back with the reason when it is lost.
    pub(super) async fn hold(&self) -> String {
        tokio::select! {
            reason = self.renew() => reason,
            reason = self.check() => reason,
        }
    }

    async fn renew(&self) -> String {
        loop {
            match self.manager.changed().await {
                Ok(true) => {}
                Ok(false) => return "another replica has it".into(),
                Err(LeaseManagerError::NonexistentLease(name)) => return format!("Lease {name} was deleted"),
                Err(error) => {
                    tracing::warn!(%error, "cannot renew the Lease; trying again until it has run out");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Looks at the Lease itself: the manager does not say that a Lease that it cannot renew has run out.
    async fn check(&self) -> String {
        let mut until = Timestamp::now() + SignedDuration::from_secs(LEASE_SECONDS.cast_signed());
        loop {
            tokio::time::sleep(PAUSE).await;
            // Before that it need not have been renewed.
            if Timestamp::now() + SignedDuration::from_secs(GRACE_SECONDS.cast_signed()) < until {
                continue;
            }
            if let Ok(Ok(lease)) =
                tokio::time::timeout(REQUEST_TIME, self.leases.get(&self.candidate.name)).await
            {
                match held_until(&lease, &self.candidate.identity) {
                    Ok(time) => until = time,
                    Err(reason) => return reason,
                }
            }
            if Timestamp::now() > until {
                return format!("it could not be renewed for {LEASE_SECONDS} s");
            }
        }
    }

    /// Gives the Lease back, so that the next replica need not wait.
    pub(super) async fn release(self) {
        match tokio::time::timeout(REQUEST_TIME, self.manager.release()).await {
            Ok(Ok(())) => tracing::info!("the Lease is given back"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot give the Lease back; it runs out by itself"),
            Err(_) => tracing::warn!("cannot give the Lease back in time; it runs out by itself"),
        }
    }
}

/// Until when the Lease holds for `identity`; an error says whose it is.
fn held_until(lease: &Lease, identity: &str) -> Result<Timestamp, String> {
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
    if holder != Some(identity) {
        return Err(format!("its holder is {}", holder.unwrap_or("nobody")));
    }
    let renewed = spec
        .and_then(|spec| spec.renew_time.as_ref())
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    Ok(renewed + SignedDuration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn a_lease_holds_for_its_holder_until_its_time_is_over() {
        let lease = |holder: Option<&str>| Lease {
            spec: Some(LeaseSpec {
                holder_identity: holder.map(Into::into),
                renew_time: Some(MicroTime(Timestamp::from_second(1_000).unwrap())),
                lease_duration_seconds: Some(15),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        assert_eq!(held_until(&lease(Some("a")), "a").unwrap().as_second(), 1_015);
        assert_eq!(held_until(&lease(Some("b")), "a").unwrap_err(), "its holder is b");
        assert_eq!(held_until(&lease(None), "a").unwrap_err(), "its holder is nobody");
    }
}
