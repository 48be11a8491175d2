//! The API server's audit log: one JSON line for each request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use jiff::Timestamp;
use serde::Deserialize;

use super::variable;

/// One request that was answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub verb: String,
    pub user: User,
    #[serde(default)]
    pub object_ref: Object,
    #[serde(default)]
    pub response_status: Response,
    #[serde(default)]
    pub stage: String,
    #[serde(rename = "stageTimestamp")]
    pub at: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub username: String,
}

/// What it was about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Object {
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Response {
    pub code: u16,
}

impl Request {
    /// `episodes/status`, as access rules name it.
    pub fn resource(&self) -> String {
        let Object {
            resource,
            subresource,
            ..
        } = &self.object_ref;
        if subresource.is_empty() {
            resource.clone()
        } else {
            format!("{resource}/{subresource}")
        }
    }

    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.response_status.code)
    }
}

/// The requests of the log that are `wanted`; none where there is no log. Lines that cannot be read are cut ones.
pub fn requests(wanted: impl Fn(&Request) -> bool) -> Option<Vec<Request>> {
    let path = variable("AUDIT_LOG")?;
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("AUDIT_LOG={path}: {error}"));
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    Some(
        lines
            .filter_map(|line| serde_json::from_str::<Request>(&line).ok())
            .filter(|request| request.stage == "ResponseComplete" && wanted(request))
            .collect(),
    )
}

/// How often each verb was used on each resource.
pub fn tally(requests: &[Request]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        *counts
            .entry((request.resource(), request.verb.clone()))
            .or_insert(0) += 1;
    }
    counts
}
