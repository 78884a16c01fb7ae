//! Table 4 as printed, in its order.

use super::Reason::{Cut, FirstVersion, PaddedStem, Pointwise, Side227, StridedDepthwise, WidthsCut};
use super::{PaperRow, Printed, Reason};

/// The networks of Table 4.
pub const TABLE_4: [PaperRow; 16] = [
    row("HarDNet-39DS", 72.1)
        .network("hardnet39ds")
        .cost(plain("3.5"), but("0.44", &[Pointwise]), but("8.2", &[StridedDepthwise]))
        .ms(17.8, Some(32.5)),
    row("MobileNetV2", 72.0)
        .network("mobilenetv2")
        .cost(plain("3.5"), but("0.32", &[Pointwise]), plain("13.4"))
        .ms(23.7, Some(37.9)),
    row("HarDNet-68DS", 74.3)
        .network("hardnet68ds")
        .cost(plain("4.2"), but("0.79", &[Pointwise]), but("15.3", &[StridedDepthwise]))
        .ms(31.7, Some(52.6)),
    row("MobileNetV2 1.4x", 74.7)
        .network("mobilenetv2-1.4")
        .cost(plain("6.1"), but("0.59", &[WidthsCut, Pointwise]), but("18.5", &[WidthsCut]))
        .ms(33.0, Some(57.8)),
    row("ResNet-18", 69.6).network("resnet18").cost(plain("11.7"), plain("1.8"), plain("4.7")).ms(13.0, None),
    row("SqueezeNet", 60.4)
        .network("squeezenet")
        .cost(plain("1.2"), but("0.83", &[Side227]), but("7.9", &[PaddedStem]))
        .ms(19.6, None),
    row("HarDNet-68", 76.2)
        .network("hardnet68")
        .cost(plain("17.6"), but("4.3", &[Pointwise]), plain("11.5"))
        .ms(32.6, None),
    row("HarDNet-96s", 74.7).cost(plain("9.3"), plain("2.5"), plain("11.7")).ms(36.4, None),
    row("HarDNet-117s", 77.0).cost(plain("20.9"), plain("4.9"), plain("16.7")).ms(57.6, None),
    row("HarDNet-138s", 77.8).cost(plain("35.5"), plain("6.7"), plain("19.6")).ms(70.5, None),
    row("ResNet-50", 76.0)
        .network("resnet50")
        .cost(but("25", &[Cut]), plain("4.1"), but("20.7", &[FirstVersion]))
        .ms(46.5, None),
    row("DenseNet-121", 75.0)
        .network("densenet121")
        .cost(but("7.9", &[Cut]), but("2.9", &[Pointwise]), plain("21.9"))
        .ms(51.5, None),
    row("VGG-16", 73.4).network("vgg16").cost(plain("138"), plain("15.5"), plain("22.6")).ms(79.3, None),
    row("ResNet-101", 77.6)
        .network("resnet101")
        .cost(plain("44.5"), but("7.6", &[FirstVersion]), but("30.9", &[FirstVersion, Cut]))
        .ms(76.9, None),
    row("DenseNet-201", 77.4)
        .network("densenet201")
        .cost(plain("20"), but("4.4", &[Pointwise]), plain("31.8"))
        .ms(83.9, None),
    row("ResNet-152", 77.8)
        .network("resnet152")
        .cost(plain("60.2"), but("11.3", &[FirstVersion]), but("43.6", &[FirstVersion]))
        .ms(109.7, None),
];

/// HarDNet-85, which is in the authors' repository only. Its time there is another GPU's, so it has none here.
pub const HARDNET_85: PaperRow =
    PaperRow { params: Some(plain("36.7")), macs: Some(plain("9.1")), ..row("HarDNet-85", 78.0).network("hardnet85") };

const fn row(model: &'static str, top1: f64) -> PaperRow {
    PaperRow { model, network: None, params: None, macs: None, cio: None, gpu_ms: None, nano_ms: None, top1 }
}

/// A figure that follows from its definition.
const fn plain(text: &'static str) -> Printed {
    but(text, &[])
}

const fn but(text: &'static str, reasons: &'static [Reason]) -> Printed {
    Printed { text, reasons }
}

impl PaperRow {
    const fn network(mut self, name: &'static str) -> Self {
        self.network = Some(name);
        self
    }

    const fn cost(mut self, params: Printed, macs: Printed, cio: Printed) -> Self {
        self.params = Some(params);
        self.macs = Some(macs);
        self.cio = Some(cio);
        self
    }

    const fn ms(mut self, gpu: f64, nano: Option<f64>) -> Self {
        self.gpu_ms = Some(gpu);
        self.nano_ms = nano;
        self
    }
}
