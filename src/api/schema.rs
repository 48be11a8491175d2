//! Schemas of types of other crates, with the bounds that those lack. The API server weighs each CEL rule by these
//! bounds, and status must not grow without end.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator, json_schema};

/// Longest reason of a condition or failure.
pub const MAX_REASON: usize = 128;
/// Longest message of a condition or failure, in characters.
pub const MAX_MESSAGE: usize = 4096;

/// Conditions as Kubernetes defines them, one of each type.
pub(super) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut condition = generator.subschema_for::<Condition>();
    for (field, bounds) in [
        (
            "type",
            serde_json::json!({"description": "Type of the condition in CamelCase.", "minLength": 1, "maxLength": 128}),
        ),
        (
            "status",
            serde_json::json!({"description": "Whether it holds.", "enum": ["True", "False", "Unknown"]}),
        ),
        (
            "reason",
            serde_json::json!({
                "description": "Why it has this status: one CamelCase word.",
                "minLength": 1,
                "maxLength": MAX_REASON,
                "pattern": REASON_PATTERN,
            }),
        ),
        (
            "message",
            serde_json::json!({"description": "The same for people.", "maxLength": MAX_MESSAGE}),
        ),
        (
            "lastTransitionTime",
            serde_json::json!({"description": "When the status last changed."}),
        ),
        (
            "observedGeneration",
            serde_json::json!({"description": "Generation of the spec that the condition speaks of.", "minimum": 0}),
        ),
    ] {
        let property = condition
            .pointer_mut(&format!("/properties/{field}"))
            .and_then(|property| property.as_object_mut());
        if let (Some(property), serde_json::Value::Object(bounds)) = (property, bounds) {
            property.extend(bounds);
        }
    }
    condition.insert("description".into(), "One condition.".into());
    json_schema!({
        "type": "array",
        "items": condition,
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// One CamelCase word.
const REASON_PATTERN: &str = "^[A-Za-z][A-Za-z0-9]*$";

/// Tolerations of a pod.
pub(super) fn tolerations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "description": "One taint that is tolerated.",
            "type": "object",
            "properties": {
                "key": {
                    "description": "Key of the taint. Unset, with the operator `Exists`: every taint.",
                    "type": "string", "maxLength": 317,
                },
                "operator": {
                    "description": "How `value` is compared. Unset: `Equal`.",
                    "type": "string", "enum": ["Exists", "Equal"],
                },
                "value": {
                    "description": "Value of the taint, with the operator `Equal`. Unset: the empty one.",
                    "type": "string", "maxLength": 63,
                },
                "effect": {
                    "description": "Effect of the taint. Unset: every effect.",
                    "type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
                },
                "tolerationSeconds": {
                    "description": "Seconds for which a `NoExecute` taint is tolerated. Unset: for ever.",
                    "type": "integer", "format": "int64",
                },
            },
        },
    })
}

/// Label keys with label values.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
    })
}

/// Annotation keys with annotation values.
pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 4096 },
    })
}
