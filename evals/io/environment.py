"""The environment of the programs that emeval starts: what they need by name, and no secret of anything else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from evals.errors import BadInput
from evals.io.paths import MOST_TEXT, read_text

SECRET_NAME = re.compile(r"PASS|SECRET|CREDENTIAL|WEBHOOK|TOKEN(?!IZER|S)|KEY(?!FILE)", re.IGNORECASE)
"""The name of a variable or an option that holds a secret."""

_EVERY_PROGRAM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "LC_*", "TZ"),
    *("TMPDIR", "TMP", "TEMP", "SYSTEMROOT", "XDG_*", "LD_*", "DYLD_*", "PYTHON*", "VIRTUAL_ENV", "CONDA_PREFIX"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
INSTALLER = ("PIP_*", "UV_*", "NETRC")
INSTALLER_SECRETS = ("UV_INDEX_",)
"""The names of an installer's own secrets begin with this: they open the index that packages come from."""
VLLM = (
    *("VLLM_*", "CUDA_*", "NVIDIA_*", "CUDNN_*", "CUBLAS_*", "NCCL_*", "ROCR_*", "ROCM_*", "HIP_*", "HSA_*", "RCCL_*"),
    *("GPU_*", "AMD_*", "ZE_*", "ONEAPI_*", "SYCL_*", "CCL_*", "HABANA_*", "PT_HPU_*", "TPU_*", "XLA_*", "NEURON_*"),
    *("ASCEND_*", "HCCL_*", "TORCH*", "PYTORCH_*", "TRITON_*", "TVM_*", "DG_*", "FLASHINFER_*", "GLOO_*", "UCX_*"),
    *("RAY_*", "OMP_*", "KMP_*", "GOMP_*", "MKL_*", "OPENBLAS_*", "NUMEXPR_*", "MALLOC_*", "CC", "CXX", "MAX_JOBS"),
    *("HF_*", "HUGGINGFACE_*", "TRANSFORMERS_*", "TOKENIZERS_*", "SAFETENSORS_*", "TIKTOKEN_*", "MODELSCOPE_*"),
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
)
"""Of these, only the last two may name a secret: gated models are downloaded with it."""


def child_environment(
    needed: Iterable[str] = (), own_secrets: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables that every program needs, and those `needed` by this one, with * at the end for any ending.

    A variable whose name says that it holds a secret is left out unless it is named in full, without a *, or its name
    begins as `own_secrets` do.
    """
    given = os.environ if environment is None else environment
    names = (*_EVERY_PROGRAM, *needed)
    exact = {name for name in names if not name.endswith("*")}
    prefixes = tuple(name.removesuffix("*") for name in names if name.endswith("*"))
    return {
        name: value
        for name, value in given.items()
        if name.upper() in exact
        or (own_secrets and name.startswith(own_secrets))
        or (name.upper().startswith(prefixes) and not SECRET_NAME.search(name))
    }


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """The values of the variables that hold a secret, the longest first, so that none is hidden in another."""
    found = {value.strip() for name, value in environment.items() if SECRET_NAME.search(name)}
    return sorted((value for value in found if len(value) >= 8), key=len, reverse=True)


def read_dotenv() -> dict[str, str | None]:
    """Set the variables of `.env` in the working directory that the environment lacks. Returns all that the file sets.

    A folder of that name is ignored: it is a virtual environment. Raises BadInput.
    """
    from dotenv import dotenv_values, load_dotenv

    path = Path.cwd() / ".env"
    if not path.exists() or path.is_dir():
        return {}
    try:
        text = read_text(path, MOST_TEXT)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is not UTF-8 text") from None
    load_dotenv(stream=StringIO(text))
    return dotenv_values(stream=StringIO(text))
