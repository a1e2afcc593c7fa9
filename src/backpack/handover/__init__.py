"""
Carry frames and messages across the border between the two processes.

The application's side of this room imports numpy and the standard library
only; the streaming process imports the same files without numpy.
"""
