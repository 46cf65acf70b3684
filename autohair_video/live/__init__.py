"""Live matting of a camera, shown in a window, in the browser or as a virtual camera.

In the order in which a frame meets them:

    settings        fixed options, the viewer's settings and their store
    quality         adaptive quality: the level at which the frame rate holds
    pipeline        the stages of one frame: segment, then infer
    compositor      the frame over the chosen background
    overlay         the views, and the text drawn over them
    recording       snapshots with alpha, and recordings
    stats           frame rate, latency, dropped frames, memory
    session         the threads: camera, segment, infer, render, viewers
    window          OpenCV's window and its keys
    virtual_camera  a camera for other programs
    web             the page in the browser
    run             a whole session for the command line

Low latency has priority over completeness everywhere: a slow consumer gets the newest frame, not the next.
"""
