"""From frames to mattes, in the order in which a frame meets the modules.

    loading           options -> the pipeline with its networks
    pipeline          the composed stages: frames -> frames with mattes
    state             recurrent state of a clip
    arrays            images and trimaps of the Python API -> tensors
    preprocess        upload, RGB conversion and optical flow, prefetchable
    optical_flow      motion between consecutive frames, its confidence, warping
    segmentation      frame -> probability of person and hair
    temporal          probabilities and alpha smoothed along optical flow
    trimap            probabilities or a hard mask -> foreground, background, unknown band
    tiled_inference   alpha in the band, with a cache of unchanged tiles
    tiling            fixed-size tiles over the band of a batch, and blending
    trimap_expansion  a wider band where alpha is not saturated at its boundary
    flow_refinement   flow of the subject, registered on its outline
    matte_adjust      choke, feather, levels and gamma of the finished matte

Tensors in, tensors out; state is passed in and returned.
"""
