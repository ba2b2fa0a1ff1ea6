"""Past runs as a person reads them: the report of a run, what changed between two, how to make it again."""
