//! `hardnet inspect`.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use hardnet_base::{excerpt, excerpt_of};
use hardnet_checkpoint::{Checkpoint, Format, OpaqueValue, ReadOptions, TensorInfo};
use hardnet_model::{Differences, Examined, Recognized, WeightsOptions, examine_with};
use hardnet_params::with_parameters;
use hardnet_weights::WeightsSource;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::format::counted;
use crate::model::{WEIGHTS_HELP, name_of};
use crate::printer::Printer;
use crate::weights::{FetchArgs, PartArgs, is_missing_name, locate, meant};

/// Characters that are shown of a metadata value or a tensor's name; `--json` prints all of them.
const MAX_CHARS: usize = 300;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet inspect hardnet68.pth
  hardnet inspect --tensors hardnet_best.pdparams")]
pub(crate) struct InspectArgs {
    #[arg(value_name = "FILE", help = WEIGHTS_HELP)]
    file: WeightsSource,
    #[command(flatten)]
    part: PartArgs,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    // The heading of this group applies to all that follows, so it comes last.
    #[command(flatten)]
    fetch: FetchArgs,
}

/// The contents of a file. Field names are API.
#[derive(Serialize)]
struct Findings {
    schema_version: u32,
    path: String,
    sha256: String,
    bytes: usize,
    format: String,
    /// Key of the dictionary that holds the tensors.
    wrapper: Option<String>,
    /// All dictionaries of tensors, for `--entry`.
    dictionaries: Vec<Dictionary>,
    /// Numbers next to the tensors that count steps, such as `n_averaged`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counters: Vec<String>,
    /// Values of unknown classes in the dictionary, or in place of one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    opaque: Vec<Opaque>,
    /// Metadata of a safetensors file; texts that are JSON are shown as JSON.
    metadata: BTreeMap<String, serde_json::Value>,
    tensors: Vec<Tensor>,
    /// Tensors, values and bytes of each type.
    totals: BTreeMap<String, Total>,
    #[serde(flatten)]
    network: Network,
    /// Whether `hardnet convert` and `--weights` accept the file.
    usable: bool,
}

#[derive(Serialize)]
struct Dictionary {
    entry: String,
    tensors: usize,
}

#[derive(Serialize)]
struct Opaque {
    name: String,
    class: String,
}

impl From<&OpaqueValue> for Opaque {
    fn from(value: &OpaqueValue) -> Self {
        Self { name: value.name.clone(), class: format!("{}.{}", value.module, value.class) }
    }
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Total {
    tensors: usize,
    values: usize,
    bytes: usize,
}

/// The network in a file, or the most similar published one.
#[derive(Default, Serialize)]
struct Network {
    model: Option<String>,
    classes: Option<usize>,
    scheme: Option<&'static str>,
    /// How the ranges of a network of 8-bit integers were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantization: Option<String>,
    /// The common prefix of the names of its tensors, such as `model.`.
    #[serde(skip_serializing_if = "String::is_empty")]
    prefix: String,
    /// Modules in the middle of names that only wrap others, such as `_orig_mod`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wrappers: Vec<String>,
    /// Tensors that are outside the network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// Assumptions about the network, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assumed: Vec<String>,
    /// Differences between the file and that network.
    differences: Option<Differences>,
    /// Why no network could be searched for.
    error: Option<String>,
}

pub(crate) fn run(args: &InspectArgs, printer: &Printer) -> Result<Exit> {
    let path = args.file.to_string();
    let options = args.part.options(None)?;
    let mut read = ReadOptions::default();
    read.entry.clone_from(&options.entry);
    let located = locate(&args.file, &args.fetch, printer)?;
    let checkpoint = match located.checkpoint(&read)? {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            // Length and hash are useful even for a file that cannot be read.
            if !args.json
                && let Some(bytes) = located.file().and_then(|file| raw_content(file, &error))
            {
                print_file(&path, bytes.len(), &hardnet_base::sha256(&bytes), printer)?;
            }
            let failure = Failure::from(anyhow::Error::from(error).context(format!("cannot read `{path}`")));
            let is_missing = located.file().is_some_and(is_missing_name);
            return Err(if is_missing { failure.hint(meant(&path)) } else { failure });
        }
    };
    let findings = findings(path, &checkpoint, &options);
    if args.json {
        printer.json(&findings)?;
    } else {
        print(&findings, args.tensors, printer)?;
    }
    Ok(Exit::Success)
}

/// The content of a file that is not a model file, if it can be read and is not too long.
fn raw_content(path: &Path, error: &hardnet_checkpoint::Error) -> Option<Vec<u8>> {
    use hardnet_checkpoint::Error::{Read, TooLarge};
    (!matches!(error, Read { .. } | TooLarge { .. })).then(|| std::fs::read(path).ok()).flatten()
}

fn findings(path: String, checkpoint: &Checkpoint, options: &WeightsOptions) -> Findings {
    let network = network(&path, checkpoint, options);
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    for info in checkpoint.tensors() {
        let values = info.shape.iter().product::<usize>();
        let total = totals.entry(info.dtype.to_string()).or_default();
        total.tensors += 1;
        total.values += values;
        total.bytes += values * info.dtype.size();
    }
    let json = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into());
    Findings {
        schema_version: 1,
        path,
        sha256: hardnet_base::sha256(checkpoint.bytes().unwrap_or_default()),
        bytes: checkpoint.byte_count(),
        format: checkpoint.format().to_string(),
        wrapper: checkpoint.wrapper().map(Into::into),
        dictionaries: (checkpoint.dictionaries().iter())
            .map(|found| Dictionary { entry: found.path.clone(), tensors: found.tensors })
            .collect(),
        counters: checkpoint.counters().iter().map(|counter| counter.name.clone()).collect(),
        opaque: checkpoint.passed_over().iter().chain(checkpoint.opaque()).map(Opaque::from).collect(),
        metadata: checkpoint.metadata().iter().map(|(key, text)| (key.clone(), json(text))).collect(),
        tensors: checkpoint.tensors().iter().map(tensor).collect(),
        totals,
        usable: network.error.is_none() && network.differences.is_none(),
        network,
    }
}

fn network(path: &str, checkpoint: &Checkpoint, options: &WeightsOptions) -> Network {
    let none = Network::default();
    // The parameters of an ONNX model follow from its graph, which takes a checkpoint of its own.
    let by_graph = (checkpoint.format() == Format::Onnx)
        .then(|| Checkpoint::from_bytes(checkpoint.bytes().unwrap_or_default().to_vec()))
        .and_then(std::result::Result::ok)
        .map(|copy| with_parameters(path, copy, options));
    let examined = match &by_graph {
        Some(Ok(checkpoint)) => examine_with(path, checkpoint, options),
        Some(Err(error)) => return Network { error: Some(error.to_string()), ..none },
        None => examine_with(path, checkpoint, options),
    };
    match examined {
        Ok(Examined { recognized, metadata, .. }) => {
            let Recognized { config, scheme, prefix, wrappers, differences, left_out, assumed, .. } = recognized;
            let (model, classes, scheme) = (Some(name_of(&config)), Some(config.classes()), Some(scheme.name()));
            let differences = (differences.count() > 0).then_some(differences);
            let quantization = metadata.and_then(|metadata| metadata.quantization).map(|made| made.method);
            Network {
                model,
                classes,
                scheme,
                quantization,
                prefix,
                wrappers,
                left_out,
                assumed,
                differences,
                error: None,
            }
        }
        Err(error) => Network { error: Some(error.to_string()), ..none },
    }
}

fn print_file(path: &str, bytes: usize, sha256: &str, printer: &Printer) -> Result<()> {
    printer.line(format_args!("file      {path}, {bytes} bytes"))?;
    printer.line(format_args!("sha256    {sha256}"))
}

fn print(findings: &Findings, tensors: bool, printer: &Printer) -> Result<()> {
    print_file(&findings.path, findings.bytes, &findings.sha256, printer)?;
    let wrapper = findings.wrapper.as_ref().map_or(String::new(), |wrapper| format!(", from `{}`", excerpt(wrapper)));
    printer.line(format_args!("format    {}, {} tensors{wrapper}", findings.format, findings.tensors.len()))?;
    print_entries(findings, printer)?;
    for (dtype, total) in &findings.totals {
        printer.line(format_args!(
            "{:<9} {} tensors, {} values, {} bytes",
            dtype, total.tensors, total.values, total.bytes
        ))?;
    }
    for (key, value) in &findings.metadata {
        printer.line(format_args!("metadata  {}: {}", excerpt(key), excerpt_of(&value.to_string(), MAX_CHARS)))?;
    }
    let Network { model, classes, scheme, differences, error, .. } = &findings.network;
    let (model, scheme) = (model.as_deref().unwrap_or("none"), scheme.unwrap_or("none"));
    match (error, differences) {
        (Some(error), _) => printer.line(format_args!("network   unknown: {error}"))?,
        (None, Some(differences)) => printer
            .line(format_args!("network   unknown; the most similar is {model} with {scheme} names: {differences}"))?,
        (None, None) => {
            printer.line(format_args!("network   {model} with {} classes, {scheme} names", classes.unwrap_or(0)))?
        }
    }
    if let Some(method) = &findings.network.quantization {
        let method = excerpt_of(method, MAX_CHARS);
        printer.line(format_args!("integers  weights and maps of 8 bits; ranges: {method}"))?;
    }
    print_names(&findings.network, printer)?;
    if tensors {
        printer.line("")?;
        for tensor in &findings.tensors {
            let (shape, name) = (format!("{:?}", tensor.shape), excerpt_of(&tensor.name, MAX_CHARS));
            printer.line(format_args!("{:<6} {shape:<20} {name}", tensor.dtype))?;
        }
    }
    Ok(())
}

/// The dictionaries to choose from, and what else the file holds.
fn print_entries(findings: &Findings, printer: &Printer) -> Result<()> {
    let own = findings.wrapper.as_deref().unwrap_or(".");
    for Dictionary { entry, tensors } in findings.dictionaries.iter().filter(|_| findings.dictionaries.len() > 1) {
        let (entry, read) = (excerpt(entry), if entry == own { ", read" } else { "" });
        printer.line(format_args!("entry     `{entry}`, {}{read}", counted(*tensors, "tensor")))?;
    }
    for Opaque { name, class } in &findings.opaque {
        printer.line(format_args!("not read  `{}`: an object of `{}`", excerpt(name), excerpt(class)))?;
    }
    for counter in &findings.counters {
        printer.line(format_args!("counter   `{}`", excerpt(counter)))?;
    }
    Ok(())
}

/// How the file's names differ from the scheme's, what else the file holds, and what was assumed of the network.
fn print_names(network: &Network, printer: &Printer) -> Result<()> {
    let Network { prefix, wrappers, left_out, assumed, .. } = network;
    if !prefix.is_empty() {
        printer.line(format_args!("prefix    `{}`", excerpt(prefix)))?;
    }
    for wrapper in wrappers {
        printer.line(format_args!("wrapper   `{}`", excerpt(wrapper)))?;
    }
    if let Some(first) = left_out.first() {
        let more = if left_out.len() > 1 { ", ..." } else { "" };
        let (count, first) = (counted(left_out.len(), "other tensor"), excerpt(first));
        printer.line(format_args!("left out  {count} (`{first}`{more})"))?;
    }
    for text in assumed {
        printer.line(format_args!("assumed   {text}"))?;
    }
    Ok(())
}

fn tensor(info: &TensorInfo) -> Tensor {
    Tensor { name: info.name.clone(), dtype: info.dtype.to_string(), shape: info.shape.clone() }
}
