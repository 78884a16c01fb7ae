//! Bilinear interpolation as `Resize`, whose output size is a list of all four extents.
//!
//! It is a constant where batch and size are fixed. Otherwise it is put together from the shapes of the map and of the
//! map whose size is wanted, by operators that every version has.

use hardnet_graph::{Alignment, NodeId, Upsample};

use super::nodes::Exporter;
use super::options::Batch;
use super::values::Source;
use crate::model::{Attribute, Dim, ElementType, TensorInfo, Value};

impl Exporter<'_> {
    /// Adds the interpolation of `map` at `id`.
    pub(super) fn resize(&mut self, id: NodeId, map: String, upsample: &Upsample) -> String {
        let name = self.graph.nodes()[id].name.clone();
        let sizes = self.sizes(id, &map, upsample);
        let coordinates = match upsample.alignment {
            Alignment::Corners => "align_corners",
            Alignment::HalfPixel => "half_pixel",
        };
        let text = |name: &str, value: &str| (name.to_owned(), Attribute::Text(value.into()));
        let attributes = vec![text("coordinate_transformation_mode", coordinates), text("mode", "linear")];
        // Neither a region nor scales.
        let inputs = vec![map, String::new(), String::new(), sizes];
        self.push(&name, "Resize", inputs, attributes, self.written(id))
    }

    /// The name of the list of extents of the output at `id`.
    fn sizes(&mut self, id: NodeId, map: &str, upsample: &Upsample) -> String {
        let (name, shape) = (self.graph.nodes()[id].name.clone(), self.shapes[id]);
        let (height, width) = (shape.height as i64, shape.width as i64);
        if let (Batch::Fixed(images), false) = (self.options.batch, self.options.dynamic_size) {
            return self
                .whole_numbers(&format!("{name}.sizes"), vec![images as i64, shape.channels as i64, height, width]);
        }
        let first = self.extents(&format!("{name}.batch"), map, 0);
        let rest = if self.options.dynamic_size {
            let like = self.maps[upsample.like].clone();
            self.extents(&format!("{name}.size"), &like, 2)
        } else {
            self.whole_numbers(&format!("{name}.size"), vec![height, width])
        };
        let axis = vec![("axis".to_owned(), Attribute::Int(0))];
        self.push(&format!("{name}.sizes"), "Concat", vec![first, rest], axis, integers(4))
    }

    /// Adds the two extents of `map` from position `from` on.
    fn extents(&mut self, name: &str, map: &str, from: i64) -> String {
        let shape = self.push(&format!("{name}.shape"), "Shape", vec![map.into()], vec![], integers(4));
        let [start, end] = [from, from + 2].map(|at| self.whole_numbers(&format!("extent.{at}"), vec![at]));
        self.push(name, "Slice", vec![shape, start, end], vec![], integers(2))
    }

    /// The initializer of a list of whole numbers.
    fn whole_numbers(&mut self, name: &str, numbers: Vec<i64>) -> String {
        if self.model.initializers.iter().any(|tensor| tensor.info.name == name) {
            return name.into();
        }
        let info = TensorInfo::new(name, ElementType::I64, vec![numbers.len()]);
        self.initializer(info, Source::Extents(numbers))
    }
}

/// A list of whole numbers, without a name.
fn integers(count: usize) -> Value {
    Value { name: String::new(), element: ElementType::I64, dims: vec![Dim::Fixed(count)] }
}
