"""A TSM ResNet of any width: mmaction2's ResNetTSM is fixed at 64 channels."""

from mmaction.models.backbones.resnet import make_res_layer
from mmaction.models.backbones.resnet_tsm import ResNetTSM
from mmaction.registry import MODELS
from mmcv.cnn import ConvModule


@MODELS.register_module(force=True)
class NarrowResNetTSM(ResNetTSM):
    """ResNetTSM (Lin et al. 2019, TSM) whose stages have base_channels x (1, 2, 4, 8) channels.

    Nothing else differs: at base_channels = 64 it is ResNetTSM, key for key.
    """

    def __init__(self, depth: int, base_channels: int = 64, **kwargs):
        self.base_channels = base_channels
        super().__init__(depth, **kwargs)

    def init_structure(self):
        """Called when the stock layers stand: narrow ones take their place, then come the shifts."""
        self.conv1 = self._stem(self.conv1)
        self.inplanes = self.base_channels
        for stage, name in enumerate(self.res_layers):
            setattr(self, name, self._stage(stage))
        self.feat_dim = self.inplanes
        super().init_structure()

    def _stem(self, stock: ConvModule) -> ConvModule:
        return ConvModule(
            self.in_channels,
            self.base_channels,
            kernel_size=stock.kernel_size,
            stride=stock.stride,
            padding=stock.padding,
            bias=False,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def _stage(self, stage: int):
        planes = self.base_channels * 2**stage
        layer = make_res_layer(
            self.block,
            self.inplanes,
            planes,
            self.stage_blocks[stage],
            stride=self.strides[stage],
            dilation=self.dilations[stage],
            style=self.style,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
            with_cp=self.with_cp,
        )
        self.inplanes = planes * self.block.expansion
        return layer
