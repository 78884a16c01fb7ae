//! `--page`: the comparison as one self-contained HTML page, with the images that become wrong or right.

mod groups;
mod pictures;
mod runs;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use hardnet_data::{ImageRoot, Pipeline};

use super::report::{CompareReport, short_files};
use crate::failure::Result;
use crate::format::counted;
use crate::output::OutputFile;
use crate::page::{self, thumbnails};
use crate::printer::Printer;

/// Options of the page.
#[derive(Args, Clone, Debug)]
pub(super) struct PageArgs {
    /// Write an HTML page to this file: the figures, and the images that become wrong or right
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Folder, tar archive or IDX file of the images, for pictures on the page
    #[arg(long, value_name = "PATH", requires = "page")]
    data_dir: Option<PathBuf>,
    /// Number of images on the page that become wrong, and of those that become right
    #[arg(long, value_name = "N", default_value = "48", requires = "page")]
    pictures: usize,
    /// Overwrite an existing page
    #[arg(long, requires = "page")]
    force: bool,
}

/// A page that is being written.
pub(super) struct Page {
    file: OutputFile,
    path: PathBuf,
}

/// Content of a page.
struct Content<'a> {
    report: &'a CompareReport,
    /// Short names of the files.
    files: Vec<String>,
    /// The most images of each kind.
    most: usize,
    /// None without a folder of images.
    pictures: Option<Pictures>,
}

/// Pictures of images, as PNG, by path; none where the image cannot be read.
type Pictures = HashMap<String, Option<Vec<u8>>>;

impl PageArgs {
    /// Creates the file before the work starts.
    pub(super) fn open(&self) -> Result<Option<Page>> {
        let page = |path: &PathBuf| Ok(Page { file: OutputFile::create(path, self.force)?, path: path.clone() });
        self.page.as_ref().map(page).transpose()
    }
}

impl Page {
    /// Writes the page.
    pub(super) fn finish(mut self, report: &CompareReport, args: &PageArgs, printer: &Printer) -> Result<()> {
        let pictures = args.data_dir.as_deref().map(|root| find(root, report, args.pictures, printer)).transpose()?;
        let page = html(&Content { report, files: short_files(report), most: args.pictures, pictures });
        let mut writer = self.file.writer();
        let written = writer.write_all(page.as_bytes()).and_then(|()| writer.flush());
        written.with_context(|| format!("cannot write `{}`", self.path.display()))?;
        drop(writer);
        self.file.finish()
    }
}

/// The pictures of the images that are shown, which are looked for in `root`.
fn find(root: &Path, report: &CompareReport, most: usize, printer: &Printer) -> Result<Pictures> {
    let shown = report.comparisons.iter().flat_map(|pair| pictures::shown(pair, most));
    let names: BTreeSet<&str> = shown.map(|change| change.path.as_str()).collect();
    let names: Vec<_> = names.into_iter().collect();
    let mut images = ImageRoot::from(root);
    if let Some(cache) = crate::knobs::cache_folder() {
        images = images.with_index_cache(cache.join("archives"));
    }
    let samples: Vec<_> = images.find(&names)?.into_iter().flatten().collect();
    if samples.len() < names.len() {
        let missing = counted(names.len() - samples.len(), "image");
        printer.warn(format_args!("{missing} of the page not found in `{}`", root.display()));
    }
    let found: Vec<_> = samples.iter().map(|sample| sample.name().to_owned()).collect();
    Ok(found.into_iter().zip(thumbnails::of(samples, &Pipeline::pil_bilinear())?).collect())
}

/// The page from head to foot.
fn html(content: &Content) -> String {
    let (report, files) = (content.report, &content.files);
    let title = match &files[1..] {
        [other] => format!("{other} against {}", files[0]),
        others => format!("{} runs against {}", others.len(), files[0]),
    };
    let mut sections = runs::section(content);
    for (pair, file) in report.comparisons.iter().zip(&files[1..]) {
        if report.comparisons.len() > 1 {
            sections += &format!("<h2 class=\"part\">{}</h2>\n", page::html::name(file));
        }
        sections += &summary::section(pair);
        sections += &groups::section(pair);
        sections += &pictures::section(content, pair);
    }
    page::document("Comparison", &title, &runs::lead(content), &sections, &report.tool)
}
