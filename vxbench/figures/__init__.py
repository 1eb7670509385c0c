"""Makes the papers' figures: a module a figure, or one for several alike, with `make(config)` -> files written.

conf/figure/<key>.yaml says what is drawn: its caption, the module where its name is not the key (`draw`) and, among its
defaults, the table whose settings hold. `common.composed` composes it, `common.variant` the same with another model,
data set or explainer; `common.foot` is the small print below every figure. Arrays become files in `drawing`.
"""
