"""Stream through `kvssink`, AWS's own producer, in a child process of its own."""
