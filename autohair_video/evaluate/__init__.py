"""How good the mattes are: measures, folders with true alpha, and reports.

metrics         SAD, MAD, MSE, Grad, Conn, band MAD, IoU, translucency, dtSSD, MESSDdt as pure functions
datasets        the folder layouts; mattes and scores every item of one
runner          run_evaluation: one folder, from its layout to the written reports
report          scores as a table, as JSON and as a contact sheet
grid            run_compare: every combination of segmenter, trimap and matting engine on one frame
contact_sheet   results of the grid and how they are drawn; the panels of all contact sheets
"""
