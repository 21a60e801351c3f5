"""Rotation matrices R with the slice rule q = k @ R: RELION Euler angles, axis-angle, quaternions."""

import torch
from jaxtyping import Float
from torch import Tensor


def matrix_from_relion_euler(angles_degrees: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return RELION's Euler matrix Z(psi) Y(tilt) Z(rot) for angles (rot, tilt, psi) in degrees.

    An image frequency k = (kx, ky, 0) lies at volume frequency k @ R. Equals
    ``scipy Rotation.from_euler("ZYZ", [rot, tilt, psi]).as_matrix().T`` (Heymann et al. 2005).
    """
    rot, tilt, psi = torch.deg2rad(angles_degrees).unbind(-1)
    ca, sa, cb, sb, cg, sg = rot.cos(), rot.sin(), tilt.cos(), tilt.sin(), psi.cos(), psi.sin()
    rows = [
        torch.stack([cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb], dim=-1),
        torch.stack([-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb], dim=-1),
        torch.stack([sb * ca, sb * sa, cb], dim=-1),
    ]
    return torch.stack(rows, dim=-2)


def relion_euler_from_matrix(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Return (rot, tilt, psi) in degrees, tilt in [0, 180]; at tilt 0 or 180, rot is set to 0.

    psi is read from R Z(rot)^T = Z(psi) Y(tilt), so that it makes up for any error of rot near the poles,
    where only their sum or difference is defined.
    """
    sb = rotation[..., 2, :2].norm(dim=-1)
    tilt = torch.atan2(sb, rotation[..., 2, 2])
    rot = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 0])
    rot = torch.where(sb > 8 * torch.finfo(rotation.dtype).eps, rot, torch.zeros_like(rot))
    turned = rotation[..., :2, 1] * rot.cos()[..., None] - rotation[..., :2, 0] * rot.sin()[..., None]
    psi = torch.atan2(turned[..., 0], turned[..., 1])
    return torch.rad2deg(torch.stack([rot, tilt, psi], dim=-1))


def matrix_from_axis_angle(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return exp([w]_x) by Rodrigues' formula, safe at w = 0; w in radians.

    cryoSPARC's pose is such a vector; its R in our slice rule is the transpose of this matrix.
    """
    angle_squared = (vector**2).sum(-1)[..., None, None]
    angle = angle_squared.clamp_min(1e-24).sqrt()
    small = angle_squared < 1e-8
    first = torch.where(small, 1 - angle_squared / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - angle_squared / 24, (1 - angle.cos()) / angle_squared.clamp_min(1e-24))
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vector.shape[:-1], 3, 3)
    eye = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return eye + first * cross + second * (cross @ cross)


def matrix_from_quaternion(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotation matrix of a quaternion (w, x, y, z), normalised first."""
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(entries, dim=-1).reshape(*quaternion.shape[:-1], 3, 3)


def random_rotations(
    n: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n 3 3"]:
    """Draw rotations uniformly on SO(3): normalised Gaussian quaternions."""
    return matrix_from_quaternion(torch.randn(n, 4, generator=generator, dtype=dtype))


def orthonormality_error(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Return the largest entry of |R R^T - 1|, or 2 where the determinant is negative (a mirror)."""
    eye = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    error = (rotation @ rotation.transpose(-1, -2) - eye).abs().amax(dim=(-1, -2))
    return torch.where(torch.linalg.det(rotation) < 0, torch.full_like(error, 2.0), error)
