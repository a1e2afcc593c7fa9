"""Send streams to AWS Kinesis Video Streams (KVS)."""
