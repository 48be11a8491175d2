//! Makes what a Task needs in its namespace.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;

use super::super::call::call;
use super::super::children::{Made, MakeError, make};
use super::super::context::Context;
use super::super::watch::{fingerprint, uid_of};
use super::report::WRITER;
use crate::api::Task;
use crate::plan::document::{name_of, namespace_of};

/// Applies the NetworkPolicy where it has changed or was not applied for long, and makes the Job where it is missing.
pub(super) async fn apply(
    context: &Context,
    task: &Task,
    network_policy: &NetworkPolicy,
    job: Option<&Job>,
) -> Result<(), MakeError> {
    policy(context, task, network_policy).await?;
    if let Some(job) = job
        && context.jobs.get(&ObjectRef::from_obj(job)).is_none()
    {
        let jobs = context.api::<Job>(namespace_of(task));
        if let Made::New(job) = make(&jobs, job, WRITER).await? {
            tracing::info!(job = name_of(&job), "the Job that prepares the data is made");
        }
    }
    Ok(())
}

async fn policy(context: &Context, task: &Task, policy: &NetworkPolicy) -> Result<(), MakeError> {
    let (uid, content) = (uid_of(task), fingerprint(format!("{policy:?}")));
    if context.pace.is_applied(&uid, content) {
        return Ok(());
    }
    let name = name_of(policy);
    let policies = context.api::<NetworkPolicy>(namespace_of(task));
    // Without force: a policy of that name that somebody else has made stays his.
    let params = PatchParams::apply(WRITER);
    call(
        "apply",
        &format!("NetworkPolicy {name}"),
        policies.patch(name, &params, &Patch::Apply(policy)),
    )
    .await?;
    context.pace.applied(&uid, content);
    Ok(())
}
