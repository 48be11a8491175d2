//! `dojo plan`: what a cluster would get, without one.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::local::read;
use crate::plan::{self, Checked, Ids, Plan, PodOptions, Problem};

/// Arguments of `dojo plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// YAML files, or directories with a kustomization.yaml
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Form of the output; json is one List
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
    /// Image of this program
    #[arg(long, default_value = concat!("mle-dojo-operator:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Leave users and groups to the cluster, as OpenShift's namespaces assign them
    #[arg(long)]
    assigned_ids: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Yaml,
    Json,
}

/// Runs `dojo plan`. Exit code 2 when the input has problems, all of which are printed.
pub fn main(args: Args) -> ExitCode {
    let checked = match read::documents(&args.paths).and_then(|documents| plan::validate(&documents)) {
        Ok(checked) => checked,
        Err(problems) => return refuse(&problems.iter().map(Problem::to_string).collect::<Vec<_>>()),
    };
    if checked.episodes.is_empty() {
        return refuse(&["there is no Episode in what was given, so there is nothing to plan".into()]);
    }
    let options = PodOptions {
        image: args.image,
        ids: if args.assigned_ids {
            Ids::Assigned
        } else {
            Ids::Fixed
        },
        report: None,
    };
    let text = objects(&checked, &options).and_then(|objects| {
        render(&objects, args.output).map_err(|error| vec![format!("failed to print: {error}")])
    });
    match text {
        Ok(text) => match io::stdout().lock().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // The reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(problems) => refuse(&problems),
    }
}

/// NetworkPolicy and Job of every Task, then the objects of the first attempt of every Episode.
fn objects(checked: &Checked, options: &PodOptions) -> Result<Vec<Value>, Vec<String>> {
    let mut objects = Vec::new();
    let mut problems = Vec::new();
    for task in checked.tasks.iter().map(|task| &task.resource) {
        objects.extend(serde_json::to_value(plan::task::network_policy(task)));
        let file = task.spec.data.prepare.as_ref();
        let content = file.and_then(|file| checked.file(plan::namespace_of(task), &file.config_map_key_ref));
        let job = content.and_then(|content| plan::pod::prepare_job(task, content, options));
        objects.extend(job.map(serde_json::to_value).into_iter().flatten());
    }
    for episode in &checked.episodes {
        let Some(task) = checked.task_of(&episode.resource) else {
            continue; // validation has seen to it
        };
        match plan::cluster(&task.resource, &episode.resource, 1, options) {
            Ok(Plan { config_map, pod }) => objects.extend(
                [serde_json::to_value(config_map), serde_json::to_value(pod)]
                    .into_iter()
                    .flatten(),
            ),
            Err(reason) => problems.push(format!("{}: {reason}", episode.file)),
        }
    }
    if problems.is_empty() {
        Ok(objects)
    } else {
        Err(problems)
    }
}

fn render(objects: &[Value], output: Output) -> Result<String, String> {
    match output {
        Output::Yaml => serde_saphyr::to_string_multiple(objects).map_err(|error| error.to_string()),
        Output::Json => {
            serde_json::to_string_pretty(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))
                .map(|text| text + "\n")
                .map_err(|error| error.to_string())
        }
    }
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    ExitCode::from(2)
}
