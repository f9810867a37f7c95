"""autoplace decides where in a frozen pre-trained vision backbone to put adapters.

The commands of the command line as functions:

>>> import autoplace
>>> result = autoplace.probe("builtin:digits", probe_images=32)
>>> str(autoplace.Placement.parse("7>3+0>5"))
'0>5+7>3@bottleneck:r=8'

The table of contents is `__init__.pyi`; a name is imported when it is first used, so that
`import autoplace` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
