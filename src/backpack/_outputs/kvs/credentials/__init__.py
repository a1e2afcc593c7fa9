"""
AWS credentials and what is signed with them, in the application's process and nowhere else.

Loads nothing foreign: botocore is loaded by the threads that need it.
"""
