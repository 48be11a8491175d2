//! Data that are prepared once, into claims, for all episodes of a Task.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, ListParams, PostParams};
use mledojo::api::Task;
use mledojo::api::conditions::Phase;
use serde_json::json;

use crate::stage::fixtures::{self, IMPROVING};
use crate::stage::{Access, EPISODE, Space, operator, play, skip, until};

const CLAIMS: [&str; 2] = ["public", "private"];

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn data_are_prepared_once_and_every_episode_has_the_same() {
    play("claims", Access::Shared, async |space: &Space| {
        if !make_volumes(space).await {
            return skip("no CLUSTER_SH: volumes are folders of a cluster of ours");
        }
        space.make_files(fixtures::code(&IMPROVING)).await;
        let claim = |name: &str| json!({"persistentVolumeClaim": {"claimName": name}});
        let data = json!({"data": {"public": claim("public"), "private": claim("private")}});
        space
            .make_task(fixtures::with(fixtures::task("shared"), data))
            .await;
        for name in ["first", "second"] {
            space.make_episode(fixtures::replay(name, "shared")).await;
        }
        let prepared = until("the Task has its data", EPISODE, async || {
            space.api::<Task>().get("shared").await.unwrap().status?.data
        })
        .await;
        assert_eq!(prepared.digest.len(), 64, "{prepared:?}");
        for name in ["first", "second"] {
            let status = space.until_phase(name, Phase::Completed, EPISODE).await;
            assert_eq!(status.reward, Some(1.0), "{status:#?}");
            let provenance = status.provenance.unwrap();
            assert_eq!(provenance.data_digest.as_deref(), Some(prepared.digest.as_str()));
        }
        let jobs = space
            .api::<Job>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items;
        assert_eq!(jobs.len(), 1, "{jobs:#?}");
        for name in CLAIMS {
            let volume = volume(space, name);
            let volumes = space.all::<PersistentVolume>();
            volumes.delete(&volume, &DeleteParams::default()).await.unwrap();
        }
    });
}

fn volume(space: &Space, claim: &str) -> String {
    format!("{}-{claim}", space.name)
}

/// Folders that every node sees, as volumes with their claims; false where there is no way to make them.
async fn make_volumes(space: &Space) -> bool {
    for claim in CLAIMS {
        let volume = volume(space, claim);
        let folder = format!("/run/dojo/claims/{volume}");
        // Prepared by a user of the pod's own.
        if operator::inside(&["install", "-d", "-m", "777", &folder])
            .await
            .is_none()
        {
            return false;
        }
        let common = json!({
            "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": volume,
        });
        let made: PersistentVolume = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "accessModes": common["accessModes"],
                "storageClassName": "",
                "capacity": {"storage": "64Mi"},
                "hostPath": {"path": folder},
                "claimRef": {"namespace": space.name, "name": claim},
            },
        }))
        .unwrap();
        let volumes = space.all::<PersistentVolume>();
        volumes.create(&PostParams::default(), &made).await.unwrap();
        let mut spec = common.clone();
        spec["resources"] = json!({"requests": {"storage": "64Mi"}});
        space
            .make::<PersistentVolumeClaim>(json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim},
                "spec": spec,
            }))
            .await;
    }
    true
}
