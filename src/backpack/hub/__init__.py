"""Carry one encoded stream to any number of outputs."""
