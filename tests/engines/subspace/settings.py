"""Settings that suit images of 16 px."""

from cryoscape.engines.subspace.config import SubspaceConfig

CONFIG = SubspaceConfig(zdim=2, start_radius=6, mask="sphere")
