"""Recordings of what other tools compute: one short module each, imported where it is used.

::

    from recorder.integrations.stepping import record_steps

Those that log into a recording of yours take a ``DataExporter``, or what logs like one
(:class:`recorder.integrations.target.Target`): ``Triggered``, which stands before an exporter, or ``Staged``,
which stands before either. ``RecordVectorEpisodes`` opens recordings of its own, one for each environment.
"""
