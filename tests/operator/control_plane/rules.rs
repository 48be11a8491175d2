//! Every CEL rule of the CRDs that the cluster serves.

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams};
use kube::core::response::StatusCause;
use mledojo::api::Episode;
use serde_json::{Value, json};

use super::{
    cell, dry_create, full_container, full_replay, full_task, local, own_schemas, schemas, sources, walk,
};
use crate::stage::{Access, Space, fixtures, play};

/// A rule of a served CRD.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Rule {
    /// Kind and path, such as `Task.spec.limits`.
    path: String,
    message: String,
    /// It compares with the object before an update.
    transition: bool,
}

fn rules(schemas: &[(String, Value)]) -> Vec<Rule> {
    let mut found = Vec::new();
    for (kind, schema) in schemas {
        walk(schema, kind, &mut |path, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                found.push(Rule {
                    path: path.to_owned(),
                    message: rule["message"].as_str().unwrap().to_owned(),
                    transition: rule["rule"].as_str().unwrap().contains("oldSelf"),
                });
            }
        });
    }
    found
}

/// A rule, named by its path and a part of its message, and an object that breaks it.
struct Case {
    path: &'static str,
    message: &'static str,
    object: Value,
}

fn cases() -> Vec<Case> {
    let task = full_task(&sources()[0]);
    let change = |base: &Value, patch: Value| {
        let mut object = base.clone();
        fixtures::merge(&mut object, patch);
        object
    };
    let long = "a".repeat(64);
    let mut cases = Vec::new();
    let mut add = |path, message, object| {
        cases.push(Case {
            path,
            message,
            object,
        });
    };
    add(
        "Task",
        "at most 63",
        change(&task, json!({"metadata": {"name": long}})),
    );
    add(
        "Episode",
        "at most 63",
        change(&full_replay(), json!({"metadata": {"name": long}})),
    );
    add("Task.spec.data", "set prepare, or path", full_task(&json!({})));
    let map = json!({"configMap": {"name": fixtures::CODE}});
    add(
        "Task.spec.data",
        "go together",
        full_task(&json!({"public": map})),
    );
    add(
        "Task.spec.data",
        "path stands alone",
        change(&task, json!({"spec": {"data": {"path": "data"}}})),
    );
    let both = json!({"configMap": {"name": fixtures::CODE}, "image": {"reference": "localhost/a:1"}});
    add(
        "Task.spec.data.public",
        "set exactly one of",
        full_task(&json!({"public": both, "private": map})),
    );
    add(
        "Task.spec.data.private",
        "set exactly one of",
        full_task(&json!({"public": map, "private": {}})),
    );
    for (key, refused) in [
        ("cpu must be", json!({"cpu": "9m"})),
        ("memory must be", json!({"memory": 512})),
        ("ephemeralStorage must be", json!({"ephemeralStorage": "63Mi"})),
    ] {
        add(
            "Task.spec.environment.resources",
            key,
            change(&task, json!({"spec": {"environment": {"resources": refused}}})),
        );
        add(
            "Episode.spec.agent.container.resources",
            key,
            change(
                &full_container(),
                json!({"spec": {"agent": {"container": {"resources": refused}}}}),
            ),
        );
    }
    add(
        "Task.spec.environment.labels",
        "labels of mledojo.dev/",
        change(
            &task,
            json!({"spec": {"environment": {"labels": {"mledojo.dev/task": "x"}}}}),
        ),
    );
    add(
        "Task.spec.environment.annotations",
        "annotations of mledojo.dev/",
        change(
            &task,
            json!({"spec": {"environment": {"annotations": {"mledojo.dev/task": "x"}}}}),
        ),
    );
    add(
        "Task.spec.evaluation",
        "say reward: Score",
        change(
            &task,
            json!({"spec": {"evaluation": {"leaderboards": null, "stepReward": "Score"}}}),
        ),
    );
    add(
        "Task.spec.evaluation",
        "say stepReward",
        change(
            &task,
            json!({"spec": {"evaluation": {"leaderboards": [], "reward": "Score"}}}),
        ),
    );
    for (key, refused) in [
        ("wallClock must be", json!({"wallClock": "0s"})),
        ("actionTimeout must be", json!({"actionTimeout": "0m0s"})),
        ("validationTimeout must be", json!({"validationTimeout": "0ms"})),
    ] {
        add(
            "Task.spec.limits",
            key,
            change(&task, json!({"spec": {"limits": refused}})),
        );
        add(
            "Episode.spec.limits",
            key,
            change(&full_replay(), json!({"spec": {"limits": refused}})),
        );
    }
    add(
        "Episode.spec.agent",
        "set exactly one of",
        change(&full_replay(), json!({"spec": {"agent": {"replay": null}}})),
    );
    add(
        "Episode.spec.agent.container.env[]",
        "DOJO_",
        change(
            &full_container(),
            json!({"spec": {"agent": {"container": {"env": [{"name": "DOJO_URL", "value": "x"}]}}}}),
        ),
    );
    cases
}

/// The case of a rule: there is exactly one.
fn case_of<'a>(rule: &Rule, cases: &'a [Case]) -> &'a Case {
    let matching: Vec<&Case> = cases
        .iter()
        .filter(|case| case.path == rule.path && rule.message.contains(case.message))
        .collect();
    let [case] = matching.as_slice() else {
        panic!(
            "{} cases for the rule {rule:?}: one is wanted in cases()",
            matching.len()
        );
    };
    case
}

/// Ways to break a rule of updates.
fn changes_of<'a>(rule: &Rule, changes: &'a [(&'static str, Vec<Value>)]) -> &'a (&'static str, Vec<Value>) {
    let found: Vec<_> = changes
        .iter()
        .filter(|(field, _)| rule.message.starts_with(&format!("{field} cannot change")))
        .collect();
    let [change] = found.as_slice() else {
        panic!(
            "{} changes for the rule {rule:?}: one is wanted in changes()",
            found.len()
        );
    };
    change
}

#[test]
fn every_rule_has_a_case_that_breaks_it_and_no_case_is_without_a_rule() {
    let rules = rules(&own_schemas());
    let (cases, changes) = (cases(), changes());
    for rule in &rules {
        if rule.transition {
            let old: Episode = serde_json::from_value(full_replay()).unwrap();
            for way in &changes_of(rule, &changes).1 {
                let errors = updated(&old, way).validate_cel_update(&old).unwrap_err();
                assert!(
                    errors.iter().any(|error| error.message == rule.message),
                    "{way}: {errors:?}"
                );
            }
        } else {
            let problems = local(&case_of(rule, &cases).object).unwrap_err();
            assert!(
                problems.iter().any(|problem| problem.message == rule.message),
                "{rule:?}: {problems:?}"
            );
        }
    }
    let ruled: BTreeSet<&str> = rules.iter().map(|rule| rule.path.as_str()).collect();
    for case in &cases {
        assert!(ruled.contains(case.path), "there is no rule at {}", case.path);
    }
}

/// The API server puts `Invalid value: "object": ` before a rule's message.
fn says(cause: &StatusCause, message: &str) -> bool {
    cause.message == message || cause.message.ends_with(&format!(": {message}"))
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn every_rule_of_the_crds_is_said_alike_by_the_api_server_and_the_local_runner() {
    play("rules", Access::Shared, async |space: &Space| {
        let rules = rules(&schemas(space).await);
        let cases = cases();
        println!(
            "{:<44} | {:<COLUMN$} | LOCAL RUNNER",
            "FIELD",
            "API SERVER",
            COLUMN = super::COLUMN
        );
        for rule in rules.iter().filter(|rule| !rule.transition) {
            let case = case_of(rule, &cases);
            let status = dry_create(space, &case.object)
                .await
                .expect_err("the API server takes what breaks a rule");
            let problems = local(&case.object).expect_err("the local runner takes what breaks a rule");
            let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
            let cause = causes
                .iter()
                .find(|cause| says(cause, &rule.message))
                .unwrap_or_else(|| panic!("the API server does not say {rule:?}: {status:?}"));
            let problem = problems
                .iter()
                .find(|problem| problem.message == rule.message)
                .unwrap_or_else(|| panic!("the local runner does not say {rule:?}: {problems:?}"));
            println!(
                "{:<44} | {:<COLUMN$} | {}",
                problem.path,
                cell(&cause.message),
                cell(&problem.message),
                COLUMN = super::COLUMN
            );
            // A rule of the whole object has no field.
            assert!(
                problem.path.is_empty() || problem.path == cause.field,
                "{rule:?}: the API server names the field {}, the local runner {}",
                cause.field,
                problem.path
            );
            for problem in &problems {
                assert!(
                    causes.iter().any(|cause| says(cause, &problem.message)),
                    "{rule:?}: the API server does not say {problem:?}: {causes:?}"
                );
            }
            assert_eq!(causes.len(), problems.len(), "{rule:?}: {causes:?} {problems:?}");
        }
    });
}

/// Updates that no rule lets pass: the field, and every way to change it.
fn changes() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("taskRef", vec![json!({"taskRef": {"name": "other"}})]),
        (
            "agent",
            vec![
                json!({"agent": {"replay": {"configMapKeyRef": {"name": "other"}}}}),
                json!({"agent": {"replay": null, "container": {"image": "localhost/a:1", "command": ["a"]}}}),
            ],
        ),
        (
            "limits",
            vec![json!({"limits": {"steps": 6}}), json!({"limits": null})],
        ),
        ("seed", vec![json!({"seed": 8}), json!({"seed": null})]),
        (
            "scheduling",
            vec![
                json!({"scheduling": {"queueName": "other"}}),
                json!({"scheduling": null}),
            ],
        ),
        (
            "retry",
            vec![json!({"retry": {"limit": 2}}), json!({"retry": null})],
        ),
        (
            "managedBy",
            vec![
                json!({"managedBy": "tests.mledojo.dev/other"}),
                json!({"managedBy": null}),
            ],
        ),
    ]
}

/// The Episode with a merge patch applied to its spec.
fn updated(old: &Episode, spec: &Value) -> Episode {
    let mut new = serde_json::to_value(old).unwrap();
    fixtures::merge(&mut new, json!({"spec": spec}));
    serde_json::from_value(new).unwrap()
}

async fn dry_update(space: &Space, name: &str, spec: &Value) -> Result<Episode, kube::Error> {
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    space
        .api::<Episode>()
        .patch(name, &parameters, &Patch::Merge(json!({"spec": spec})))
        .await
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn what_cannot_change_is_said_in_plain_words_and_alike() {
    play("updates", Access::Shared, async |space: &Space| {
        let old = space.make_episode(full_replay()).await;
        let changes = changes();
        for rule in rules(&schemas(space).await)
            .into_iter()
            .filter(|rule| rule.transition)
        {
            let (field, ways) = changes_of(&rule, &changes);
            for way in ways {
                let Err(kube::Error::Api(status)) = dry_update(space, "full", way).await else {
                    panic!("the API server does not refuse {way}");
                };
                let errors = updated(&old, way)
                    .validate_cel_update(&old)
                    .expect_err("the same engine takes it");
                let errors: Vec<_> = errors.into_iter().collect();
                let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
                println!(
                    "{field:<12} | {:<COLUMN$} | {}",
                    cell(causes.first().map_or("", |cause| &cause.message)),
                    cell(errors.first().map_or("", |error| &error.message)),
                    COLUMN = super::COLUMN
                );
                let field = format!("spec.{field}");
                assert!(
                    causes
                        .iter()
                        .any(|cause| says(cause, &rule.message) && cause.field == field),
                    "{way}: {status:?}"
                );
                assert!(
                    errors
                        .iter()
                        .any(|error| error.message == rule.message && error.field_path == field),
                    "{way}: {errors:?}"
                );
                assert_eq!(causes.len(), errors.len(), "{way}: {causes:?} {errors:?}");
            }
        }
        for free in [
            json!({"suspend": false}),
            json!({"suspend": null}),
            json!({"ttlAfterFinished": "1h"}),
            json!({"ttlAfterFinished": null}),
        ] {
            dry_update(space, "full", &free)
                .await
                .unwrap_or_else(|error| panic!("{free} may change: {error}"));
        }
    });
}
