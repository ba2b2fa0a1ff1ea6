"""One frozen dataclass per call of a pipeline."""
