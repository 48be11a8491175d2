//! `dojo logs` and `dojo trajectory` as processes.

use std::fs;
use std::process::Output;

use axum::body::Bytes;
use mledojo::operator::archive::{Appended, FilePath};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::api::FakeApi;
use crate::stage::Stage;

fn fill(stage: &Stage) {
    for (path, text) in [
        ("trajectory.jsonl", "{\"one\": 1}\n{\"two\": 2}\n"),
        ("logs/execution_10.log", "ten\n"),
        ("logs/execution_2.log", "two\n"),
    ] {
        let path = FilePath::parse(path).unwrap();
        let put = stage
            .archive
            .append("team-a/ep/episode-uid/1", &path, 0, Bytes::from(text));
        let size = text.len() as u64;
        assert_eq!(stage.runtime.block_on(put).unwrap(), Appended::Taken(size));
    }
}

fn jane() -> Value {
    json!({"token": "user/jane"})
}

fn out(output: &Output) -> &str {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::str::from_utf8(&output.stdout).unwrap()
}

fn refused(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_user_fetches_trajectory_and_logs() {
    let stage = Stage::new();
    fill(&stage);
    let whole = "{\"one\": 1}\n{\"two\": 2}\n";
    assert_eq!(out(&stage.user(&jane(), &["trajectory", "ep"])), whole);
    let file = stage.path("out.jsonl");
    let written = stage.user(
        &jane(),
        &[
            "trajectory",
            "ep",
            "-n",
            "team-a",
            "--attempt",
            "1",
            "-o",
            file.to_str().unwrap(),
        ],
    );
    assert_eq!(out(&written), "");
    assert_eq!(fs::read_to_string(file).unwrap(), whole);
    let logs = stage.user(&jane(), &["logs", "ep"]);
    assert_eq!(
        out(&logs),
        "==> logs/execution_2.log <==\ntwo\n\n==> logs/execution_10.log <==\nten\n"
    );
    assert!(String::from_utf8_lossy(&logs.stderr).contains("kubectl logs -n team-a ep-1 -c agent"));
    stage.api.change(|status| status["phase"] = json!("Completed"));
    assert_eq!(out(&stage.user(&jane(), &["logs", "ep", "-f"])), out(&logs));
    let list = stage.user(&jane(), &["logs", "ep", "--list"]);
    assert_eq!(out(&list).lines().count(), 3);
}

#[test]
fn a_trajectory_that_did_not_arrive_whole_is_given_and_said_so() {
    let stage = Stage::new();
    fill(&stage);
    stage.api.change(|status| {
        status["phase"] = json!("Completed");
        status["trajectory"] = json!({"uri": "memory:///a", "digest": "0", "size": 99});
    });
    let output = stage.user(&jane(), &["trajectory", "ep"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"{\"one\": 1}\n{\"two\": 2}\n");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("incomplete: its relay wrote 99 bytes, and 22 of them"),
        "{words}"
    );
}

#[test]
fn a_user_is_told_what_is_wrong_and_a_stranger_nothing() {
    let stage = Stage::new();
    let told = |user: &Value, arguments: &[&str]| refused(&stage.user(user, arguments)).to_owned();
    assert!(told(&jane(), &["trajectory", "ep"]).contains("no trajectory is archived yet of attempt 1"));
    assert!(told(&jane(), &["logs", "ep"]).contains("no output is archived yet"));
    assert!(
        told(&jane(), &["trajectory", "none"])
            .contains("there is no Episode \"none\" in namespace \"team-a\"")
    );
    fill(&stage);
    let stranger = json!({"token": "user/joe"});
    let there = told(&stranger, &["trajectory", "ep"]);
    let not_there = told(&stranger, &["trajectory", "ne"]);
    assert!(
        there.contains("may not get episodes.mledojo.dev \"ep\""),
        "{there}"
    );
    assert_eq!(there.replace("\"ep\"", "\"ne\""), not_there);
    assert!(told(&json!({"token": "expired"}), &["logs", "ep"]).contains("does not know this token"));
    assert!(told(&json!({}), &["logs", "ep"]).contains("show who you are"));
    let elsewhere = ["logs", "ep", "--operator-namespace", "elsewhere"];
    assert!(told(&jane(), &elsewhere).contains("there is no ConfigMap elsewhere/mle-dojo-operator-ca"));
    let stage = Stage::with(|_| {}, false);
    assert!(refused(&stage.user(&jane(), &["logs", "ep"])).contains("keeps no archive"));
}

/// A client certificate of the cluster, as kubeconfig has it, with the authority that signed it.
fn certificate(user: &str) -> (Value, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::from_params(&params, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    (
        json!({"client-certificate": certificate, "client-key": key.serialize_pem()}),
        authority,
    )
}

#[test]
fn a_client_certificate_of_the_cluster_is_as_good_as_a_token() {
    let (mut jane, authority) = certificate("jane");
    let publish = |api: &FakeApi| {
        let key = ["configmaps", "kube-system", "extension-apiserver-authentication"].map(str::to_owned);
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key[2]},
            "data": {"client-ca-file": authority},
        });
        api.world().objects.insert(key.into(), map);
    };
    let stage = Stage::with(publish, true);
    fill(&stage);
    let of = |user: &mut Value, name: &str| {
        for field in ["client-certificate", "client-key"] {
            let file = stage.path(&format!("{name}-{field}"));
            fs::write(&file, user[field].as_str().unwrap()).unwrap();
            user[field] = json!(file);
        }
        stage.user(user, &["trajectory", "ep"])
    };
    assert!(out(&of(&mut jane, "jane")).starts_with("{\"one\": 1}"));
    // Signed by an authority that the cluster does not publish.
    let (mut forged, _) = certificate("jane");
    assert!(refused(&of(&mut forged, "forged")).contains("cannot reach the report server"));
    // Without a certificate a token does.
    assert!(
        out(&stage.user(&json!({"token": "user/jane"}), &["trajectory", "ep"])).starts_with("{\"one\": 1}")
    );
}
