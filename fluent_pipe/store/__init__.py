"""What stays on disk: content fingerprints, the commit protocol and the metadata store."""
