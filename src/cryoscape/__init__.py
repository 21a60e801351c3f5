"""Structural ensembles from single-particle cryo-EM images."""

__version__ = "0.1.0"
