//! Exact counts of torchvision's networks, printed by `tests/torchvision_counts.py`, and the paper's rounded ones.

use super::Reference;
use crate::{Error, Figures};

/// Side of the image; parameters, running statistics, MACs of convolutions and linear layers, CIO, elements normalized,
/// elements activated. By torch 2.15.0 and torchvision 0.29.2.
const COUNTS: [(Reference, usize, [u64; 6]); 20] = [
    (Reference::ResNet18, 224, [11_689_512, 9_600, 1_814_073_344, 4_666_368, 2_483_712, 2_308_096]),
    (Reference::ResNet50, 224, [25_557_032, 53_120, 4_089_184_256, 21_776_384, 11_113_984, 9_608_704]),
    (Reference::ResNet50V1, 224, [25_557_032, 53_120, 3_857_973_248, 20_722_688, 10_587_136, 9_081_856]),
    (Reference::ResNet101, 224, [44_549_160, 105_344, 7_801_405_440, 32_012_288, 16_231_936, 14_726_656]),
    (Reference::ResNet101V1, 224, [44_549_160, 105_344, 7_570_194_432, 30_958_592, 15_705_088, 14_199_808]),
    (Reference::ResNet152, 224, [60_192_808, 151_424, 11_513_626_624, 44_656_640, 22_554_112, 21_048_832]),
    (Reference::ResNet152V1, 224, [60_192_808, 151_424, 11_282_415_616, 43_602_944, 22_027_264, 20_521_984]),
    (Reference::DenseNet121, 224, [7_978_856, 83_648, 2_834_161_664, 21_864_192, 15_667_456, 15_667_456]),
    (Reference::DenseNet201, 224, [20_013_928, 229_056, 4_291_365_888, 31_811_584, 24_705_408, 24_705_408]),
    (Reference::Vgg16, 224, [138_357_544, 0, 15_470_264_320, 22_629_376, 0, 13_555_712]),
    (Reference::MobileNetV2, 224, [3_504_872, 34_112, 300_774_272, 13_444_032, 6_678_112, 6_105_792]),
    (Reference::MobileNetV2Wide, 224, [6_108_776, 47_936, 582_195_824, 19_209_568, 9_573_424, 8_754_928]),
    (Reference::MobileNetV2WideCut, 224, [6_082_580, 47_556, 562_210_684, 18_494_168, 9_215_724, 8_425_844]),
    (Reference::SqueezeNet, 224, [1_248_424, 0, 818_924_576, 7_304_200, 0, 4_346_248]),
    (Reference::SqueezeNet, 227, [1_248_424, 0, 832_667_936, 7_465_603, 0, 4_451_272]),
    (Reference::SqueezeNetPadded, 224, [1_248_424, 0, 887_513_088, 7_860_384, 0, 4_674_208]),
    (Reference::DenseNet121, 97, [7_978_856, 83_648, 540_171_456, 4_168_483, 2_976_416, 2_976_416]),
    (Reference::SqueezeNet, 98, [1_248_424, 0, 138_906_240, 1_269_204, 0, 756_328]),
    (Reference::MobileNetV2, 161, [3_504_872, 34_112, 186_127_040, 7_560_515, 3_764_416, 3_441_792]),
    (Reference::Vgg16, 161, [138_357_544, 0, 7_965_935_296, 11_608_195, 0, 6_961_280]),
];

#[test]
fn counts_are_torchvisions() {
    for (reference, side, counts) in COUNTS {
        let totals = Figures::new(&reference.graph(), side, side).unwrap().totals;
        let found = [
            totals.params,
            totals.statistics,
            totals.macs(),
            totals.cio(),
            totals.norm_elements,
            totals.activation_elements,
        ];
        assert_eq!(found, counts, "{reference:?} at {side}");
    }
    assert!(Reference::ALL.iter().all(|reference| COUNTS.iter().any(|(counted, ..)| counted == reference)));
}

#[test]
fn names_name_their_networks() {
    for reference in Reference::ALL {
        assert_eq!(reference.name().parse(), Ok(reference));
        assert_eq!(reference.graph().name(), reference.name());
    }
    assert_eq!("resnet34".parse::<Reference>(), Err(Error::UnknownReference("resnet34".into())));
}
