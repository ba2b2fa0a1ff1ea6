"""Rows for Keras, fitting, and the exported model with its serving signatures."""
