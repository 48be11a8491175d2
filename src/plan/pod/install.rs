//! The container that brings this program into the pod.

use k8s_openapi::api::core::v1::Container;

use super::security::{self, Role};
use super::volumes::{Access, mount};
use super::{PodOptions, paths, resources};

pub(super) fn container(options: &PodOptions) -> Container {
    Container {
        // The image's own entry point: nothing is installed yet.
        command: None,
        resources: Some(resources::small()),
        security_context: Some(security::of(Role::Install, options.ids, true)),
        volume_mounts: Some(vec![mount("program", paths::PROGRAM, Access::Write)]),
        ..super::container("install", &options.image, &["install", paths::PROGRAM])
    }
}
