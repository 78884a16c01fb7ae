//! Images inside tar archives: the same as in folders, or a clear error.

mod common;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hardnet_data::{
    ArchiveError, Batch, Classes, Dataset, DatasetError, EntryKind, HeaderFault, ImageRoot, Loader, LoaderOptions,
    Pipeline, Sample, SampleError,
};
use tempfile::TempDir;

/// An entry as ustar has it: a header whose checksum is right, and the content in whole blocks.
fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, content.len());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn header(name: &str, kind: u8, size: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut header);
    header
}

/// Writes the checksum.
fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A folder with `a.tar` and `list`.
struct Fixture(TempDir);

impl Fixture {
    fn new(tar: &[u8], list: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("a.tar"), tar).expect("the archive is written");
        fs::write(folder.path().join("list"), list).expect("the list is written");
        Self(folder)
    }

    fn tar(&self) -> PathBuf {
        self.0.path().join("a.tar")
    }

    fn list(&self) -> Result<Dataset, DatasetError> {
        Dataset::from_list(&self.0.path().join("list"), self.tar(), 1000)
    }

    fn message(&self, error: &dyn std::error::Error) -> String {
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn contents(dataset: &Dataset) -> Vec<Vec<u8>> {
    let read = |sample: &Sample| sample.archived().expect("in the archive").read().expect("readable");
    dataset.samples.iter().map(read).collect()
}

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tar").join(name)
}

/// The names of `make_archives.py`, in the order of class folders, and the files they hold; ustar has the first four.
fn stored_names() -> Vec<(String, u32, &'static str)> {
    vec![
        ("n01440764/a.jpg".into(), 0, "size8x8.jpg"),
        ("n01440764/b.png".into(), 0, "grey2.png"),
        ("n01443537/a.jpg".into(), 1, "size1x1.jpg"),
        (format!("n01443537/{}/{}/long.png", "x".repeat(30), "y".repeat(90)), 1, "palette1.png"),
        ("n01484850/w\u{f6}lf.png".into(), 2, "one_pixel.png"),
        (format!("n01484850/{}.png", "z".repeat(180)), 2, "bilevel.png"),
    ]
}

fn batches(dataset: &Dataset) -> Vec<Batch> {
    let mut pipeline = Pipeline::pil_bilinear();
    (pipeline.resize, pipeline.crop) = (8, 7);
    let mut options = LoaderOptions::default();
    (options.workers, options.batch_size) = (3, 2);
    Loader::new(dataset.samples.clone(), pipeline, options).expect("good options").collect()
}

#[test]
fn archives_of_pythons_tarfile_give_what_the_folder_gives() {
    for (tar, count) in [("ustar.tar", 4), ("gnu.tar", 6), ("pax.tar", 6)] {
        let names = &stored_names()[..count];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut list = String::new();
        for (name, label, file) in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a class folder")).expect("folders are made");
            fs::write(path, common::file(file)).expect("the image is written");
            list += &format!("{name} {label}\n");
        }
        let list_path = folder.path().join("list");
        fs::write(&list_path, list).expect("the list is written");
        let pairs = [
            (Dataset::from_class_folders(stored(tar), 1000), Dataset::from_class_folders(folder.path(), 1000)),
            (Dataset::from_list(&list_path, stored(tar), 1000), Dataset::from_list(&list_path, folder.path(), 1000)),
        ];
        for (archived, loose) in pairs {
            let (archived, loose) = (archived.expect(tar), loose.expect(tar));
            let wanted: Vec<_> = names.iter().map(|(_, _, file)| common::file(file)).collect();
            assert_eq!(contents(&archived), wanted, "{tar}");
            assert_eq!((&archived.classes, &archived.notes), (&loose.classes, &loose.notes), "{tar}");
            let keys = |set: &Dataset| set.samples.iter().map(|s| (s.name().to_owned(), s.label())).collect::<Vec<_>>();
            assert_eq!(keys(&archived), keys(&loose), "{tar}");
            let (archived, loose) = (batches(&archived), batches(&loose));
            assert_eq!(archived.iter().map(|batch| batch.samples.len()).sum::<usize>(), count, "{tar}");
            for (archived, loose) in archived.iter().zip(&loose) {
                assert_eq!((&archived.samples, archived.stacked()), (&loose.samples, loose.stacked()), "{tar}");
            }
        }
    }
}

#[test]
fn names_match_with_or_without_folders() {
    let table: &[(&[&str], &str, &[usize])] = &[
        (&["a.jpg", "b.jpg"], "b.jpg 1\na.jpg 0\n", &[1, 0]),
        (&["./a.jpg", ".//b.jpg"], "b.jpg 1\n./a.jpg 0\n", &[1, 0]),
        (&["val/a.jpg", "val/b.jpg"], "b.jpg 1\na.jpg 0\n", &[1, 0]),
        (&["a.jpg", "b.jpg"], "val/b.jpg 1\nval/a.jpg 0\n", &[1, 0]),
        (&["/top/val/a.jpg"], "val/a.jpg 1\n", &[0]),
        (&["x/a.jpg", "a.jpg"], "a.jpg 1\nx/a.jpg 1", &[1, 0]),
        (&["n1/0.jpg", "n2/0.jpg"], "val/n2/0.jpg 1\nval/n1/0.jpg 1", &[1, 0]),
    ];
    for (names, list, expected) in table {
        let entries: Vec<_> = names.iter().enumerate().map(|(at, name)| entry(name, b'0', &[at as u8; 700])).collect();
        let fixture = Fixture::new(&archive(&entries), list);
        let dataset = fixture.list().unwrap_or_else(|error| panic!("{names:?}, {list:?}: {error}"));
        let found: Vec<_> = contents(&dataset).iter().map(|bytes| usize::from(bytes[0])).collect();
        assert_eq!(found, *expected, "{names:?}, {list:?}");
        assert!(dataset.samples.iter().all(|sample| sample.path().starts_with(fixture.tar())));
    }
    let refused: &[(&[&str], &str, &str)] = &[
        (&["x/a.jpg"], "y/a.jpg 1\n", "1 of the 1 images in `list` are not in `a.tar`: `y/a.jpg` (line 1)"),
        (&["ab/1.jpg"], "b/1.jpg 1\n", "1 of the 1 images in `list` are not in `a.tar`: `b/1.jpg` (line 1)"),
        (&["xa.jpg"], "a.jpg 1\n", "1 of the 1 images in `list` are not in `a.tar`: `a.jpg` (line 1)"),
        (
            &["x/a.jpg", "y/a.jpg"],
            "a.jpg 1\n",
            "`list`, line 1: `a.jpg 1` is both `x/a.jpg` and `y/a.jpg` in the archive; write the folder in the list",
        ),
        (
            &["a.jpg"],
            "x/a.jpg 1\ny/a.jpg 1\n",
            "`list`, line 2: `y/a.jpg 1` names the file of line 1 again; remove one",
        ),
        (
            &["a.jpg"],
            "x/a.jpg 1\ny/a.jpg 2\n",
            "`list`, line 2: `y/a.jpg 2` names the file of line 1 with another label; remove one",
        ),
        (
            &["a.jpg", "b.jpg", "./a.jpg"],
            "a.jpg 1\n",
            "`a.tar` holds `a.jpg` more than once, at offsets 512 and 2560; remove one",
        ),
        (
            &["n01440764.tar", "n01443537.tar"],
            "a.jpg 1\n",
            "`a.tar` holds no image but 2 tar archives, such as `n01440764.tar`; \
             unpack it, and each of them into a folder of its class",
        ),
    ];
    for (names, list, expected) in refused {
        let entries: Vec<_> = names.iter().map(|name| entry(name, b'0', b"1")).collect();
        let fixture = Fixture::new(&archive(&entries), list);
        assert_eq!(fixture.message(&fixture.list().expect_err("refused")), *expected, "{names:?}");
    }
    // A name that is twice there does no harm if nobody asks for it.
    let entries = ["a.jpg", "a.jpg", "b.jpg"].map(|name| entry(name, b'0', b"1"));
    assert_eq!(Fixture::new(&archive(&entries), "b.jpg 1\n").list().expect("one image").samples.len(), 1);
}

#[test]
fn what_is_no_regular_file_is_refused_where_it_is_wanted() {
    let other = entry("b.jpg", b'0', b"b");
    let sparse = entry("PaxHeaders/a.jpg", b'x', b"22 GNU.sparse.major=1\n");
    let mut map = header("a.jpg", b'S', 3);
    map[482] = 1;
    seal(&mut map);
    // Two more blocks of the map, the first of which says that another follows, then the content.
    map.resize(3 * 512, 0);
    map[512 + 504] = 1;
    map.extend_from_slice(b"abc");
    map.resize(4 * 512, 0);
    let table = [
        (entry("a.jpg", b'1', b""), EntryKind::Link),
        (header("a.jpg", b'2', 5), EntryKind::Link),
        (entry("a.jpg", b'3', b""), EntryKind::Special),
        (entry("a.jpg", b'6', b""), EntryKind::Special),
        (entry("a.jpg", b'5', b""), EntryKind::Folder),
        (entry("a.jpg/", 0, b""), EntryKind::Folder),
        (entry("a.jpg", b'M', b"part"), EntryKind::Special),
        ([sparse, entry("a.jpg", b'0', b"holes")].concat(), EntryKind::Sparse),
        (map, EntryKind::Sparse),
    ];
    for (wrong, expected) in table {
        let tar = archive(&[wrong, other.clone()]);
        let error = Fixture::new(&tar, "b.jpg 1\na.jpg 0\n").list().expect_err("refused");
        let DatasetError::Archive(ArchiveError::NotAFile { kind, name, .. }) = &error else { panic!("{error}") };
        assert_eq!((*kind, name.as_str()), (expected, "a.jpg"));
        assert_eq!(contents(&Fixture::new(&tar, "b.jpg 1\n").list().expect("a file")), [b"b"], "{expected:?}");
    }
}

#[test]
fn damaged_and_foreign_archives_are_told_with_the_remedy() {
    let a = entry("a.jpg", b'0', b"abc");
    let mut wrong_sum = entry("b.jpg", b'0', b"");
    wrong_sum[0] = b'c';
    let mut negative = header("b.jpg", b'0', 0);
    negative[124..136].fill(0xff);
    seal(&mut negative);
    let pax = |records: &[u8]| archive(&[entry("x", b'x', records), a.clone()]);
    let faults = [
        (archive(&[a.clone(), wrong_sum]), 1024, HeaderFault::Checksum),
        (archive(&[a.clone(), negative]), 1024, HeaderFault::Size),
        (archive(&[a.clone(), entry("", b'0', b"")]), 1024, HeaderFault::NoName),
        (archive(&[entry("././@LongLink", b'L', &[b'n'; 4098]), a.clone()]), 0, HeaderFault::TooLong),
        (archive(&[entry("././@LongLink", b'L', &[b'n'; 4097]), a.clone()]), 5120, HeaderFault::TooLong),
        (archive(&[header("x", b'x', (1 << 20) + 1), a.clone()]), 0, HeaderFault::TooLong),
        (pax(b"5 size"), 0, HeaderFault::PaxRecords),
        (archive(&[entry("x", b'g', b"9 size=1\n"), a.clone()]), 0, HeaderFault::PaxRecords),
        (archive(&[a.clone(), entry("././@LongLink", b'L', b"name\0")]), 1024, HeaderFault::NoEntry),
    ];
    for (tar, expected, fault) in faults {
        let error = Fixture::new(&tar, "a.jpg 0\n").list().expect_err("damaged");
        let DatasetError::Archive(ArchiveError::Header { offset, fault: found, .. }) = error else { panic!("{error}") };
        assert_eq!((offset, found), (expected, fault));
    }
    let mut cut = archive(std::slice::from_ref(&a));
    cut.truncate(1024);
    let again = "copy or download it again";
    let messages = [
        (
            cut,
            format!(
                "`a.tar` is cut short: it ends after 1024 bytes, expected a header or the end marker at offset 1024; \
                 {again}"
            ),
        ),
        (
            archive(&[a.clone(), header("b.jpg", b'0', 5000)]),
            format!(
                "the entry `b.jpg` at offset 1024 of `a.tar` claims 5000 bytes, 1024 are left; \
                 the archive is cut short or damaged, {again}"
            ),
        ),
        (
            pax(b"29 size=18446744073709551615\n"),
            format!(
                "the entry `a.jpg` at offset 1024 of `a.tar` claims 18446744073709551615 bytes, 1536 are left; \
                 the archive is cut short or damaged, {again}"
            ),
        ),
        (
            archive(&[entry("../a.jpg", b'0', b"")]),
            "the entry `../a.jpg` at offset 0 of `a.tar` has `..` in its name; create the archive again".into(),
        ),
        (
            b"\x1f\x8b\x08\0\0\0\0\0\0\0".to_vec(),
            "`a.tar` is compressed with gzip, expected a plain tar archive; unpack it with `gunzip` first".into(),
        ),
        (
            b"abc".to_vec(),
            "`a.tar` is neither a folder nor a tar archive, expected the one that holds the images".into(),
        ),
        (vec![], "`a.tar` is neither a folder nor a tar archive, expected the one that holds the images".into()),
    ];
    for (tar, expected) in messages {
        let fixture = Fixture::new(&tar, "a.jpg 0\n");
        assert_eq!(fixture.message(&fixture.list().expect_err("damaged")), expected);
    }
}

#[test]
fn class_folders_are_found_below_common_ones() {
    type Case<'a> = (&'a [&'a str], usize, &'a [(&'a str, u32)], usize);
    let table: &[Case] = &[
        (&["cat/1.jpg", "dog/2.jpg", "cat/.3.jpg", "cat/note.txt"], 2, &[("cat/1.jpg", 0), ("dog/2.jpg", 1)], 1),
        (&["val/dog/2.jpg", "val/cat/x/1.jpg"], 2, &[("cat/x/1.jpg", 0), ("dog/2.jpg", 1)], 2),
        (&["./t/val/dog/2.jpg", "./t/val/cat/1.jpg"], 2, &[("cat/1.jpg", 0), ("dog/2.jpg", 1)], 2),
        (
            &["val/dog/2.jpg", "val/cat/x/1.jpg", "README", "val/", "val/cat/"],
            2,
            &[("cat/x/1.jpg", 0), ("dog/2.jpg", 1)],
            2,
        ),
        (&["do/", "dog/x/1.jpg"], 3, &[("dog/x/1.jpg", 2)], 2),
        (&["cat/", "dog/x/1.jpg"], 3, &[("dog/x/1.jpg", 2)], 2),
        (&["n01443537/x/1.jpg"], 1000, &[("n01443537/x/1.jpg", 1)], 1),
        (&["val/n01443537/1.jpg"], 1000, &[("n01443537/1.jpg", 1)], 2),
        (&["a/b/1.jpg"], 1, &[("a/b/1.jpg", 0)], 1),
        (&["a/z.jpg", "a/b/1.jpg", "a/c/1.jpg", "9.jpg"], 1, &[("a/z.jpg", 0), ("a/b/1.jpg", 0), ("a/c/1.jpg", 0)], 2),
    ];
    for (names, classes, expected, notes) in table {
        let content = |name: &str| if name.ends_with('/') { vec![] } else { name.as_bytes().to_vec() };
        let entries: Vec<_> = names.iter().map(|name| entry(name, b'0', &content(name))).collect();
        let fixture = Fixture::new(&archive(&entries), "");
        // An empty folder is not a class, so that the classes of these archives need names.
        let classes = if *classes == 3 { Classes::named(["cat", "do", "dog"]) } else { Classes::unnamed(*classes) };
        let dataset = Dataset::from_class_folders(fixture.tar(), classes).unwrap_or_else(|e| panic!("{names:?}: {e}"));
        let found: Vec<_> = dataset.samples.iter().map(|s| (s.name(), s.label().expect("labeled"))).collect();
        assert_eq!(found, *expected, "{names:?}");
        assert_eq!(dataset.notes.len(), *notes, "{names:?}: {:?}", dataset.notes);
        for (sample, content) in dataset.samples.iter().zip(contents(&dataset)) {
            assert!(String::from_utf8(content).expect("a name").ends_with(sample.name()), "{sample:?}");
        }
    }
    let wrong = |entries: &[Vec<u8>]| {
        let fixture = Fixture::new(&archive(entries), "");
        fixture.message(&Dataset::from_class_folders(fixture.tar(), 2).expect_err("refused"))
    };
    let (cat, dog) = (entry("cat/1.jpg", b'0', b"1"), entry("dog/1.jpg", b'0', b"2"));
    assert!(wrong(&[cat.clone(), dog.clone(), cat.clone()]).contains("holds `cat/1.jpg` more than once"));
    assert!(wrong(&[cat, dog, entry("dog/2.jpg", b'2', b"")]).starts_with("`dog/2.jpg` in `a.tar` is a link"));
    assert!(wrong(&[entry("1.jpg", b'0', b"")]).contains("holds 1 images but no class folders"));
    assert!(wrong(&[entry("n01440764.tar", b'0', b"")]).contains("holds no image but 1 tar archives"));
}

/// Every prefix of a stored archive gives the same images or an error.
#[test]
fn any_truncation_is_told() {
    for tar in ["ustar.tar", "gnu.tar", "pax.tar"] {
        let bytes = fs::read(stored(tar)).expect("stored");
        let wanted = contents(&Dataset::from_class_folders(stored(tar), 1000).expect("whole"));
        let fixture = Fixture::new(&bytes, "");
        let file = fs::OpenOptions::new().write(true).open(fixture.tar()).expect("opened");
        let (mut refused, mut same) = (0, 0);
        for length in (0..bytes.len()).rev() {
            file.set_len(length as u64).expect("cut");
            match Dataset::from_class_folders(fixture.tar(), 1000) {
                Ok(dataset) => {
                    assert_eq!(contents(&dataset), wanted, "{tar}, {length}");
                    same += 1;
                }
                Err(DatasetError::Archive(_) | DatasetError::RootNotAFolder { .. }) => refused += 1,
                Err(error) => panic!("{tar}, {length}: {error}"),
            }
        }
        // The rest of the last record is zeros.
        assert!(refused > 5000 && same > 500, "{tar}: {refused} refused, {same} the same");
    }
}

/// A changed byte outside the images is refused, or changes nothing but names; content never moves.
#[test]
fn any_changed_byte_is_survived() {
    let bytes = fs::read(stored("pax.tar")).expect("stored");
    let wanted = contents(&Dataset::from_class_folders(stored("pax.tar"), 1000).expect("whole"));
    let fixture = Fixture::new(&bytes, "");
    // One byte at a time in one file: to write 25,000 files takes a minute on some disks.
    let mut file = fs::OpenOptions::new().write(true).open(fixture.tar()).expect("opened");
    let mut set = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).and_then(|_| file.write_all(&[byte])).expect("written");
    };
    let (mut refused, mut read) = (0, 0);
    for at in 0..bytes.len() {
        set(at, bytes[at] ^ [0x01, 0x80, 0xff][at % 3]);
        match Dataset::from_class_folders(fixture.tar(), 1000) {
            Ok(dataset) => {
                read += 1;
                let differing = contents(&dataset).iter().filter(|content| !wanted.contains(content)).count();
                assert!(differing <= 1, "byte {at}: {differing} images differ");
            }
            Err(_) => refused += 1,
        }
        set(at, bytes[at]);
    }
    assert!(refused > 3000 && read > 3000, "{refused} refused, {read} read");
}

#[test]
fn an_archive_that_shrinks_costs_the_images_behind_its_end() {
    let image = common::file("grey2.png");
    let tar = archive(&[entry("a.png", b'0', &image), entry("b.png", b'0', &image)]);
    let fixture = Fixture::new(&tar, "a.png 0\nb.png 1\n");
    let dataset = fixture.list().expect("whole");
    fs::OpenOptions::new().write(true).open(fixture.tar()).and_then(|file| file.set_len(1100)).expect("shrunk");
    let batches = batches(&dataset);
    assert_eq!(batches[0].samples, [0]);
    let [(1, error @ SampleError::Io { .. })] = &batches[0].failures[..] else { panic!("{:?}", batches[0].failures) };
    assert_eq!(fixture.message(error), "cannot read `a.tar/b.png`");
}

/// An archive of two images that has lain there for an hour, and a folder for its index.
struct Settled {
    fixture: Fixture,
    indices: TempDir,
}

impl Settled {
    fn new() -> Self {
        let tar = archive(&[entry("x/a.png", b'0', b"one"), entry("x/b.png", b'0', b"three")]);
        let fixture = Fixture::new(&tar, "x/a.png 3\nx/b.png 5\n");
        let settled = Self { fixture, indices: tempfile::tempdir().expect("a temporary folder") };
        settled.set_age(3600);
        settled
    }

    fn set_age(&self, seconds: u64) {
        let file = fs::File::options().write(true).open(self.fixture.tar()).expect("opened");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000 - seconds);
        let now = std::time::SystemTime::now();
        let time = if seconds == 0 { now } else { time.min(now - std::time::Duration::from_secs(seconds)) };
        file.set_modified(time).expect("the time is set");
    }

    fn open(&self) -> Result<Dataset, DatasetError> {
        let root = ImageRoot::from(&self.fixture.tar()).with_index_cache(self.indices.path());
        Dataset::from_list(&self.fixture.0.path().join("list"), root, 1000)
    }

    fn kept(&self) -> Vec<PathBuf> {
        fs::read_dir(self.indices.path()).expect("read").map(|file| file.expect("read").path()).collect()
    }
}

#[test]
fn the_index_is_kept_and_used_again() {
    let settled = Settled::new();
    let first = settled.open().expect("a good archive");
    assert_eq!((contents(&first), first.notes.len()), (vec![b"one".to_vec(), b"three".to_vec()], 1));
    let kept = settled.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(settled.open().expect("a good archive"), first);

    // With size and time as before, damage goes unseen until an image is read.
    let tar = settled.fixture.tar();
    let modified = fs::metadata(&tar).and_then(|metadata| metadata.modified()).expect("has a time");
    let mut bytes = fs::read(&tar).expect("read");
    bytes[0] ^= 1;
    fs::write(&tar, bytes).expect("written");
    let file = fs::File::options().write(true).open(&tar).expect("opened");
    file.set_modified(modified).expect("the time is set");
    let unseen = settled.open().expect("the index is trusted");
    assert_eq!(unseen, first);
    let read = |index: usize| unseen.samples[index].archived().expect("in the archive").read();
    assert_eq!(read(0).unwrap_err().to_string(), "the archive has changed since it was indexed");
    assert_eq!(read(1).expect("its header is whole"), b"three");

    settled.set_age(1800);
    assert!(matches!(settled.open(), Err(DatasetError::Archive(ArchiveError::Header { .. }))), "it is read again");
}

#[test]
fn a_damaged_index_is_as_good_as_none() {
    let settled = Settled::new();
    let expected = settled.open().expect("a good archive");
    let file = settled.kept().remove(0);
    let whole = fs::read(&file).expect("read");
    for cut in (0..whole.len()).step_by(7) {
        fs::write(&file, &whole[..cut]).expect("written");
        assert_eq!(settled.open().expect("a good archive"), expected, "cut at {cut}");
        assert_eq!(fs::read(&file).expect("read"), whole, "written again after a cut at {cut}");
        let mut changed = whole.clone();
        changed[cut] ^= 4;
        fs::write(&file, &changed).expect("written");
        assert_eq!(settled.open().expect("a good archive"), expected, "byte {cut} changed");
    }
}

#[test]
fn an_archive_that_may_still_change_is_not_kept() {
    let settled = Settled::new();
    settled.set_age(0);
    settled.open().expect("a good archive");
    assert_eq!(settled.kept(), [] as [PathBuf; 0]);
}

#[test]
fn an_index_that_cannot_be_written_is_only_noted() {
    let mut settled = Settled::new();
    settled.fixture = Fixture::new(&fs::read(settled.fixture.tar()).expect("read"), "x/a.png 3\n");
    settled.set_age(60);
    let root = ImageRoot::from(&settled.fixture.tar()).with_index_cache(settled.fixture.0.path().join("list"));
    let dataset = Dataset::from_list(&settled.fixture.0.path().join("list"), root, 1000).expect("a good archive");
    let [_, note] = &dataset.notes[..] else { panic!("two notes: {:?}", dataset.notes) };
    assert!(note.contains("a.tar` could not be kept in `") && note.contains("list`: "), "{note}");
}

#[test]
fn loose_images_are_found_in_archives() {
    let tar = archive(&[
        entry("x/b.png", b'0', b"one"),
        entry("x/._b.png", b'0', b"resource"),
        entry("x/readme", b'0', b"text"),
        entry("a.png", b'0', b"two"),
    ]);
    let fixture = Fixture::new(&tar, "");
    let dataset = Dataset::from_paths(&[fixture.tar()]).expect("a good archive");
    assert_eq!(contents(&dataset), [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(dataset.samples[0].name(), fixture.tar().join("x/b.png").display().to_string());
    let empty = Fixture::new(&archive(&[entry("readme", b'0', b"text")]), "");
    assert!(matches!(Dataset::from_paths(&[empty.tar()]), Err(DatasetError::NoImages { .. })));
}

/// A list without labels finds entries as one with labels does, and in a folder the same files.
#[test]
fn names_alone_are_found_in_archives_and_folders() {
    let tar = archive(&[entry("x/a 1.png", b'0', b"one"), entry("x/b.png", b'0', b"two")]);
    let fixture = Fixture::new(&tar, "\u{feff}b.png\r\n\r\n x/a 1.png\r\nb.png\r\n");
    let list = fixture.0.path().join("list");
    let dataset = Dataset::from_names(&list, fixture.tar()).expect("good names");
    assert_eq!(contents(&dataset), [b"two", b"one", b"two"]);
    let told = |dataset: &Dataset| -> Vec<(String, Option<u32>)> {
        dataset.samples.iter().map(|sample| (sample.name().to_owned(), sample.label())).collect()
    };
    let named = |name: &str| (name.to_owned(), None);
    assert_eq!(told(&dataset), [named("b.png"), named("x/a 1.png"), named("b.png")]);
    assert_eq!((&dataset.classes, &dataset.notes), (&None, &Vec::new()));

    let folder = fixture.0.path().join("x");
    fs::create_dir(&folder).expect("a folder");
    for name in ["a 1.png", "b.png"] {
        fs::write(folder.join(name), name).expect("a file");
    }
    fs::write(&list, "a 1.png\nb.png\n").expect("the list is written");
    assert_eq!(told(&Dataset::from_names(&list, &folder).expect("good names")), [named("a 1.png"), named("b.png")]);

    for (text, message) in [("c.png\n", "c.png"), ("../a.png\n", "../a.png"), ("\n", "empty")] {
        fs::write(&list, text).expect("the list is written");
        for root in [fixture.tar(), folder.clone()] {
            let error = Dataset::from_names(&list, root).expect_err(text).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
