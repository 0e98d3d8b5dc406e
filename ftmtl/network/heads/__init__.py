"""The heads of the three tasks on regions of interest (RoIs), one module each.

A head first computes its *view* of the RoI, a feature map that can be transferred to other heads. It then decides from
its own view and those transferred to it. No head depends on another head's decision, so features can be transferred in
both directions at once.
"""
