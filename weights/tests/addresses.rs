//! Addresses on the Hub are read as `huggingface_hub` reads them; `addresses/make_addresses.py` wrote the table.

use std::collections::BTreeMap;

use hardnet_weights::{HubFile, WeightsSource};

#[derive(serde::Deserialize)]
struct Table {
    addresses: BTreeMap<String, Option<Uri>>,
}

/// An address as `huggingface_hub` reads it.
#[derive(serde::Deserialize)]
struct Uri {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    revision: Option<String>,
    path: String,
}

fn parse(address: &str) -> Option<HubFile> {
    match address.parse() {
        Ok(WeightsSource::Hub(file)) => Some(file),
        _ => None,
    }
}

#[test]
fn addresses_are_read_as_huggingface_hub_reads_them() {
    let table: Table = serde_json::from_str(include_str!("addresses/addresses.json")).expect("the table is JSON");
    assert!(table.addresses.len() > 300);
    let (mut models, mut others) = (0, 0);
    for (address, uri) in table.addresses {
        // Weights are in model repositories, and `/` is not a revision that can exist.
        let uri = uri.filter(|uri| uri.kind == "model" && uri.revision.as_deref() != Some("/"));
        let Some(uri) = uri else {
            others += 1;
            assert_eq!(parse(&address), None, "{address}");
            continue;
        };
        models += 1;
        let file = parse(&address).unwrap_or_else(|| panic!("{address} is refused"));
        let expected_file = if uri.path.is_empty() { "model.safetensors" } else { &uri.path };
        let expected = (uri.id.as_str(), uri.revision.as_deref().unwrap_or("main"), expected_file);
        assert_eq!((file.repository.as_str(), file.revision.as_str(), file.file.as_str()), expected, "{address}");
        assert_eq!(parse(&file.to_string()), Some(file), "{address} is written as it is read");
    }
    assert!(models > 100 && others > 100, "{models} models, {others} others");
}
