"""Prints the counts that `src/reference/tests.rs` holds, by hooks on torchvision's modules on the meta device.

    python torchvision_counts.py

Each line: name, parameters, running statistics, MACs of convolutions and linear layers, CIO, elements normalized,
elements activated. v1 of a bottleneck ResNet moves the stride to the first convolution; the wide MobileNetV2 with cut
channels is torchvision's with another rounding; the padded SqueezeNet has a stem padded by 3.
"""

import torch
import torchvision
from torch import nn
from torchvision.models import mobilenetv2


def counts(net, side):
    sums = dict(macs=0, cio=0, norm=0, act=0)

    def hook(module, inputs, output):
        if isinstance(module, nn.Conv2d):
            sums["macs"] += output.numel() * module.weight[0].numel()
            sums["cio"] += inputs[0].numel() + output.numel()
        elif isinstance(module, nn.Linear):
            sums["macs"] += module.weight.numel()
        elif isinstance(module, nn.BatchNorm2d):
            sums["norm"] += output.numel()
        elif isinstance(module, (nn.ReLU, nn.ReLU6)):
            sums["act"] += output.numel()
        elif isinstance(module, torchvision.models.DenseNet):
            # Behind its last normalization it calls a function, which no hook sees.
            sums["act"] += module.classifier.in_features * (side // 32) ** 2

    for module in net.modules():
        module.register_forward_hook(hook)
    net.eval().to("meta")(torch.empty(1, 3, side, side, device="meta"))
    params = sum(p.numel() for p in net.parameters())
    statistics = sum(b.numel() for name, b in net.named_buffers() if "running" in name)
    return [params, statistics, sums["macs"], sums["cio"], sums["norm"], sums["act"]]


def v1(net):
    for module in net.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)
    return net


def wide_cut():
    divisible = mobilenetv2._make_divisible
    mobilenetv2._make_divisible = lambda v, divisor, least=None: int(round(v, 6))
    try:
        return torchvision.models.mobilenet_v2(width_mult=1.4)
    finally:
        mobilenetv2._make_divisible = divisible


def padded(net):
    net.features[0].padding = (3, 3)
    return net


models = torchvision.models
with torch.device("meta"):
    cases = [
        ("ResNet18", models.resnet18(), 224),
        ("ResNet50", models.resnet50(), 224),
        ("ResNet50V1", v1(models.resnet50()), 224),
        ("ResNet101", models.resnet101(), 224),
        ("ResNet101V1", v1(models.resnet101()), 224),
        ("ResNet152", models.resnet152(), 224),
        ("ResNet152V1", v1(models.resnet152()), 224),
        ("DenseNet121", models.densenet121(), 224),
        ("DenseNet201", models.densenet201(), 224),
        ("Vgg16", models.vgg16(), 224),
        ("MobileNetV2", models.mobilenet_v2(), 224),
        ("MobileNetV2Wide", models.mobilenet_v2(width_mult=1.4), 224),
        ("MobileNetV2WideCut", wide_cut(), 224),
        ("SqueezeNet", models.squeezenet1_0(), 224),
        ("SqueezeNet", models.squeezenet1_0(), 227),
        ("SqueezeNetPadded", padded(models.squeezenet1_0()), 224),
        ("DenseNet121", models.densenet121(), 97),
        ("SqueezeNet", models.squeezenet1_0(), 98),
        ("MobileNetV2", models.mobilenet_v2(), 161),
        ("Vgg16", models.vgg16(), 161),
    ]
print("# torch", torch.__version__, "torchvision", torchvision.__version__)
for name, net, side in cases:
    print(f"(Reference::{name}, {side}, [" + ", ".join(f"{n:_}" for n in counts(net, side)) + "]),")
