//! From the name of weights to an open file.

use hardnet_params::{WeightsFile, WeightsOptions};

use super::event::Observer;
use super::options::FetchOptions;
use crate::error::{Error, Result};
use crate::registry::{RegistryEntry, registry};
use crate::source::WeightsSource;

/// Opens the weights `name`: a tag of the [`registry`](crate::registry()), an address
/// `hf://owner/name[@revision][/file]`, or the path of a file.
///
/// The file is downloaded unless it is cached, with [`FetchOptions::from_env`]. Downloads are silent, and files of
/// unknown hash are used ([`Verification::Unverified`](crate::Verification::Unverified)); [`WeightsSource::open`] takes
/// an observer and options.
///
/// ```no_run
/// let file = hardnet_weights::open("hardnet68.upstream_in1k")?;
/// println!("{} classes", file.config().classes());
/// # Ok::<(), hardnet_weights::Error>(())
/// ```
///
/// # Errors
///
/// The errors of [`WeightsSource::open`].
pub fn open(name: &str) -> Result<WeightsFile> {
    open_with(name, &WeightsOptions::default())
}

/// Opens the weights `name` as [`open`], and of their file the part that `weights` names.
///
/// # Errors
///
/// The errors of [`WeightsSource::open`].
pub fn open_with(name: &str, weights: &WeightsOptions) -> Result<WeightsFile> {
    name.parse::<WeightsSource>()?.open_with(&FetchOptions::from_env(), weights, &mut |_| {})
}

impl WeightsSource {
    /// Opens the weights, and downloads them first if they are not cached. Weights of the registry must be of the
    /// network that it names.
    ///
    /// ```no_run
    /// use hardnet_weights::{FetchOptions, WeightsSource};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source: WeightsSource = "hf://owner/name".parse()?;
    /// let file = source.open(&FetchOptions::from_env(), &mut |event| eprintln!("{event:?}"))?;
    /// println!("{} classes", file.config().classes());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`fetch`](Self::fetch); [`Error::UnknownName`] for a bare name that is not a file;
    /// [`Error::Weights`] if the file does not hold these weights.
    pub fn open(&self, options: &FetchOptions, observer: &mut Observer) -> Result<WeightsFile> {
        self.open_with(options, &WeightsOptions::default(), observer)
    }

    /// Opens the weights as [`open`](Self::open), and of their file the part that `weights` names.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(
        &self,
        options: &FetchOptions,
        weights: &WeightsOptions,
        observer: &mut Observer,
    ) -> Result<WeightsFile> {
        if let Self::Path(path) = self
            && path.components().count() <= 1
            && !path.exists()
        {
            let tags = registry().iter().map(|entry| entry.tag.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::UnknownName { name: self.to_string(), tags });
        }
        if let Self::Tag(entry) = self
            && entry.bundled
        {
            return open_bundled(entry, weights);
        }
        let path = self.fetch(options, observer)?.path;
        let file = || -> hardnet_params::Result<WeightsFile> {
            let mut weights = weights.clone();
            if let (Self::Tag(entry), None) = (self, &weights.network) {
                weights.network = super::convert::expected(entry)?.network;
            }
            WeightsFile::open_with(path, &weights)
        };
        file().map_err(|error| unusable(&self.to_string(), error))
    }
}

/// Opens embedded weights.
fn open_bundled(entry: &RegistryEntry, weights: &WeightsOptions) -> Result<WeightsFile> {
    let file = WeightsFile::from_bytes_with(&entry.tag, entry.content()?.to_vec(), weights);
    file.map_err(|error| unusable(&entry.tag, error))
}

fn unusable(name: &str, error: hardnet_params::Error) -> Error {
    Error::Weights { name: name.into(), source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use hardnet_graph::Variant;
    use hardnet_params::synthetic;
    use hardnet_testing::hub_host::HubHost;
    use hardnet_testing::weights_file::{self, Encoding};

    use super::*;

    fn weights(variant: Variant) -> Vec<u8> {
        weights_file::safetensors(synthetic::parameters(&variant.into()).unwrap(), Encoding::F32, None)
    }

    /// A Hub, a folder for its cache, and options that name both.
    fn fixture() -> (HubHost, tempfile::TempDir, FetchOptions) {
        let (hub, folder) = (HubHost::start(), tempfile::tempdir().unwrap());
        let options = FetchOptions {
            endpoint: hub.endpoint(),
            hub_cache: Some(folder.path().join("hub")),
            weights_cache: Some(folder.path().join("store")),
            hub_owner: Some("someone".into()),
            ..FetchOptions::default()
        };
        (hub, folder, options)
    }

    fn open(name: &str, options: &FetchOptions) -> Result<WeightsFile> {
        name.parse::<WeightsSource>().unwrap().open(options, &mut |_| {})
    }

    #[test]
    fn weights_are_opened_with_the_network_and_then_without() {
        let (hub, _folder, mut options) = fixture();
        hub.put_large("someone/hardnet39ds.upstream_in1k", "model.safetensors", &weights(Variant::HarDNet39Ds));
        for name in ["hardnet39ds.upstream_in1k", "hf://someone/hardnet39ds.upstream_in1k"] {
            assert_eq!(open(name, &options).unwrap().config().variant(), Some(Variant::HarDNet39Ds), "{name}");
        }
        let requests = hub.requests().len();
        assert_eq!(requests, 2, "one description, one download");
        options.offline = Some("HF_HUB_OFFLINE is set".into());
        open("hardnet39ds.upstream_in1k", &options).unwrap();
        assert_eq!(hub.requests().len(), requests);
        assert!(matches!(open("hardnet68.notebook_in1k", &options), Err(Error::Offline { .. })));
    }

    #[test]
    fn a_part_of_a_file_is_opened() {
        let (hub, _folder, options) = fixture();
        let network = |prefix: &str, variant: Variant| {
            let parameters = synthetic::parameters(&variant.into()).unwrap().into_iter();
            parameters.map(move |(name, shape, values)| (format!("{prefix}{name}"), shape, values)).collect::<Vec<_>>()
        };
        let both = [network("student.", Variant::HarDNet39Ds), network("teacher.", Variant::HarDNet68Ds)].concat();
        hub.put_large("someone/both", "model.safetensors", &weights_file::safetensors(both, Encoding::F16, None));
        let source: WeightsSource = "hf://someone/both".parse().unwrap();
        assert!(source.open(&options, &mut |_| {}).is_err(), "two networks");
        for (prefix, variant) in [("student", Variant::HarDNet39Ds), ("teacher", Variant::HarDNet68Ds)] {
            let part = WeightsOptions::default().prefix(prefix);
            let file = source.open_with(&options, &part, &mut |_| {}).unwrap();
            assert_eq!(file.config().variant(), Some(variant));
        }
        // A tag says which network it is; so may the caller.
        hub.put_large("someone/hardnet39ds.upstream_in1k", "model.safetensors", &weights(Variant::HarDNet39Ds));
        let source: WeightsSource = "hardnet39ds.upstream_in1k".parse().unwrap();
        let other = WeightsOptions::default().variant(Variant::HarDNet68);
        let error = source.open_with(&options, &other, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "{error}");
    }

    #[test]
    fn a_file_is_opened_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, weights(Variant::HarDNet39Ds)).unwrap();
        let file = super::open(path.to_str().unwrap()).unwrap();
        assert_eq!(file.config().variant(), Some(Variant::HarDNet39Ds));
        std::fs::write(&path, "nothing").unwrap();
        let error = super::open(path.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "{error}");
    }

    #[cfg(feature = "demo")]
    #[test]
    fn bundled_weights_need_neither_network_nor_disk() {
        let options = FetchOptions { offline: Some("there is no network".into()), ..FetchOptions::default() };
        let file = open("hardnet39ds.fashion_mnist", &options).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.labels.as_deref(), Some(&hardnet_demo::fashion_mnist::CLASSES.map(String::from)[..]));
        assert_eq!(metadata.pipeline.as_ref().unwrap()["crop"], 64);
    }

    #[cfg(not(feature = "demo"))]
    #[test]
    fn weights_of_a_feature_that_is_not_enabled_are_an_error() {
        let error = open("hardnet39ds.fashion_mnist", &FetchOptions::default()).unwrap_err();
        assert!(matches!(error, Error::NotBundled { .. }), "{error}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_tags() {
        let error = super::open("hardnet68").unwrap_err().to_string();
        assert!(error.contains("`hardnet68`") && error.contains("hardnet68.upstream_in1k"), "{error}");
        assert!(matches!(super::open("hf://a"), Err(Error::InvalidUri { .. })));
    }
}
