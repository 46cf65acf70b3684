"""How the weights are made: images and labels in, trained networks out.

synthetic           foregrounds with exact alpha, rendered
manifest            which images are people, and who labels them
progress            progress lines of long preparations
backgrounds         what foregrounds are composited over
codec_roundtrip     one image through H.264, for augmentation
degrade             camera and codec degradations
trimaps             trimaps as the product draws them, with errors
matting_dataset     crops for the matting network
tflite              TFLite networks
blazepose           people, their squares, landmarks and masks
teachers            networks that label images
agreement           what their answers make of an image
keying              alpha before a green screen
labels              labelled people, made once and kept on disk
credits             whom the sources' licences want named
augment             augmentations of people and scenes
crops               crops of labelled people
segmenter_dataset   samples for the segmenter
pretrained          initial weights from public checkpoints
losses              losses of both networks
loop                one training run: optimiser, schedule, averaging, checkpoints
train               the trainings themselves
held_out            rendered evaluation sets that no training has seen
"""
