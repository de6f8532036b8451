"""Distillation of VGG-19 into the embedded loss network (`losses.distilled_vgg`).

`compression` makes a first network in closed form, `distill` trains it further as a `student` of
its `teacher`, on `crops` and on `optimised_images`, and `calibration` brings its losses to theirs.
"""
