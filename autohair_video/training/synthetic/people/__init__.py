"""Rendered people with exact alpha: seeded, resumable, on one core.

Bodies come from ``anny`` (Apache-2.0, data CC0), clothes and poses from MakeHuman's assets (CC0), pictures
from Mitsuba 3 (BSD-3). In the order in which a picture meets them:

``sample``, ``random_pose``  a seed becomes a :class:`SceneSpec`
``spec``                     the frozen values that describe people and camera
``body``, ``pose``           shape, kinematics and skinning
``clothing``, ``cloth_texture``, ``hair``   garments and strands on the body
``figure``                   all of it as meshes and curves
``scene``                    colour and coverage by Mitsuba
``render``                   the loop that writes files
"""
