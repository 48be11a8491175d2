//! `dojo crds`: the CustomResourceDefinitions as YAML.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::api;

/// First line of a generated file.
const NOTE: &str = "# Generated from src/api by `make crds`: do not edit.\n";

/// Arguments of `dojo crds`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write one file per kind into this directory, such as `crds/tasks.mledojo.dev.yaml`, instead of printing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `dojo crds`.
pub fn main(args: Args) -> ExitCode {
    let written = match args.out {
        Some(dir) => write_files(&dir),
        None => print(),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("dojo crds: {message}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result<(), String> {
    let documents: Result<Vec<String>, String> = api::definitions().iter().map(yaml).collect();
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(documents?.join("---\n").as_bytes())
        .map_err(|error| format!("failed to print: {error}"))
}

fn write_files(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| format!("failed to make {}: {error}", dir.display()))?;
    for definition in api::definitions() {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let path = dir.join(format!("{name}.yaml"));
        fs::write(&path, format!("{NOTE}{}", yaml(&definition)?))
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
    }
    Ok(())
}

fn yaml(definition: &CustomResourceDefinition) -> Result<String, String> {
    serde_saphyr::to_string(definition).map_err(|error| format!("failed to write YAML: {error}"))
}
