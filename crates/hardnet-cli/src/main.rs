//! The `hardnet` program: arguments in, results on stdout, everything else on stderr.

mod args;
mod commands;
mod device;
mod failure;
mod format;
mod hints;
mod image_files;
mod interrupt;
mod knobs;
mod labels;
mod masks;
mod model;
mod network;
mod output;
mod page;
mod pipeline;
mod printer;
mod progress;
mod published;
mod report;
mod samples;
mod segmentation;
mod shards;
mod size;
mod tars;
mod warnings;
mod weights;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    knobs::set_threads(arguments.global.threads);
    let printer = printer::Printer::new(arguments.global.quiet);
    // `env` is what one looks at where a variable is wrong.
    let checked = match arguments.command {
        args::Command::Env(_) => Ok(()),
        _ => knobs::isa().map(drop),
    };
    match checked.and_then(|()| commands::run(arguments, &printer)) {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            failure::Exit::Error.into()
        }
    }
}
