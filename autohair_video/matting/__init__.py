"""From frames to composites, in the order in which a frame meets the stages.

    segment     frame -> probability of person and hair
    looks       one body's colours and shape, and which pixels are likely its own
    bodies      who is who in the probabilities, followed through the clip
    subject     which bodies are kept; keep and drop mattes
    trimap      probabilities or a hard mask -> foreground, background, unknown band
    tiles       the band of a batch of frames as fixed-size squares, and back
    matte       alpha in the band
    temporal    probabilities and alpha steadied along the motion
    edges       choke, feather, levels and gamma of the finished matte
    foreground  the subject's own colours in the mixed pixels
    composite   subject over a background

Tensors in, tensors out; what lasts from frame to frame is passed in and handed back.
"""
