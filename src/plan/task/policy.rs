//! Who the pods of a Task may talk to.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::{NetworkMode, Task};
use crate::plan::document::name_of;
use crate::plan::pod::{TASK_LABEL, common_labels, owned_by};

/// Port of the report server.
const REPORT_PORT: i32 = 8443;
/// Value of `app.kubernetes.io/name` on the operator's pods.
const OPERATOR: &str = "mle-dojo-operator";

/// One policy for all pods of a Task: a policy for each episode would be more than network plug-ins take.
pub fn network_policy(task: &Task) -> NetworkPolicy {
    let mut egress = vec![names(), reports()];
    if task.spec.environment.network == NetworkMode::Allow {
        egress.push(outside());
    }
    let mut labels = common_labels("task");
    labels.insert(TASK_LABEL.into(), name_of(task).into());
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(format!("mle-dojo-task-{}", name_of(task))),
            namespace: task.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: owned_by("Task", &task.metadata),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labelled(TASK_LABEL, name_of(task))),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            // None named, none let in. The kubelet's probes come from the node, which policies let pass.
            ingress: None,
            egress: Some(egress),
        }),
    }
}

/// Address of the DNS cache that Kubernetes' own add-on puts on each node.
const NODE_CACHE: &str = "169.254.20.10/32";

fn labelled(name: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(BTreeMap::from([(name.to_owned(), value.to_owned())])),
        ..LabelSelector::default()
    }
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.into()),
        port: Some(IntOrString::Int(number)),
        ..NetworkPolicyPort::default()
    }
}

/// Names are looked up in the cluster: in its pods, or in a cache on each node. Port 53 of the outside would be a way out.
fn names() -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(vec![port("UDP", 53), port("TCP", 53)]),
        to: Some(vec![
            NetworkPolicyPeer {
                namespace_selector: Some(LabelSelector::default()),
                ..NetworkPolicyPeer::default()
            },
            NetworkPolicyPeer {
                ip_block: Some(IPBlock {
                    cidr: NODE_CACHE.into(),
                    except: None,
                }),
                ..NetworkPolicyPeer::default()
            },
        ]),
    }
}

/// The relay reports to the operator, in whatever namespace it is.
fn reports() -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(vec![port("TCP", REPORT_PORT)]),
        to: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            pod_selector: Some(labelled("app.kubernetes.io/name", OPERATOR)),
            ..NetworkPolicyPeer::default()
        }]),
    }
}

/// Everything but the addresses at which clouds tell machines their credentials: link-local ones, and over IPv6 those of AWS
/// and Google, which are not link-local.
fn outside() -> NetworkPolicyEgressRule {
    let block = |cidr: &str, except: &[&str]| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.into(),
            except: Some(except.iter().map(|&cidr| cidr.to_owned()).collect()),
        }),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicyEgressRule {
        ports: None,
        to: Some(vec![
            block("0.0.0.0/0", &["169.254.0.0/16"]),
            block("::/0", &["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]),
        ]),
    }
}
