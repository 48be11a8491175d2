//! Objects that are made for another one: made once, told apart by their owner's UID, let go and ended by their own.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use thiserror::Error;

use super::call::{CallError, call, call_opt};
use crate::plan::PodRef;
use crate::plan::document::name_of;
use crate::plan::pod::RESULT_FINALIZER;

/// Why an object was not made.
#[derive(Debug, Error)]
pub(super) enum MakeError {
    /// There is one of that name, and it is somebody else's.
    #[error(
        "{kind} {name} is there already and belongs to {owner}; it is in the way. Delete it, or delete this object and \
         create one of another name"
    )]
    Taken {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Whose it is.
        owner: String,
    },
    /// A quota, an admission rule or the API server's validation does not let it in.
    #[error("{kind} {name} is refused: {message}")]
    Refused {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server says.
        message: String,
    },
    /// The namespace is being deleted; nothing can be made in it any more.
    #[error("namespace of {kind} {name} is being deleted")]
    NamespaceGoes {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A request failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl MakeError {
    /// Category for metrics: one of a closed set.
    pub(super) fn category(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "name-taken",
            Self::Refused { .. } => "refused",
            Self::NamespaceGoes { .. } => "namespace-terminating",
            Self::Call(error) => error.category(),
        }
    }
}

/// What came of making an object.
#[derive(Debug, PartialEq)]
pub(super) enum Made<K> {
    /// It is new.
    New(K),
    /// It was there: an earlier look has made it.
    Found(K),
}

/// Makes an object of a fixed name. One that is there already counts as made where it has the same owner.
pub(super) async fn make<K>(api: &Api<K>, object: &K, manager: &str) -> Result<Made<K>, MakeError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let (kind, name) = (K::kind(&()).into_owned(), name_of(object).to_owned());
    let label = format!("{kind} {name}");
    let params = PostParams {
        field_manager: Some(manager.into()),
        ..PostParams::default()
    };
    let error = match call("create", &label, api.create(&params, object)).await {
        Ok(made) => return Ok(Made::New(made)),
        Err(error) => error,
    };
    let Some(status) = error.status() else {
        return Err(error.into());
    };
    if status.is_already_exists() {
        // Not from a store: what is in the way may be newer than what a watch has brought.
        let found = call("get", &label, api.get(&name)).await?;
        return if owner_uid(&found).is_some() && owner_uid(&found) == owner_uid(object) {
            Ok(Made::Found(found))
        } else {
            let owner = owner_name(&found);
            Err(MakeError::Taken { kind, name, owner })
        };
    }
    if is_terminating(status) {
        return Err(MakeError::NamespaceGoes { kind, name });
    }
    if status.is_forbidden() || status.is_invalid() {
        let message = status.message.clone();
        return Err(MakeError::Refused { kind, name, message });
    }
    Err(error.into())
}

/// Lets go of a pod's result: the finalizer of this operator goes, those of others stay. Nothing happens to another pod of
/// that name.
pub(super) async fn release(api: &Api<Pod>, pod: &PodRef) -> Result<(), CallError> {
    let label = format!("Pod {}", pod.name);
    // With the UID in it the patch is refused for any other pod.
    let patch = json!({"metadata": {
        "uid": pod.uid,
        "$deleteFromPrimitiveList/finalizers": [RESULT_FINALIZER],
    }});
    let params = PatchParams::default();
    match call(
        "release",
        &label,
        api.patch(&pod.name, &params, &Patch::Strategic(patch)),
    )
    .await
    {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error)
            if error
                .status()
                .is_some_and(|status| status.is_conflict() || status.is_invalid()) =>
        {
            let now = call_opt("get", &label, api.get_metadata(&pod.name)).await?;
            match now.and_then(|now| now.metadata.uid) {
                Some(uid) if uid == pod.uid => Err(error),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error),
    }
}

/// Ends an object with this UID; whatever else has its name stays.
pub(super) async fn delete<K>(api: &Api<K>, name: &str, uid: &str) -> Result<(), CallError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    });
    let label = format!("{} {name}", K::kind(&()));
    match call("delete", &label, api.delete(name, &params)).await {
        Ok(_) => Ok(()),
        // Gone, or another one.
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}

fn owner_uid<K: Resource>(object: &K) -> Option<&str> {
    let owners = object.meta().owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(&owner.uid)
}

fn owner_name<K: Resource>(object: &K) -> String {
    let owners = object.meta().owner_references.iter().flatten();
    let mut names = owners.map(|owner| format!("{} {} ({})", owner.kind, owner.name, owner.uid));
    names.next().unwrap_or_else(|| "nobody".into())
}

fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests;
