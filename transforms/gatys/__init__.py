"""Optimization of a photo's own pixels (Gatys et al. 2016): no network is trained.

`settings` has the options and the presets of the literature, `engine` stylizes photos,
`optimization` runs through the levels of one photo, `descent` is the loop that minimizes a loss,
and `minimizers` are the algorithms.
"""
