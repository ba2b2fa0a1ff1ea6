"""``fluent-pipe ui``: a page over the runs of a root, on loopback."""
