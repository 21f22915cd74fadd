"""Recordings of what other tools compute: one short module each, imported where it is used.

::

    from recorder.integrations.stepping import record_steps

Every one takes a ``DataExporter`` or what logs like one (:class:`recorder.integrations.target.Target`):
``Triggered`` and ``Staged`` stand before an exporter, and the others before any of the three.
"""
