"""Distillation of VGG-19 into the distilled VGG (`losses.distilled_vgg`).

`compression` computes the initial weights in closed form. `distill` then trains them: a `student`
learns from its `teacher` on `crops` and on `optimized_images`. `calibration` scales the layers of
the result so that its losses equal the teacher's on average.
"""
