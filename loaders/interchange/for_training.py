"""Methods of :class:`loaders.ExperimentLoader` that give a recording to training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loaders.interchange.extra import library

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader


def torch_windows(
    self: ExperimentLoader,
    names: Sequence[str],
    length: int,
    *,
    stride: int = 1,
    episodes: Iterable[int] | None = None,
    in_memory: bool = False,
) -> Any:
    """A ``torch.utils.data.Dataset`` of windows of rows, none across two episodes; extra ``torch``.

    ``windows[i]`` is ``{"timesteps": int64 (length,), name: (length, ...), …}``, tensors in the memory
    that was read to. The recording must stay open; workers of a ``DataLoader`` open it for themselves.
    What is not in ``names`` is left out.

    Parameters
    ----------
    names : list of str
        Streams with the same timesteps, ``"spikes"`` (rows of the raster) and ``"rewards"`` among them.
    length, stride : int
        Rows in a window, and between the first rows of two.
    episodes : iterable of int, optional
        Only these. Those shorter than ``length`` have no window.
    in_memory : bool, default False
        Read everything now; windows are then views into it, not copies. Do not change them in place.

    Raises
    ------
    KeyError
        An episode lacks one of ``names``.
    ExportError
        Their timesteps differ, or a dtype that torch lacks.
    """
    windows = library("loaders.interchange.torch_windows", "torch", "torch").TorchWindows
    return windows(self, names, length, stride=stride, episodes=episodes, in_memory=in_memory)


def to_minari(
    self: ExperimentLoader,
    dataset_id: str,
    *,
    observations: str | Mapping[str, str],
    actions: str | Mapping[str, str],
    final_observation: str,
    terminations: str | bool,
    truncations: str | bool,
    rewards: str = "rewards",
    environment: Any = None,
    observation_space: Any = None,
    action_space: Any = None,
    about: Mapping[str, Any] | None = None,
    episodes: Iterable[int] | None = None,
) -> Any:
    """The episodes as a local Minari dataset, one at a time; returns it; extra ``minari``.

    Values keep their dtypes (pictures are not made JPEG); ``infos`` of each episode have ``timestep`` and
    ``episode_id`` of each observation, of the one after the last step that of its event or of the last
    row. Streams that are not named here are left out, and all else of the recording but the configuration,
    which is in the ``description``. If it fails, nothing of the dataset is left.

    Parameters
    ----------
    dataset_id : str
        As Minari has them, ``"lab/task-v0"``; its folder is below ``MINARI_DATASETS_PATH``.
    observations, actions : str or mapping
        A stream, for instance ``"behavior/observation"``, or several under names of their own, for
        ``Dict`` spaces. Of row ``t``: what was seen, and what was then done. All streams have the same
        timesteps.
    final_observation : str
        Where the observation after the last step is: ``"events/<type>/<key>"`` (the last such event),
        ``"final_state/<key>"``, ``"<name>/<key>"`` of static data, or ``"last row"``: each episode's last
        row is the observation alone, whose action and reward mean nothing and are left out.
    terminations, truncations : str or bool
        A stream of bool, or whether each episode's last step is one.
    rewards : str
        The stream of the reward for what was done in row ``t``.
    environment : str, EnvSpec or Env, optional
        As ``minari.create_dataset_from_buffers`` takes them; its spaces are those of the dataset.
    observation_space, action_space : gymnasium.Space, optional
        Without them and an environment: boxes without bounds, in the dtype.
    about : mapping, optional
        Further arguments of ``create_dataset_from_buffers``, such as ``author`` or ``algorithm_name``.
    episodes : iterable of int, optional
        Only these.

    Raises
    ------
    KeyError
        An episode lacks one of the streams.
    FileExistsError
        There is a dataset of that name.
    ExportError
        Streams have different timesteps or differ from episode to episode in dtype or shape, values are not
        in their space (NaN may be in a box), rewards are no number a row, or the last observation is missing
        or another kind.
    OptionError
        An argument cannot be what it is, or a space has to be said.
    """
    from loaders.interchange.minari_dataset import Steps, to_minari

    steps = Steps(observations, actions, final_observation, rewards, terminations, truncations)
    return to_minari(self, dataset_id, steps, environment, (observation_space, action_space), about, episodes)
