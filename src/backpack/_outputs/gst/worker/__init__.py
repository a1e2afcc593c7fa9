"""Any GStreamer sink, in the streaming process."""
