//! The settings that reproduce the run.

use super::Content;
use crate::page::html::{count, name};
use crate::pipeline::describe;

pub(super) fn section(content: &Content) -> String {
    let report = content.report;
    let pipeline = &report.pipeline.pipeline;
    let three = |values: [f32; 3]| values.map(|value| value.to_string()).join(", ");
    let seconds = report.seconds;
    let rows = [
        ("Model", format!("{}, {} classes", name(&report.model), count(content.classes))),
        ("Weights", name(&report.weights.path)),
        ("SHA-256", format!("<code>{}</code>", name(&report.weights.sha256))),
        ("Images", name(&report.data.data_dir)),
        ("List", report.data.val_list.as_deref().map_or("none".into(), name)),
        ("Images selected, read, failed", {
            let [chosen, read, failed] = [report.data.images, report.top1.total, report.errors].map(count);
            format!("{chosen}, {read}, {failed}")
        }),
        ("Decoder", name(&report.decoder)),
        ("Pipeline", name(&describe(pipeline))),
        ("Mean; standard deviation", format!("{}; {}", three(pipeline.mean), three(pipeline.std))),
        ("Engine", format!("{} on {}", report.engine, name(&report.device))),
        (
            "Threads; loader threads; batch size",
            format!("{}; {}; {}", report.threads, report.workers, report.batch_size),
        ),
        (
            "Seconds",
            format!(
                "{:.1}: {:.1} in the network, {:.1} waiting for images",
                seconds.total, seconds.network, seconds.loading
            ),
        ),
        ("Program", format!("hardnet {} ({})", report.tool.version, report.tool.commit)),
    ];
    let rows: String = rows.iter().map(|(term, value)| format!("<dt>{term}</dt><dd>{value}</dd>\n")).collect();
    format!("<section>\n<h2>Settings</h2>\n<dl>\n{rows}</dl>\n</section>\n")
}
