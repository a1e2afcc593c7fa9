"""RTSP in the streaming process: GStreamer's server, with limits of our own."""
