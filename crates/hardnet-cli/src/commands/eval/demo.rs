//! What `hardnet eval` does when it is given nothing: the images that come with the program, by the network that does.

use std::path::PathBuf;

use anyhow::Context;
use hardnet_data::Dataset;
use hardnet_demo::fashion_mnist::{SAMPLE_TAR, VAL_LIST};
use hardnet_weights::WeightsSource;
use tempfile::TempDir;

use super::EvalArgs;
use crate::failure::Result;
use crate::model::ModelArgs;
use crate::printer::Printer;

/// The weights of the demonstration.
const TAG: &str = "hardnet39ds.fashion_mnist";

/// What results call its images.
const IMAGES: &str = "Fashion-MNIST's test set, a sample in the program";

/// The images on this machine's disk, for as long as this lives.
pub(super) struct Demo {
    folder: TempDir,
}

impl Demo {
    /// The demonstration, if no images are named, nor other weights than its own.
    pub(super) fn asked(args: &EvalArgs) -> Result<Option<Self>> {
        let of_others = match args.model.weights() {
            Some(source) => source.to_string() != TAG,
            None => args.model.variant().is_some(),
        };
        if of_others || args.data_dir.is_some() || args.val_list.is_some() {
            return Ok(None);
        }
        let folder = TempDir::with_prefix("hardnet-").context("cannot unpack the demonstration's images")?;
        let demo = Self { folder };
        for (path, content) in [(demo.archive(), SAMPLE_TAR), (demo.list(), VAL_LIST.as_bytes())] {
            std::fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(Some(demo))
    }

    /// The arguments of the network, with the weights of the demonstration.
    pub(super) fn model(&self, args: &ModelArgs) -> Result<ModelArgs> {
        Ok(args.with_weights(TAG.parse::<WeightsSource>()?))
    }

    pub(super) fn dataset(&self, classes: usize) -> Result<Dataset> {
        Ok(Dataset::from_list(&self.list(), self.archive(), classes)?)
    }

    /// What results call the images.
    pub(super) fn name(&self) -> &'static str {
        IMAGES
    }

    /// Says how the same is done in earnest.
    pub(super) fn say_next(&self, printer: &Printer) {
        printer.note(
            "\nThat was the demonstration: Fashion-MNIST by weights that come with the program. For ImageNet:\n  \
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
