"""The streaming process: one encoder a stream, and all outputs."""
