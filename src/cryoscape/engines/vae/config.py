"""Settings of the variational autoencoder, as plain values; imports no torch."""

from dataclasses import dataclass
from typing import Any, Literal

from cryoscape.errors import InputError

PositionalEncoding = Literal["gaussian", "geom_lowf", "geom_full", "geom_ft", "geom_nohighf", "linear_lowf"]
Domain = Literal["fourier", "hartley"]
Activation = Literal["relu", "leaky_relu"]
BetaSchedule = Literal["a", "b", "c", "d"]
Preset = Literal["paper"]

_BETA_SCHEDULES: dict[str, tuple[float, float, float, float]] = {
    # letter: (first beta, last beta, images seen at the start of the ramp, at its end)
    "a": (0.001, 15.0, 0.0, 1e6),
    "b": (5.0, 15.0, 2e5, 8e5),
    "c": (5.0, 18.0, 2e5, 8e5),
    "d": (5.0, 18.0, 1e6, 5e6),
}


@dataclass(frozen=True)
class ModelConfig:
    """Architecture: residual MLP encoder of phase-flipped pixels, and coordinate decoder.

    Attributes
    ----------
    box_size : D, even, pixels a side of the training images.
    zdim : latent dimension.
    enc_mask : radius in index units of the circle of pixels the encoder sees; None for D/2.
    pe_dim : frequencies a axis of the positional encoding; None for D/2.
    feat_sigma : standard deviation of gaussian frequencies, in units of D/2 radians a unit coordinate; a
        width of feat_sigma/(4 pi) of the box in real space.
    domain : what the decoder's outputs mean: "fourier" (Re, Im), half space only; "hartley", one output.
    """

    box_size: int
    zdim: int
    enc_layers: int = 3
    enc_dim: int = 256
    dec_layers: int = 3
    dec_dim: int = 256
    enc_mask: int | None = None
    pe_type: PositionalEncoding = "gaussian"
    pe_dim: int | None = None
    feat_sigma: float = 0.5
    domain: Domain = "fourier"
    activation: Activation = "relu"

    @property
    def encoder_radius(self) -> int:
        """Radius in index units of the encoder's circle."""
        return self.box_size // 2 if self.enc_mask is None else self.enc_mask

    @property
    def n_frequencies_per_axis(self) -> int:
        """Positional frequencies a axis, F; the encoding has 6F features."""
        return self.box_size // 2 if self.pe_dim is None else self.pe_dim


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained.

    Attributes
    ----------
    beta : weight of the KL term; None for 1/zdim. A letter (with beta_control) names a schedule.
    beta_control : strength of the controlled capacity term beta_control * (beta - KL)^2.
    amp : bf16 matrix products; None where the machine has them in hardware.
    """

    num_epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    beta: float | BetaSchedule | None = None
    beta_control: float | None = None
    seed: int = 0
    amp: bool | None = None


@dataclass(frozen=True)
class PresetValues:
    """Values a preset fills in where the user gave none."""

    pe_type: PositionalEncoding
    feat_sigma: float
    batch_size: int
    width: int
    layers: int


DEFAULTS = PresetValues(pe_type="gaussian", feat_sigma=0.5, batch_size=16, width=256, layers=3)
PAPER = PresetValues(pe_type="geom_lowf", feat_sigma=0.5, batch_size=8, width=256, layers=3)
"""The protocol's first training (v0.3.5 defaults): 256x3, batches of 8, geometric encoding without 2 pi."""


def beta_at(beta: float | BetaSchedule | None, zdim: int, images_seen: float | int) -> float:
    """Weight (with control: target) of the KL term after this many images; schedules are clipped ramps."""
    if beta is None:
        return 1.0 / zdim
    if isinstance(beta, str):
        first, last, start, end = _BETA_SCHEDULES[beta]
        fraction = min(max((images_seen - start) / (end - start), 0.0), 1.0)
        return first + fraction * (last - first)
    return float(beta)


def parse_beta(text: str | float | None, beta_control: float | None) -> float | BetaSchedule | None:
    """Beta from a command line: a number, or a schedule letter, which needs beta_control."""
    if text is None or isinstance(text, float | int):
        return text
    if text in _BETA_SCHEDULES:
        if beta_control is None:
            raise InputError(f"--beta {text}: schedules need --beta-control; give one or a number for --beta")
        schedule: BetaSchedule = text  # type: ignore[assignment]
        return schedule
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--beta {text}: expected a number or one of a, b, c, d") from None


def model_config_from_upstream(config: dict[str, Any]) -> ModelConfig:
    """Architecture from a run configuration in upstream's layout (config.yaml or config.pkl).

    Raises InputError for models that have no such decoder (tilt series are fine, their decoder is the same).
    """
    model = config["model_args"]
    box_size = int(config["lattice_args"]["D"]) - 1
    for key in ("zdim", "players", "pdim"):
        if key not in model:
            raise InputError(f"configuration: model_args lacks {key}; expected that of a train_vae run")
    pe_type = str(model.get("pe_type", "geom_lowf"))
    known = PositionalEncoding.__args__  # type: ignore[attr-defined]
    if pe_type not in known:
        raise InputError(
            f"configuration: pe_type {pe_type} is not supported; expected one of {', '.join(known)}"
        )
    mask = model.get("enc_mask")
    return ModelConfig(
        box_size=box_size,
        zdim=int(model["zdim"]),
        enc_layers=int(model.get("qlayers", 3)),
        enc_dim=int(model.get("qdim", 256)),
        dec_layers=int(model["players"]),
        dec_dim=int(model["pdim"]),
        enc_mask=None if mask is None else int(mask),
        pe_type=pe_type,  # type: ignore[arg-type]
        pe_dim=None if model.get("pe_dim") is None else int(model["pe_dim"]),
        feat_sigma=float(model.get("feat_sigma") or 0.5),
        domain=model.get("domain", "fourier"),
        activation=model.get("activation", "relu"),
    )


def model_args_for_upstream(model: ModelConfig) -> dict[str, Any]:
    """The model_args section of config.yaml."""
    return {
        "qlayers": model.enc_layers,
        "qdim": model.enc_dim,
        "players": model.dec_layers,
        "pdim": model.dec_dim,
        "zdim": model.zdim,
        "encode_mode": "resid",
        "enc_mask": model.encoder_radius,
        "pe_type": model.pe_type,
        "feat_sigma": model.feat_sigma,
        "pe_dim": model.n_frequencies_per_axis,
        "domain": model.domain,
        "activation": model.activation,
    }


def check_model_config(model: ModelConfig) -> None:
    """Raise InputError for sizes that cannot be built."""
    if model.box_size % 2:
        raise InputError(
            f"box of {model.box_size} px is odd; downsample to an even one with `cryoscape downsample`"
        )
    for name in ("zdim", "enc_dim", "dec_dim", "enc_layers", "dec_layers", "n_frequencies_per_axis"):
        if getattr(model, name) < 1:
            raise InputError(f"--{name.replace('_', '-')}: expected at least 1, found {getattr(model, name)}")
    if not 1 <= model.encoder_radius <= model.box_size // 2:
        raise InputError(
            f"--enc-mask {model.enc_mask}: expected a radius of 1 to {model.box_size // 2} px (half the box)"
        )
