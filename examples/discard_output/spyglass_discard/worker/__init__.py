"""What runs in the streaming process: it has GStreamer, and may have no numpy."""
