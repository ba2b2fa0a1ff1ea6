"""The calls of a pipeline, by subject: each checks its arguments and appends a step."""
