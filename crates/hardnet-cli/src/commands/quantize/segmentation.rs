//! Segmentation networks, whose agreement is that of pixels.

use std::sync::Arc;

use hardnet_graph::Graph;
use hardnet_params::{Quantization, WeightsFile};
use hardnet_quantize::quantize;
use hardnet_segmentation::{Item, LoadOptions, Protocol, Segmenter};

use super::images::Images;
use super::report::{PixelAgreement, QuantizeReport};
use super::{QuantizeArgs, options, tell_report};
use crate::failure::{Exit, Failure, Result};
use crate::format::counted;
use crate::interrupt::Interrupt;
use crate::output::OutputFile;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::warnings::ImageWarnings;

/// Quantizes the segmentation network of `weights`.
pub(super) fn run(
    args: &QuantizeArgs,
    weights: &WeightsFile,
    compared: Option<&Images>,
    page: Option<OutputFile>,
    printer: &Printer,
) -> Result<Exit> {
    if args.calibrate.is_some() {
        let message = "ranges of a segmentation network are not measured, they follow from its normalization";
        return Err(Failure::message(message).hint("drop --calibrate"));
    }
    let own = weights.metadata().and_then(|metadata| metadata.pipeline.as_ref());
    let protocol = args.pipeline.protocol(weights.config(), own, printer)?;
    printer.note(format_args!("{}, with {} classes", args.weights, weights.config().classes()));
    let quantized = quantize(&Graph::new(weights.config())?, &weights.parameters(), &options(args))?;
    let recorded = match (own, args.pipeline.is_given()) {
        (Some(own), false) => Some(own.clone()),
        (_, true) => Some(protocol.name().map_or_else(|| serde_json::to_value(&protocol), |name| Ok(name.into()))?),
        (None, false) => None,
    };
    let metadata = QuantizeArgs::metadata(weights, recorded, Quantization::new("without images", 0))?;
    let bytes = args.write(&metadata, &quantized)?;
    let mut report = QuantizeReport::new(args, weights, &metadata, &quantized, bytes, None);
    if let Some(images) = compared {
        let builder = || Ok::<_, Failure>(segmenter(&protocol)?.names(names(weights.config().classes())));
        let original = builder()?.from_parameters(&metadata, &weights.parameters())?;
        let other = builder()?.from_quantized(&metadata, &quantized)?;
        let Some(pixels) = compare(images, (&original, &other), args.workers, printer)? else {
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

/// Counts the pixels of the same class; none if the user stops it.
fn compare(
    images: &Images,
    (original, other): (&Segmenter, &Segmenter),
    workers: Option<usize>,
    printer: &Printer,
) -> Result<Option<PixelAgreement>> {
    let interrupt = Interrupt::watch()?;
    let items: Arc<Vec<Item>> = Arc::new(images.samples.iter().cloned().map(Item::new).collect());
    let options = LoadOptions::default();
    let loading = original.load_items(Arc::clone(&items), options.workers(workers.unwrap_or(options.workers)));
    let mut progress = Progress::new(*printer, items.len());
    let (mut warnings, mut found) = (ImageWarnings::default(), PixelAgreement::new(&images.path));
    for (at, loaded) in loading.enumerate() {
        let masks = match loaded {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| warnings.add(&items[at].image, warning));
                let first = original.segment_prepared(&loaded.prepared);
                let both = first.and_then(|first| Ok((first.mask, other.segment_prepared(&loaded.prepared)?.mask)));
                match both {
                    Ok(masks) => Ok(masks),
                    Err(error) => Err(original.refused(&items[at], error)?),
                }
            }
            Err(error) => Err(error),
        };
        match masks {
            Ok((first, second)) => found.add(first.labels(), second.labels()),
            Err(error) => {
                found.errors += 1;
                progress.suspend(|| printer.cause(&error));
            }
        }
        progress.update(at + 1, "compared");
        if interrupt.requested() && at + 1 < items.len() {
            return Ok(None);
        }
    }
    progress.finish();
    warnings.tell(printer);
    if found.images == 0 {
        return Err(Failure::message(format!("no image of `{}` can be read", images.path)));
    }
    if found.errors > 0 {
        let failed = counted(found.errors, "image");
        printer.warn(format_args!("{failed} of `{}` could not be read and are left out", images.path));
    }
    Ok(Some(found))
}
