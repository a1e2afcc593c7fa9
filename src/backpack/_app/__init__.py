"""What runs in the application's process. Needs numpy and the standard library."""
