"""Prediction of a style from the painting alone: its statistics, and a small network."""
