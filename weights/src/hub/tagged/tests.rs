use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hardnet_graph::Variant;
use hardnet_params::{WeightsFile, synthetic};
use hardnet_testing::file_host::{Fault, FileHost};
use hardnet_testing::hub_host::{HubHost, git_blob_id};
use hardnet_testing::server::{Break, Response, Server};
use hardnet_testing::weights_file::{self, Encoding};

use super::*;
use crate::hub::options::RetryPolicy;
use crate::registry::{Hash, RemoteFile, find};

/// A host with a file of HarDNet39DS, weights with two sources, and empty caches.
struct Fixture {
    host: FileHost,
    bytes: Vec<u8>,
    entry: RegistryEntry,
    cache: tempfile::TempDir,
    options: FetchOptions,
}

/// Two sources of the same file, with these hashes.
fn fixture(hashes: [(HashKind, Option<Hash>); 2]) -> Fixture {
    let host = FileHost::start();
    let bytes = weights();
    let mut entry = find("hardnet39ds.upstream_in1k").unwrap().clone();
    let source = |(index, (hash_kind, hash)): (usize, (HashKind, Option<Hash>))| RemoteFile {
        url: format!("{}?signature=secret", host.put(&format!("/{index}/net.pth"), bytes.clone())),
        hash,
        hash_kind,
        tried: false,
        note: None,
    };
    entry.sources = hashes.into_iter().enumerate().map(source).collect();
    let cache = tempfile::tempdir().unwrap();
    let retry = RetryPolicy { max_attempts: 2, initial_backoff: Duration::from_millis(1), ..RetryPolicy::default() };
    let options = FetchOptions {
        endpoint: "http://127.0.0.1:1".into(),
        weights_cache: Some(cache.path().into()),
        hub_cache: Some(cache.path().join("hub")),
        retry,
        ..FetchOptions::default()
    };
    Fixture { host, bytes, entry, cache, options }
}

fn weights() -> Vec<u8> {
    let tensors = synthetic::parameters(&Variant::HarDNet39Ds.into()).unwrap();
    weights_file::safetensors(tensors, Encoding::F32, None)
}

fn inferred(digits: &str) -> (HashKind, Option<Hash>) {
    (HashKind::Inferred, Some(Hash::Sha256(digits.into())))
}

fn verified(name: &str) -> (HashKind, Option<Hash>) {
    (HashKind::Verified, Some(Hash::GitBlob(name.into())))
}

const NONE: (HashKind, Option<Hash>) = (HashKind::None, None);

impl Fixture {
    fn fetch(&self) -> Result<Fetched> {
        fetch(&self.entry, &self.options, &mut |_| {})
    }

    fn verification(&self) -> Verification {
        let provenance = self.fetch().unwrap().provenance.unwrap();
        assert!(!provenance.address.contains("secret"), "{}", provenance.address);
        provenance.verification
    }

    fn paths(&self) -> Vec<String> {
        self.host.requests().iter().map(|request| request.target.clone()).collect()
    }
}

#[test]
fn a_download_is_converted_and_cached_once() {
    let mut fixture = fixture([NONE, NONE]);
    let fetched = fixture.fetch().unwrap();
    let file = WeightsFile::open(&fetched.path).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.pipeline, Some("pil-bilinear".into()));
    assert_eq!(file.config().variant(), Some(Variant::HarDNet39Ds));
    let provenance = fetched.provenance.clone().unwrap();
    assert_eq!(
        (provenance.verification, provenance.sha256),
        (Verification::Unverified, hardnet_base::sha256(&fixture.bytes))
    );
    assert!(!fetched.path.with_file_name("arriving").exists(), "nothing else is left");
    fixture.options.offline = Some("--offline was given".into());
    assert_eq!(fixture.fetch().unwrap(), fetched);
    assert_eq!(fixture.paths().len(), 1);
}

#[test]
fn matching_hashes_set_the_verification() {
    let bytes = weights();
    assert_eq!(fixture([verified(&git_blob_id(&bytes)), NONE]).verification(), Verification::Verified);
    assert_eq!(fixture([inferred(&hardnet_base::sha256(&bytes)[..8]), NONE]).verification(), Verification::Inferred);
}

#[test]
fn a_file_with_another_stated_hash_is_removed_and_the_next_source_tried() {
    let fixture = fixture([verified(&"0".repeat(40)), NONE]);
    assert_eq!(fixture.verification(), Verification::Unverified);
    assert_eq!(fixture.paths(), ["/0/net.pth?signature=secret", "/1/net.pth?signature=secret"]);
}

#[test]
fn a_file_with_another_hash_than_its_name_is_quarantined_until_accepted() {
    let mut fixture = fixture([inferred("00000000"), NONE]);
    let error = fixture.fetch().unwrap_err();
    let found = hardnet_base::sha256(&fixture.bytes);
    for part in ["sha256:00000000", &found, "skipped"] {
        assert!(error.to_string().contains(part), "`{part}` in: {error}");
    }
    assert_eq!(fixture.paths().len(), 1, "a file without a hash does not replace a quarantined one");
    assert!(cached(&fixture.entry, &fixture.options).is_none());
    let Error::AllSourcesFailed { failures, .. } = error else { panic!("{error}") };
    let Error::Quarantined { kept, .. } = &failures[0] else { panic!("{}", failures[0]) };
    assert_eq!(fs::read(kept).unwrap(), fixture.bytes);

    fixture.options.accept_sha256 = Some("1".repeat(64));
    fixture.fetch().unwrap_err();
    fixture.options.accept_sha256 = Some(found.to_uppercase());
    let asked = fixture.paths().len();
    assert_eq!(fixture.verification(), Verification::Accepted);
    assert_eq!(fixture.paths().len(), asked, "the file that was kept is used");
}

#[test]
fn a_quarantined_file_is_replaced_by_a_verified_one() {
    let fixture = fixture([inferred("00000000"), verified(&git_blob_id(&weights()))]);
    assert_eq!(fixture.verification(), Verification::Verified);
}

#[test]
fn an_accepted_digest_is_required_where_no_hash_is_known() {
    let mut fixture = fixture([NONE, NONE]);
    fixture.options.accept_sha256 = Some("1".repeat(64));
    let error = fixture.fetch().unwrap_err().to_string();
    assert!(error.contains(&"1".repeat(64)) && error.contains("removed"), "{error}");
    fixture.options.accept_sha256 = Some(hardnet_base::sha256(&fixture.bytes));
    assert_eq!(fixture.verification(), Verification::Accepted);
    fixture.options.accept_sha256 = Some("c0ffee".into());
    assert!(matches!(fixture.fetch(), Err(Error::InvalidSha256(_))));
}

#[test]
fn a_file_without_these_weights_is_removed_and_the_next_source_tried() {
    let fixture = fixture([NONE, NONE]);
    fixture.host.put("/0/net.pth", "<html>This domain is for sale</html>");
    let fetched = fixture.fetch().unwrap();
    assert!(fetched.provenance.unwrap().address.ends_with("/1/net.pth"));
    assert!(!fixture.cache.path().join(&fixture.entry.tag).join("arriving").exists());
}

#[test]
fn every_failure_is_reported_if_all_sources_fail() {
    let mut fixture = fixture([NONE, NONE]);
    for source in &mut fixture.entry.sources {
        source.url += "x";
        source.url = source.url.replace("net.pth", "gone.pth");
    }
    let error = fixture.fetch().unwrap_err().to_string();
    for part in ["/0/gone.pth", "/1/gone.pth", "404", &fixture.cache.path().display().to_string()] {
        assert!(error.contains(part), "`{part}` in: {error}");
    }
    assert!(!error.contains("secret"), "{error}");
    fixture.entry.sources.clear();
    assert!(matches!(fixture.fetch(), Err(Error::NoKnownSource { .. })));
}

#[test]
fn a_part_is_resumed_only_if_the_host_still_has_the_same_file() {
    let fixture = fixture([NONE, NONE]);
    let half = fixture.bytes.len() / 2;
    fixture.host.fail([Fault::CutAfter(half), Fault::CutAfter(0), Fault::CutAfter(500)]);
    fixture.host.fail([Fault::CutAfter(0)]);
    fixture.fetch().unwrap_err();
    // A bit of the part that is kept: without its validator the host would continue with another file.
    let mut changed = fixture.bytes.clone();
    changed[half / 2] ^= 1;
    fixture.host.put("/0/net.pth", changed.clone());
    let fetched = fixture.fetch().unwrap();
    assert_eq!(fetched.provenance.unwrap().sha256, hardnet_base::sha256(&changed));
    let ranges = fixture.host.requests().iter().filter(|request| request.header("range").is_some()).count();
    assert!(ranges >= 2, "the part was to be continued");
}

#[test]
fn a_part_without_a_strong_validator_is_fetched_again() {
    let mut fixture = fixture([NONE, NONE]);
    let (bytes, answers) = (fixture.bytes.clone(), AtomicUsize::new(0));
    let host = Server::start(move |_| {
        let mut response = Response::new(200, bytes.clone()).header("ETag", "W/\"weak\"");
        response.broken = (answers.fetch_add(1, Ordering::SeqCst) == 0).then_some(Break::CutAfter(1000));
        response
    });
    fixture.entry.sources[0].url = format!("{}/net.pth", host.url());
    assert_eq!(fixture.fetch().unwrap().provenance.unwrap().sha256, hardnet_base::sha256(&fixture.bytes));
    let ranges: Vec<_> = host.requests().iter().map(|request| request.header("range").is_some()).collect();
    assert_eq!(ranges, [false, false]);
}

#[test]
fn the_repository_on_the_hub_is_tried_first() {
    let mut fixture = fixture([NONE, NONE]);
    let hub = HubHost::start();
    hub.put_large("someone/hardnet39ds.upstream_in1k", "model.safetensors", &fixture.bytes);
    fixture.options.endpoint = hub.endpoint();
    fixture.options.hub_owner = Some("someone".into());
    let provenance = fixture.fetch().unwrap().provenance.unwrap();
    assert_eq!(provenance.address, "hf://someone/hardnet39ds.upstream_in1k@main/model.safetensors");
    assert!(fixture.paths().is_empty());
    fixture.options.hub_owner = Some("nobody".into());
    assert_eq!(fixture.verification(), Verification::Unverified, "without a repository the sources are asked");
    fixture.options.hub_owner = Some("no/../body".into());
    fixture.options.force = true;
    assert!(matches!(fixture.fetch(), Err(Error::InvalidUri { .. })));
}

#[test]
fn offline_without_a_cache_names_folder_and_reason() {
    let mut fixture = fixture([NONE, NONE]);
    fixture.options.offline = Some("HF_HUB_OFFLINE is set".into());
    let error = fixture.fetch().unwrap_err().to_string();
    for part in ["hardnet39ds.upstream_in1k", "HF_HUB_OFFLINE", &fixture.cache.path().display().to_string()] {
        assert!(error.contains(part), "`{part}` in: {error}");
    }
    assert!(fixture.paths().is_empty());
}

#[test]
fn a_repository_with_other_weights_is_skipped_each_time() {
    let mut fixture = fixture([NONE, NONE]);
    let hub = HubHost::start();
    let other = synthetic::parameters(&Variant::HarDNet68Ds.into()).unwrap();
    let other = weights_file::safetensors(other, Encoding::F32, None);
    hub.put_large("someone/hardnet39ds.upstream_in1k", "model.safetensors", &other);
    fixture.options.endpoint = hub.endpoint();
    fixture.options.hub_owner = Some("someone".into());
    for _ in 0..2 {
        assert_eq!(fixture.verification(), Verification::Unverified);
    }
    assert_eq!(fixture.paths().len(), 1);
}

#[test]
fn a_preview_names_the_sources_and_requests_none() {
    let mut fixture = fixture([inferred("00000000"), NONE]);
    let preview = |fixture: &Fixture| candidates(&fixture.entry, &fixture.options);
    fixture.options.hub_owner = Some("someone".into());
    let found = preview(&fixture).unwrap();
    let addresses: Vec<&str> = found.iter().map(|candidate| candidate.address.as_str()).collect();
    assert_eq!(addresses[0], "hf://someone/hardnet39ds.upstream_in1k@main/model.safetensors");
    assert!(addresses[1].ends_with("/0/net.pth") && addresses[2].ends_with("/1/net.pth"), "{addresses:?}");
    assert_eq!((found[1].hash_kind, found[2].size), (HashKind::Inferred, Some(fixture.entry.size)));
    assert!(fixture.paths().is_empty() && fs::read_dir(fixture.cache.path()).unwrap().next().is_none());
    fixture.options.offline = Some("--offline was given".into());
    assert!(matches!(preview(&fixture), Err(Error::Offline { .. })));
    fixture.options = FetchOptions { weights_cache: Some("store".into()), ..FetchOptions::default() };
    fixture.entry.sources.clear();
    assert!(matches!(preview(&fixture), Err(Error::NoKnownSource { .. })));
}

/// On a file system of 10 MB the download fails; on one of 20 MB it succeeds, and its conversion fails.
#[test]
#[ignore = "TMPDIR must be a file system of less than 28 MB, as tests/hub/check.py makes one"]
fn a_full_disk_leaves_nothing_that_looks_finished() {
    let fixture = fixture([NONE, NONE]);
    let error = fixture.fetch().unwrap_err();
    assert!(matches!(error, Error::Download { reason: DownloadError::Io { .. }, .. }), "{error}");
    let part = fixture.cache.path().display().to_string();
    assert!(error.to_string().contains(&part), "`{part}` in: {error}");
    assert!(cached(&fixture.entry, &fixture.options).is_none());
    let folder = fixture.cache.path().join(&fixture.entry.tag);
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["arriving"]);
    assert_eq!(fixture.paths().len(), 1, "another place would not fit either");
}

#[test]
fn a_file_much_longer_than_the_weights_is_refused() {
    let mut fixture = fixture([NONE, NONE]);
    fixture.entry.size = 1000;
    let max_length = 4 * 1000 + (1 << 20);
    // The first does not say how long its file is.
    fixture.host.fail([Fault::Unannounced]);
    let error = fixture.fetch().unwrap_err().to_string();
    assert_eq!(error.matches(&format!("more than {max_length} bytes")).count(), 2, "{error}");
    assert_eq!(fixture.paths().len(), 2, "it is not requested again");
    let arriving = fixture.cache.path().join(&fixture.entry.tag).join("arriving");
    assert!(fs::read_dir(arriving).unwrap().next().is_none());
}

#[test]
fn cached_weights_stay_until_a_download_succeeds() {
    let mut fixture = fixture([NONE, NONE]);
    let before = fixture.fetch().unwrap();
    for source in ["/0/net.pth", "/1/net.pth"] {
        fixture.host.put(source, "<html>This domain is for sale</html>");
    }
    fixture.options.force = true;
    assert!(matches!(fixture.fetch(), Err(Error::AllSourcesFailed { .. })));
    fixture.options.force = false;
    assert_eq!(fixture.fetch().unwrap(), before);
    WeightsFile::open(before.path).unwrap();
}

#[test]
fn weights_that_were_removed_are_fetched_again() {
    let fixture = fixture([NONE, NONE]);
    let fetched = fixture.fetch().unwrap();
    fs::remove_file(&fetched.path).unwrap();
    assert_eq!(fixture.fetch().unwrap(), fetched);
    assert_eq!(fixture.paths().len(), 2);
}

#[test]
fn weights_of_another_network_are_skipped() {
    let fixture = fixture([NONE, NONE]);
    let other = synthetic::parameters(&Variant::HarDNet68Ds.into()).unwrap();
    fixture.host.put("/0/net.pth", weights_file::safetensors(other, Encoding::F32, None));
    assert!(fixture.fetch().unwrap().provenance.unwrap().address.ends_with("/1/net.pth"));
}

#[test]
fn a_damaged_part_is_fetched_again() {
    let fixture = fixture([verified(&git_blob_id(&weights())), NONE]);
    let part = fixture.cache.path().join(&fixture.entry.tag).join("arriving/net.pth.part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, [7; 1000]).unwrap();
    fs::write(part.with_file_name("net.pth.part.validator"), format!("\"{}\"", hardnet_base::sha256(&fixture.bytes)))
        .unwrap();
    assert_eq!(fixture.verification(), Verification::Verified);
    assert_eq!(fixture.paths(), ["/0/net.pth?signature=secret"; 2]);
}

#[test]
fn two_at_once_fetch_a_tag_once() {
    let fixture = fixture([NONE, NONE]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| fixture.fetch().unwrap());
        }
    });
    assert_eq!(fixture.paths().len(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_to_ends_the_fetch() {
    let fixture = fixture([NONE, NONE]);
    let folder = fixture.cache.path().join(&fixture.entry.tag);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("arriving"), "a file").unwrap();
    let error = fixture.fetch().unwrap_err();
    assert!(matches!(error, Error::Download { reason: DownloadError::Io { .. }, .. }), "{error}");
    assert!(fixture.paths().is_empty());
}
