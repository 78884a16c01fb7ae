//! A network trained on Fashion-MNIST, and a random sample of its test images: 1,000 of 10,000, grey, 28x28 pixels, of
//! ten classes of clothing.
//!
//! The images are under the MIT license, which [`NOTICE`] holds with their source; it goes where they go. The draw
//! looks neither at image nor class, so that accuracy on the sample estimates accuracy on all 10,000: at 94 % its
//! standard error is 0.75 points. `make_sample.py` next to this crate's manifest makes it.

/// The weights of a `hardnet39ds` with ten classes for grey images of 64x64 pixels, a safetensors file in f16 whose
/// metadata holds the names of the classes and the preprocessing; `README.md` next to this crate's manifest tells how
/// it was trained.
pub static WEIGHTS: &[u8] = include_bytes!("../fashion_mnist/hardnet39ds.safetensors");

/// A tar archive of the images as PNG, `fashion_mnist/t10k-00005.png` and so on in the order of [`VAL_LIST`]; the
/// number is the index of the image in Fashion-MNIST's test set. It begins with `NOTICE`, `classes.txt` and
/// `val_list.txt`.
///
/// 1,331,200 bytes.
pub static SAMPLE_TAR: &[u8] = include_bytes!("../fashion_mnist/sample.tar");

/// A line for each image: its name below `fashion_mnist/`, a blank, the index of its class in [`CLASSES`].
pub static VAL_LIST: &str = include_str!("../fashion_mnist/val_list.txt");

/// Source, authors and license of the images.
pub static NOTICE: &str = include_str!("../fashion_mnist/NOTICE");

/// The names of the classes, in the order of their indices.
pub const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
