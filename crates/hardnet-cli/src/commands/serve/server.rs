//! A build with the feature `serve`.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use hardnet_classifier::EmbedOptions;
use hardnet_serve::{BatcherOptions, Log, Model, RequestRecord, Server, ServerOptions, TlsError, TlsIdentity, Workers};
use hardnet_weights::WeightsSource;

use crate::failure::{Exit, Failure, Result};
use crate::format::{at_least_one, positive};
use crate::interrupt::Interrupt;
use crate::labels::classes;
use crate::model::{EngineChoice, ModelArgs, OpenedModel};
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::segmentation::ViewArgs;
use crate::weights::{is_missing_name, meant};

/// Pause between two looks at whether the program is asked to stop.
const POLL: Duration = Duration::from_millis(20);

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
POST /classify and /segment take an image, /v2/models/NAME/infer takes tensors or images, and /openapi.json \
lists all paths. Images that wait are computed together; the answer for an image is that of `hardnet predict \
--batch-size 1 --batch-invariant` or of `hardnet segment`, bit for bit. The address is printed when the \
server listens; /v2/health/ready says when models are loaded. On SIGTERM or Ctrl-C the server answers what \
it has accepted, then ends. --grpc-listen adds gRPC.

Examples:
  hardnet serve --weights hardnet68.safetensors
  hardnet serve hardnet39ds.fashion_mnist --listen 127.0.0.1:8000
  hardnet serve large=hardnet85.safetensors small=hardnet39ds-int8.safetensors --listen 0.0.0.0:8000
  curl --data-binary @photo.jpg -H 'content-type: image/jpeg' 'http://127.0.0.1:8000/classify?topk=3'")]
pub(crate) struct ServeArgs {
    /// Models: weights as of --weights, or NAME=WEIGHTS; the first answers requests that name none
    #[arg(value_name = "[NAME=]WEIGHTS")]
    models: Vec<NamedWeights>,
    /// Address and port to listen on; port 0 is any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", value_parser = address)]
    listen: SocketAddr,
    /// Address and port on which the Open Inference Protocol is answered over gRPC, such as 127.0.0.1:8001
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    grpc_listen: Option<SocketAddr>,
    /// Answer POST /embed too, which holds the weights of each model twice
    #[arg(long)]
    embed: bool,
    /// File with the names of the classes: one on each line in class order, or lines `name,index`
    #[arg(long, value_name = "FILE")]
    class_map: Option<PathBuf>,
    /// Images of a model that are accepted and not answered yet; more are refused with status 429 [default: 128, of
    /// segmentation networks 16]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    queue: Option<usize>,
    /// Images that are computed together at most [default: by measured throughput, 1 to 8]
    #[arg(short, long, value_name = "N", value_parser = at_least_one)]
    batch_size: Option<usize>,
    /// Threads that decode images [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    /// Seconds until a request is given up with status 503; clients may ask for less
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// Bytes of a request's body
    #[arg(long, value_name = "BYTES", default_value = "16777216", value_parser = at_least_one)]
    max_body: usize,
    /// Pixels of an image
    #[arg(long, value_name = "PIXELS", default_value = "50000000", value_parser = positive::<u64>)]
    max_pixels: u64,
    /// Open connections; when there are so many, a new one takes the place of the one that has been silent longest
    #[arg(long, value_name = "N", default_value = "4096", value_parser = at_least_one)]
    max_connections: usize,
    /// File with a key; all requests but those of health must send `Authorization: Bearer KEY`
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Encrypt connections with the certificates in this file, PEM: the server's first, then its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the first certificate, PEM and not encrypted
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    views: ViewArgs,
}

/// Weights, and the name of their model.
#[derive(Clone, Debug)]
struct NamedWeights {
    name: String,
    source: WeightsSource,
}

impl std::str::FromStr for NamedWeights {
    type Err = hardnet_weights::Error;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        // A path may hold an equals sign, after a folder.
        match text.split_once('=').filter(|(name, _)| !name.is_empty() && !name.contains(['/', ':'])) {
            Some((name, weights)) => Ok(Self { name: name.into(), source: weights.parse()? }),
            None => Ok(Self::unnamed(text.parse()?)),
        }
    }
}

impl NamedWeights {
    /// Names weights by their tag, the stem of their file or their repository.
    fn unnamed(source: WeightsSource) -> Self {
        let name = match &source {
            WeightsSource::Path(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            WeightsSource::Tag(entry) => entry.tag.to_string(),
            WeightsSource::Hub(file) => file.repository.rsplit('/').next().unwrap_or_default().to_owned(),
            other => other.to_string(),
        };
        Self { name, source }
    }
}

/// Parses an address with its port.
fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000".into())
}

/// Parses a time in seconds.
fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, 0.001 to 86400".into())
}

pub(crate) fn run(args: &ServeArgs, printer: &Printer) -> Result<Exit> {
    let models = args.models()?;
    let interrupt = Interrupt::watch()?;
    let server = args.start(&models, printer)?;
    let secure = if args.tls_cert.is_some() { "s" } else { "" };
    printer.line(format_args!("listening on http{secure}://{}", server.address()))?;
    if let Some(address) = server.grpc_address() {
        printer.line(format_args!("listening on grpc{secure}://{address}"))?;
    }
    let (count, loaded) = (models.len(), args.loader(models, *printer)?);
    let mut added = 0;
    while !interrupt.requested() {
        match loaded.recv_timeout(POLL) {
            Ok(model) => {
                server.add(model?);
                added += 1;
                if added == count {
                    printer.note("ready");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if added < count => {
                return Err(Failure::message("a panic while models were loaded"));
            }
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
        }
    }
    printer.note("stopping: answering what is accepted");
    server.stop();
    Ok(Exit::Success)
}

/// Refuses a file that does not exist, before the server listens.
fn check_exists(source: &WeightsSource) -> Result<()> {
    let WeightsSource::Path(path) = source else { return Ok(()) };
    let Err(error) = std::fs::metadata(path) else { return Ok(()) };
    let failure =
        Failure::from(anyhow::Error::from(error).context(format!("cannot read weights `{}`", path.display())));
    Err(if is_missing_name(path) { failure.hint(meant(&path.to_string_lossy())) } else { failure })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl ServeArgs {
    /// The models in their order.
    fn models(&self) -> Result<Vec<NamedWeights>> {
        let first = self.model.weights().cloned().map(NamedWeights::unnamed);
        let models: Vec<NamedWeights> = first.into_iter().chain(self.models.iter().cloned()).collect();
        if models.is_empty() {
            return Err(Failure::message("no weights given")
                .hint("pass weights, such as hardnet39ds.fashion_mnist, which is bundled, or a file"));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = models.iter().find(|model| !names.insert(&model.name)) {
            return Err(Failure::message(format!("two models are called `{}`", twice.name))
                .hint("pass NAME=WEIGHTS to name them"));
        }
        for model in &models {
            check_exists(&model.source)?;
        }
        if self.model.engine() == Some(EngineChoice::Candle) {
            return Err(Failure::message("the server computes on the native engine").hint("drop --engine candle"));
        }
        Ok(models)
    }

    fn start(&self, models: &[NamedWeights], printer: &Printer) -> Result<Server> {
        let mut options = ServerOptions::default()
            .max_body(self.max_body)
            .max_connections(self.max_connections)
            .timeout(self.timeout);
        if let Some(path) = &self.api_key_file {
            options = options.api_key(read_key(path)?);
        }
        if let (Some(certificates), Some(key)) = (&self.tls_cert, &self.tls_key) {
            options = options.tls(read_identity(certificates, key)?);
        }
        if let Some(address) = self.grpc_listen {
            options = options.grpc(address);
        }
        let names = models.iter().map(|model| model.name.as_str());
        let log: Arc<dyn Log> = Arc::new(JsonLines { shown: printer.shows_progress() });
        Server::start(self.listen, names, &options, log).map_err(|error| {
            let also = self.grpc_listen.map_or_else(String::new, |address| format!(" and `{address}`"));
            Failure::from(anyhow::Error::from(error).context(format!("cannot listen on `{}`{also}", self.listen)))
        })
    }

    /// Loads `models` one after the other on a thread of its own, which does not keep the program from ending.
    fn loader(&self, models: Vec<NamedWeights>, printer: Printer) -> Result<Receiver<Result<Model>>> {
        let workers = Arc::new(Workers::new(self.workers.unwrap_or_else(processors))?);
        let (args, (sender, loaded)) = (self.clone(), channel());
        let load = move || {
            for NamedWeights { name, source } in models {
                let model = args.load(name, source, &workers, &printer);
                let failed = model.is_err();
                if sender.send(model).is_err() || failed {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("load".into()).spawn(load)?;
        Ok(loaded)
    }

    /// Builds the segmentation network of `opened` and warms it up.
    fn load_segmentation(
        &self,
        name: String,
        opened: OpenedModel,
        workers: &Arc<Workers>,
        printer: &Printer,
    ) -> Result<Model> {
        if self.embed {
            return Err(Failure::message("--embed is for classifiers").hint(format!("the model `{name}` segments")));
        }
        let names = classes(opened.config().classes(), opened.labels(), self.class_map.as_deref())?.names;
        let pipeline = self.pipeline.name_for_segmentation()?;
        let segmenter = self.views.build(opened, pipeline, names, printer)?.segmenter;
        let queue = self.queue.unwrap_or(SEGMENTATION_QUEUE);
        let batches = BatcherOptions::default().capacity(queue).max_pixels(self.max_pixels);
        let model = Model::new(&name).segmenter(segmenter, workers, &batches)?;
        printer.note(format_args!("model {name}: loaded and warmed up"));
        Ok(model)
    }

    /// Loads a model and warms it up.
    fn load(&self, name: String, source: WeightsSource, workers: &Arc<Workers>, printer: &Printer) -> Result<Model> {
        let args = self.model.with_weights(source);
        let opened = args.open_backbone(printer)?;
        if opened.config().decoder.is_some() {
            return self.load_segmentation(name, opened, workers, printer);
        }
        if self.views.is_given() {
            return Err(Failure::message("--input-size, --scales, --flip and --colors are for segmentation networks")
                .hint(format!("the model `{name}` classifies")));
        }
        let opened = opened.classifier()?.with_batch_invariant();
        let names = classes(opened.config().classes(), opened.labels(), self.class_map.as_deref())?.names;
        let pipeline = self.pipeline.resolve(Some(opened.config()), opened.pipeline(), printer)?;
        let mut batches = BatcherOptions::default().max_pixels(self.max_pixels);
        batches.capacity = self.queue.unwrap_or(batches.capacity);
        batches.batch_size = self.batch_size;
        let planned = self.batch_size.unwrap_or(batches.max_batch_size);
        let opened = opened.with_labels(names).with_activation_maps(true);
        let classifier = opened.build(&pipeline, planned, printer)?.classifier;
        let mut model = Model::new(&name).classifier(classifier, workers, &batches)?;
        if self.embed {
            let opened = args.open(printer)?.with_batch_invariant();
            let embedder = opened.embedder(&pipeline, planned, &EmbedOptions::default(), printer)?.embedder;
            model = model.embedder(embedder, workers, &batches)?;
        }
        printer.note(format_args!("model {name}: loaded and warmed up"));
        Ok(model)
    }
}

/// Images of a segmentation network that are accepted and not answered yet, unless an option says otherwise: one of two
/// megapixels takes 24 MB when it is prepared.
const SEGMENTATION_QUEUE: usize = 16;

/// The certificates and the key in two files.
fn read_identity(certificates: &Path, key: &Path) -> Result<TlsIdentity> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|error| anyhow::Error::from(error).context(format!("cannot read `{}`", path.display())))
    };
    TlsIdentity::from_pem(&read(certificates)?, &read(key)?).map_err(|error| {
        let (certificates, key) = (certificates.display(), key.display());
        let files = match error {
            TlsError::Certificate(_) => format!("`{certificates}`"),
            TlsError::Key(_) => format!("`{key}`"),
            _ => format!("`{certificates}` and `{key}`"),
        };
        let failure = Failure::message(format!("{files}: {error}"));
        match error {
            TlsError::Key(_) => failure.hint(format!("decrypt a key: openssl pkey -in {key} -out plain.pem")),
            TlsError::Mismatch => failure.hint("put the server's certificate first in --tls-cert, or pass its key"),
            _ => failure,
        }
    })
}

/// The key in a file, without the line's end.
fn read_key(path: &PathBuf) -> Result<String> {
    let failed = |error| anyhow::Error::from(error).context(format!("cannot read `{}`", path.display()));
    let key = std::fs::read_to_string(path).map_err(failed)?;
    match key.trim() {
        "" => Err(Failure::message(format!("`{}` is empty, expected a key", path.display()))),
        key => Ok(key.to_owned()),
    }
}

/// A line of JSON on standard error for each request.
struct JsonLines {
    shown: bool,
}

impl Log for JsonLines {
    fn request(&self, record: &RequestRecord<'_>) {
        if !self.shown {
            return;
        }
        if let Ok(mut line) = serde_json::to_string(record) {
            line.push('\n');
            // A closed standard error does not end the server.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_by_their_weights_unless_a_name_is_given() {
        let name = |text: &str| text.parse::<NamedWeights>().unwrap().name;
        assert_eq!(name("folder/hardnet68.safetensors"), "hardnet68");
        assert_eq!(name("large=folder/hardnet68.safetensors"), "large");
        assert_eq!(name("a=b/c.pth"), "a");
        assert_eq!(name("./a=b.pth"), "a=b");
        assert_eq!(name("hardnet39ds.fashion_mnist"), "hardnet39ds.fashion_mnist");
        assert_eq!(name("hf://owner/name"), "name");
    }

    #[test]
    fn an_address_is_an_ip_address_and_a_port() {
        assert_eq!(address("[::1]:8000").map(|address| address.port()), Ok(8000));
        for text in ["", "8000", ":8000", "localhost:8000", "127.0.0.1", "127.0.0.1:65536", "http://127.0.0.1:8000"] {
            assert!(address(text).is_err_and(|error| error.contains("127.0.0.1:8000")), "{text}");
        }
    }

    #[test]
    fn a_timeout_is_a_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "x", "inf", "nan", "1e9"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
