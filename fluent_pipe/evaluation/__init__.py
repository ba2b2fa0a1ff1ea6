"""Metrics by slice, as TFMA defines them, and the verdict on a model."""
