"""How the weights are made: images and labels in, trained networks out.

synthetic           foregrounds with exact alpha, rendered
backgrounds         what foregrounds are composited over
codec_roundtrip     one image through H.264, for augmentation
degrade             camera and codec degradations
trimaps             trimaps as the product draws them, with errors
matting_dataset     crops for the matting network
teachers            networks that label images
labels              labelled people, made once and kept on disk
segmenter_dataset   samples for the segmenter
pretrained          initial weights from public checkpoints
losses              losses of both networks
loop                one training run: optimiser, schedule, averaging, checkpoints
train               the trainings themselves
"""
