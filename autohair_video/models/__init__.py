"""The networks, as plain modules that read like the papers' figures.

deeplab   DeepLab v3+ on MobileNetV2: picture -> person and hair logits
voc       public DeepLab networks of the 21 VOC classes behind the same interface
dim       Deep Image Matting: picture and trimap -> alpha (published VGG-16 form and a mobile one)
layers    what both mobile networks are made of
fused     their convolutions with the activations taken along, for use on a CPU
"""
