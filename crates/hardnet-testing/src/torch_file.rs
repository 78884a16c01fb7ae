//! Files as `torch.save` writes them, with as much as a reader of weights needs.

use crate::weights_file::Tensors;

/// The bytes of a file of PyTorch 1.6 or later: an archive of a pickled dictionary and one storage of f32 for each
/// tensor.
pub fn torch(tensors: &Tensors) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    let mut members = Vec::new();
    for (at, (name, shape, values)) in tensors.iter().enumerate() {
        let count = values.len();
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        text(&mut pickle, &at.to_string());
        text(&mut pickle, "cpu");
        int(&mut pickle, count);
        pickle.extend(b"tQ");
        int(&mut pickle, 0);
        let stride = |dimension: usize| shape[dimension + 1..].iter().product();
        ints(&mut pickle, shape.iter().copied());
        ints(&mut pickle, (0..shape.len()).map(stride));
        pickle.extend(b"\x89}tR");
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        members.push((format!("archive/data/{at}"), bytes));
    }
    pickle.extend(b"u.");
    members.insert(0, ("archive/data.pkl".into(), pickle));
    members.push(("archive/version".into(), b"3\n".to_vec()));
    archive(&members)
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn int(pickle: &mut Vec<u8>, value: usize) {
    pickle.push(b'J');
    pickle.extend((value as u32).to_le_bytes());
}

fn ints(pickle: &mut Vec<u8>, values: impl Iterator<Item = usize>) {
    pickle.push(b'(');
    values.for_each(|value| int(pickle, value));
    pickle.push(b't');
}

/// A zip archive without compression, with sizes in its directory only.
fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let (start, size) = ((file.len() as u32).to_le_bytes(), (content.len() as u32).to_le_bytes());
        let name_length = (name.len() as u16).to_le_bytes();
        file.extend(b"PK\x03\x04\0\0\0\0\0\0");
        file.extend([0; 16]);
        file.extend(name_length);
        file.extend([0; 2]);
        file.extend(name.as_bytes());
        file.extend(content);
        directory.extend(b"PK\x01\x02\0\0\0\0\0\0\0\0");
        directory.extend([0; 8]);
        directory.extend(size);
        directory.extend(size);
        directory.extend(name_length);
        directory.extend([0; 12]);
        directory.extend(start);
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((members.len() as u16).to_le_bytes());
    file.extend((members.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}
