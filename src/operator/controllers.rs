//! The controllers of the leader: watches, stores, queues, and what looks at what.
//!
//! ```text
//!   watch      store      queue of Episodes     of Tasks          of Pods without an Episode
//!   Episode -> episodes -> spec, deletion        phase -> counts   gone -> its pods
//!   Pod     -> pods     -> owner                                   held, deletion
//!   Task    -> tasks    -> those that name it    spec, deletion
//!   Job     -> jobs     ->                       owner
//!   Node    -> nodes
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use futures::channel::mpsc;
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::runtime::controller::{Action, Config, Error};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{applier, watcher};
use kube::{Api, Client, Resource};

use super::backoff::Backoff;
use super::call::call;
use super::context::{Context, ReportSource, task_ref};
use super::memory::Memory;
use super::nodes::Nodes;
use super::owned::{Owned, owner};
use super::task::Pace;
use super::watch::{Changes, OURS, Queue, events, follow, uid_of};
use super::{episode, orphans, prune, task};
use crate::api::{Episode, GROUP, Task};
use crate::metrics::OperatorMetrics;
use crate::plan::Settings;
use crate::plan::lifecycle::MANAGER;

/// Told when to end.
pub(super) type Shutdown = Shared<BoxFuture<'static, ()>>;

/// What the controllers are started with.
pub(super) struct Parts {
    pub(super) client: Client,
    /// The only namespace that is looked at. Unset: all.
    pub(super) namespace: Option<String>,
    /// Name of this replica, for Events.
    pub(super) identity: String,
    pub(super) settings: Settings,
    pub(super) report: ReportSource,
    pub(super) metrics: OperatorMetrics,
    /// Looks at objects of one kind at one time.
    pub(super) concurrency: u16,
}

/// Runs the controllers until they are told to end and have ended what they were at. `synced` is called when the stores have
/// everything.
pub(super) async fn run(parts: Parts, shutdown: Shutdown, synced: impl FnOnce()) {
    let Parts {
        client,
        namespace,
        identity,
        settings,
        report,
        metrics,
        concurrency,
    } = parts;
    let namespace = namespace.as_deref();
    let (episodes, episode_writer) = reflector::store();
    let (tasks, task_writer) = reflector::store();
    let (pods, pod_writer) = reflector::store();
    let (jobs, job_writer) = reflector::store();
    let (nodes, node_writer) = reflector::store();
    let nodes = may_read_nodes(&client).await.then(|| Nodes::new(nodes));
    let reporter = Reporter {
        controller: MANAGER.into(),
        instance: Some(identity.chars().take(128).collect()),
    };
    let context = Arc::new(Context {
        episodes,
        tasks,
        pods,
        jobs,
        owned: Owned::default(),
        nodes,
        settings,
        report,
        recorder: Recorder::new(client.clone(), reporter),
        metrics,
        memory: Memory::default(),
        backoff: Backoff::default(),
        pace: Pace::default(),
        client: client.clone(),
    });
    let (episode_queue, episode_requests) = queue();
    let (task_queue, task_requests) = queue();
    let (orphan_queue, orphan_requests) = queue();
    let ours = || watcher::Config::default().labels(OURS);
    let all = watcher::Config::default;

    let episode_watch = {
        let (context, own, counted, orphans) = (
            Arc::clone(&context),
            episode_queue.clone(),
            task_queue.clone(),
            orphan_queue.clone(),
        );
        let mut changes = Changes::new(|episode: &Episode| {
            (
                episode::own_change(episode),
                (ObjectRef::from_obj(episode), uid_of(episode)),
            )
        });
        let mut counts =
            Changes::new(|episode: &Episode| (task::change_of_counts(episode), task_ref(episode)));
        let source = events(
            api(&client, namespace),
            all(),
            prune::managed_fields,
            episode_writer,
        );
        follow(episode::KIND, source, move |event| {
            context.memory.heed(event);
            for change in changes.take(event) {
                let (episode, uid) = change.value;
                if change.gone {
                    let pods = context.owned.of(
                        episode.namespace.as_deref().unwrap_or_default(),
                        &uid,
                        &context.pods,
                    );
                    pods.iter()
                        .for_each(|pod| orphans.push(ObjectRef::from_obj(&**pod)));
                } else {
                    own.push(episode);
                }
            }
            counts
                .take(event)
                .into_iter()
                .for_each(|change| counted.push(change.value));
        })
    };
    let pod_watch = {
        let (context, owners, orphans) = (Arc::clone(&context), episode_queue.clone(), orphan_queue.clone());
        let mut changes = Changes::new(|pod: &Pod| (pod_change(pod), episode_of(pod)));
        let mut held = Changes::new(|pod: &Pod| (orphans::change(pod), ObjectRef::from_obj(pod)));
        let source = events(api(&client, namespace), ours(), prune::pod, pod_writer);
        follow("Pod", source, move |event| {
            context.owned.heed(event);
            let changed = changes.take(event).into_iter();
            changed
                .filter_map(|change| change.value)
                .for_each(|episode| owners.push(episode));
            let held = held.take(event).into_iter().filter(|change| !change.gone);
            held.for_each(|change| orphans.push(change.value));
        })
    };
    let task_watch = {
        let (context, own, users) = (Arc::clone(&context), task_queue.clone(), episode_queue.clone());
        let mut changes = Changes::new(|task: &Task| (task::own_change(task), ObjectRef::from_obj(task)));
        let mut bearing =
            Changes::new(|task: &Task| (task::change_for_episodes(task), ObjectRef::from_obj(task)));
        let source = events(api(&client, namespace), all(), prune::managed_fields, task_writer);
        follow(task::KIND, source, move |event| {
            let changed = changes.take(event).into_iter().filter(|change| !change.gone);
            changed.for_each(|change| own.push(change.value));
            for change in bearing.take(event) {
                let episodes = context.episodes.state();
                let users_of = episodes
                    .iter()
                    .filter(|episode| task_ref(episode) == change.value);
                users_of.for_each(|episode| users.push(ObjectRef::from_obj(&**episode)));
            }
        })
    };
    let job_watch = {
        let tasks = task_queue.clone();
        let mut changes = Changes::new(|job: &Job| (version(job), task_of(job)));
        let source = events(api(&client, namespace), ours(), prune::job, job_writer);
        follow("Job", source, move |event| {
            let changed = changes.take(event).into_iter();
            changed
                .filter_map(|change| change.value)
                .for_each(|task| tasks.push(task));
        })
    };
    let node_watch = {
        let context = Arc::clone(&context);
        let mut changes = Nodes::changes();
        let source = events(Api::all(client.clone()), all(), prune::node, node_writer);
        let wanted = context.nodes.is_some();
        let following = follow("Node", source, move |event| {
            if let Some(nodes) = &context.nodes {
                nodes.heed(event, &mut changes);
            }
        });
        async move {
            if wanted {
                following.await;
            }
        }
    };
    let watches = async {
        tokio::join!(episode_watch, pod_watch, task_watch, job_watch, node_watch);
    };

    let looks = async {
        if !all_synced(&context, shutdown.clone()).await {
            return;
        }
        synced();
        let config = Config::default().concurrency(concurrency.max(1));
        let episodes = applier(
            |episode, context| episode::reconcile(episode, context).boxed(),
            |episode, _, context| episode::retry(&episode, &context),
            Arc::clone(&context),
            context.episodes.clone(),
            requests(episode_requests, shutdown.clone()),
            config.clone(),
        );
        let tasks = applier(
            |task, context| task::reconcile(task, context).boxed(),
            |task, _, context| task::retry(&task, &context),
            Arc::clone(&context),
            context.tasks.clone(),
            requests(task_requests, shutdown.clone()),
            config.clone(),
        );
        let orphans = applier(
            |pod, context| orphans::reconcile(pod, context).boxed(),
            |pod, _, context| orphans::retry(&pod, &context),
            Arc::clone(&context),
            context.pods.clone(),
            requests(orphan_requests, shutdown.clone()),
            config,
        );
        tokio::join!(drain(episodes), drain(tasks), drain(orphans));
    };
    tokio::select! {
        () = watches => {}
        () = looks => {}
    }
}

/// Objects of a kind, in one namespace or in all.
fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Whether the nodes may be read: an operator of one namespace may not, as a rule.
async fn may_read_nodes(client: &Client) -> bool {
    let nodes: Api<Node> = Api::all(client.clone());
    let params = ListParams::default().limit(1);
    match call("list", "the nodes", nodes.list_metadata(&params)).await {
        Err(error) if error.is_forbidden() => {
            tracing::info!(
                %error,
                "the nodes may not be read: nothing will be said about a request that no node could satisfy"
            );
            false
        }
        Err(error) => {
            tracing::warn!(%error, "the nodes cannot be read yet");
            true
        }
        Ok(_) => true,
    }
}

/// Waits until every store has everything. False: it is to end before that.
async fn all_synced(context: &Context, shutdown: Shutdown) -> bool {
    let nodes = async {
        match &context.nodes {
            Some(nodes) => nodes.store().wait_until_ready().await,
            None => Ok(()),
        }
    };
    let stores = async {
        tokio::join!(
            context.episodes.wait_until_ready(),
            context.tasks.wait_until_ready(),
            context.pods.wait_until_ready(),
            context.jobs.wait_until_ready(),
            nodes,
        )
    };
    tokio::select! {
        _ = stores => true,
        () = shutdown => false,
    }
}

fn queue<K: reflector::Lookup<DynamicType = ()>>() -> (Queue<K>, mpsc::UnboundedReceiver<ObjectRef<K>>) {
    let (sender, receiver) = mpsc::unbounded();
    (Queue(sender), receiver)
}

/// The queue as the engine takes it. It ends on shutdown; then the engine ends what it is at, and itself.
fn requests<K: reflector::Lookup<DynamicType = ()> + 'static>(
    queue: mpsc::UnboundedReceiver<ObjectRef<K>>,
    shutdown: Shutdown,
) -> impl Stream<Item = Result<ObjectRef<K>, Infallible>> {
    queue.map(Ok).take_until(shutdown)
}

/// Runs an engine to its end. Failures of looks were told by the looks.
async fn drain<K, E>(looks: impl Stream<Item = Result<(ObjectRef<K>, Action), Error<E, Infallible>>>)
where
    K: reflector::Lookup<DynamicType = ()>,
    E: std::error::Error + 'static,
{
    looks
        .for_each(|look| async {
            match look {
                Ok(_) | Err(Error::ReconcilerFailed(..)) => {}
                // It was deleted between its event and its turn.
                Err(Error::ObjectNotFound(object)) => tracing::debug!(%object, "it is gone"),
                Err(error) => tracing::error!(%error, "a controller is broken"),
            }
        })
        .await;
}

/// Every change of a pod matters, and all of them go through its version.
fn pod_change(pod: &Pod) -> u64 {
    version(pod)
}

fn version<K: Resource>(object: &K) -> u64 {
    super::watch::fingerprint(&object.meta().resource_version)
}

fn episode_of(pod: &Pod) -> Option<ObjectRef<Episode>> {
    let owner = owner(pod)?;
    Some(ObjectRef::new(&owner.name).within(pod.metadata.namespace.as_deref()?))
}

fn task_of(job: &Job) -> Option<ObjectRef<Task>> {
    let mut owners = job.metadata.owner_references.iter().flatten();
    let owner =
        owners.find(|owner| owner.kind == "Task" && owner.api_version.split('/').next() == Some(GROUP))?;
    Some(ObjectRef::new(&owner.name).within(job.metadata.namespace.as_deref()?))
}
