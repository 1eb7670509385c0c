"""The papers' figures: one module each, `make(config) -> files written`; drawing is in vxbench.report.figures.

conf/figure/<key>.yaml says what is drawn, and names among its defaults the table whose settings hold.
`configs.composed` composes it, `configs.variant` the same with another model, data set or explainer. `shared.foot` is
what stands below every figure.
"""
