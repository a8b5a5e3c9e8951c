"""Where and how precisely to compute: the device, and the number format of the network's pass."""

import torch

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def choose_device(name: str = "auto") -> torch.device:
    """Return the named device, or the best one that is there.

    Args:
        name: "auto" (CUDA, then Apple's MPS, then the CPU) or any name that ``torch.device`` takes.

    Raises:
        ValueError: the name is no device of torch, or the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device={name!r} is no device of torch; use 'auto', 'cpu', 'cuda' or 'cuda:0'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={name!r}, but torch sees no CUDA GPU here; use 'auto' or 'cpu'")
    return device


def choose_precision(name: str, device: torch.device, spatial_dims: int = 2) -> torch.dtype:
    """Return the number format in which the network's forward pass runs; losses are always float32.

    Args:
        name: one of "auto", "float32", "bfloat16", "float16". "auto" takes bfloat16 where the hardware computes
            in it and float32 elsewhere, since emulated bfloat16 is slower than float32.
        device: where the network runs.
        spatial_dims: 3 for a network of volumes, whose bfloat16 convolutions are slow on every CPU.

    Raises:
        ValueError: an unknown name, or float16 on a CPU (too narrow a range to train without loss scaling).
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision={name!r} is unknown; allowed: {', '.join(PRECISIONS)}")
    if name == "float16" and device.type != "cuda":
        raise ValueError("precision='float16' needs a CUDA GPU; allowed here: auto, float32, bfloat16")
    if name != "auto":
        return getattr(torch, name)
    if spatial_dims == 3 and device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if _computes_in_bfloat16(device) else torch.float32


def _computes_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
