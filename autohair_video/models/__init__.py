"""The networks, as plain modules that read like the papers' figures.

deeplab      DeepLab v3+ on MobileNetV2: image -> person and hair logits
voc_deeplab  public DeepLab networks of the 21 VOC classes behind the same interface
dim          Deep Image Matting: image and trimap -> alpha (published VGG-16 form and a mobile one)
blocks       building blocks of both mobile networks
fused_conv   convolutions fused with their activation, for inference on a CPU
"""
