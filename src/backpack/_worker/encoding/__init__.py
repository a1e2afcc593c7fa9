"""H.264 from raw frames: colours, the table of encoders, their trial, the encoder."""
