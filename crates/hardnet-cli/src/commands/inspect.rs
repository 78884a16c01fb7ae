//! `hardnet inspect`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use hardnet_checkpoint::{Checkpoint, Dtype, TensorInfo};
use hardnet_model::{FileTensor, recognise};
use serde::Serialize;

use crate::failure::{Exit, Result};
use crate::model::name_of;
use crate::printer::Printer;

/// Say what a model file holds, also one that cannot be used.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet inspect hardnet68.pth
  hardnet inspect --tensors hardnet_best.pdparams")]
pub(crate) struct InspectArgs {
    /// PyTorch file, Paddle file or safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is known of a file. Field names are API.
#[derive(Serialize)]
struct Findings {
    schema_version: u32,
    path: String,
    sha256: String,
    bytes: usize,
    format: String,
    /// The entry that the tensors were inside of.
    wrapper: Option<String>,
    tensors: Vec<Tensor>,
    /// The network, or the published one that comes closest.
    model: String,
    classes: usize,
    scheme: &'static str,
    /// What keeps the file from being that network.
    differences: Option<String>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

pub(crate) fn run(args: &InspectArgs, printer: &Printer) -> Result<Exit> {
    let path = args.file.display().to_string();
    let checkpoint = Checkpoint::open(&args.file).with_context(|| format!("cannot read `{path}`"))?;
    let recognised = recognise(&checkpoint.tensors().iter().map(file_tensor).collect::<Vec<_>>(), None)?;
    let findings = Findings {
        schema_version: 1,
        path,
        sha256: hardnet_weights::sha256(checkpoint.bytes()),
        bytes: checkpoint.bytes().len(),
        format: checkpoint.format().to_string(),
        wrapper: checkpoint.wrapper().map(Into::into),
        tensors: checkpoint.tensors().iter().map(tensor).collect(),
        model: name_of(&recognised.config),
        classes: recognised.config.classes(),
        scheme: recognised.scheme.name(),
        differences: (recognised.differences.count() > 0).then(|| recognised.differences.to_string()),
    };
    if args.json {
        printer.json(&findings)?;
    } else {
        print(&findings, args.tensors, printer)?;
    }
    Ok(Exit::Success)
}

fn print(findings: &Findings, tensors: bool, printer: &Printer) -> Result<()> {
    printer.line(format_args!("file      {}, {} bytes", findings.path, findings.bytes))?;
    printer.line(format_args!("sha256    {}", findings.sha256))?;
    let inside = findings.wrapper.as_ref().map_or(String::new(), |wrapper| format!(", inside `{wrapper}`"));
    printer.line(format_args!("format    {}, {} tensors{inside}", findings.format, findings.tensors.len()))?;
    match &findings.differences {
        None => printer.line(format_args!(
            "network   {} with {} classes, names of {}",
            findings.model, findings.classes, findings.scheme
        ))?,
        Some(differences) => printer.line(format_args!(
            "network   none that is known; closest is {} with names of {}: {differences}",
            findings.model, findings.scheme
        ))?,
    }
    if tensors {
        printer.line("")?;
        for tensor in &findings.tensors {
            printer.line(format_args!("{:<6} {:<20} {}", tensor.dtype, format!("{:?}", tensor.shape), tensor.name))?;
        }
    }
    Ok(())
}

fn tensor(info: &TensorInfo) -> Tensor {
    Tensor { name: info.name.clone(), dtype: info.dtype.to_string(), shape: info.shape.clone() }
}

fn file_tensor(info: &TensorInfo) -> FileTensor {
    let readable = matches!(info.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::Bf16);
    FileTensor {
        name: info.name.clone(),
        shape: info.shape.clone(),
        unreadable: (!readable).then(|| info.dtype.to_string()),
    }
}
