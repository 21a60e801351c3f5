"""`cryoscape train_vae`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cryoscape.engines.vae.config import Activation, Domain, PositionalEncoding


def train_vae(
    particles: Path,
    /,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    zdim: int,
    poses: Path | None = None,
    ctf: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    decoder: Literal["mlp", "subspace+mlp", "subspace"] | None = None,
    subspace: Annotated[Path | None, Parameter(name="--from")] = None,
    num_epochs: Annotated[int | None, Parameter(name=["-n", "--num-epochs"])] = None,
    batch_size: Annotated[int | None, Parameter(name=["-b", "--batch-size"])] = None,
    amp: Annotated[bool | None, Parameter(negative="--no-amp")] = None,
    uninvert_data: bool = False,
    no_window: bool = False,
    window_r: float = 0.85,
    enc_dim: Annotated[int | None, Parameter(name=["--enc-dim", "--qdim"])] = None,
    enc_layers: Annotated[int | None, Parameter(name=["--enc-layers", "--qlayers"])] = None,
    dec_dim: Annotated[int | None, Parameter(name=["--dec-dim", "--pdim"])] = None,
    dec_layers: Annotated[int | None, Parameter(name=["--dec-layers", "--players"])] = None,
    enc_mask: int | None = None,
    pe_type: PositionalEncoding | None = None,
    pe_dim: int | None = None,
    feat_sigma: float | None = None,
    domain: Domain = "fourier",
    activation: Activation = "relu",
    beta: str | None = None,
    beta_control: float | None = None,
    lr: float = 1e-4,
    wd: float = 0.0,
    norm: tuple[float, float] | None = None,
    lazy: bool = False,
    load: str | None = None,
    load_latest: bool = False,
    preset: Literal["paper"] | None = None,
    seed: int | None = None,
    checkpoint: int = 1,
    log_interval: int = 1000,
    max_threads: int | None = None,
    num_workers: int | None = None,
    no_analysis: bool = False,
    multigpu: bool = False,
    device: str = "auto",
    force: bool = False,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
) -> None:
    """Learn a latent space of structures from particle images with known poses (variational autoencoder).

    Networks start from a linear subspace, which is trained first. With --preset paper, or options that only
    the published model has, that model is trained. A run that was stopped goes on exactly with --load latest.

    Example: cryoscape train_vae particles.128.txt --poses poses.pkl --ctf ctf.pkl --zdim 8 -n 50
    -o 01_128_8D_256

    Parameters
    ----------
    particles
        Images: .mrcs, .mrc, .txt list, .star or .cs.
    outdir
        Folder for weights.E.pkl, z.E.pkl, config.yaml, run.log and metrics.jsonl.
    zdim
        Dimension of the latent space.
    poses
        poses.pkl; needed unless the particles file holds poses.
    ctf
        ctf.pkl; needed unless the particles file holds the CTF.
    ind
        Selection: .pkl of row numbers of the particles file.
    datadir
        Folder that image paths of a .star or .cs file are relative to.
    decoder
        `subspace+mlp`: networks on the bases of a linear subspace, which is trained first. `mlp`: the paper's
        model. `subspace`: the linear subspace alone, as train_subspace [subspace+mlp; mlp with --preset paper
        and with options that only the paper's model has].
    subspace
        Run folder of train_subspace to start from [one is trained first].
    num_epochs
        Epochs, numbered from 0, so 50 end with weights.49.pkl [30, fewer where particles are many or nothing
        is gained; 20 with `--decoder mlp`].
    batch_size
        Images a step [16; 8 with --preset paper].
    amp
        bf16 matrix products [where the machine has them in hardware].
    uninvert_data
        Do not multiply the images by -1: for dark particles on light ground.
    no_window
        Do not multiply the images by a soft round window.
    window_r
        Where the window starts to fall, as a fraction of half the box.
    enc_dim
        Width of the encoder [256].
    enc_layers
        Hidden layers of the encoder [3].
    dec_dim
        Width of the decoder [256].
    dec_layers
        Hidden layers of the decoder [3].
    enc_mask
        Radius in Fourier pixels of the circle the encoder sees [half the box].
    pe_type
        Positional encoding of the decoder [gaussian; geom_lowf with --preset paper].
    pe_dim
        Frequencies an axis in the positional encoding [half the box].
    feat_sigma
        Spread of the gaussian encoding's frequencies.
    domain
        What the decoder predicts: Fourier coefficients, half of space by symmetry, or the Hartley transform.
    activation
        Of hidden layers.
    beta
        Weight of the KL term: a number, or with --beta-control a schedule a, b, c or d [1/zdim].
    beta_control
        Strength of the controlled KL term.
    lr
        Learning rate of Adam.
    wd
        Weight decay of Adam.
    norm
        Mean (0) and standard deviation to normalise by [from the images].
    lazy
        Keep preprocessed images on disk beside the run instead of in memory.
    load
        Continue from a weights.E.pkl, or from the `latest` state in the folder, exactly where it stopped.
    load_latest
        Same as --load latest.
    preset
        `paper`: the protocol's first training (256x3, batches of 8, geometric encoding).
    seed
        Of weights, order and noise; drawn and recorded if not given.
    checkpoint
        Save every so many epochs; the last is always saved.
    max_threads
        CPU threads.
    device
        auto, cpu, cuda, cuda:1 or mps.
    force
        Replace a run that is in the folder already.
    log_interval
        No effect, as progress is shown continually; accepted for old command lines.
    num_workers
        No effect; accepted for old command lines.
    no_analysis
        No effect, as analysis is a command of its own; accepted for old command lines.
    multigpu
        No effect; several processes share a training under torchrun.
    verbose
        Say more.
    """
    from cryoscape.workflows.train_decoder import train_decoder as run
    from cryoscape.workflows.training_plan import TrainVaeRequest
    from cryoscape.workflows.training_session import StoppedBySignal, logger

    if multigpu:
        logger.warning("--multigpu: has no effect; for several GPUs start the command with torchrun")
    request = TrainVaeRequest(
        particles=particles,
        outdir=outdir,
        zdim=zdim,
        poses=poses,
        ctf=ctf,
        ind=ind,
        datadir=datadir,
        num_epochs=20 if num_epochs is None else num_epochs,
        batch_size=batch_size,
        amp=amp,
        invert_data=not uninvert_data,
        window=not no_window,
        window_radius=window_r,
        enc_dim=enc_dim,
        enc_layers=enc_layers,
        dec_dim=dec_dim,
        dec_layers=dec_layers,
        enc_mask=enc_mask,
        pe_type=pe_type,
        pe_dim=pe_dim,
        feat_sigma=feat_sigma,
        domain=domain,
        activation=activation,
        beta=beta,
        beta_control=beta_control,
        learning_rate=lr,
        weight_decay=wd,
        norm=norm,
        lazy=lazy,
        load="latest" if load_latest else load,
        preset=preset,
        seed=seed,
        checkpoint=checkpoint,
        max_threads=max_threads,
        device=device,
        force=force,
        command=tuple(sys.argv),
    )
    try:
        run(request, decoder, num_epochs, subspace)
    except StoppedBySignal as stop:
        logger.warning("%s; continue with --load latest", stop)
        raise SystemExit(stop.exit_code) from None
