//! Segmentation networks, whose agreement is that of pixels.

use std::sync::Arc;

use hardnet_graph::Graph;
use hardnet_params::{Conversion, ConversionOptions, Parameters, Quantization, WeightsFile};
use hardnet_quantize::{Calibration, Calibrator, quantize, quantize_calibrated};
use hardnet_segmentation::{Item, LoadOptions, Prepared, Protocol, Segmenter};

use super::images::Images;
use super::report::{PixelAgreement, QuantizeReport};
use super::{QuantizeArgs, options, tell_report};
use crate::failure::{Exit, Failure, Result};
use crate::format::counted;
use crate::interrupt::Interrupt;
use crate::model::plan_options;
use crate::output::OutputFile;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::warnings::ImageWarnings;

/// Quantizes the segmentation network of `weights`, with ranges measured on the images of `calibrated`.
pub(super) fn run(
    args: &QuantizeArgs,
    weights: &WeightsFile,
    (calibrated, compared): (Option<&Images>, Option<&Images>),
    page: Option<OutputFile>,
    printer: &Printer,
) -> Result<Exit> {
    let own = weights.metadata().and_then(|metadata| metadata.pipeline.as_ref());
    let protocol = args.pipeline.protocol(weights.config(), own, printer)?;
    printer.note(format_args!("{}, with {} classes", args.weights, weights.config().classes()));
    let (graph, parameters, options) = (Graph::new(weights.config())?, weights.parameters(), options(args));
    let builder = || Ok::<_, Failure>(segmenter(&protocol)?.names(names(weights.config().classes())));
    let interrupt = Interrupt::watch()?;
    let running = (args.workers, &interrupt);
    let described = Conversion::new(weights, &ConversionOptions::default())?.metadata().clone();
    let original = || Ok::<_, Failure>(builder()?.from_parameters(&described, &parameters)?);
    let (quantized, made) = match calibrated {
        Some(images) => {
            let calibration = calibrate(images, &original()?, (&graph, &parameters), running, printer)?;
            let Some(calibration) = calibration else { return Ok(Exit::Interrupted) };
            let quantized = quantize_calibrated(&graph, &parameters, &calibration, args.method, &options)?;
            (quantized, Quantization::new(args.method.to_string(), calibration.images()))
        }
        None => (quantize(&graph, &parameters, &options)?, Quantization::new("without images", 0)),
    };
    let recorded = match (own, args.pipeline.is_given()) {
        (Some(own), false) => Some(own.clone()),
        (_, true) => Some(protocol.name().map_or_else(|| serde_json::to_value(&protocol), |name| Ok(name.into()))?),
        (None, false) => None,
    };
    let metadata = QuantizeArgs::metadata(weights, recorded, made)?;
    let bytes = args.write(&metadata, &quantized)?;
    let mut report = QuantizeReport::new(args, weights, &metadata, &quantized, bytes, None);
    if let Some(images) = compared {
        let other = builder()?.from_quantized(&metadata, &quantized)?;
        let Some(pixels) = compare(images, (&original()?, &other), running, printer)? else {
            return Ok(Exit::Interrupted);
        };
        report.pixels = Some(pixels);
    }
    tell_report(args, page, &report, printer)?;
    Ok(Exit::Success)
}

/// Names that only have to differ.
fn names(classes: usize) -> impl Iterator<Item = String> {
    (0..classes).map(|class| class.to_string())
}

fn segmenter(protocol: &Protocol) -> Result<hardnet_segmentation::SegmenterBuilder> {
    let builder = Segmenter::builder().threads(crate::knobs::threads()).isa(crate::knobs::isa()?);
    Ok(builder.protocol(protocol.clone()))
}

/// Measures all maps of the network in f32, for each size of input; none if the user stops it.
fn calibrate(
    images: &Images,
    segmenter: &Segmenter,
    (graph, parameters): (&Graph, &dyn Parameters),
    (workers, interrupt): (Option<usize>, &Interrupt),
    printer: &Printer,
) -> Result<Option<Calibration>> {
    let options = plan_options()?.batch(1);
    let mut calibrator: Option<Calibrator> = None;
    let done = for_each(images, segmenter, (workers, interrupt), "measured", printer, |prepared| {
        for input in prepared.inputs() {
            let (height, width) = (input.height, input.width);
            let calibrator = match &mut calibrator {
                Some(calibrator) => {
                    calibrator.set_size(height, width, parameters)?;
                    calibrator
                }
                none => none.insert(Calibrator::new(graph, parameters, &options.size(height, width))?),
            };
            calibrator.add(&[&input.values])?;
        }
        Ok(())
    })?;
    Ok(done.and(calibrator).map(Calibrator::finish))
}

/// Counts the pixels of the same class; none if the user stops it.
fn compare(
    images: &Images,
    (original, other): (&Segmenter, &Segmenter),
    (workers, interrupt): (Option<usize>, &Interrupt),
    printer: &Printer,
) -> Result<Option<PixelAgreement>> {
    let mut found = PixelAgreement::new(&images.path);
    let errors = for_each(images, original, (workers, interrupt), "compared", printer, |prepared| {
        let (first, second) = (original.segment_prepared(prepared)?, other.segment_prepared(prepared)?);
        found.add(first.mask.labels(), second.mask.labels());
        Ok(())
    })?;
    Ok(errors.map(|errors| PixelAgreement { errors, ..found }))
}

/// Why an image is not computed.
enum Refusal {
    /// A reason that may be the image's, such as its size.
    Segment(hardnet_segmentation::Error),
    /// A reason that holds for every image.
    Quantize(hardnet_quantize::Error),
}

impl From<hardnet_segmentation::Error> for Refusal {
    fn from(error: hardnet_segmentation::Error) -> Self {
        Self::Segment(error)
    }
}

impl From<hardnet_quantize::Error> for Refusal {
    /// The engine refuses sizes.
    fn from(error: hardnet_quantize::Error) -> Self {
        match error {
            hardnet_quantize::Error::Engine(error) => Self::Segment(hardnet_segmentation::Error::Network(error.into())),
            error => Self::Quantize(error),
        }
    }
}

/// Runs `compute` on all images that can be read and computed. The number of the others; none if the user stops it.
fn for_each(
    images: &Images,
    segmenter: &Segmenter,
    (workers, interrupt): (Option<usize>, &Interrupt),
    what: &'static str,
    printer: &Printer,
    mut compute: impl FnMut(&Prepared) -> std::result::Result<(), Refusal>,
) -> Result<Option<usize>> {
    let items: Arc<Vec<Item>> = Arc::new(images.samples.iter().cloned().map(Item::new).collect());
    let options = LoadOptions::default();
    let loading = segmenter.load_items(Arc::clone(&items), options.workers(workers.unwrap_or(options.workers)));
    let mut progress = Progress::new(*printer, items.len());
    let (mut warnings, mut errors) = (ImageWarnings::default(), 0);
    for (at, loaded) in loading.enumerate() {
        let done = match loaded {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| warnings.add(&items[at].image, warning));
                match compute(&loaded.prepared) {
                    Ok(()) => Ok(()),
                    Err(Refusal::Segment(error)) => Err(segmenter.refused(&items[at], error)?),
                    Err(Refusal::Quantize(error)) => return Err(error.into()),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            errors += 1;
            progress.suspend(|| printer.cause(&error));
        }
        progress.update(at + 1, what);
        if interrupt.requested() && at + 1 < items.len() {
            return Ok(None);
        }
    }
    progress.finish();
    warnings.tell(printer);
    if errors == items.len() {
        return Err(Failure::message(format!("no image of `{}` can be read", images.path)));
    }
    if errors > 0 {
        let failed = counted(errors, "image");
        printer.warn(format_args!("{failed} of `{}` could not be read and are left out", images.path));
    }
    Ok(Some(errors))
}
