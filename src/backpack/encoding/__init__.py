"""Turn pictures into H.264: colours, the table of encoders, the trial, the pipeline."""
