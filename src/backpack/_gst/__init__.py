"""GStreamer: the only room that imports gi."""
