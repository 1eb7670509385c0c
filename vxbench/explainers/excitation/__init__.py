"""Excitation backprop for CNN-RNNs: rules.py for the CNN, lstm.py against time, rnn.py the explainer."""

from vxbench.explainers.excitation.rnn import ExcitationBackpropRNN

__all__ = ["ExcitationBackpropRNN"]
