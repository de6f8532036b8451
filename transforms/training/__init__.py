"""Training of the networks that are shipped: style networks and super-resolution networks.

Every training runs `loop` on crops from `data`; `style` and `super_resolution` say what is
trained. The distilled VGG is trained in `stylebeam.transforms.distillation`.
"""
