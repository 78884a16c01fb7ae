//! That pictures show what is counted; how they look is for eyes.

use hardnet_graph::{Conv, Graph, GraphBuilder, Pointwise, link};

use super::*;
use crate::figures::Figures;
use crate::reference::Reference;

/// A block in which layer `l` reads `l - 2^n`, of eight layers of a few channels.
fn harmonic() -> Graph {
    let mut builder = GraphBuilder::new("mine & <yours>", 3);
    let stem = builder.conv("stem", &[0], Conv::new(16, 3).stride(2), Pointwise::NORM_RELU);
    let mut written = vec![stem];
    for layer in 1..=8_usize {
        let inputs: Vec<_> = link::sources(layer).map(|source| written[source]).collect();
        let conv = Conv::new(8, 3);
        written.push(builder.conv(format!("layer{layer}"), &inputs, conv, Pointwise::NORM_RELU));
    }
    let outputs: Vec<_> = [1, 3, 5, 7, 8].map(|layer| written[layer]).to_vec();
    builder.block("block", &[stem], written[1..].iter().map(|&id| vec![id]).collect(), &outputs);
    let mean = builder.mean("mean", &outputs);
    builder.finish(&[mean]).unwrap()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn links_has_an_arc_for_each_link_and_a_bar_for_each_layer() {
    let figures = Figures::new(&harmonic(), 32, 32).unwrap();
    let svg = links(&figures, &figures.graph.blocks()[0]);
    // 8 + 4 + 2 + 1 links, one color for each of four lengths.
    let arcs: Vec<usize> = (0..4).map(|length| count(&svg, &format!("class=\"l{length}\"/>")) - 1).collect();
    assert_eq!(arcs, [8, 4, 2, 1]);
    // Five nodes and bars of the output, and their key.
    assert_eq!(count(&svg, "class=\"f2\""), 5 + 5 + 1);
    assert_eq!(count(&svg, "class=\"faint\""), 9 + 1);
    assert!(svg.contains("mine &amp; &lt;yours&gt;"));
    let block = &figures.blocks[0];
    assert!(svg.contains(&format!("({:.2} times)", block.output_saving())), "{svg}");
}

#[test]
fn density_has_a_bar_for_each_convolution() {
    let svg = density(&Figures::new(&Reference::MobileNetV2.graph(), 224, 224).unwrap());
    // By kind, with a key each: the stem, depthwise, 1x1.
    let bars: Vec<usize> = (0..3).map(|kind| count(&svg, &format!("class=\"f{kind}\"")) - 1).collect();
    assert_eq!(bars, [1, 17, 34]);
    assert!(svg.contains("depthwise 3x3"));
}

#[test]
fn memory_names_both_peaks() {
    let figures = Figures::new(&harmonic(), 1024, 1024).unwrap();
    let svg = memory(&figures);
    let totals = figures.totals;
    for bytes in [totals.peak_live_bytes, totals.peak_kept_bytes] {
        assert!(svg.contains(&format!("{:.2} MiB at most", bytes as f64 / f64::from(1 << 20))), "{svg}");
    }
    // Without blocks there is one line.
    let plain = memory(&Figures::new(&Reference::Vgg16.graph(), 224, 224).unwrap());
    assert_eq!(count(&plain, "dashed\"/>"), 0);
}

#[test]
fn efficiency_has_a_panel_for_each_cost_that_is_known() {
    let point = |family: &str, label: &str, top1, cost| Point {
        family: family.into(),
        label: label.into(),
        top1,
        cio: Some(cost),
        macs: Some(cost / 3.0),
        gpu_ms: None,
        measured_ms: (family == "A").then_some(2.0 * cost),
    };
    let points = [point("A", "1", 70.0, 5.0), point("A", "2", 75.0, 9.0), point("B", "1", 72.0, 8.0)];
    let svg = efficiency(&points, "a GPU", "here");
    for (part, times) in [("top-1 in %", 3), ("ms, here", 1), ("a GPU", 0), ("a5 5 0 1 0 10 0", 1 + 3 * 2)] {
        assert_eq!(count(&svg, part), times, "{part}");
    }
}
/// One network far below the others is drawn at the foot, with its accuracy.
#[test]
fn an_accuracy_far_below_does_not_flatten_the_others() {
    let point = |label: &str, top1| Point {
        family: "A".into(),
        label: label.into(),
        top1,
        cio: Some(top1),
        macs: None,
        gpu_ms: None,
        measured_ms: None,
    };
    let svg = efficiency(&[point("low", 60.4), point("b", 70.0), point("c", 75.0), point("d", 72.0)], "", "");
    assert!(svg.contains(">low: 60.4<") && !svg.contains(">60<"), "{svg}");
}

/// In the paper's own figures, every label stands free.
#[test]
fn labels_of_the_papers_networks_do_not_touch() {
    let points: Vec<Point> = crate::paper::TABLE_4
        .iter()
        .map(|row| {
            let number = |printed: Option<crate::paper::Printed>| printed.and_then(|printed| printed.text.parse().ok());
            let (family, label) = row.model.split_once(['-', ' ']).unwrap_or((row.model, "1.0"));
            Point {
                family: family.into(),
                label: label.into(),
                top1: row.top1,
                cio: number(row.cio),
                macs: number(row.macs),
                gpu_ms: row.gpu_ms,
                measured_ms: None,
            }
        })
        .collect();
    assert_eq!(efficiency::collisions(&points), 0);
}
