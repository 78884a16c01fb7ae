//! `hardnet eval` without options: the bundled network on the bundled images.

use std::path::PathBuf;

use anyhow::Context;
use hardnet_data::{Classes, Dataset};
use hardnet_demo::fashion_mnist::{SAMPLE_TAR, VAL_LIST};
use hardnet_weights::WeightsSource;
use tempfile::TempDir;

use super::EvalArgs;
use crate::failure::Result;
use crate::model::ModelArgs;
use crate::printer::Printer;

/// Tag of the bundled weights.
const TAG: &str = "hardnet39ds.fashion_mnist";

/// Name of the images in results.
const IMAGES: &str = "bundled sample of the Fashion-MNIST test set";

/// The bundled images in a temporary folder.
pub(super) struct Demo {
    folder: TempDir,
}

impl Demo {
    /// The demonstration, unless images or other weights are given.
    pub(super) fn from_args(args: &EvalArgs) -> Result<Option<Self>> {
        let of_others = match args.model.weights() {
            Some(source) => source.to_string() != TAG,
            None => args.model.network().is_some(),
        };
        if of_others || args.data_dir.is_some() || args.val_list.is_some() || args.webdataset.is_some() {
            return Ok(None);
        }
        let folder = TempDir::with_prefix("hardnet-").context("cannot unpack the bundled images")?;
        let demo = Self { folder };
        for (path, content) in [(demo.archive(), SAMPLE_TAR), (demo.list(), VAL_LIST.as_bytes())] {
            std::fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(Some(demo))
    }

    /// The options of the network with the bundled weights.
    pub(super) fn model(&self, args: &ModelArgs) -> Result<ModelArgs> {
        Ok(args.with_weights(TAG.parse::<WeightsSource>()?))
    }

    pub(super) fn dataset(&self, classes: Classes) -> Result<Dataset> {
        Ok(Dataset::from_list(&self.list(), self.archive(), classes)?)
    }

    /// Name of the images in results.
    pub(super) fn name(&self) -> &'static str {
        IMAGES
    }

    /// Prints the command for ImageNet.
    pub(super) fn print_next_step(&self, printer: &Printer) {
        printer.note(
            "\nThis was the demonstration: bundled Fashion-MNIST images and weights. For ImageNet:\n  \
             hardnet eval --weights hardnet68.upstream_in1k --data-dir ILSVRC2012_img_val.tar --val-list val_list.txt",
        );
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("fashion_mnist.tar")
    }

    fn list(&self) -> PathBuf {
        self.folder.path().join("val_list.txt")
    }
}
