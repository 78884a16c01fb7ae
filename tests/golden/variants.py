"""The published networks as tables, and the rule of their links."""

VARIANTS = {
    # stem, second kernel, m, k, layers, transition, downsample, depthwise
    "hardnet39ds": ((24, 48), 1, 1.6, (16, 20, 64, 160), (4, 16, 8, 4), (96, 320, 640, 1024), (1, 1, 1, 0), True),
    "hardnet68ds": ((32, 64), 1, 1.7, (14, 16, 20, 40, 160), (8, 16, 16, 16, 4), (128, 256, 320, 640, 1024), (1, 0, 1, 1, 0), True),
    "hardnet68": ((32, 64), 3, 1.7, (14, 16, 20, 40, 160), (8, 16, 16, 16, 4), (128, 256, 320, 640, 1024), (1, 0, 1, 1, 0), False),
    "hardnet85": ((48, 96), 3, 1.7, (24, 24, 28, 36, 48, 256), (8, 16, 16, 16, 16, 4), (192, 256, 320, 480, 720, 1280), (1, 0, 1, 0, 1, 0), False),
}


def link(layer, base, k, m):
    """Output width, input width and sources of `layer` (0 is the block's input)."""
    if layer == 0:
        return base, 0, []
    width, sources = float(k), []
    for i in range(10):
        step = 1 << i
        if layer % step == 0:
            sources.append(layer - step)
            if i > 0:
                width *= m
    out = int(int(width + 1) / 2) * 2
    return out, sum(link(s, base, k, m)[0] for s in sources), sources
