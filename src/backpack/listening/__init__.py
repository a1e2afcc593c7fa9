"""
Hold what servers that listen have in common.

The addresses of this machine, the checks of settings, and the life of a
server as the application holds it. Files whose names begin with ``app_``, and
those that only they import, are the application's.
"""
