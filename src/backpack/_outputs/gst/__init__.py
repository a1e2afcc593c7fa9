"""Any GStreamer sink: what the application makes."""
