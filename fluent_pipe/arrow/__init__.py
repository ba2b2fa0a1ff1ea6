"""The data plane: files to typed record batches and back."""
