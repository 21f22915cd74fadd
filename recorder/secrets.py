"""Secrets out of what is recorded about the run: command lines, URLs, the environment.

Masking errs on the side of hiding: a value that only might be a secret is replaced by ``***``.
What users put into their own configuration is theirs and is stored as it is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

MASK = "***"

ENVIRONMENT = (
    "CONDA_DEFAULT_ENV",
    "CUDA_VISIBLE_DEVICES",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "LC_ALL",
    "LANG",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONOPTIMIZE",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_CPUS_PER_TASK",
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_NODEID",
    "SLURM_PROCID",
    "TZ",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
)
"""The only environment variables that are recorded: an allow-list, because any other may be a secret."""

_WORD = (
    r"(?:token|password|passwd|passphrase|pwd|secret|credentials?|bearer|authorization"
    r"|(?:api|access|secret|private|auth|account|encryption|license|signing|ssh)[-_.]?key|apikey)"
)
# The word may end a longer name (db_password, HF-TOKEN) or be followed by _id and the like, but
# "max_tokens" and "tokenizer" are no secrets.
_NAME = rf"[\w.-]*?{_WORD}(?![a-z])[\w.-]*"
_OPTION = re.compile(rf"--?(?:{_NAME}|pass|key|pat|auth)", re.IGNORECASE)
_VALUE = r"(?:(?:bearer|basic)\s+)?(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&#}]+)"
_ASSIGNED = re.compile(rf"(?<![\w.-])({_NAME}[\"']?\s*[=:]\s*){_VALUE}", re.IGNORECASE)
_OPTION_VALUE = re.compile(r"^(--?(?:pass|key|pat|auth)=).+", re.IGNORECASE | re.DOTALL)
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_BEARER = re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_KNOWN = re.compile(
    r"\bgh[pousr]_\w+|\bgithub_pat_\w+|\bgl(?:pat|dt|rt|ptt)-[\w-]+|\bsk-[\w-]{6,}|\b[rs]k_(?:live|test)_\w+"
    r"|\bxox[a-z]-[\w-]+|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bhf_\w{8,}|\bAIza[\w-]{20,}|\bpypi-[\w-]{16,}"
    r"|\bnpm_\w{16,}|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]+)?"
)


def mask(text: str) -> str:
    """``text`` with everything that looks like a secret replaced by ``***``."""
    text = _USER_INFO.sub(rf"\1{MASK}@", text)
    text = _ASSIGNED.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1{MASK}", text)
    return _KNOWN.sub(MASK, text)


def mask_command(arguments: Sequence[str]) -> str:
    """A command line as one shell-quoted text, secrets masked.

    ``--token X``, ``--password=X``, ``API_KEY=X``, well-known token forms (``ghp_…``, ``sk-…``),
    bearer tokens and user info in URLs.
    """
    out: list[str] = []
    secret_follows = False
    for argument in arguments:
        if secret_follows and not argument.startswith("--"):
            out.append(MASK)
            secret_follows = False
            continue
        secret_follows = _OPTION.fullmatch(argument) is not None
        out.append(mask(_whole_value(argument)))
    return " ".join(text if text == MASK else shlex.quote(text) for text in out)


def _whole_value(argument: str) -> str:
    # Within one argument the value reaches to its end, spaces and all.
    name, equals, _ = argument.partition("=")
    if equals and _OPTION.fullmatch("--" + name.lstrip("-+~")):
        return f"{name}={MASK}"
    return _OPTION_VALUE.sub(rf"\1{MASK}", argument)


def strip_url(url: str) -> str:
    """A remote's URL without user info, query and fragment; tokens elsewhere in it masked.

    The user of ``git@host:path`` is part of the address, no secret, and stays.
    """
    if "://" in url:
        url = _USER_INFO.sub(r"\1", url)
        url = re.split(r"[?#]", url, maxsplit=1)[0]
    else:
        url = re.sub(r"^([^@/:]+):[^@/]*@", r"\1@", url)
        url = re.split(r"\?", url, maxsplit=1)[0]
    return mask(url)


def allowed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the allow-list that are set, values masked all the same."""
    return {name: mask(environment[name]) for name in ENVIRONMENT if name in environment}
