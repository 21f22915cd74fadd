"""What a call of ``log()`` brings: its streams, known or new, and their values, admitted or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recorder.admission import StreamType, admit, admit_key, admit_real, learn
from recorder.errors import StreamTypeError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES
from recorder.options import RecordingOptions
from recorder.plan import GROUP_ARGUMENTS, Given, Plan, Stream, plain
from recorder.spike_input import INDICES, SpikeType, admit_spikes, is_empty, is_plainly, learn_spikes

REWARD_TYPE = StreamType(REWARDS, np.dtype(np.float64), ())


class Calls:
    """The calls of one episode.

    Parameters
    ----------
    n_neurons : int or None
        Where spikes are indices.
    kinds : mapping
        Types of the streams of the episode before: first values of just these need no closer look.
    """

    def __init__(
        self, options: RecordingOptions, n_neurons: int | None, kinds: Mapping[str, StreamType | SpikeType]
    ) -> None:
        self._options, self._n_neurons, self._kinds = options, n_neurons, kinds

    @property
    def index_lists(self) -> bool:
        """Whether spikes are declared to be lists of indices."""
        return self._options.spike_format == INDICES

    def inexact(self, name: str) -> bool:
        """Whether values of this stream are rounded by request."""
        return name in self._options.precisions

    def new_stream(self, group: str, key: str, kind: StreamType | SpikeType) -> Stream:
        """A stream that this episode has not had yet."""
        rate = self._options.rate_of(key) if group == NEURAL else 1
        return Stream(group, key, kind, rate, share=min(1.0, 1.0 / rate))

    def given(
        self,
        plan: Plan,
        dues: Mapping[str, int],
        step: int,
        neural_state: Any,
        spikes: Any,
        behavior: Any,
        reward: Any,
    ) -> Given:
        """What these arguments bring; ``dues`` says from when on sampled streams keep a row.

        Raises
        ------
        InputError
            Something in it cannot be stored as it is.
        """
        given: Given = {}
        for group, mapping in ((NEURAL, neural_state), (BEHAVIOR, behavior)):
            if mapping is None:
                continue
            if not isinstance(mapping, Mapping):
                got = type(mapping).__name__
                raise StreamTypeError(group, f"{GROUP_ARGUMENTS[group]} as a dict", got, step=step)
            for key, value in mapping.items():
                name = f"{group}/{key}"
                stream = plan.streams.get(name) if type(key) is str else None
                if stream is None and is_plainly(self._kinds.get(name), value):
                    given[name] = self.new_stream(group, key, self._kinds[name]), value
                elif stream is None:
                    admit_key(group, key)
                    kind, array = learn(name, step, value, inexact=self.inexact(name))
                    given[name] = self.new_stream(group, key, kind), plain(array)
                elif stream.rate > 1 and step < dues[name]:
                    given[name] = stream, value
                else:
                    assert isinstance(stream.kind, StreamType)
                    given[name] = stream, plain(admit(stream.kind, step, value))
        if spikes is not None:
            self._spikes(plan.streams.get(SPIKES), step, spikes, given)
        if reward is not None:
            stream = plan.streams.get(REWARDS) or self.new_stream(REWARDS, "", REWARD_TYPE)
            given[REWARDS] = stream, admit_real(REWARDS, step, reward)
        return given

    def _spikes(self, stream: Stream | None, step: int, spikes: Any, given: Given) -> None:
        form = self._options.spike_format
        if stream is not None:
            assert isinstance(stream.kind, SpikeType)
            form = stream.kind.form
        if form != INDICES and is_empty(spikes):
            return
        if stream is not None:
            assert isinstance(stream.kind, SpikeType)
            given[SPIKES] = stream, admit_spikes(stream.kind, step, spikes)
        elif is_plainly(self._kinds.get(SPIKES), spikes):
            given[SPIKES] = self.new_stream(SPIKES, "", self._kinds[SPIKES]), spikes
        else:
            kind, array = learn_spikes(step, spikes, n_neurons=self._n_neurons, spike_format=form)
            given[SPIKES] = self.new_stream(SPIKES, "", kind), array
