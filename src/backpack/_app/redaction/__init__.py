"""What of a frame is hidden before anything else sees it, and what stands in its place."""
