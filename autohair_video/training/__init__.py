"""How the weights are made: pictures and labels in, trained networks out.

sources, shapes, plants, strands   what foregrounds are made of: photos, outlines, rendered hair
layer, recipes, layers             foregrounds with exact alpha, rendered once and kept
backdrops, degrade, trimaps        what they are seen before, through which camera, with which band
data                               crops for the matter
teachers, labels, people           labelled people for the segmenter
init, losses, loop, tasks          the trainings themselves
"""
