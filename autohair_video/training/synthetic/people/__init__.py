"""Rendered people with exact alpha: seeded, resumable, on one core.

Bodies come from ``anny`` (Apache-2.0, data CC0), clothes and poses from MakeHuman's assets (CC0), images
from Mitsuba 3 (BSD-3). In the order in which they are made:

sample         a seed becomes a `SceneSpec`
random_pose    random poses of arms, legs and trunk
spec           frozen values that describe people and camera
camera         where the camera stands to frame a part of a person
meshes         triangle meshes: OBJ files, vertex normals
body           human shapes and linear blend skinning
pose           poses from motion capture files, and limbs that point in a direction
clothing       garments on the body
cloth_texture  procedural prints for cloth
hair           hair as strands
figure         all of it as meshes and curves
scene          colour and coverage by Mitsuba
render         the loop that writes files
"""
