"""Optimisation of the image itself (Gatys et al. 2016): no network is trained, each image is.

`recipe` says what is minimised and how, with presets of the literature; `objective` is the loss;
`minimizers` go down it; `stylizer` does it to photographs.
"""
