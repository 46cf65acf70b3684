"""A camera's pictures matted as they come, in a window, a browser or another program's camera.

In the order in which a picture meets them:

    settings    what the viewer can change while it runs, and the keys that do
    quality     how finely to look, so that the wanted rate is held
    matting     one picture and what the last one left -> its matte
    view        matte and picture -> what is shown, with the status line and the help
    record      snapshots with alpha, and clips
    measured    a session in figures
    loop        the threads: camera -> mattes -> whoever shows them
    words       how it does, in one line
    window      OpenCV's window and its keys
    virtual     a camera that other programs see
    handlers    what each address of the page in the browser does
    server      the page, and whom it lets in
    run         all of it, for the command line

Latency goes before completeness everywhere: whoever is slow gets the newest picture, never the next.
"""
