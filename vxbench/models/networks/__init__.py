"""Networks of our own, added to mmaction2's registry on import: what configs name as `backbone.type` or `network.type`.

Imported by vxbench.models.mmaction.registry, after mmaction2; nothing else need import it.
"""

from vxbench.models.networks import (  # noqa: F401
    hara_r2plus1d,
    hara_r3d,
    narrow_tsm,
    torchvision_r2plus1d,
    vgg16lstm,
)
