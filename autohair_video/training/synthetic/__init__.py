"""Foregrounds with exact alpha, rendered by this project.

canvas         anti-aliased RGBA drawing, lens and motion blur
shapes         outlines, fingers, random colours
strands        hair and fur as curves
head           where the head is in a person's layer
loose_styles   kinds of loose hair
tresses        locks of strands: grown, swayed, drawn
loose_hair     long, blown, curly, wet, tied hair for heads with tidy hair
plants         leaves and branches
sources        real colours and outlines from photographs
people         rendered people: body, clothes, hair, pose
loose_head     heads of photographs with loose hair
recipes        one random foreground from all of the above
render_cache   foregrounds rendered once, by number, and kept on disk
"""
