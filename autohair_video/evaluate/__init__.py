"""How good the mattes are: measures, folders with true alpha, and reports.

    metrics   SAD, MAD, MSE, Grad, Conn, band MAD, IoU, dtSSD, MESSDdt as pure functions
    folders   mattes every item of a folder and measures it
    engines   the networks as what is measured
    report    the result as a table, as JSON and as a contact sheet
    compare   segmenters, trimaps and engines on one frame; comparison holds and draws the result
    sheet     the panels that contact sheets are made of

`run_evaluation` does it all for one folder.
"""
