"""The perturbation family: one optimisation loop with named parts."""

from vxbench.explainers.perturbation.methods import EP3D, FEP, STEP, EP3DEvenly, EP3DGaussian, FEPOnSTEP

__all__ = ["EP3D", "FEP", "STEP", "EP3DEvenly", "EP3DGaussian", "FEPOnSTEP"]
