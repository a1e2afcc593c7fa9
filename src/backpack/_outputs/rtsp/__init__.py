"""RTSP: what the application makes."""
