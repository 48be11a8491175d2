//! The chart goes while an episode runs. Last of all tests: no operator is left after it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use mledojo::api::Episode;
use mledojo::plan::pod::RESULT_FINALIZER;
use tokio::process::Command;

use crate::stage::fixtures::{self, Do};
use crate::stage::{Access, SOON, Space, operator, play, skip, until, variable};

/// Helm release of the chart.
const RELEASE: &str = "mle-dojo";

#[test]
#[ignore = "needs a cluster, and leaves it without the operator: make cluster-test"]
fn the_chart_goes_while_an_episode_runs_and_nothing_hangs() {
    if variable("DOJO_TEST_UNINSTALL").as_deref() != Some("1") {
        return skip("DOJO_TEST_UNINSTALL=1 is not set; this test takes the operator away");
    }
    play("uninstall", Access::Alone, async |space: &Space| {
        space
            .make_files(fixtures::code(&[Do::Submit(0.05), Do::Sleep(500)]))
            .await;
        space.make_task(fixtures::task("tiny")).await;
        space.make_episode(fixtures::replay("orphan", "tiny")).await;
        space.until_running("orphan").await;

        let output = Command::new("helm")
            .args(["uninstall", RELEASE, "--namespace", &space.operator])
            .args(["--wait", "--timeout", "180s"])
            .output()
            .await
            .expect("helm is not on the PATH");
        assert!(
            output.status.success(),
            "helm uninstall: {}",
            String::from_utf8_lossy(&output.stderr)
        );

        let deployments: Api<Deployment> = Api::namespaced(space.client.clone(), &space.operator);
        assert!(
            deployments.get_opt(operator::NAME).await.unwrap().is_none(),
            "the Deployment is still there"
        );
        let pods = space.api::<Pod>();
        let held: Vec<Pod> = pods
            .list(&ListParams::default())
            .await
            .unwrap()
            .into_iter()
            .filter(|pod| {
                let finalizers = pod.metadata.finalizers.iter().flatten();
                finalizers
                    .into_iter()
                    .any(|finalizer| finalizer == RESULT_FINALIZER)
            })
            .collect();
        assert!(held.is_empty(), "pods that nobody will ever release: {held:#?}");
        // CustomResourceDefinitions are kept, and Episodes with them.
        assert!(
            space.episode("orphan").await.is_some(),
            "the Episode went with the chart"
        );

        space
            .api::<Episode>()
            .delete("orphan", &DeleteParams::default())
            .await
            .unwrap();
        until("Episode and pod go without an operator", SOON, async || {
            let pods = pods.list(&ListParams::default()).await.unwrap().items;
            (pods.is_empty() && space.episode("orphan").await.is_none()).then_some(())
        })
        .await;

        space
            .delete_namespace("the namespace goes without an operator")
            .await;
    });
}
