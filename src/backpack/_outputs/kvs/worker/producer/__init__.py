"""Decide what is sent to Kinesis Video Streams and when, without a clock or a socket."""
