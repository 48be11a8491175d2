//! A report server over a made-up API server, and those who speak to it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use kube::{Client, Config};
use mledojo::operator::archive::Archive;
use mledojo::operator::server::{Authority, Context, serve};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::api::FakeApi;
use crate::support::{DOJO, Files, Process, relay_command, until};

pub const OPERATOR: &str = "mle-dojo-operator";
pub const OPERATOR_NAMESPACE: &str = "mle-dojo-system";
/// Token of the pod on record.
pub const POD_TOKEN: &str = "pod/team-a/ep-1/pod-uid";

pub struct Stage {
    pub runtime: Arc<Runtime>,
    pub api: FakeApi,
    api_url: String,
    pub url: String,
    pub authority: Authority,
    pub archive: Archive,
    dir: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(|_| {}, true)
    }

    /// `prepare` runs before the server starts.
    pub fn with(prepare: impl FnOnce(&FakeApi), archived: bool) -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let api = FakeApi::new();
        prepare(&api);
        let (listener, api_url) = runtime.block_on(listen());
        let router = api.router();
        runtime.spawn(async move { axum::serve(listener, router).await });
        let archive = Archive::open(&format!("file://{}/archive", dir.path().display()), []).unwrap();
        let kept = archived.then(|| archive.clone());
        let (authority, url) = runtime.block_on(async {
            let client = client(&api_url);
            let authority = Authority::load_or_create(
                client.clone(),
                OPERATOR_NAMESPACE,
                OPERATOR,
                "https://localhost:8443",
            )
            .await
            .unwrap();
            let (listener, url) = listen().await;
            let context = Context {
                client,
                authority: authority.clone(),
                archive: kept,
            };
            tokio::spawn(serve(listener, context));
            (authority, url)
        });
        let stage = Self {
            runtime,
            api,
            api_url,
            url: url.replace("http://127.0.0.1", "https://localhost"),
            authority,
            archive,
            dir,
        };
        fs::write(stage.path("ca.crt"), stage.authority.certificates_pem()).unwrap();
        stage.set_token(POD_TOKEN);
        stage
    }

    pub fn client(&self) -> Client {
        let _in = self.runtime.enter();
        client(&self.api_url)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As the kubelet exchanges it.
    pub fn set_token(&self, token: &str) {
        fs::write(self.path("token"), format!("{token}\n")).unwrap();
    }

    /// Adds the options that make a relay report to this server.
    pub fn report(&self, command: &mut Command, url: &str) {
        command
            .args([
                "--report-url",
                url,
                "--report-namespace",
                "team-a",
                "--report-attempt",
                "1",
            ])
            .arg("--report-ca")
            .arg(self.path("ca.crt"))
            .arg("--report-token")
            .arg(self.path("token"));
    }

    /// Starts a relay that reports here, and waits until it can be reached.
    pub fn relay(&self, files: &Files) -> Process {
        self.relay_to(files, &self.url)
    }

    pub fn relay_to(&self, files: &Files, url: &str) -> Process {
        let _ = fs::remove_file(files.connection());
        let mut command = relay_command(files);
        self.report(&mut command, url);
        let relay = Process::start(&mut command);
        until("the relay writes its connection file", || {
            fs::metadata(files.connection()).ok()
        });
        relay
    }

    /// One request; status and JSON.
    pub fn ask(&self, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, Value) {
        let pem = self.authority.certificates_pem();
        let _ = rustls::crypto::ring::default_provider().install_default();
        self.runtime.block_on(async {
            let answer = reqwest::Client::builder()
                .tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).unwrap())
                .no_proxy()
                .build()
                .unwrap()
                .request(
                    Method::from_bytes(method.as_bytes()).unwrap(),
                    format!("{}{path}", self.url),
                )
                .bearer_auth(token)
                .body(body.to_vec())
                .send()
                .await
                .unwrap();
            let status: StatusCode = answer.status();
            let body = answer.bytes().await.unwrap();
            let value = serde_json::from_slice(&body)
                .unwrap_or_else(|_| json!(String::from_utf8_lossy(&body).into_owned()));
            (status.as_u16(), value)
        })
    }

    /// What the archive has of a file of the attempt.
    pub fn archived(&self, path: &str) -> Option<Vec<u8>> {
        let (status, body) = self.ask(
            "GET",
            &format!("/v1/namespaces/team-a/episodes/ep/files/{path}"),
            "user/jane",
            b"",
        );
        match body {
            Value::String(text) if status == 200 => Some(text.into_bytes()),
            // A single JSON line.
            value if status == 200 => Some(format!("{value}\n").into_bytes()),
            _ => None,
        }
    }

    /// Runs a command of a user of the cluster.
    pub fn user(&self, user: &Value, arguments: &[&str]) -> Output {
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.api_url}}],
            "users": [{"name": "u", "user": user}],
        });
        fs::write(self.path("kubeconfig"), kubeconfig.to_string()).unwrap();
        Command::new(DOJO)
            .args(arguments)
            .args(["--server", &self.url])
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("DOJO_LOG", "error")
            .output()
            .unwrap()
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn client(url: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(Config::new(url.parse().unwrap())).unwrap()
}
