//! `hardnet info`.

use std::path::Path;

use super::support::Folder;

#[test]
fn info_describes_every_layer() {
    let folder = Folder::new();
    let run = folder.run("info hardnet68").exits(0);
    let expected = "\
hardnet68: 1000 classes, 337 tensors, input 224x224

  #  layer              kind                    input       output  parameters    MMACs       CIO     MoC  live KiB  reads
  0  image              image               3x224x224    3x224x224           -        -         -       -       588
  1  base.0             conv 3x3 /2         3x224x224   32x112x112         928    10.84    551936    19.6      2156  0
  2  base.1             conv 3x3           32x112x112   64x112x112       18560   231.21   1204224   192.0      4704  1
  3  base.2             pool 3x3 /2        64x112x112     64x56x56           -        -         -       -      3920  2
  4  base.3.layers.0    conv 3x3             64x56x56     14x56x56        8092    25.29    244608   103.4       955  3
  5  base.3.layers.1    conv 3x3             78x56x56     24x56x56       16896    52.84    319872   165.2      1249  4 3
";
    assert!(run.stdout.starts_with(expected), "{}", run.stdout);
    let expected = "
 73  base.16.3          linear               1024x1x1     1000x1x1     1025000     1.02         -       -         7  72

total   17.57 M parameters, 4246.11 MMACs, 11.47 M CIO (7.30 read, 4.17 written), MoC 370.2
memory  4704 KiB of feature maps at peak, 4949 if all layers of a block were kept until its end

live KiB             peak     kept    reduction       at end     kept    reduction
base.3               3087     4949         1.60         1519     3381         2.23
base.6               1659     2842         1.71          802     2058         2.56
base.8               2370     3840         1.62         1004     2860         2.85
base.11              1036     1771         1.71          500     1281         2.56
base.14               345      520         1.50          149      324         2.17
";
    assert!(run.stdout.ends_with(expected), "{}", run.stdout);
}

#[test]
fn info_counts_at_any_size_as_json() {
    let folder = Folder::new();
    let json = folder.run("info hardnet39ds --img-size 320 --json").exits(0).json();
    assert_eq!((&json["modules"][0]["height"], &json["parameters"]), (&160.into(), &3_488_228.into()));
    let totals = &json["totals"];
    assert_eq!((&totals["conv_macs"], &totals["cio"]), (&874_382_600.into(), &20_037_600.into()));
    assert_eq!((&json["blocks"][0]["name"], &json["schema_version"]), (&"base.3".into(), &1.into()));
    let layer = &json["layers"][4];
    assert_eq!((&layer["name"], &layer["links"]), (&"base.3.layers.0.layer1".into(), &[3].as_slice().into()));
    let at_224 = folder.run("info hardnet39ds --format json").exits(0).json();
    let totals = &at_224["totals"];
    assert_eq!((&totals["cio"], &totals["cio_without_strided_depthwise"]), (&9_818_424.into(), &8_219_064.into()));
}

#[test]
fn info_prints_a_line_for_each_layer_as_csv() {
    let folder = Folder::new();
    let run = folder.run("info hardnet68 --format csv -o layers.csv").exits(0);
    assert_eq!(run.stdout, "layers.csv\n");
    let text = std::fs::read_to_string(folder.path("layers.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 74);
    assert_eq!(
        lines[8],
        "7,base.3.layers.3,conv 3x3,6 5 3,102,56,56,40,56,56,36800,115153920,445312,258.592,1956864,1956864"
    );
    assert!(lines.iter().all(|line| line.split(',').count() == 16), "{text}");
    folder.run("info hardnet68 --format csv -o layers.csv").exits(2).says("--force");
    folder.run("info hardnet68 --format csv -o layers.csv --force").exits(0);
}

#[test]
fn info_reads_weights() {
    let folder = Folder::new();
    folder.small_weights();
    let json = folder.run("info --weights small.safetensors --json").exits(0).json();
    assert_eq!((&json["model"], &json["classes"]), (&"custom".into(), &3.into()));
    let json = folder.run("info --weights hardnet39ds.fashion_mnist --json").exits(0).json();
    assert_eq!(json["img_size"], 64, "the demonstration's weights are for 64 pixels");
    folder.run("info").exits(2).says("MODEL");
    folder.run("info resnet50 --weights small.safetensors").exits(2).says("weights of `resnet50` cannot be read");
}

#[test]
fn info_describes_the_papers_other_networks() {
    let folder = Folder::new();
    let json = folder.run("info resnet50-v1 --json").exits(0).json();
    assert_eq!((&json["totals"]["cio"], &json["config"]), (&20_722_688.into(), &serde_json::Value::Null));
    let run = folder.run("info vgg16").exits(0);
    assert!(run.stdout.ends_with("KiB of feature maps at peak\n"), "{}", run.stdout);
    folder.run("info squeezenet --img-size 10").exits(2).says("would have no output; the shorter side needs at least");
}

#[test]
fn info_on_an_input_that_is_too_small() {
    Folder::new().run("info hardnet68 --img-size 20").exits(2).says("the shorter side needs at least 29");
}

#[test]
fn paper_shows_computed_printed_and_why_they_differ() {
    let folder = Folder::new();
    let run = folder.run("info --paper").exits(0);
    for line in [
        "HarDNet-39DS         3.488 |  3.5         0.429 | 0.44 [1]     9.818 |  8.2 [2]      17.8     32.5   72.1",
        "HarDNet-68          17.565 | 17.6         4.246 |  4.3 [1]    11.469 | 11.5          32.6        -   76.2",
        "HarDNet-96s              - |  9.3 [7]         - |  2.5 [7]         - | 11.7 [7]      36.4        -   74.7",
        "    HarDNet-39DS CIO 8.219; HarDNet-68DS CIO 15.349",
        "networks: CIO 0.93, MACs 0.85, parameters 0.81.",
    ] {
        assert!(run.stdout.contains(line), "{line} in\n{}", run.stdout);
    }
    let json = folder.run("info --paper --json").exits(0).json();
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 17);
    // Whatever is printed of a network that can be built agrees, or has a reason.
    for row in rows.iter().filter(|row| !row["network"].is_null()) {
        for name in ["parameters", "macs", "cio"] {
            let figure = &row[name];
            let explained = !figure["reasons"].as_array().unwrap().is_empty();
            assert!(figure["agrees"] != false || explained, "{row:#}");
        }
    }
    let csv = folder.run("info --paper --format csv").exits(0).stdout;
    assert!(
        csv.contains("ResNet-50,resnet50,25557032,25,25557032,4089184256,4.1,,21776384,20.7,20722688,46.5,,76"),
        "{csv}"
    );
    folder.run("info hardnet68 --paper").exits(2).says("cannot be used with");
}

#[test]
fn measure_adds_what_the_plan_does() {
    let folder = Folder::new();
    let json = folder.run("info hardnet39ds --img-size 32 --measure --iters 2 --threads 1 --json").exits(0).json();
    let measured = &json["measured"];
    assert!(measured["arena_bytes"].as_u64().unwrap() > 0 && measured["ms"].as_f64().unwrap() > 0.0, "{measured:#}");
    // Every layer that is counted is a step of the plan.
    for layer in json["layers"].as_array().unwrap() {
        assert!(layer["measured"]["ms"].as_f64().unwrap() >= 0.0, "{layer:#}");
    }
    let run = folder.run("info hardnet39ds --img-size 32 --measure --iters 1").exits(0);
    assert!(run.stdout.contains("on this machine") && run.stdout.contains("maps KiB  kernel"), "{}", run.stdout);
    folder.run("info resnet18 --measure").exits(2).says("`resnet18` cannot be measured, only described");
}

#[test]
fn measure_ranks_the_layers_of_all_networks() {
    let json = Folder::new().run("info --measure --img-size 32 --iters 1 --json").exits(0).json();
    assert_eq!(json["networks"].as_array().unwrap().len(), 4);
    let steps = |line: &serde_json::Value| line["steps"].as_u64().unwrap();
    let all: u64 = json["networks"].as_array().unwrap().iter().map(|line| steps(&line["rank_correlation"])).sum();
    assert_eq!(all, steps(&json["all"]));
    assert!((200..=74 + 131 + 67 + 84).contains(&all), "{json:#}");
    for count in ["cio", "macs", "bytes"] {
        let rank = json["all"][count].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&rank), "{json:#}");
    }
}

/// The plots in the documents are those that the commands next to them draw.
#[test]
fn pictures_of_the_documents_are_drawn_by_their_commands() {
    let folder = Folder::new();
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    for (name, arguments) in [
        ("links", "info hardnet68 --plot links"),
        ("memory", "info hardnet68 --plot memory"),
        ("density", "info hardnet68ds --plot density"),
    ] {
        let stored = std::fs::read_to_string(images.join(format!("{name}.svg"))).unwrap();
        assert!(folder.run(arguments).exits(0).stdout == stored, "`hardnet {arguments}` draws another {name}.svg");
    }
}

#[test]
fn plot_draws_what_it_is_asked_for() {
    let folder = Folder::new();
    let svg = folder.run("info hardnet85 --plot links --block base.3").exits(0).stdout;
    assert!(svg.starts_with("<svg ") && svg.contains("base.3 of hardnet85"), "{svg}");
    let svg = folder.run("info --plot efficiency").exits(0).stdout;
    assert!(svg.contains("published time") && !svg.contains("measured time"), "{svg}");
    folder
        .run("info hardnet68 --plot links --block base.4")
        .exits(2)
        .says("no block `base.4`, expected `base.3`, `base.6`");
    folder.run("info vgg16 --plot links").exits(2).says("`vgg16` has no blocks");
    folder.run("info --plot density").exits(2).says("no network given");
    folder.run("info hardnet68 --plot efficiency").exits(2).says("hint: drop the network");
    folder.run("info hardnet68 --plot density --json").exits(2).says("cannot be used with");
}

/// The counts that are known of both networks, at the size of Cityscapes' pictures, which is the default.
#[test]
fn info_counts_segmentation_networks() {
    let folder = Folder::new();
    for (name, macs) in [("fc-hardnet70", "35.2"), ("fc-hardnet70-paddleseg", "140.9")] {
        let text = folder.run(&format!("info {name}")).exits(0).stdout;
        assert!(text.starts_with(&format!("{name}: 19 classes, 347 tensors, input 1024x2048\n")), "{text}");
        assert!(text.contains("\ntotal   4.12 M parameters, "), "{text}");
        let json = folder.run(&format!("info {name} --json")).exits(0).json();
        assert_eq!((&json["parameters"], &json["img_size"]), (&4_119_257.into(), &"1024x2048".into()));
        let conv = json["totals"]["conv_macs"].as_f64().unwrap();
        assert_eq!(format!("{:.1}", conv / 1e9), macs);
        let odd = folder.run(&format!("info {name} --img-size 97x131 --json")).exits(0).json();
        let last = odd["layers"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["kind"], &last["output"]["height"], &last["output"]["width"]),
            (&"bilinear".into(), &97.into(), &131.into())
        );
    }
    let run = folder.run("info fc-hardnet70 --img-size 97by131").exits(2);
    assert!(run.stderr.contains("is not a size, expected pixels as in 224, or rows and columns"), "{}", run.stderr);
    let run = folder.run("info fc-hardnet70 --img-size 60x500").exits(2);
    assert!(run.stderr.contains("the shorter side needs at least 61"), "{}", run.stderr);
}

/// A description in TOML, with a decoder.
#[test]
fn a_segmentation_network_is_described_in_a_file() {
    let folder = Folder::new();
    folder.run("info fc-hardnet70-paddleseg --write-config net.toml").exits(0);
    let text = std::fs::read_to_string(folder.path("net.toml")).unwrap();
    assert!(text.contains("links = \"farthest_first\"") && text.contains("[decoder]\nclasses = 19\n"), "{text}");
    std::fs::write(folder.path("net.toml"), text.replace("classes = 19", "classes = 4")).unwrap();
    let json = folder.run("info net.toml --img-size 64 --json").exits(0).json();
    assert_eq!((&json["model"], &json["classes"]), (&"fc-hardnet70-paddleseg".into(), &4.into()));
}
