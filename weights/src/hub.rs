//! Files of the Hugging Face Hub, by way of the cache that its Python library shares.

use std::env;
use std::path::PathBuf;

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use crate::error::{Error, Result};
use crate::source::HubFile;

/// The file in the cache, fetched first where it is not there.
pub(crate) fn fetch(file: &HubFile) -> Result<PathBuf> {
    let folder = cache_folder()?;
    let cache = Cache::new(folder.clone());
    let repo = Repo::with_revision(file.repository.clone(), RepoType::Model, file.revision.clone());
    if let Some(path) = cache.repo(repo.clone()).get(&file.file) {
        return Ok(path);
    }
    if set("HF_HUB_OFFLINE").is_some_and(|value| value != "0") {
        return Err(Error::Offline { address: file.to_string(), cache: folder });
    }
    let failed = |error: hf_hub::api::sync::ApiError| Error::Fetch {
        address: file.to_string(),
        cache: folder.clone(),
        reason: error.to_string(),
    };
    let token = set("HF_TOKEN").or_else(|| cache.token());
    let mut builder = ApiBuilder::from_cache(cache).with_token(token).with_progress(false);
    if let Some(endpoint) = set("HF_ENDPOINT") {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build().map_err(failed)?.repo(repo).get(&file.file).map_err(failed)
}

/// The folder that Python's `huggingface_hub` uses: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub.
fn cache_folder() -> Result<PathBuf> {
    let home = || env::home_dir().filter(|home| !home.as_os_str().is_empty());
    set("HF_HUB_CACHE")
        .map(PathBuf::from)
        .or_else(|| set("HF_HOME").map(|folder| PathBuf::from(folder).join("hub")))
        .or_else(|| home().map(|folder| folder.join(".cache/huggingface/hub")))
        .ok_or(Error::NoCache)
}

/// A variable that is set and not empty.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
