//! Remedies for the errors of libraries, which know no flags and no environment variables.

use std::io;

use hardnet_checkpoint::Error as CheckpointError;
use hardnet_data::{DatasetError, LabelError, Numbering};
use hardnet_eval::compare::{MatchError, PredictionsError};
use hardnet_weights::{DownloadError, Error as WeightsError};

/// Returns what to do about an error, if there is a known remedy for one of its causes.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<WeightsError>() {
            return weights(error);
        }
        if let Some(error) = cause.downcast_ref() {
            return dataset(error).map(Into::into);
        }
        if let Some(hardnet_params::Error::Quantized { .. }) = cause.downcast_ref() {
            return Some("pass the file that it was quantized from".into());
        }
        if let Some(hardnet_quantize::Error::NoStatistics { .. }) = cause.downcast_ref() {
            return Some("pass --calibrate to `hardnet quantize`, with images to measure ranges on".into());
        }
        let boxed = cause.downcast_ref::<Box<hardnet_onnx::Error>>().map(AsRef::as_ref);
        if let Some(error) = boxed.or_else(|| cause.downcast_ref()) {
            return onnx(error).map(Into::into);
        }
        if let Some(error) = cause.downcast_ref() {
            return matching(error).map(Into::into);
        }
        if let Some(error) = cause.downcast_ref() {
            return predictions(error).map(Into::into);
        }
        let boxed = cause.downcast_ref::<Box<CheckpointError>>().map(AsRef::as_ref);
        boxed.or_else(|| cause.downcast_ref()).and_then(checkpoint).map(Into::into)
    })
}

fn weights(error: &WeightsError) -> Option<String> {
    let hint = match error {
        WeightsError::HubDisabled(_) => "download the file and pass its path".into(),
        WeightsError::NoCacheDir { variable, .. } => format!("set {variable} or HOME"),
        WeightsError::Offline { .. } => "run once with network access, or pass the path of a file".into(),
        WeightsError::Download { reason, .. } => return download(reason),
        WeightsError::Quarantined { found, .. } => format!("if you trust this file, pass --accept-sha256 {found}"),
        WeightsError::AllSourcesFailed { failures, .. } => return failures.iter().find_map(weights),
        WeightsError::NoKnownSource { .. } => "pass the path of a file, or set HARDNET_HUB_OWNER".into(),
        WeightsError::Io { source, .. } => return disk(source).map(Into::into),
        _ => return None,
    };
    Some(hint)
}

fn dataset(error: &DatasetError) -> Option<&'static str> {
    const DEVKIT: &str = "pass the development kit with --devkit, its folder or ILSVRC2012_devkit_t12.tar.gz; or use \
        labels that need no kit: Kaggle's LOC_val_solution.csv as a list, or one folder for each WordNet id";
    const CLASS_MAP: &str = "rename the labels, or pass --class-map with a file that has a line `label,index` for each, \
        or the names of all classes in their order";
    Some(match error {
        DatasetError::UnsortedImages { .. } => {
            "sort the images into one folder per class, or pass a list of names and labels: --train-list for training, \
             --val-list for validation, or --devkit for ImageNet's validation archive"
        }
        DatasetError::NumbersOnly { .. } => DEVKIT,
        DatasetError::Labels { reason, .. } => match reason {
            LabelError::OutOfRange { numbering: Numbering::ImageNetFromOne, .. }
            | LabelError::WrongNumbering { numbering: Numbering::DevelopmentKit, .. } => DEVKIT,
            LabelError::WrongNumbering { .. } => {
                "subtract one from each label, or use Kaggle's LOC_val_solution.csv as the list"
            }
            LabelError::NoClass { .. } | LabelError::OutOfRange { .. } | LabelError::Ambiguous { .. } => CLASS_MAP,
            LabelError::NotAKitNumber { .. } => "drop --devkit if the labels are not the kit's",
            _ => return None,
        },
        _ => return None,
    })
}

fn checkpoint(error: &CheckpointError) -> Option<&'static str> {
    Some(match error {
        CheckpointError::Empty
        | CheckpointError::Truncated { .. }
        | CheckpointError::TrailingBytes { .. }
        | CheckpointError::ZipEntry { .. }
        | CheckpointError::Storage { .. }
        | CheckpointError::Safetensors(_) => "the file may be damaged; download it again",
        CheckpointError::UnknownFormat { .. } => "check that the download is complete and not a web page",
        CheckpointError::RefusedGlobal { .. } => "save the `state_dict()` instead of the whole object",
        CheckpointError::RefusedOpcode { .. } | CheckpointError::Unexpected { .. } => {
            "save the `state_dict()` with `torch.save` or `paddle.save`"
        }
        CheckpointError::TorchScript => "load it with `torch.jit.load` and save its `state_dict()` with `torch.save`",
        CheckpointError::NoEntry { .. } => "pass --entry with one of them, or drop it",
        CheckpointError::Choice { .. } => "pass --entry with one of them",
        CheckpointError::Limit { .. } | CheckpointError::Cycle { .. } => "do not trust this file",
        _ => return None,
    })
}

fn onnx(error: &hardnet_onnx::Error) -> Option<&'static str> {
    Some(match error {
        hardnet_onnx::Error::Overflow { .. } => "pass --dtype f32",
        hardnet_onnx::Error::Part { .. } => "export the network without --features",
        hardnet_onnx::Error::Channels { .. } => "drop --with-preprocessing: images have three channels",
        _ => return None,
    })
}

fn matching(error: &MatchError) -> Option<&'static str> {
    Some(match error {
        MatchError::DifferentImages { common: 1.., .. } => "pass --common to compare only images that all files have",
        MatchError::DifferentImages { .. } | MatchError::NothingInCommon { .. } => {
            "images are matched by name: evaluate all runs with the same list or folder"
        }
        MatchError::DifferentLabels { .. } => "evaluate all runs with the same labels and class map",
        _ => return None,
    })
}

fn predictions(error: &PredictionsError) -> Option<&'static str> {
    match error {
        PredictionsError::Io { .. } => None,
        _ => Some("pass files that `hardnet eval --predictions` wrote"),
    }
}

fn download(reason: &DownloadError) -> Option<String> {
    let hint = match reason {
        DownloadError::Network(_) => {
            "check the connection and the proxy, then run again; partial downloads are resumed"
        }
        DownloadError::Status { code: Some(code), .. } if code == "GatedRepo" => {
            "accept the license on the repository's page, and set HF_TOKEN to a token of that account"
        }
        DownloadError::Status { status: 401, hub: true, with_token: true, .. } => "check the name and HF_TOKEN",
        DownloadError::Status { status: 401, hub: true, .. } => "check the name, or set HF_TOKEN",
        DownloadError::Status { status: 403, hub: true, .. } => {
            "check HF_TOKEN and the license on the repository's page"
        }
        DownloadError::Status { status: 404, code: Some(code), .. } if code == "RepoNotFound" => {
            "check the name, or set HF_TOKEN"
        }
        DownloadError::RetryLater(_) => "run again later",
        DownloadError::InvalidUrl(_) | DownloadError::NotAHub(_) => "check HF_ENDPOINT",
        DownloadError::Io { source, .. } => disk(source)?,
        _ => return None,
    };
    Some(hint.into())
}

fn disk(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            Some("free some space, or set HF_HOME and HARDNET_CACHE to folders on another disk")
        }
        PermissionDenied | ReadOnlyFilesystem => Some("set HF_HOME and HARDNET_CACHE to writable folders"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: DownloadError) -> WeightsError {
        WeightsError::Download { address: "a".into(), cache: "c".into(), reason }
    }

    #[test]
    fn a_full_disk_has_a_remedy_at_any_depth() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let in_download = failed(DownloadError::Io { path: "p".into(), source: full() });
        for error in [WeightsError::Io { path: "p".into(), source: full() }, in_download] {
            assert!(hint(&anyhow::Error::new(error).context("cannot run")).unwrap().contains("HARDNET_CACHE"));
        }
        let other = WeightsError::Io { path: "p".into(), source: io::Error::from(io::ErrorKind::NotFound) };
        assert_eq!(hint(&other.into()), None);
    }

    #[test]
    fn a_damaged_file_has_a_remedy_below_the_error_of_the_weights() {
        let error = hardnet_model::WeightsFile::from_bytes("a.pth", Vec::new()).map(drop).unwrap_err();
        assert_eq!(hint(&error.into()), Some("the file may be damaged; download it again".into()));
        let error = hardnet_model::WeightsFile::from_bytes("a.pth", b"<html>".to_vec()).map(drop).unwrap_err();
        assert!(hint(&error.into()).unwrap().ends_with("not a web page"));
    }

    #[test]
    fn the_first_source_with_a_remedy_is_the_one_that_counts() {
        let quarantined = WeightsError::Quarantined {
            address: "a".into(),
            expected: "e".into(),
            found: "f00d".into(),
            kept: "k".into(),
        };
        let failures =
            vec![failed(DownloadError::Redirect("to `b`".into())), quarantined, failed(DownloadError::Skipped)];
        let error = WeightsError::AllSourcesFailed { tag: "t".into(), failures };
        assert_eq!(hint(&error.into()).as_deref(), Some("if you trust this file, pass --accept-sha256 f00d"));
    }

    #[test]
    fn a_rejected_token_and_a_gated_repository_differ() {
        let status = |status, code: Option<&str>, with_token| {
            let code = code.map(Into::into);
            hint(&failed(DownloadError::Status { status, code, hub: true, with_token }).into()).unwrap()
        };
        assert!(status(403, Some("GatedRepo"), true).starts_with("accept the license"));
        assert_eq!(status(401, None, true), "check the name and HF_TOKEN");
        assert_eq!(status(401, None, false), "check the name, or set HF_TOKEN");
        assert_eq!(status(404, Some("RepoNotFound"), false), "check the name, or set HF_TOKEN");
    }
}
