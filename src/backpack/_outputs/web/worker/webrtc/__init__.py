"""Send a stream over WebRTC: one peer for each viewer, from the stream's one encode."""
