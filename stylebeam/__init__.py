"""Stylizes photo archives with neural networks, as a component of Apache Beam pipelines."""
