"""Trainings of networks that ship: of styles, and of super-resolution.

`loop` is what every training runs, `data` what it sees; `style` and `super_resolution` are what is
trained. (The embedded loss network's training is `stylebeam.transforms.distillation`.)
"""
