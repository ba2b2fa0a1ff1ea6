"""The Beam components, one module each."""
