use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use hardnet_testing::file_host::Fault;
use hardnet_testing::hub_host::{COMMIT, HubHost, git_blob_id};
use hardnet_testing::server::{Request, Response, Server};

use super::*;
use crate::hub::options::{RetryPolicy, Token};
use crate::source::WeightsSource;

/// Long enough for several reads.
const LARGE: usize = 1 << 20;

const SECRET: &str = "hf_secret";

/// A Hub with one large file, and an empty cache.
struct Fixture {
    hub: HubHost,
    cache: tempfile::TempDir,
    options: FetchOptions,
}

fn content() -> Vec<u8> {
    (0..LARGE).map(|i| (i * i % 251) as u8).collect()
}

fn fixture() -> Fixture {
    let hub = HubHost::start();
    hub.put_large("someone/net", "model.safetensors", &content());
    let cache = tempfile::tempdir().unwrap();
    let retry = RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(1),
        read_timeout: Duration::from_millis(300),
        ..RetryPolicy::default()
    };
    let options = FetchOptions {
        endpoint: hub.endpoint(),
        hub_cache: Some(cache.path().into()),
        retry,
        ..FetchOptions::default()
    };
    Fixture { hub, cache, options }
}

impl Fixture {
    fn fetch(&self, address: &str) -> Result<PathBuf> {
        let WeightsSource::Hub(file) = address.parse().unwrap() else { panic!("{address}") };
        fetch(&file, &self.options, &mut |_| {})
    }

    fn model(&self) -> Result<PathBuf> {
        self.fetch("hf://someone/net")
    }

    /// The pauses between attempts, and the result.
    fn watched(&self) -> (Vec<Duration>, Result<PathBuf>) {
        let mut pauses = Vec::new();
        let WeightsSource::Hub(file) = "hf://someone/net".parse().unwrap() else { unreachable!() };
        let got = fetch(&file, &self.options, &mut |event| {
            if let Event::Retrying { pause, .. } = event {
                pauses.push(pause);
            }
        });
        (pauses, got)
    }

    /// Number of files in the cache that look complete.
    fn finished(&self) -> usize {
        let entries = |folder: &str| fs::read_dir(self.cache.path().join("models--someone--net").join(folder));
        let blobs = entries("blobs").into_iter().flatten().flatten();
        let blobs = blobs.filter(|entry| !entry.file_name().to_string_lossy().contains("part")).count();
        blobs + entries("snapshots").into_iter().flatten().count()
    }

    fn part(&self) -> PathBuf {
        let name = format!("{}.hardnet.part", hardnet_base::sha256(&content()));
        self.cache.path().join("models--someone--net/blobs").join(name)
    }
}

fn ranges(requests: &[Request]) -> Vec<Option<String>> {
    requests.iter().map(|request| request.header("range").map(Into::into)).collect()
}

#[test]
fn a_file_is_fetched_once_and_laid_out_as_python_does() {
    let fixture = fixture();
    let path = fixture.model().unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
    let repository = fixture.cache.path().join("models--someone--net");
    assert_eq!(path, repository.join("snapshots").join(COMMIT).join("model.safetensors"));
    let blob = Path::new("../../blobs").join(hardnet_base::sha256(&content()));
    assert_eq!(fs::read_link(&path).unwrap(), blob);
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    // A description and a download, which the Hub redirects.
    assert_eq!((fixture.hub.requests().len(), fixture.hub.content().requests().len()), (2, 1));
    assert_eq!(fixture.model().unwrap(), path);
    assert_eq!(fixture.hub.requests().len(), 2, "the second run makes no request");
}

#[test]
fn small_files_in_folders_are_checked_by_their_names_in_git() {
    let fixture = fixture();
    fixture.hub.put_small("someone/net", "sub/config.json", b"{}");
    let path = fixture.fetch("hf://someone/net/sub/config.json").unwrap();
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../../blobs").join(git_blob_id(b"{}")));
    assert_eq!(fs::read(path).unwrap(), b"{}");
}

#[test]
fn force_requests_again_but_downloads_nothing_twice() {
    let mut fixture = fixture();
    let path = fixture.model().unwrap();
    fixture.options.force = true;
    assert_eq!(fixture.model().unwrap(), path);
    assert_eq!((fixture.hub.requests().len(), fixture.hub.content().requests().len()), (3, 1));
}

#[test]
fn a_pinned_revision_is_taken_from_the_cache_by_its_commit() {
    let fixture = fixture();
    let pinned = format!("hf://someone/net@{COMMIT}");
    let path = fixture.fetch(&pinned).unwrap();
    let requests = fixture.hub.requests().len();
    assert_eq!(fixture.fetch(&pinned).unwrap(), path);
    assert_eq!(fixture.hub.requests().len(), requests);
    assert!(!fixture.cache.path().join("models--someone--net/refs").exists(), "a commit is not a branch");
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let mut fixture = fixture();
    fixture.hub.require(SECRET);
    let refused = fixture.model().unwrap_err().to_string();
    assert!(refused.contains("does not exist or is private") && refused.contains("401"), "{refused}");
    fixture.options.token = Token::new(SECRET);
    fixture.model().unwrap();
    let authorized = |requests: &[Request]| requests.iter().filter(|r| r.header("authorization").is_some()).count();
    assert_eq!(authorized(&fixture.hub.requests()), 2);
    assert_eq!((authorized(&fixture.hub.content().requests()), fixture.hub.content().requests().len()), (0, 1));
}

#[test]
fn a_redirect_on_the_same_host_but_another_port_gets_no_token() {
    let mut fixture = fixture();
    let thief = Server::start(|_| Response::new(404, ""));
    fixture.options.token = Token::new(SECRET);
    let redirect = Response::new(307, "").header("Location", format!("{}/steal", thief.url()));
    fixture.hub.answer([redirect.clone().header("X-Repo-Commit", COMMIT).header("X-Linked-ETag", "\"e\""), redirect]);
    fixture.model().unwrap_err();
    assert_eq!(thief.requests().len(), 1);
    assert_eq!(thief.requests()[0].header("authorization"), None);
}

#[test]
fn errors_name_address_cache_and_diagnosis_but_no_secret() {
    let mut fixture = fixture();
    let cache = fixture.cache.path().display().to_string();
    let cases = [
        ("hf://nobody/net@main/model.safetensors", "does not exist or is private", "404"),
        ("hf://someone/net@main/other.bin", "no such file", "404"),
        ("hf://someone/net@v9", "no such revision", "404"),
    ];
    for (address, diagnosis, status) in cases {
        let error = fixture.fetch(address).unwrap_err().to_string();
        for part in [address, diagnosis, status, &cache] {
            assert!(error.contains(part), "`{part}` in: {error}");
        }
    }
    fixture.options.token = Token::new(SECRET);
    fixture.hub.gate();
    let error = fixture.model().unwrap_err();
    let error = format!("{error} {error:?}");
    assert!(error.contains("the repository is gated") && error.contains("403"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
    assert_eq!(fixture.finished(), 0);
}

#[test]
fn signatures_are_not_shown() {
    let fixture = fixture();
    fixture.hub.content().fail([Fault::Answer(Response::new(403, "expired"))]);
    let error = fixture.model().unwrap_err();
    let error = format!("{error} {error:?}");
    assert!(error.contains("403") && !error.contains("signature"), "{error}");
}

#[test]
fn a_busy_host_is_given_the_pause_it_asks_for() {
    let fixture = fixture();
    fixture.hub.answer([Response::new(429, "").header("Retry-After", "1")]);
    let (pauses, got) = fixture.watched();
    got.unwrap();
    assert_eq!(pauses, [Duration::from_secs(1)]);
}

#[test]
fn a_pause_that_is_too_long_is_not_waited() {
    let fixture = fixture();
    fixture.hub.answer([Response::new(429, "").header("Retry-After", "3600")]);
    let (pauses, got) = fixture.watched();
    assert_eq!(pauses, []);
    let error = got.unwrap_err().to_string();
    assert!(error.contains("3600 seconds"), "{error}");
}

#[test]
fn server_errors_are_tried_again_with_growing_pauses_and_not_for_ever() {
    let fixture = fixture();
    fixture.hub.answer([Response::new(500, ""), Response::new(503, "")]);
    let (pauses, got) = fixture.watched();
    got.unwrap();
    assert_eq!(pauses, [Duration::from_millis(1), Duration::from_millis(2)]);

    let fixture = self::fixture();
    fixture.hub.answer(vec![Response::new(500, ""); 3]);
    let error = fixture.model().unwrap_err().to_string();
    assert!(error.contains("500"), "{error}");
    assert_eq!(fixture.hub.requests().len(), 3);
}

#[test]
fn a_file_that_breaks_off_is_continued() {
    let fixture = fixture();
    fixture.hub.content().fail([Fault::CutAfter(1000), Fault::CutAfter(500)]);
    assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content());
    assert_eq!(
        ranges(&fixture.hub.content().requests()),
        [None, Some("bytes=1000-".into()), Some("bytes=1500-".into())]
    );
}

#[test]
fn a_file_that_broke_off_is_continued_by_a_later_run() {
    let fixture = fixture();
    fixture.hub.content().fail([Fault::CutAfter(1000), Fault::CutAfter(0), Fault::CutAfter(0)]);
    let error = fixture.model().unwrap_err().to_string();
    assert!(error.contains("connection broke off"), "{error}");
    assert_eq!(fs::read(fixture.part()).unwrap(), content()[..1000]);
    assert_eq!(fixture.finished(), 0);
    assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content());
    assert_eq!(ranges(&fixture.hub.content().requests())[3], Some("bytes=1000-".into()));
    assert!(!fixture.part().exists());
}

#[test]
fn a_host_that_ignores_ranges_is_read_from_the_start() {
    let fixture = fixture();
    fixture.hub.content().fail([Fault::CutAfter(1000), Fault::IgnoreRange]);
    assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content());
}

#[test]
fn parts_of_every_length_are_completed() {
    for (kept, requests) in [(0, 1), (1, 1), (LARGE - 1, 1), (LARGE, 0), (LARGE + 1, 1)] {
        let fixture = fixture();
        fs::create_dir_all(fixture.part().parent().unwrap()).unwrap();
        let mut part = content();
        part.resize(kept, 0);
        fs::write(fixture.part(), part).unwrap();
        assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content(), "{kept}");
        assert_eq!(fixture.hub.content().requests().len(), requests, "{kept}");
    }
}

#[test]
fn a_damaged_part_is_discarded_and_fetched_again() {
    for kept in [1000, LARGE] {
        let fixture = fixture();
        fs::create_dir_all(fixture.part().parent().unwrap()).unwrap();
        fs::write(fixture.part(), vec![7; kept]).unwrap();
        assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content(), "{kept}");
        assert_eq!(ranges(&fixture.hub.content().requests()).last(), Some(&None), "{kept}");
    }
}

#[test]
fn a_wrong_hash_is_an_error_and_leaves_nothing() {
    let fixture = fixture();
    fixture.hub.content().fail([Fault::Damage]);
    let error = fixture.model().unwrap_err();
    let Error::Download { reason: DownloadError::HashMismatch { expected, found }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*expected, hardnet_base::sha256(&content()));
    assert!(error.to_string().contains(found.as_str()), "{error}");
    assert!(!fixture.part().exists());
    assert_eq!(fixture.finished(), 0);
}

#[test]
fn a_body_that_is_too_short_is_completed_or_refused() {
    let fixture = fixture();
    fixture.hub.content().fail([Fault::Truncate(1000)]);
    assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content());

    let fixture = self::fixture();
    fixture.hub.content().fail(vec![Fault::Truncate(1000); 20]);
    let error = fixture.model().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Download { reason: DownloadError::Network(_) | DownloadError::LengthMismatch { .. }, .. }
        ),
        "{error}"
    );
    assert_eq!(fixture.finished(), 0);
    assert!(fixture.hub.content().requests().len() < 20, "retries end");
}

#[test]
fn a_host_that_falls_silent_is_left_and_asked_again() {
    let fixture = fixture();
    fixture.hub.content().fail([Fault::StallAfter(1000)]);
    assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content());
    assert_eq!(ranges(&fixture.hub.content().requests()), [None, Some("bytes=1000-".into())]);

    let fixture = self::fixture();
    fixture.hub.content().fail(vec![Fault::StallAfter(0); 3]);
    let error = fixture.model().unwrap_err().to_string();
    assert!(error.contains("stopped sending"), "{error}");
}

#[test]
fn offline_takes_what_is_cached_and_names_the_folder_otherwise() {
    let mut fixture = fixture();
    fixture.options.offline = Some("HF_HUB_OFFLINE is set".into());
    fixture.options.force = true;
    let error = fixture.model().unwrap_err().to_string();
    for part in
        ["HF_HUB_OFFLINE", &fixture.cache.path().display().to_string(), "hf://someone/net@main/model.safetensors"]
    {
        assert!(error.contains(part), "`{part}` in: {error}");
    }
    assert_eq!(fixture.hub.requests().len(), 0);
    fixture.options.offline = None;
    let path = fixture.model().unwrap();
    fixture.options.offline = Some("--offline was given".into());
    let requests = fixture.hub.requests().len();
    assert_eq!(fixture.model().unwrap(), path);
    assert_eq!(fixture.hub.requests().len(), requests);
}

#[test]
fn without_a_home_folder_there_is_an_error() {
    let mut fixture = fixture();
    fixture.options.hub_cache = None;
    let error = fixture.model().unwrap_err().to_string();
    assert!(error.contains("HF_HOME"), "{error}");
}

#[test]
fn a_response_of_another_server_is_named_as_such() {
    let fixture = fixture();
    fixture.hub.answer([Response::new(200, "<html>log in</html>")]);
    let error = fixture.model().unwrap_err().to_string();
    assert!(error.contains("not a Hub"), "{error}");
    for (commit, etag) in [("../../..", "e"), (COMMIT, "../../e"), (COMMIT, ""), (COMMIT, ".lock")] {
        let answer = Response::new(200, "").header("X-Repo-Commit", commit).header("ETag", format!("\"{etag}\""));
        fixture.hub.answer([answer]);
        let error = fixture.model().unwrap_err();
        assert!(matches!(error, Error::Download { reason: DownloadError::NotAHub(_), .. }), "{commit} {etag}: {error}");
    }
    assert_eq!(fixture.finished(), 0);
}

#[test]
fn redirects_in_a_circle_end() {
    let fixture = fixture();
    let circle = Response::new(302, "").header("Location", "/mirror/someone/net/resolve/main/model.safetensors");
    fixture.hub.answer(vec![circle; 11]);
    let error = fixture.model().unwrap_err().to_string();
    assert!(error.contains("more than 10 times"), "{error}");
}

#[test]
fn two_at_once_fetch_one_file_once() {
    let fixture = fixture();
    let paths = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| paths.lock().unwrap().push(fixture.model().unwrap()));
        }
    });
    let paths = paths.into_inner().unwrap();
    assert!(paths.iter().all(|path| *path == paths[0]) && paths.len() == 4);
    assert_eq!(fixture.hub.content().requests().len(), 1);
}

#[test]
fn a_proxy_is_asked_unless_the_host_is_excepted() {
    let mut fixture = fixture();
    let proxy = Server::start(|_| Response::new(407, ""));
    fixture.options.proxies.http = Some(proxy.url());
    fixture.model().unwrap_err();
    assert!(!proxy.requests().is_empty());
    assert_eq!(fixture.hub.requests().len(), 0);
    let asked = proxy.requests().len();
    fixture.options.proxies.exceptions = Some("example.org, 127.0.0.1".into());
    fixture.model().unwrap();
    assert_eq!(proxy.requests().len(), asked);
}

#[test]
fn a_host_that_refuses_connections_is_an_error_after_the_last_attempt() {
    let mut fixture = fixture();
    fixture.options.endpoint = "http://127.0.0.1:1".into();
    let mut said = Vec::new();
    let WeightsSource::Hub(file) = "hf://someone/net".parse().unwrap() else { unreachable!() };
    let error = fetch(&file, &fixture.options, &mut |event| {
        if let Event::Retrying { why, .. } = event {
            said.push(why.to_owned());
        }
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Download { reason: DownloadError::Network(_), .. }), "{error}");
    assert_eq!(said.len(), 2, "{said:?}");
    for endpoint in ["127.0.0.1:1", "ftp://127.0.0.1", ""] {
        fixture.options.endpoint = endpoint.into();
        let error = fixture.model().unwrap_err().to_string();
        assert!(error.contains("is not an http:// or https:// URL"), "{error}");
    }
}

#[test]
fn describe_downloads_nothing() {
    let mut fixture = fixture();
    let WeightsSource::Hub(file) = "hf://someone/net".parse().unwrap() else { unreachable!() };
    let (address, length) = describe(&file, &fixture.options, &mut |_| {}).unwrap();
    assert_eq!(address, format!("{}/someone/net/resolve/main/model.safetensors", fixture.hub.endpoint()));
    assert_eq!(length, Some(LARGE as u64));
    assert_eq!((fixture.hub.requests().len(), fixture.hub.content().requests().len()), (1, 0));
    assert!(fs::read_dir(fixture.cache.path()).unwrap().next().is_none());
    fixture.options.offline = Some("--offline was given".into());
    assert!(matches!(describe(&file, &fixture.options, &mut |_| {}), Err(Error::Offline { .. })));
}

#[test]
fn a_file_longer_than_any_weights_is_refused() {
    let fixture = fixture();
    let description = Response::new(200, "").header("X-Repo-Commit", COMMIT).header("X-Linked-ETag", "\"e\"");
    let length = (MAX_LENGTH + 1).to_string();
    fixture.hub.answer([description.header("X-Linked-Size", length)]);
    let error = fixture.model().unwrap_err();
    assert!(matches!(error, Error::Download { reason: DownloadError::TooLarge(MAX_LENGTH), .. }), "{error}");
    assert_eq!(fixture.finished(), 0);
}

#[test]
fn a_download_that_breaks_off_often_is_resumed_while_it_grows() {
    let fixture = fixture();
    fixture.hub.content().fail(vec![Fault::CutAfter(1000); 8]);
    assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content());
    assert_eq!(fixture.hub.content().requests().len(), 9);
}

#[test]
fn a_branch_that_moves_meanwhile_changes_nothing() {
    let fixture = fixture();
    fixture.model().unwrap();
    let asked: Vec<_> = fixture.hub.requests().into_iter().map(|request| (request.method, request.target)).collect();
    let file = |revision| format!("/mirror/someone/net/resolve/{revision}/model.safetensors");
    assert_eq!(asked, [("HEAD".into(), file("main")), ("GET".into(), file(COMMIT))], "the commit that was described");
}

#[test]
fn a_body_longer_than_described_is_refused() {
    let fixture = fixture();
    let answer = Response::new(200, "").header("X-Repo-Commit", COMMIT).header("X-Linked-Size", "1000");
    let description = answer.header("X-Linked-ETag", format!("\"{}\"", hardnet_base::sha256(&content())));
    fixture.hub.answer([description]);
    let error = fixture.model().unwrap_err();
    let reason = matches!(error, Error::Download { reason: DownloadError::LengthMismatch { expected: 1000, .. }, .. });
    assert!(reason && error.to_string().contains("expected 1000"), "{error}");
    assert_eq!((fixture.finished(), fixture.part().exists()), (0, false));
}

#[test]
fn etags_of_mirrors_may_be_weak() {
    let fixture = fixture();
    fixture.hub.put_small("someone/net", "config.json", b"{}");
    let etag = format!("W/\"{}\"", git_blob_id(b"{}"));
    fixture.hub.answer([Response::new(200, "{}").header("X-Repo-Commit", COMMIT).header("ETag", etag)]);
    let path = fixture.fetch("hf://someone/net@main/config.json").unwrap();
    assert_eq!(fs::read_link(path).unwrap(), Path::new("../../blobs").join(git_blob_id(b"{}")));
}

#[test]
fn a_host_that_continues_elsewhere_is_asked_for_the_whole_file() {
    let fixture = fixture();
    let wrong = Response::new(206, vec![7; 10]).header("Content-Range", format!("bytes 5-14/{LARGE}"));
    fixture.hub.content().fail([Fault::CutAfter(1000), Fault::Answer(wrong)]);
    assert_eq!(fs::read(fixture.model().unwrap()).unwrap(), content());
    assert_eq!(ranges(&fixture.hub.content().requests()), [None, Some("bytes=1000-".into()), None]);
}

#[test]
fn a_small_file_that_is_another_is_refused() {
    let fixture = fixture();
    fixture.hub.put_small("someone/net", "config.json", b"{}");
    let answer = |body: &str| {
        let etag = format!("\"{}\"", git_blob_id(b"{}"));
        Response::new(200, body).header("X-Repo-Commit", COMMIT).header("ETag", etag)
    };
    fixture.hub.answer([answer("{}"), answer("[]")]);
    let error = fixture.fetch("hf://someone/net@main/config.json").unwrap_err();
    assert!(matches!(error, Error::Download { reason: DownloadError::HashMismatch { .. }, .. }), "{error}");
    assert_eq!(fixture.finished(), 0);
}
