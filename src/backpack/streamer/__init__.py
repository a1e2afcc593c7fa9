"""Be the streaming process: one encoder a stream, all outputs, none of the application's time."""
