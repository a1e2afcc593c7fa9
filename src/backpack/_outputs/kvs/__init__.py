"""AWS Kinesis Video Streams as an output: the application's side, and what both sides share."""
