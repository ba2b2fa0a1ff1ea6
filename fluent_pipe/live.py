"""How far a run is, for other processes: written beside its log while it is under way, read by the page over runs."""
