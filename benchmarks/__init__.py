"""
Measure what it costs an application to be watched, against two other ways.

``main`` directs; the application (``app``), the viewer (``client``) and the
limits (``limits``) are processes of their own, so that each one's time and
memory can be told apart. ``script/bench`` runs it all.
"""
