//! The sidecar that relays the agent's steps, grades and keeps the budgets.

use k8s_openapi::api::core::v1::{Container, ContainerPort, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::security::{self, Role};
use super::volumes::{self, Access, mount};
use super::{AUTHORITIES_KEY, CONFIG_KEY, PodOptions, TOKEN_KEY, paths, resources};
use crate::api::{Episode, Task};
use crate::plan::document::namespace_of;

/// Where the agent reaches the relay; a token guards it.
const AGENT_ADDRESS: &str = "127.0.0.1:8080";
/// Health and metrics, for the kubelet and Prometheus.
const ADMIN_ADDRESS: &str = "0.0.0.0:9090";
const ADMIN_PORT: i32 = 9090;

pub(super) fn container(task: &Task, episode: &Episode, attempt: u32, options: &PodOptions) -> Container {
    let config = format!("{}/{CONFIG_KEY}", paths::CONFIG);
    let mut arguments = vec![
        "relay",
        "--config",
        &config,
        "--private",
        paths::PRIVATE,
        "--public",
        paths::PUBLIC,
        "--state",
        paths::STATE,
        "--socket",
        paths::SOCKET,
        "--listen",
        AGENT_ADDRESS,
        "--connection",
        paths::CONNECTION_FILE,
        "--admin-listen",
        ADMIN_ADDRESS,
        "--result",
        paths::RESULT,
    ];
    let (authorities, token) = (
        format!("{}/{AUTHORITIES_KEY}", paths::CONFIG),
        format!("{}/{TOKEN_KEY}", paths::TOKEN),
    );
    let attempt = attempt.to_string();
    if let Some(report) = &options.report {
        arguments.extend([
            "--report-url",
            &report.url,
            "--report-ca",
            &authorities,
            "--report-token",
            &token,
            "--report-namespace",
            namespace_of(episode),
            "--report-attempt",
            &attempt,
        ]);
    }
    let mut mounts = vec![
        mount("program", paths::PROGRAM, Access::Read),
        mount("config", paths::CONFIG, Access::Read),
        volumes::public(task),
        volumes::private(task),
        mount("state", paths::STATE, Access::Write),
        mount("channel", paths::CHANNEL, Access::Write),
        mount("connection", paths::CONNECTION, Access::Write),
    ];
    if options.report.is_some() {
        mounts.push(mount("report-token", paths::TOKEN, Access::Read));
    }
    Container {
        restart_policy: Some("Always".into()),
        ports: Some(vec![ContainerPort {
            name: Some("admin".into()),
            container_port: ADMIN_PORT,
            ..ContainerPort::default()
        }]),
        startup_probe: Some(Probe {
            period_seconds: Some(1),
            failure_threshold: Some(120),
            ..probe("/healthz")
        }),
        // A restart loses the running step, so a relay counts as hung only after a long minute of silence.
        liveness_probe: Some(Probe {
            period_seconds: Some(10),
            failure_threshold: Some(6),
            ..probe("/healthz")
        }),
        resources: Some(resources::of_relay(task)),
        security_context: Some(security::of(Role::Relay, options.ids, true)),
        volume_mounts: Some(mounts),
        ..super::container("relay", &options.image, &arguments)
    }
}

/// A question to the relay's admin port. All containers of a pod have one address, so others may ask it too.
pub(super) fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::Int(ADMIN_PORT),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}
